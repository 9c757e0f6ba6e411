package processors

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/state"
)

// open starts a task's restorer.
func (ts *tasks) open(t *task) {
	if !t.is(taskCreated) || !ts.to(t, taskRestoring) {
		return
	}
	ctx, cancel := context.WithCancel(ts.env.ctx)
	r := &restorer{cancel: cancel, done: make(chan struct{})}
	t.restorer = r
	go func() {
		r.result, r.err = ts.env.restore(ctx, t)
		close(r.done)
		ts.env.put(func() { ts.opened(t, r) }) // a worker that ends stops its restorers itself
	}()
}

// opened takes over what a restorer has opened, and starts reading the inputs.
func (ts *tasks) opened(t *task, r *restorer) {
	if t.restorer != r {
		return // the task was given away, or is being opened again
	}
	t.restorer = nil
	o, err := r.take()
	if err != nil {
		var refusal *RefusedTopologyError
		if errors.As(err, &refusal) || kafka.ClassOf(err) == kafka.Fatal && isWire(err) {
			ts.env.fail(err)
		}
		ts.fail(t, err)
		return
	}
	t.stores, t.touch = o.stores, o.touch
	if ts.env.aside {
		if t.parking, err = newParking(t); err != nil {
			ts.fail(t, err)
			return
		}
		t.count()
	}
	whole := wholeFrom{}
	for _, st := range t.stores {
		ts.env.sink().Expect(st.changelog.Topic, st.topicID)
		whole[st.changelog] = st.whole
	}
	t.whole.Store(&whole)
	if !ts.to(t, taskRunning) {
		return
	}
	t.failure.Store(nil)
	t.reopens = 0
	ts.env.began()
	now := time.Now()
	for _, in := range t.inputs {
		ts.read(in, o.begins[in.tp], now)
	}
}

// isWire says whether an error comes from the wire at all.
func isWire(err error) bool {
	var e *kafka.Error
	return errors.As(err, &e)
}

// read begins reading an input.
func (ts *tasks) read(in *input, at beginning, now time.Time) {
	in.begin(at.Position, now)
	in.ahead, in.among, in.unmarked, in.reset = at.ahead, at.among, at.unmarked, at.reset
	in.bounded, in.until, in.fresh = at.bounded, at.until, at.fresh
	in.started = true
	ts.fetch(in, at.Position)
}

// fetch starts the fetcher. What an earlier fetch has left in the inbox is told by its epoch, and dropped.
func (ts *tasks) fetch(in *input, from kafka.Position) {
	in.epoch++
	epoch := in.epoch
	if in.whole() {
		return
	}
	ts.env.inputs.Start(in.tp, from, func(b kafka.Batch) {
		if b.Err == nil {
			in.observe(b.HighWatermark, time.Now())
		}
		ts.env.put(func() {
			if !in.started || in.epoch != epoch {
				return
			}
			if in.push(b); in.whole() {
				in.epoch++
				ts.env.inputs.Stop(in.tp)
			}
		})
	})
}

// release stops everything that a task has under way, and has its databases closed.
func (ts *tasks) release(t *task) {
	if r := t.restorer; r != nil {
		t.restorer = nil
		r.cancel()
		ts.env.closing.begin(t.id, ts.env.log, r.end)
	}
	for _, in := range t.inputs {
		if in.started {
			ts.env.inputs.Stop(in.tp)
			in.started = false
			in.away.Store(in.lag())
			in.begin(kafka.Position{Offset: in.committed, LeaderEpoch: in.settled, TopicID: in.topicID}, time.Now())
		}
	}
	for _, q := range t.queues {
		q.begin(kafka.Position{}, time.Now())
	}
	if len(t.stores) > 0 {
		stores := t.stores
		ts.env.closing.begin(t.id, ts.env.log, func() error { return closeStores(stores) })
	}
	t.stores, t.parking, t.outsides = nil, nil, nil
}

// fail stops a task on an error of its stores; it is opened again after a while. What the open transaction holds of it is lost
// from memory: see worker.failTask.
func (ts *tasks) fail(t *task, err error) {
	ts.release(t)
	var corrupt *state.CorruptError
	if errors.As(err, &corrupt) {
		ts.env.suspect(corrupt.Dir)
	}
	if !ts.to(t, taskFailed) {
		return
	}
	t.reopens++
	delay := blockWait.Wait(t.reopens - 1)
	t.failure.Store(&failure{err: err, until: time.Now().Add(delay)})
	if ts.env.ending() {
		return // it will not be opened again, and why the instance ends is reported once
	}
	fields := []zap.Field{zap.Stringer("task", t.id), zap.Duration("in", delay), zap.Error(err)}
	if denied, ok := errors.AsType[*kafka.BlockedError](err); ok {
		if t.reopens&(t.reopens-1) == 0 { // the 1st, 2nd, 4th ... time
			ts.env.log.Error("the cluster does not let a task begin: it waits, and goes on when it is mended", append(fields, zap.String("remedy", denied.Remedy))...)
		}
		return
	}
	ts.env.log.Error("task stopped, it will be opened again", fields...)
}

// reopen opens the failed tasks whose time has come.
func (ts *tasks) reopen(now time.Time) {
	for _, t := range ts.list {
		f := t.failure.Load()
		if f == nil || !t.is(taskFailed) || now.Before(f.until) || ts.env.sink() == nil {
			continue
		}
		if !ts.to(t, taskCreated) {
			return
		}
		ts.open(t)
	}
}

// reopenFor gives up what a task has in memory and opens it again at once.
func (ts *tasks) reopenFor(t *task, why error) {
	ts.env.log.Warn("task is opened again", zap.Stringer("task", t.id), zap.Error(why))
	ts.release(t)
	if ts.to(t, taskCreated) && ts.env.sink() != nil {
		ts.open(t)
	}
}

// forget releases everything that the tasks have in memory: they are opened again when the worker has another sink.
func (ts *tasks) forget() {
	for _, t := range ts.list {
		if t.is(taskRunning) || t.is(taskRestoring) {
			ts.release(t)
			ts.to(t, taskCreated)
		}
	}
}

// close ends all tasks.
func (ts *tasks) close() {
	for _, t := range ts.list {
		ts.release(t)
		_ = t.to(taskClosed)
	}
	ts.list = nil
}
