package processors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// globals are the engine's copies of whole topics.
type globals struct {
	all    map[*plan.Global]*globalCopy
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// globalCopy is the copy of one topic. A goroutine of its own fills it and follows the topic; workers look things up meanwhile.
type globalCopy struct {
	engine *engine
	decl   *plan.Global
	topic  string

	view    atomic.Pointer[plan.View] // complete
	loaded  chan struct{}             // closed when there is one
	trouble atomic.Pointer[globalTrouble]
	read    atomic.Int64 // offsets that are read, of the load in work
	toRead  atomic.Int64
	bad     atomic.Int64 // values that could not be decoded, so far
	keyless bool         // a record without a key was reported
}

// globalTrouble says why a topic is not read, or not to its end.
type globalTrouble struct {
	since  time.Time
	err    error
	remedy string // "" where the error says all
}

func newGlobals(e *engine) *globals {
	g := &globals{all: map[*plan.Global]*globalCopy{}}
	for _, decl := range e.graph.plan.Globals {
		g.all[decl] = &globalCopy{engine: e, decl: decl, topic: e.graph.plan.Topic(&decl.Stream), loaded: make(chan struct{})}
	}
	return g
}

// start begins to read. It is for the time between the fetchers' start and their end.
func (g *globals) start(ctx context.Context) {
	ctx, g.cancel = context.WithCancel(ctx)
	for _, c := range g.all {
		g.done.Go(func() { c.run(ctx) })
	}
}

func (g *globals) stop() {
	g.cancel()
	g.done.Wait()
}

// await returns when all copies are complete, or with an error when ctx ends before.
func (g *globals) await(ctx context.Context) error {
	for _, c := range g.all {
		select {
		case <-c.loaded:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// view is what nodes look things up in. All are complete before nodes run.
func (g *globals) view(decl *plan.Global) plan.View { return *g.all[decl].view.Load() }

// unready says what is still being read.
func (g *globals) unready() (why []string) {
	for _, c := range g.all {
		select {
		case <-c.loaded:
		default:
			why = append(why, fmt.Sprintf("global %s is being read: %d of %d offsets", c.topic, c.read.Load(), c.toRead.Load()))
		}
	}
	return why
}

// problems are topics that have not been read for a while.
func (g *globals) problems(now time.Time) (problems []Problem) {
	for _, c := range g.all {
		t := c.trouble.Load()
		if t == nil || now.Sub(t.since) < silentAfter {
			continue
		}
		remedy := cmp.Or(t.remedy, "repair what the error names")
		if refused, ok := errors.AsType[*kafka.BlockedError](t.err); ok {
			remedy = refused.Remedy
		}
		problems = append(problems, Problem{
			Kind:   ProblemGlobal,
			Cause:  fmt.Sprintf("global %s has not been read to its end for %s: %v", c.topic, now.Sub(t.since).Round(time.Second), t.err),
			Remedy: remedy + "; it is tried again by itself, and look-ups answer as of then",
		})
	}
	return problems
}

// globalWait is how long a copy waits after an error.
var globalWait = backoff.Backoff{First: 500 * time.Millisecond, Max: 15 * time.Second}

// run reads the topic until ctx ends. What ends a reading begins another one, with a copy that takes the place of the one before when it
// is complete: what has vanished from the topic meanwhile vanishes from the copy.
func (c *globalCopy) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		r := &globalReading{globalCopy: c, copy: c.decl.View(), at: map[kafka.TopicPartition]*globalPlace{}}
		err := r.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if r.complete {
			failures = 0
		}
		c.fail(err, "")
		wait := globalWait.Wait(failures)
		c.engine.log.Warn("a global is read again from its beginning; look-ups answer as before meanwhile",
			zap.String("global", c.topic), zap.Duration("in", wait), zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// fail notes why the topic is not read.
func (c *globalCopy) fail(err error, remedy string) {
	since := time.Now()
	if t := c.trouble.Load(); t != nil {
		since = t.since
	}
	c.trouble.Store(&globalTrouble{since, err, remedy})
}
