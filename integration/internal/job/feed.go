package job

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// FeedOptions of a Feed. The fields without a word are required.
type FeedOptions struct {
	// Dial makes the client, which partitions by hand.
	Dial       func() (*kgo.Client, error)
	Generator  *oracle.Generator
	Topic      string
	Partitions int
	PerSecond  int
	Intents    bool // whether a header of each record says what the generator meant by it
	// Wrote is called with every record that is acknowledged.
	Wrote func(*kgo.Record)
}

// Feed writes generated orders at a steady rate until it is stopped.
type Feed struct {
	opts   FeedOptions
	cancel context.CancelFunc
	done   chan struct{}
	acked  atomic.Int64
	failed atomic.Pointer[error]

	writing sync.Mutex // guards what follows
	client  *kgo.Client
	paused  bool
	work    sync.WaitGroup // unacknowledged records
}

// StartFeed begins to write.
func StartFeed(o FeedOptions) (*Feed, error) {
	client, err := o.Dial()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Feed{opts: o, cancel: cancel, done: make(chan struct{}), client: client}
	go f.run(ctx)
	return f, nil
}

func (f *Feed) run(ctx context.Context) {
	defer close(f.done)
	const step = 20 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for owed := 0; ; { // of records, in records a step and second
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f.writing.Lock()
		if !f.paused {
			owed += f.opts.PerSecond
			f.write(owed / int(time.Second/step))
			owed %= int(time.Second / step)
		}
		f.writing.Unlock()
	}
}

// write produces the next n records. What is in flight at a time is bounded by the client.
func (f *Feed) write(n int) {
	for _, item := range f.opts.Generator.Take(n) {
		f.work.Add(1)
		r := &kgo.Record{Topic: f.opts.Topic, Partition: oracle.PartitionOf(item.Key, f.opts.Partitions), Key: item.Key, Value: item.Value}
		if f.opts.Intents {
			r.Headers = []kgo.RecordHeader{{Key: "intent", Value: []byte(item.Intent.String())}}
		}
		f.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
			defer f.work.Done()
			if err != nil {
				err = fmt.Errorf("feed: %w", err)
				f.failed.CompareAndSwap(nil, &err)
				return
			}
			if f.opts.Wrote != nil {
				f.opts.Wrote(r)
			}
			f.acked.Add(1)
		})
	}
}

// Acked is how many records were acknowledged.
func (f *Feed) Acked() int64 { return f.acked.Load() }

// Err is the first failure to write, or nil.
func (f *Feed) Err() error {
	if err := f.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Pause stops the feed, and returns when everything it has written is acknowledged.
func (f *Feed) Pause() {
	f.writing.Lock()
	f.paused = true
	f.writing.Unlock()
	f.work.Wait()
}

// Resume lets the feed continue after Pause.
func (f *Feed) Resume() {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.paused = false
}

// ResumeAfresh is Resume with a new client, which has forgotten what the topic was before.
func (f *Feed) ResumeAfresh() error {
	client, err := f.opts.Dial()
	if err != nil {
		return err
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	f.client.Close()
	f.client, f.paused = client, false
	return nil
}

// Stop ends the feed when everything is acknowledged, and returns Err.
func (f *Feed) Stop() error {
	f.cancel()
	<-f.done
	f.work.Wait()
	f.client.Close()
	return f.Err()
}

// Abandon ends the feed without waiting for acknowledgements.
func (f *Feed) Abandon() {
	f.cancel()
	<-f.done
	f.client.Close()
	f.work.Wait()
}
