package processors

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/state"
)

// add takes a task on: it is opened at once, or when the worker has a sink.
func (w *worker) add(t *task) {
	used := map[int]bool{}
	for _, other := range w.tasks {
		for _, in := range other.inputs {
			used[in.slot] = true
		}
	}
	slot := 0
	for _, in := range t.inputs {
		for used[slot] {
			slot++
		}
		in.slot = slot
		used[slot] = true
	}
	w.tasks = append(w.tasks, t)
	if w.sink != nil {
		w.openTask(t)
	}
}

// errLost is why a transaction is given up with partitions that were lost.
var errLost = errors.New("its partitions were lost to the group")

// give hands tasks back. With clean, what was done on them is committed first, together with the worker's other tasks;
// without, it is aborted, because somebody else may have the partitions already.
func (w *worker) give(ctx context.Context, ids map[taskID]bool, clean bool) (committed bool) {
	running := false
	for _, t := range w.tasks {
		running = running || ids[t.id] && t.is(taskRunning)
	}
	if running && w.sink != nil && (w.open || w.dirty()) {
		if clean {
			clean = w.commit(ctx) == stepDone
		} else {
			w.tellAborted(AbortLost, errLost)
			w.redo(ctx)
		}
	}
	kept := w.tasks[:0]
	for _, t := range w.tasks {
		if !ids[t.id] {
			kept = append(kept, t)
			continue
		}
		w.release(t)
		if err := t.to(taskClosed); err != nil {
			w.inst.fail(err)
		}
	}
	clear(w.tasks[len(kept):])
	w.tasks = kept
	return clean
}

// openTask starts a task's restorer.
func (w *worker) openTask(t *task) {
	if !t.is(taskCreated) {
		return
	}
	if err := t.to(taskRestoring); err != nil {
		w.inst.fail(err)
		return
	}
	ctx, cancel := context.WithCancel(w.inst.ctx)
	r := &restorer{cancel: cancel, done: make(chan struct{})}
	t.restorer = r
	go func() {
		r.result, r.err = w.inst.restore(ctx, t)
		close(r.done)
		w.inbox.put(func() { w.opened(t, r) }) // a worker that ends stops its restorers itself
	}()
}

// opened takes over what a restorer has opened, and starts reading the inputs.
func (w *worker) opened(t *task, r *restorer) {
	if t.restorer != r {
		return // the task was given away, or is being opened again
	}
	t.restorer = nil
	o, err := r.take()
	if err != nil {
		var refusal *RefusedTopologyError
		if errors.As(err, &refusal) || kafka.ClassOf(err) == kafka.Fatal && isWire(err) {
			w.inst.fail(err)
		}
		w.failTask(t, err)
		return
	}
	t.stores, t.touch = o.stores, o.touch
	whole := wholeFrom{}
	for _, st := range t.stores {
		w.sink.Expect(st.changelog.Topic, st.topicID)
		whole[st.changelog] = st.whole
	}
	t.whole.Store(&whole)
	if err := t.to(taskRunning); err != nil {
		w.inst.fail(err)
		return
	}
	t.failure.Store(nil)
	t.reopens = 0
	w.inst.begun()
	now := time.Now()
	for _, in := range t.inputs {
		w.read(in, o.begins[in.tp], now)
	}
}

// begun ends the acceptance of empty state when all tasks have begun for the first time: what is lost after that is refused
// again, also when a worker begins anew.
func (i *Instance) begun() {
	if !i.accepts.Load() {
		return
	}
	for _, p := range i.placements() {
		if !p.task.is(taskRunning) {
			return
		}
	}
	if i.accepts.Swap(false) {
		i.log.Info("all tasks have begun: accept-empty-state has no effect any more")
	}
}

// isWire says whether an error comes from the wire at all.
func isWire(err error) bool {
	var e *kafka.Error
	return errors.As(err, &e)
}

// read begins reading an input.
func (w *worker) read(in *input, at beginning, now time.Time) {
	in.begin(at.Position, now)
	in.ahead, in.among, in.unmarked, in.reset = at.ahead, at.among, at.unmarked, at.reset
	in.started = true
	w.fetch(in, at.Position)
}

// fetch starts the fetcher. What an earlier fetch has left in the inbox is told by its epoch, and dropped.
func (w *worker) fetch(in *input, from kafka.Position) {
	in.epoch++
	epoch := in.epoch
	w.inst.inputs.Start(in.tp, from, func(b kafka.Batch) {
		if b.Err == nil {
			in.observe(b.HighWatermark, time.Now())
		}
		w.inbox.put(func() {
			if in.started && in.epoch == epoch {
				in.push(b)
			}
		})
	})
}

// release stops everything that a task has under way and closes its databases.
func (w *worker) release(t *task) {
	if t.restorer != nil {
		t.restorer.stop()
		t.restorer = nil
	}
	for _, in := range t.inputs {
		if in.started {
			w.inst.inputs.Stop(in.tp)
			in.started = false
			in.away.Store(in.lag())
			in.begin(kafka.Position{Offset: in.committed, LeaderEpoch: in.settled, TopicID: in.topicID}, time.Now())
		}
	}
	if err := t.closeStores(); err != nil {
		w.log.Warn("a store did not close cleanly", zap.Stringer("task", t.id), zap.Error(err))
	}
}

// failTask stops a task on an error of its stores; it is opened again after a while. Work of the open transaction on it
// is lost from memory, so the transaction is aborted.
func (w *worker) failTask(t *task, err error) {
	if t.is(taskRunning) && w.open && w.state.Load() != int32(workerCommitting) {
		w.tellAborted(AbortTask, err)
		if w.redo(w.inst.ctx) != stepAborted {
			return
		}
	}
	w.release(t)
	var corrupt *state.CorruptError
	if errors.As(err, &corrupt) {
		w.inst.suspect.add(corrupt.Dir)
	}
	if terr := t.to(taskFailed); terr != nil {
		w.inst.fail(terr)
		return
	}
	t.reopens++
	delay := blockWait.Wait(t.reopens - 1)
	t.failure.Store(&failure{err: err, until: time.Now().Add(delay)})
	if w.inst.ending.Load() {
		return // it will not be opened again, and why the instance ends is reported once
	}
	fields := []zap.Field{zap.Stringer("task", t.id), zap.Duration("in", delay), zap.Error(err)}
	if denied, ok := errors.AsType[*kafka.BlockedError](err); ok {
		if t.reopens&(t.reopens-1) == 0 { // the 1st, 2nd, 4th ... time
			w.log.Error("the cluster does not let a task begin: it waits, and goes on when it is mended", append(fields, zap.String("remedy", denied.Remedy))...)
		}
		return
	}
	w.log.Error("task stopped, it will be opened again", fields...)
}

// reopen opens the failed tasks whose time has come.
func (w *worker) reopen(now time.Time) {
	for _, t := range w.tasks {
		f := t.failure.Load()
		if f == nil || !t.is(taskFailed) || now.Before(f.until) || w.sink == nil {
			continue
		}
		if err := t.to(taskCreated); err != nil {
			w.inst.fail(err)
			return
		}
		w.openTask(t)
	}
}
