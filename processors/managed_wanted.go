package processors

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// wanted is what operators want of the topology, as it is read from _weir.desired. Where there is no such topic, or it cannot be read,
// nothing is wanted: a start does not wait for it for longer than wantedWithin. What was read once stays in force.
type wanted struct {
	wire     Wire
	topic    string
	topology string
	log      *zap.Logger
	said     string

	settled chan struct{} // closed when it was read, or could not be
	once    sync.Once

	mu      sync.Mutex
	holds   *desired.Holds
	changed chan struct{}
}

const (
	wantedWithin = 10 * time.Second // bounds a try to read the topic
	wantedAgain  = 30 * time.Second // until the next one
)

func newWanted(wire Wire, topic, topology string, log *zap.Logger) *wanted {
	return &wanted{wire: wire, topic: topic, topology: topology, log: log, settled: make(chan struct{}), holds: desired.Of(topology), changed: make(chan struct{})}
}

// follow begins to read. The function that it returns ends that.
func (w *wanted) follow(ctx context.Context) (end func()) {
	return beside(ctx, w.run)
}

func (w *wanted) run(ctx context.Context) {
	for {
		follower, err := w.begin(ctx)
		w.once.Do(func() { close(w.settled) })
		if err == nil {
			<-ctx.Done()
			follower.Close()
			return
		}
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != w.said {
			w.said = text
			w.log.Warn("whether operators want the topology to be paused is not known; it is taken not to be, and asked for again", zap.String("topic", w.topic), zap.Error(err))
		}
		select {
		case <-time.After(wantedAgain):
		case <-ctx.Done():
			return
		}
	}
}

func (w *wanted) begin(ctx context.Context) (*system.Follower, error) {
	ctx, cancel := context.WithTimeout(ctx, wantedWithin)
	defer cancel()
	fetcher, err := w.wire.NewFetcher()
	if err != nil {
		return nil, err
	}
	return system.Follow(ctx, w.wire, fetcher, system.Desired, w.topic, w.log, func() (func(*kafka.Record), func()) {
		fresh := desired.Of(w.topology)
		return func(r *kafka.Record) {
				w.mu.Lock()
				defer w.mu.Unlock()
				if err := fresh.Apply(r); err != nil {
					w.log.Error("a record is left out of what operators want", zap.String("topic", w.topic), zap.Int64("offset", r.Offset), zap.Error(err))
				}
				w.tell()
			}, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.holds = fresh
				w.tell()
			}
	})
}

// tell wakes those who wait. w.mu is held.
func (w *wanted) tell() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// settle returns when it is known what is wanted, or that this cannot be known.
func (w *wanted) settle(ctx context.Context) {
	select {
	case <-w.settled:
	case <-ctx.Done():
	}
}

// paused lists the holds that are in force.
func (w *wanted) paused() []desired.Hold {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holds.Paused()
}

// wait returns true when the topology is paused, or is not, and false when ctx has ended.
func (w *wanted) wait(ctx context.Context, paused bool) bool {
	for {
		w.mu.Lock()
		is, changed := len(w.holds.Paused()) > 0, w.changed
		w.mu.Unlock()
		if is == paused {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
