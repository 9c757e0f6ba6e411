package kafka

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
)

// reading collects what a Fetcher delivers for one partition.
type reading struct {
	t  *testing.T
	tp TopicPartition

	mu      sync.Mutex
	batches []Batch
	records []Record
	last    Batch
	running int
	hook    func(Batch)
	changed chan struct{}
}

func newReading(t *testing.T, topic string, partition int32) *reading {
	return &reading{t: t, tp: TopicPartition{Topic: topic, Partition: partition}, changed: make(chan struct{}, 1)}
}

func (r *reading) deliver(b Batch) {
	r.mu.Lock()
	r.running++
	if r.running > 1 {
		r.t.Errorf("%s: two deliveries at a time", r.tp)
	}
	if b.TopicPartition != r.tp {
		r.t.Errorf("batch of %s delivered for %s", b.TopicPartition, r.tp)
	}
	for i := range b.Records {
		if i > 0 && b.Records[i].Offset <= b.Records[i-1].Offset || b.Records[i].Offset >= b.Position {
			r.t.Errorf("%s: offset %d out of order, position %d", r.tp, b.Records[i].Offset, b.Position)
		}
	}
	r.batches = append(r.batches, b)
	r.records = append(r.records, b.Records...)
	r.last = b
	hook := r.hook
	r.mu.Unlock()
	if hook != nil {
		hook(b)
	}
	r.mu.Lock()
	r.running--
	r.mu.Unlock()
	wake(r.changed)
}

// until waits until a delivery has made ok true, and returns the last one.
func (r *reading) until(what string, ok func(last Batch, records []Record) bool) Batch {
	r.t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		last, done := r.last, len(r.batches) > 0 && ok(r.last, r.records)
		n := len(r.records)
		r.mu.Unlock()
		if done {
			return last
		}
		select {
		case <-r.changed:
		case <-deadline.C:
			r.t.Fatalf("%s: waited in vain until %s; %d records, last batch at %d of %d/%d, error %v", r.tp, what, n, last.Position, last.LastStableOffset, last.HighWatermark, last.Err)
		}
	}
}

func (r *reading) position(want int64) Batch {
	r.t.Helper()
	return r.until(fmt.Sprintf("position %d", want), func(last Batch, _ []Record) bool { return last.Position >= want })
}

func (r *reading) values() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var vs []string
	for _, rec := range r.records {
		vs = append(vs, string(rec.Value))
	}
	return vs
}

// fetcher makes a Fetcher on a cluster, with polls short enough for tests.
func fetcher(t *testing.T, addrs []string, readAhead int) *Fetcher {
	t.Helper()
	c := dial(t, Config{Brokers: addrs, Fetch: FetchTuning{MaxWait: 50 * time.Millisecond}, RetryBackoff: 10 * time.Millisecond})
	f := c.NewFetcher(readAhead)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func topic(t *testing.T, cluster *kfake.Cluster, name string, partitions int32) {
	t.Helper()
	if err := cluster.CreateTopic(name, partitions, nil); err != nil {
		t.Fatal(err)
	}
}

// producer writes through sarama, in transactions when it has an id.
func producer(t *testing.T, addrs []string, id string) sarama.SyncProducer {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V3_6_0_0
	conf.Producer.Return.Successes = true
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Producer.Idempotent = true
	conf.Producer.RequiredAcks = sarama.WaitForAll
	conf.Net.MaxOpenRequests = 1
	conf.Producer.Transaction.ID = id
	p, err := sarama.NewSyncProducer(addrs, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func writeTo(t *testing.T, p sarama.SyncProducer, topic string, partition int32, values ...string) {
	t.Helper()
	var ms []*sarama.ProducerMessage
	for _, v := range values {
		ms = append(ms, &sarama.ProducerMessage{Topic: topic, Partition: partition, Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder(v)})
	}
	if err := p.SendMessages(ms); err != nil {
		t.Fatal(err)
	}
}

func transaction(t *testing.T, p sarama.SyncProducer, commit bool, writes func()) {
	t.Helper()
	err := p.BeginTxn()
	if err == nil {
		writes()
		if commit {
			err = p.CommitTxn()
		} else {
			err = p.AbortTxn()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Mutations: the position counts records only; Isolation is not set.
func TestPositionReachesTheEndBehindMarkersAndAbortedTransactions(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	p := producer(t, cluster.ListenAddrs(), "txn")
	transaction(t, p, true, func() { writeTo(t, p, "in", 0, "a", "b") })
	transaction(t, p, false, func() { writeTo(t, p, "in", 0, "x", "y", "z") })
	transaction(t, p, true, func() { writeTo(t, p, "in", 0, "c") })
	transaction(t, p, false, func() { writeTo(t, p, "in", 0, "w") })

	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	r := newReading(t, "in", 0)
	f.Start(r.tp, At(0), r.deliver)
	last := r.position(11)
	if last.HighWatermark != 11 || last.LastStableOffset != 11 || last.Position != 11 {
		t.Errorf("ends at %d, last stable %d, high watermark %d, want 11", last.Position, last.LastStableOffset, last.HighWatermark)
	}
	if got := fmt.Sprint(r.values()); got != "[a b c]" {
		t.Errorf("read %s", got)
	}
}

// Mutations: accept ignores fresh; calmAfter is 0 (the answer comes after 20s).
func TestAnEmptyPartitionAnswersSoon(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), Fetch: FetchTuning{MaxWait: 20 * time.Second}})
	f := c.NewFetcher(1 << 20)
	defer func() { _ = f.Close() }()
	r := newReading(t, "in", 0)
	f.Start(r.tp, At(0), r.deliver)
	r.position(0)
}

// Mutation: outOfRange calls retry always.
func TestAnOffsetOutOfRangeEndsTheDelivery(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	p := producer(t, cluster.ListenAddrs(), "")
	writeTo(t, p, "in", 0, "a", "b", "c")
	if err := cluster.DeleteRecords("in", 0, 2); err != nil {
		t.Fatal(err)
	}
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	for _, wanted := range []int64{0, 7} {
		r := newReading(t, "in", 0)
		f.Start(r.tp, At(wanted), r.deliver)
		last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
		var out *OffsetOutOfRangeError
		if !errors.As(last.Err, &out) || *out != (OffsetOutOfRangeError{r.tp, wanted, 2, 3}) {
			t.Errorf("from %d: %v", wanted, last.Err)
		}
	}
}
