package processors

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// Instance is one process of a topology: a member of its group, with an engine that runs what the group assigns. Make it with
// New, run it once.
type Instance struct {
	*engine
	phase  atomic.Value
	group  Group
	patrol *patrol
	fences *fences
	gone   *abandoned

	watched  atomic.Pointer[time.Time] // when watch last went round; the pointer keeps the monotonic clock
	stopping atomic.Pointer[time.Time] // when the stop began
}

// leaveWithin bounds how long an instance takes to commit and leave its group, stopWithin how long all of its stop. stopMoment is what a
// worker has then in any case: where the machine stood still meanwhile, all bounds have passed when it goes on, and nobody had his time.
const (
	leaveWithin = 3500 * time.Millisecond
	stopWithin  = leaveWithin + 500*time.Millisecond
	stopMoment  = 250 * time.Millisecond
)

// New makes an instance of a plan. It talks to nobody yet. Options that make no sense are refused with an error that joins a
// *SettingError for each mistake.
func New(plan *plan.Plan, opts Options) (*Instance, error) {
	e, err := newEngine(plan, opts)
	if err != nil {
		return nil, err
	}
	i := &Instance{engine: e}
	i.phase.Store(Starting)
	e.source, e.aside = (*membership)(i), true
	e.metrics.snapshot = newSnapshot(i)
	i.patrol = newPatrol(i)
	i.fences = &fences{inst: i, started: time.Now()}
	i.gone = newAbandoned(i)
	return i, nil
}

// Run processes until ctx ends, then commits, leaves the group and returns nil, within 5 s even when no broker answers. Where a node does
// not return, which its Context asks it to, Run returns an error after 4 s that names it.
// It returns an error when the instance cannot start or cannot go on: a *RefusedTopologyError, a *FatalError, or what
// the wire or the state folder said.
func (i *Instance) Run(ctx context.Context) error {
	err := i.run(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // it ended while it started
	}
	return err
}

func (i *Instance) run(ctx context.Context) error {
	end, err := i.prepare(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := i.metrics.register(); err != nil {
		return err
	}
	defer i.metrics.unregister()
	if err := i.globals.await(ctx); err != nil {
		return err
	}
	if err := i.copies.open(); err != nil {
		return err
	}
	defer i.copies.close()
	if i.opts.gate != nil {
		if err := i.opts.gate(ctx); err != nil {
			return err
		}
	}
	group := kafka.GroupConfig{Group: i.graph.plan.Group(), Instance: i.id, Started: i.fences.started, Copartitioned: i.graph.copartitioned(), Optional: i.graph.optional(),
		Standby: i.copies.group(), Rack: i.opts.Rack}
	if i.opts.Static {
		group.InstanceID = i.id
	}
	if i.group, err = i.opts.Wire.Join(group, (*membership)(i)); err != nil {
		return err
	}
	i.copies.joined(i.group)
	i.start()
	ended := make(chan struct{})
	i.watched.Store(new(time.Now()))
	go func() {
		defer close(ended)
		patrolled := make(chan struct{})
		go func() {
			defer close(patrolled)
			i.patrol.run(i.ctx)
		}()
		defer func() { <-patrolled }()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			i.gone.run(i.ctx)
		}()
		defer func() { <-ended }()
		told := make(chan struct{})
		go func() {
			defer close(told)
			i.tellWaiting(i.ctx)
		}()
		defer func() { <-told }()
		i.watch(i.ctx)
	}()
	i.phase.Store(Running)
	i.log.Info("running", zap.String("instance", i.id), zap.Int("workers", len(i.workers)),
		zap.String("guarantee", string(i.opts.Guarantee)))

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-i.failed:
		i.log.Error("stopping", zap.Error(failure))
	}
	i.ending.Store(true)
	i.endCalls(errStopping)
	i.stopping.Store(new(time.Now()))
	i.phase.Store(Stopping)
	overdue, done := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer done()
	leave, stop := context.WithTimeout(i.ctx, leaveWithin)
	part := i.group.Leave
	if errors.Is(context.Cause(ctx), errPaused) {
		part = i.group.Quit
	}
	if err := part(leave); err != nil {
		i.log.Warn("the group was not left in order; its other members take over when the session times out", zap.Error(err))
	}
	stop()
	i.cancel()
	<-ended
	stuck := i.stop(overdue)
	i.phase.Store(Stopped)
	if stuck != nil {
		return stuck
	}
	if failure == nil {
		select {
		case failure = <-i.failed: // the last commit may have failed for good
		default:
		}
	}
	return failure
}
