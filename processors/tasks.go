package processors

import (
	"context"
	"iter"
	"time"

	"go.uber.org/zap"
)

// tasks are those of one worker: which it has, whose record comes next, and the life of each of them from the opening of
// its stores to its end (tasks_open.go). They belong to the worker's goroutine.
type tasks struct {
	env  tasksEnv
	list []*task
	turn int // which task is asked for work first
}

// tasksEnv is all that tasks need of what is around them.
type tasksEnv struct {
	ctx     context.Context // ends restores
	log     *zap.Logger
	inputs  Fetcher
	sink    func() Sink // nil while the worker has none: no task is opened then
	restore func(context.Context, *task) (*opened, error)
	closing *closing
	put     func(func()) bool // has the worker's goroutine run something
	began   func()            // a task runs
	aside   bool              // records may be delayed, and their keys parked
	suspect func(dir string)  // a database is damaged: it is set aside before it is opened again
	fail    func(error)       // ends the instance
	ending  func() bool       // the instance ends, or is about to
}

// add takes a task on: it is opened at once, or when the worker has a sink.
func (ts *tasks) add(t *task) {
	used := map[int]bool{}
	for _, other := range ts.list {
		for in := range other.everything() {
			used[in.slot] = true
		}
	}
	slot := 0
	for in := range t.everything() {
		for used[slot] {
			slot++
		}
		in.slot = slot
		used[slot] = true
	}
	ts.list = append(ts.list, t)
	if ts.env.sink() != nil {
		ts.open(t)
	}
}

// remove closes tasks; what is not committed of them is given up.
func (ts *tasks) remove(ids map[taskID]bool) {
	kept := ts.list[:0]
	for _, t := range ts.list {
		if !ids[t.id] {
			kept = append(kept, t)
			continue
		}
		ts.release(t)
		ts.to(t, taskClosed)
	}
	clear(ts.list[len(kept):])
	ts.list = kept
}

// to moves a task to another state. It returns false where there is no such way, which is an error of this program and ends it.
func (ts *tasks) to(t *task, next taskState) bool {
	err := t.to(next)
	if err != nil {
		ts.env.fail(err)
	}
	return err == nil
}

// running are the tasks that run.
func (ts *tasks) running() iter.Seq[*task] {
	return func(yield func(*task) bool) {
		for _, t := range ts.list {
			if t.is(taskRunning) && !yield(t) {
				return
			}
		}
	}
}

// moving are the inputs of the tasks that run.
func (ts *tasks) moving() iter.Seq[*input] {
	return func(yield func(*input) bool) {
		for _, t := range ts.list {
			if !t.is(taskRunning) {
				continue
			}
			for _, in := range t.inputs {
				if !yield(in) {
					return
				}
			}
		}
	}
}

// all are the inputs and queues of all tasks.
func (ts *tasks) all() iter.Seq[*input] {
	return func(yield func(*input) bool) {
		for _, t := range ts.list {
			for in := range t.everything() {
				if !yield(in) {
					return
				}
			}
		}
	}
}

// next picks the input to work on: tasks take turns, and within a task the oldest record comes first.
func (ts *tasks) next(now time.Time) *input {
	for i := range ts.list {
		t := ts.list[(ts.turn+i)%len(ts.list)]
		if !t.is(taskRunning) || t.leaving() || t.unmarked() {
			continue
		}
		if best := ts.oldest(t, now); best != nil {
			ts.turn = (ts.turn + i + 1) % len(ts.list)
			return best
		}
	}
	return nil
}

// oldest is the input of a task whose next record has the lowest timestamp, the first of several, of those that have a
// record and need not wait; or nil.
func (ts *tasks) oldest(t *task, now time.Time) (best *input) {
	if t.parking != nil && len(t.parking.ready) > 0 { // they are older than what is still to come of their keys
		for _, q := range t.queues {
			if q.stands == atNothing && !now.Before(q.retryAt) && q.head() != nil {
				return q
			}
		}
	}
	for _, in := range t.inputs {
		if in.ended() || in.unsent || ts.standsStill(in, now) || in.head() == nil || now.Before(in.retryAt) {
			continue
		}
		if best == nil || in.head().Timestamp < best.head().Timestamp {
			best = in
		}
	}
	return best
}

// urgent says whether an input waits for a commit: for its first one, or for the last one before its reading goes on elsewhere.
func (ts *tasks) urgent() bool {
	for in := range ts.moving() {
		if in.awaited() || in.ended() {
			return true
		}
	}
	return false
}

// dirty says whether an input moved since the last commit.
func (ts *tasks) dirty() bool {
	for in := range ts.moving() {
		if in.dirty() {
			return true
		}
	}
	return false
}

// pending is the size of what the tasks have changed since the last commit.
func (ts *tasks) pending() (bytes int) {
	for t := range ts.running() {
		bytes += t.pending()
	}
	return bytes
}

// isChangelog says whether a topic is the changelog of a store here.
func (ts *tasks) isChangelog(topic string) bool {
	for _, t := range ts.list {
		for _, st := range t.stores {
			if st.changelog.Topic == topic {
				return true
			}
		}
	}
	return false
}

// giveBack has the fetcher read on after what was worked off.
func (ts *tasks) giveBack(in *input) {
	if n := in.release(); n > 0 {
		ts.env.inputs.Release(in.tp, n)
	}
}

// rewind takes the running tasks back to the last commit, in memory.
func (ts *tasks) rewind() {
	for t := range ts.running() {
		for _, st := range t.stores {
			st.Reset()
		}
		for in := range t.everything() {
			in.rewind()
		}
		t.forgetOutside()
		if t.parking != nil {
			t.parking.err = t.parking.look()
		}
	}
}

// letGo has every input that waits for a block look again.
func (ts *tasks) letGo() {
	for in := range ts.all() {
		if wait := in.waiting.Load(); wait != nil && wait.blocked && in.stands == atNothing {
			in.waiting.Store(nil)
			in.retryAt = time.Time{}
		}
	}
}

// waitFor is when there may be something to do without a new record, if that is before until.
func (ts *tasks) waitFor(now, until time.Time) time.Time {
	for _, t := range ts.list {
		if f := t.failure.Load(); f != nil && t.is(taskFailed) {
			until = earlier(until, f.until)
		}
		for in := range t.everything() {
			if now.Before(in.retryAt) && in.head() != nil {
				until = earlier(until, in.retryAt)
			}
			if !in.heldUntil.IsZero() {
				until = earlier(until, in.heldUntil)
			}
		}
	}
	return until
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
