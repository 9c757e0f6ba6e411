package system

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// Follower reads a topic for as long as it is open. A topic that is not there yet is looked for, and one that cannot be read on is read
// again from its start.
type Follower struct {
	source  Source
	topic   Topic
	name    string
	log     *zap.Logger
	fresh   func() (apply func(*kafka.Record), whole func())
	fetcher Fetcher
	said    string // the warning that was logged last
	stop    context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	next    int64 // the offset after what was applied
	changed chan struct{}
}

// lookEvery is how often a topic is looked for that is not there, or cannot be read.
const lookEvery = 3 * time.Second

// Fetcher reads partitions for a Follower.
type Fetcher interface {
	kafka.Reader
	Close() error
}

// FollowWindow is how much a fetcher for Follow should read ahead.
const FollowWindow = 4 << 20

// Follow reads a topic, whose name in the cluster is name, and returns when all is applied that it holds now. fresh is called whenever reading begins
// at the start: apply is called for each record, from one goroutine, and whole once when the end is reached that the topic had then. The
// fetcher is the Follower's from then on, and is closed with it, or when Follow fails.
func Follow(ctx context.Context, source Source, fetcher Fetcher, topic Topic, name string, log *zap.Logger, fresh func() (apply func(*kafka.Record), whole func())) (*Follower, error) {
	f := &Follower{source: source, topic: topic, name: name, log: log, fresh: fresh, fetcher: fetcher, done: make(chan struct{}), changed: make(chan struct{})}
	failed, err := f.read(ctx)
	if err != nil {
		_ = f.fetcher.Close()
		return nil, err
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	go f.follow(ctx, failed)
	return f, nil
}

// Close ends reading.
func (f *Follower) Close() {
	f.stop()
	<-f.done
	_ = f.fetcher.Close()
}

// CatchUp returns when all is applied that the topic holds now.
func (f *Follower) CatchUp(ctx context.Context) error {
	tp := Of(f.name)
	ends, err := f.source.Ends(ctx, []kafka.TopicPartition{tp})
	if err != nil {
		return err
	}
	for {
		f.mu.Lock()
		done, changed := f.next >= ends[tp], f.changed
		f.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// follow reads again when reading has failed.
func (f *Follower) follow(ctx context.Context, failed <-chan error) {
	defer close(f.done)
	for {
		wait := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case err := <-failed:
			f.warn("a topic cannot be read on; what is known of it stays in force until it can", err)
			failed = nil
		case <-wait.C:
		}
		wait.Stop()
		if failed == nil {
			limited, cancel := context.WithTimeout(ctx, 30*time.Second)
			next, err := f.read(limited)
			cancel()
			if failed = next; err != nil {
				failed = nil
				f.warn("a topic cannot be read", err)
			} else {
				f.said = ""
			}
		}
	}
}

// warn logs what is wrong, once for as long as it stays so.
func (f *Follower) warn(what string, err error) {
	if text := what + err.Error(); text != f.said {
		f.said = text
		f.log.Warn(what, zap.String("topic", f.name), zap.Error(err))
	}
}

// read begins at the start of the topic, and returns when its present end is reached. The channel has the error that ends reading; it is
// nil where there is no topic.
func (f *Follower) read(ctx context.Context) (failed chan error, err error) {
	infos, err := f.source.Topics(ctx, []string{f.name})
	if err != nil {
		return nil, err
	}
	info, ok := infos[f.name]
	if !ok {
		return nil, nil
	}
	if err := f.topic.Check(info); err != nil {
		return nil, err
	}
	tp := Of(f.name)
	starts, err := f.source.Starts(ctx, []kafka.TopicPartition{tp})
	if err != nil {
		return nil, err
	}
	ends, err := f.source.Ends(ctx, []kafka.TopicPartition{tp})
	if err != nil {
		return nil, err
	}
	failed = make(chan error, 1)
	apply, whole := f.fresh()
	reached, is := make(chan struct{}), false
	position := func(next int64) {
		if !is && next >= ends[tp] {
			is = true
			whole()
			close(reached)
		}
		f.mu.Lock()
		f.next = next
		close(f.changed)
		f.changed = make(chan struct{})
		f.mu.Unlock()
	}
	f.fetcher.Stop(tp)
	position(starts[tp])
	f.fetcher.Start(tp, kafka.At(starts[tp]), func(b kafka.Batch) {
		if b.Err != nil {
			failed <- b.Err
			return
		}
		for i := range b.Records {
			apply(&b.Records[i])
		}
		position(b.Position)
		f.fetcher.Release(b.TopicPartition, b.Bytes)
	})
	select {
	case <-reached:
		return failed, nil
	case err := <-failed:
		return nil, err
	case <-ctx.Done():
		f.fetcher.Stop(tp)
		return nil, context.Cause(ctx)
	}
}
