//go:build integration

package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// feed writes generated orders at a steady rate until it is stopped. It retries for ever: the input itself must not
// suffer from the faults.
type feed struct {
	client *kgo.Client
	gen    *oracle.Generator
	topic  string
	parts  int
	cancel context.CancelFunc
	done   chan struct{}
	acked  atomic.Int64
	failed atomic.Pointer[error]

	writing sync.Mutex
	paused  bool           // guarded by writing
	work    sync.WaitGroup // unacknowledged records
}

func startFeed(t *testing.T, brokers []string, topic string, partitions int, seed uint64, perSecond, keys int) *feed {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(1<<16), kgo.ProducerLinger(5*time.Millisecond), kgo.MetadataMinAge(500*time.Millisecond),
		kgo.UnknownTopicRetries(-1), kgo.MaxBufferedRecords(50_000),
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{
		client: client, topic: topic, parts: partitions, cancel: cancel, done: make(chan struct{}),
		gen: oracle.NewGenerator(oracle.GeneratorOptions{Seed: seed, Keys: keys, Pad: 60}),
	}
	go f.run(ctx, perSecond)
	return f
}

func (f *feed) run(ctx context.Context, perSecond int) {
	defer close(f.done)
	const step = 20 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	var due float64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f.writing.Lock()
		if f.paused {
			f.writing.Unlock()
			continue
		}
		due += float64(perSecond) * step.Seconds()
		n := int(due)
		due -= float64(n)
		f.write(n)
		f.writing.Unlock()
	}
}

// pause stops or continues the feed. What was written before may still be on its way.
func (f *feed) pause(paused bool) {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.paused = paused
}

// write produces the next n records. What is in flight at a time is bounded by the client.
func (f *feed) write(n int) {
	for _, item := range f.gen.Take(n) {
		f.work.Add(1)
		r := &kgo.Record{
			Topic: f.topic, Partition: oracle.PartitionOf(item.Key, f.parts), Key: item.Key, Value: item.Value,
			Headers: []kgo.RecordHeader{{Key: "intent", Value: []byte(item.Intent.String())}},
		}
		f.client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
			defer f.work.Done()
			if err != nil {
				f.failed.CompareAndSwap(nil, &err)
				return
			}
			f.acked.Add(1)
		})
	}
}

// stop ends the feed and waits until everything is acknowledged.
func (f *feed) stop() error {
	f.cancel()
	<-f.done
	f.work.Wait()
	f.client.Close()
	if err := f.failed.Load(); err != nil {
		return fmt.Errorf("feed: %w", *err)
	}
	return nil
}
