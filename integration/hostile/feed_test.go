//go:build unix

package hostile

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

// feed writes good orders at a steady rate, all the time: first ones, redelivered ones and late ones.
type feed struct {
	ledger *ledger
	gen    *oracle.Generator
	cancel context.CancelFunc
	done   chan struct{}
	acked  atomic.Int64
	failed atomic.Pointer[error]
	dial   func() (*kgo.Client, error)

	writing sync.Mutex // guards what follows
	client  *kgo.Client
	paused  bool
	work    sync.WaitGroup // unacknowledged records
}

const (
	feedPerSecond = 200
	feedKeys      = 400
	feedStep      = 20 * time.Millisecond
)

func startFeed(brokers []string, l *ledger) (*feed, error) {
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{ledger: l, cancel: cancel, done: make(chan struct{})}
	f.gen = oracle.NewGenerator(oracle.GeneratorOptions{Seed: 1, Keys: feedKeys, Mix: oracle.Mix{Redelivered: 0.05, Late: 0.03}, Pad: 60})
	f.dial = func() (*kgo.Client, error) { return producer(brokers, kgo.ProducerLinger(5*time.Millisecond)) }
	var err error
	if f.client, err = f.dial(); err != nil {
		cancel()
		return nil, err
	}
	go f.run(ctx)
	return f, nil
}

// producer writes to the partitions that its records name.
func producer(brokers []string, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.DefaultProduceTopic(names.Input), kgo.ProducerBatchMaxBytes(16 << 20), kgo.BrokerMaxWriteBytes(64 << 20),
		kgo.UnknownTopicRetries(-1),
	}, more...)...)
}

func (f *feed) run(ctx context.Context) {
	defer close(f.done)
	tick := time.NewTicker(feedStep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f.writing.Lock()
		if !f.paused {
			f.write(int(feedPerSecond * feedStep / time.Second))
		}
		f.writing.Unlock()
	}
}

func (f *feed) write(n int) {
	for _, item := range f.gen.Take(n) {
		f.work.Add(1)
		r := &kgo.Record{Partition: oracle.PartitionOf(item.Key, partitions), Key: item.Key, Value: item.Value}
		f.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
			defer f.work.Done()
			if err != nil {
				err = fmt.Errorf("feed: %w", err)
				f.failed.CompareAndSwap(nil, &err)
				return
			}
			f.ledger.add(r.Partition, entryOf(r))
			f.acked.Add(1)
		})
	}
}

// more waits until the feed has written so many more.
func (f *feed) more(t *testing.T, n int64) {
	t.Helper()
	want := f.acked.Load() + n
	eventually(t, settleBound, "the feed to write", func(context.Context) (bool, string) {
		return f.acked.Load() >= want, fmt.Sprint(f.err())
	})
}

// pause stops the feed, and returns when everything it has written is acknowledged.
func (f *feed) pause() {
	f.writing.Lock()
	f.paused = true
	f.writing.Unlock()
	f.work.Wait()
}

// resume lets the feed go on. With a new client it has forgotten what the topic was before.
func (f *feed) resume(anew bool) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.paused = false
	if !anew {
		return nil
	}
	client, err := f.dial()
	if err != nil {
		return err
	}
	f.client.Close()
	f.client = client
	return nil
}

func (f *feed) err() error {
	if err := f.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *feed) close() {
	f.cancel()
	<-f.done
	f.client.Close()
	f.work.Wait()
}

// entryOf is what the ledger notes of an acknowledged record.
func entryOf(r *kgo.Record) entry {
	e := entry{Record: oracle.Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: string(r.Key), Value: r.Value}}
	for _, h := range r.Headers {
		e.Headers = append(e.Headers, oracle.Header{Key: h.Key, Value: h.Value})
	}
	return e
}
