package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/publish"
)

// deadlines gives requests their deadlines, those of a second the same one: a context of its own for each, with its timer, was a seventh of all garbage.
// What a request waits for ends with one of them, or with the gateway's patience, and not with the request's own context: that ends when reading fails, while
// what was taken until then is answered all the same, and does not end when the gateway has to.
type deadlines struct {
	within   time.Duration
	patience context.Context // ends them all

	mu     sync.Mutex
	now    context.Context
	cancel context.CancelFunc
	until  time.Time // when the next one is made
}

// next ends after within, a second later at most. A client that goes away does not end it: what it has sent is under way.
func (d *deadlines) next() context.Context {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.After(d.until) {
		d.now, d.cancel = context.WithTimeout(d.patience, d.within+time.Second)
		d.until = now.Add(time.Second)
	}
	return d.now
}

// waitForRoom tries again while as much waits for Kafka, or is in memory, as may.
func waitForRoom(ctx context.Context, within time.Duration, try func() error) error {
	for deadline := time.Now().Add(within); ; {
		err := try()
		if !errors.Is(err, publish.ErrFull) && !errors.Is(err, errManyBodies) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// quotaPause is the shortest pause between two looks at a quota, which other streams of the client use too.
const quotaPause = 5 * time.Millisecond

// waitForQuota takes again what was over a quota, each time when there may be as much. It returns the problem of the last time when it would take
// longer than it may.
func waitForQuota(ctx context.Context, within time.Duration, p *Problem, take func() *Problem) *Problem {
	for deadline := time.Now().Add(within); p != nil; p = take() {
		pause := max(p.retryAfter, quotaPause)
		if time.Now().Add(pause).After(deadline) {
			return p
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return p
		}
	}
	return nil
}
