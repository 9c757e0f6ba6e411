package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// sinkTest is a cluster with a client of it.
type sinkTest struct {
	*testing.T
	cluster *kfake.Cluster
	client  *Client
}

// fastConfig are settings under which failures are noticed and repeated soon.
func fastConfig() Config {
	return Config{
		RequestTimeout:  2 * time.Second,
		RetryBackoff:    5 * time.Millisecond,
		RetryBackoffMax: 20 * time.Millisecond,
		Sink:            SinkTuning{DeliveryTimeout: 20 * time.Second},
	}
}

func newSinkTest(t *testing.T, cfg Config, opts ...kfake.Opt) *sinkTest {
	t.Helper()
	cluster := fake(t, opts...)
	cfg.Brokers = cluster.ListenAddrs()
	return &sinkTest{t, cluster, dial(t, cfg)}
}

// sink makes a sink that is closed with the test.
func (t *sinkTest) sink(id string) *Sink {
	t.Helper()
	s, err := t.client.NewSink(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (t *sinkTest) ok(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within is a context for a call that must not take long; a machine that is busy may take longer over it. Waits of less than
// a second are those that a test wants to see end.
func (t *sinkTest) within(d time.Duration) context.Context {
	if d >= time.Second {
		d = max(d, 2*time.Minute)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// text is a record with that value.
func text(topic string, partition int32, value string) *Outgoing {
	return &Outgoing{
		TopicPartition: TopicPartition{Topic: topic, Partition: partition},
		Timestamp:      1700000000000,
		Key:            []byte("key"),
		Value:          []byte(value),
	}
}

func (t *sinkTest) append(s *Sink, topic string, partition int32, values ...string) {
	t.Helper()
	for _, v := range values {
		t.ok(s.Append(text(topic, partition, v)))
	}
}

// read returns the records of a partition up to its end. With committed it sees only what a read-committed reader sees,
// and stops at the last stable offset.
func (t *sinkTest) read(topic string, partition int32, committed bool) []*kgo.Record {
	t.Helper()
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	records, err := readAll(t.within(20*time.Second), t.cluster.ListenAddrs(), topic, partition, kgo.FetchIsolationLevel(level))
	t.ok(err)
	return records
}

func readAll(ctx context.Context, addrs []string, topic string, partition int32, opts ...kgo.Opt) ([]*kgo.Record, error) {
	reader, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.DisableFetchSessions(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(50 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var records []*kgo.Record
	// Control records count for the position, so the end is reached even after markers; an aborted tail is not
	// delivered, so a poll that brings nothing new ends the reading too.
	for quiet := 0; quiet < 3; {
		poll, cancel := context.WithTimeout(ctx, 600*time.Millisecond)
		fetches := reader.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		before, done := len(records), false
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if p.Err != nil && !errors.Is(p.Err, context.DeadlineExceeded) {
				err = p.Err
			}
			end := p.LastStableOffset
			for _, r := range p.Records {
				if !r.Attrs.IsControl() {
					records = append(records, r)
				}
				done = done || r.Offset+1 >= end
			}
		})
		if err != nil || done {
			return records, err
		}
		if len(records) == before {
			quiet++
		}
	}
	return records, nil
}

func values(records []*kgo.Record) []string {
	var vs []string
	for _, r := range records {
		vs = append(vs, string(r.Value))
	}
	return vs
}

// shortened are values for a message: a few of them, and the beginning of each.
func shortened(values []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d values", len(values))
	for _, v := range values[:min(len(values), 30)] {
		fmt.Fprintf(&b, " %.40q (%d bytes)", v, len(v))
	}
	return b.String()
}

func (t *sinkTest) visible(topic string, partition int32, want ...string) {
	t.Helper()
	if got := values(t.read(topic, partition, true)); !slices.Equal(got, want) {
		t.Fatalf("%s/%d holds %s, want %s", topic, partition, shortened(got), shortened(want))
	}
}

func numbers(from, to int) []string {
	var vs []string
	for i := from; i < to; i++ {
		vs = append(vs, fmt.Sprint(i))
	}
	return vs
}

// Mutation: Commit ends the transaction with abort.
func TestCommittedRecordsBecomeVisibleInOrder(t *testing.T) {
	for _, id := range []string{"", "tx"} {
		t.Run("id="+id, func(t *testing.T) {
			test := newSinkTest(t, fastConfig(), kfake.SeedTopics(3, "out"))
			s := test.sink(id)
			for round := range 3 {
				for p := range int32(3) {
					test.append(s, "out", p, numbers(round*100, round*100+100)...)
				}
				test.ok(s.Flush(t.Context()))
				test.ok(s.Commit(t.Context()))
			}
			for p := range int32(3) {
				test.visible("out", p, numbers(0, 300)...)
			}
		})
	}
}

// sinkCode is sarama's value for an error of the protocol.
func sinkCode(err *kerr.Error) sarama.KError { return sarama.KError(err.Code) }

// request makes a request past the sink.
func (t *sinkTest) request(req kmsg.Request) kmsg.Response {
	t.Helper()
	// Newer versions of transactional requests raise the epoch by themselves (KIP-890).
	cl, err := kgo.NewClient(kgo.SeedBrokers(t.cluster.ListenAddrs()...), kgo.MaxVersions(kversion.V3_6_0()))
	t.ok(err)
	defer cl.Close()
	res, err := cl.Request(t.within(10*time.Second), req)
	t.ok(err)
	return res
}
