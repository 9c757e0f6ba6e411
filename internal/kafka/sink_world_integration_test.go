//go:build integration

package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/kafkatest"
)

// The codes of answers that a real cluster can be brought to give, each with whom it is blamed on. What is denied is tried with
// the whole engine: integration.TestTheWorldRefuses.
//
// Mutation: a row of answers moved from the record's to the world's, or back.
func TestRealKafkaBlamesTheRecordOrTheWorld(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Options{Brokers: 3})
	cluster.NeedNodes(t)
	c := dial(t, Config{
		Brokers: cluster.Addrs(), RequestTimeout: 3 * time.Second,
		Fetch: FetchTuning{MaxWait: time.Second}, Sink: SinkTuning{DeliveryTimeout: 6 * time.Second, TransactionTimeout: 10 * time.Minute, Compression: "zstd"},
	})
	within := func(d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		t.Cleanup(cancel)
		return ctx
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.CreateTopics(within(time.Minute), []TopicSpec{
		{Name: "late", Partitions: 1, ReplicationFactor: 3, Config: map[string]string{"message.timestamp.after.max.ms": "600000"}},
		{Name: "early", Partitions: 1, ReplicationFactor: 3, Config: map[string]string{"message.timestamp.before.max.ms": "600000"}},
		{Name: "compacted", Partitions: 1, ReplicationFactor: 3, Config: map[string]string{"cleanup.policy": "compact"}},
		{Name: "small", Partitions: 1, ReplicationFactor: 3, Config: map[string]string{"max.message.bytes": "2000"}},
		{Name: "starved", Partitions: 1, ReplicationFactor: 3, Config: map[string]string{"min.insync.replicas": "3"}},
		{Name: "other", Partitions: 1, ReplicationFactor: 3},
		{Name: "again", Partitions: 1, ReplicationFactor: 3},
	}))
	s, err := c.NewSink(within(time.Minute), "tx")
	must(err)
	defer s.Close()
	now := time.Now().UnixMilli()
	noise := make([]byte, 5000) // does not compress
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	good := func(topic string, origin int64) *Outgoing {
		return &Outgoing{TopicPartition: TopicPartition{Topic: topic, Partition: 0}, Timestamp: now, Key: []byte("k"), Value: []byte("v"), Origin: origin}
	}
	for _, tc := range []struct {
		topic string
		spoil func(*Outgoing)
		code  sarama.KError
	}{
		{"late", func(r *Outgoing) { r.Timestamp += 3600_000 }, sarama.ErrInvalidTimestamp},
		{"early", func(r *Outgoing) { r.Timestamp -= 3600_000 }, sarama.ErrInvalidTimestamp},
		{"compacted", func(r *Outgoing) { r.Key = nil }, sarama.ErrInvalidRecord},
		{"small", func(r *Outgoing) { r.Value = noise }, sarama.ErrMessageSizeTooLarge},
	} {
		t.Run(tc.topic+": the record's", func(t *testing.T) {
			now = time.Now().UnixMilli()
			for i := range int64(5) {
				r := good(tc.topic, 100+i)
				if i == 3 {
					tc.spoil(r)
				}
				must(s.Append(r))
			}
			err := s.Flush(within(time.Minute))
			refused, ok := errors.AsType[*RefusedError](err)
			if !ok || refused.Origin != 103 || !errors.Is(err, error(tc.code)) {
				t.Errorf("got %v, want a refusal of 103 with %v", err, tc.code)
			}
			must(s.Abort(within(time.Minute)))
		})
	}

	t.Run("too few replicas: the world's", func(t *testing.T) {
		node := cluster.Brokers()[0]
		must(node.Kill())
		// A record that a leader takes before it misses the replica would leave a transaction that cannot even be aborted.
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...))
		must(err)
		defer client.Close()
		for missed := within(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
			listed, err := kadm.NewClient(client).ListTopics(kafkatest.Uncached(missed), "starved")
			if missed.Err() != nil {
				t.Fatal(err)
			}
			if err == nil && len(listed["starved"].Partitions[0].ISR) == 2 {
				break
			}
		}
		var blocked *BlockedError
		for deadline := time.Now().Add(time.Minute); ; {
			must(s.Append(good("starved", 2)))
			err := s.Flush(within(time.Minute))
			var ok bool
			if blocked, ok = errors.AsType[*BlockedError](err); ok {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			must(s.Abort(within(time.Minute))) // leaders and coordinators move first
		}
		if blocked.Topic != "starved" || blocked.Origin != 2 || !strings.Contains(blocked.Remedy, "min.insync.replicas of starved") {
			t.Errorf("got %v", blocked)
		}
		// Not even the marker of the abort can be written there, so the transactional id waits, too.
		must(node.Start(within(time.Minute)))
		for deadline := time.Now().Add(2 * time.Minute); ; {
			err := s.Abort(within(20 * time.Second))
			if err == nil {
				must(s.Append(good("starved", 2)))
				err = s.Commit(within(time.Minute))
			}
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	})

	t.Run("a topic that is missing, made, deleted and made again: the world's", func(t *testing.T) {
		cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...))
		must(err)
		defer cl.Close()
		admin := kadm.NewClient(cl)
		must(s.Append(good("missing", 7)))
		blocked, ok := errors.AsType[*BlockedError](s.Flush(within(time.Minute)))
		if !ok || blocked.TopicPartition != (TopicPartition{Topic: "missing", Partition: 0}) || blocked.Origin != 7 {
			t.Fatalf("got %v", blocked)
		}
		must(s.Abort(within(time.Minute)))
		must(c.CreateTopics(within(time.Minute), []TopicSpec{{Name: "missing", Partitions: 1, ReplicationFactor: 3}}))
		must(s.Append(good("missing", 7)))
		must(s.Commit(within(time.Minute)))

		for range 50 {
			must(s.Append(good("again", 1)))
		}
		must(s.Commit(within(time.Minute)))
		must(s.Append(good("again", 2)))
		must(s.Flush(within(time.Minute))) // this one goes with the topic
		_, err = admin.DeleteTopics(within(time.Minute), "again")
		must(err)
		for deadline := time.Now().Add(time.Minute); ; {
			if _, err = admin.CreateTopic(within(time.Minute), 1, 3, nil, "again"); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		s.topics["again"].looked = time.Time{} // it would be noticed within half a minute
		must(s.Append(good("again", 3)))
		err = s.Commit(within(time.Minute))
		if _, ok := errors.AsType[*OutputRecreatedError](err); !ok && ClassOf(err) != Blocked {
			t.Errorf("got %v", err)
		}
		for deadline := time.Now().Add(time.Minute); ; {
			must(s.Abort(within(time.Minute)))
			must(s.Append(good("again", 2)))
			must(s.Append(good("again", 3)))
			if err = s.Commit(within(time.Minute)); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		if end := s.End(TopicPartition{Topic: "again", Partition: 0}); end < 2 || end > 20 { // with aborted tries and their markers
			t.Errorf("the new topic ends at %d, the old one did at 52", end)
		}
	})
}
