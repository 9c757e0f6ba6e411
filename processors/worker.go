package processors

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/topology"
)

// workerState is what a worker is doing.
type workerState int32

const (
	workerConnecting workerState = iota // it has no sink: its transactional id is being taken over
	workerIdle                          // it waits for records
	workerProcessing                    // records are processed; a transaction may be open
	workerCommitting                    // the transaction is being ended
	workerStopped
)

var workerStateNames = [...]string{"connecting", "idle", "processing", "committing", "stopped"}

func (s workerState) String() string { return workerStateNames[s] }

// workerTransitions is the life of a worker: from each state, the states that may follow.
var workerTransitions = map[workerState][]workerState{
	workerConnecting: {workerIdle, workerStopped},
	workerIdle:       {workerProcessing, workerCommitting, workerConnecting, workerStopped},
	workerProcessing: {workerIdle, workerCommitting, workerConnecting, workerStopped},
	workerCommitting: {workerIdle, workerConnecting, workerStopped},
	workerStopped:    {},
}

// worker runs tasks on one goroutine and owns one sink. Everything but its atomic fields belongs to that goroutine;
// others reach it through its inbox.
type worker struct {
	id    int
	inst  *Instance
	log   *zap.Logger
	inbox *inbox
	done  chan struct{}

	state  atomic.Int32
	sink   Sink
	call   *nodes.Call
	cause  cause          // of the record in work
	sent   []kafka.Header // what outgoing records have of it
	unhook func() bool    // of the sink from the end of the context
	out    kafka.Outgoing // reused: the sink copies it
	tasks  []*task
	turn   int // which task is asked for work first

	// The open transaction.
	open    bool // something was processed since the last commit
	since   time.Time
	bytes   int
	counts  [outcomes]int64
	letters letterNotes
	retries int64
	report  *report // for hooks, nil without them

	// What the cluster refuses: see block. Empty as a rule.
	blocks map[kafka.TopicPartition]*block
	probe  *input   // tries next, alone, or does so in the open transaction
	trying []*block // what the open transaction tries
	way    []*block // reused

	pace      pace
	slow      bool          // the pace is less than it may be, and was reported
	throttled time.Duration // of the sink, as of the last commit

	stride   int       // records between two looks at the clock
	cautious int       // so many transactions of one record are to come: see abandon
	failures int       // commits in a row that failed
	connect  time.Time // when the next try to get a sink is due
	cut      time.Time // since when the cluster refuses the worker a sink, zero when it does not

	// For statistics.
	tries      atomic.Int64 // failures, for health
	lastError  atomic.Pointer[error]
	processing atomic.Int64 // UnixNano since when the worker has been in one node's function, 0 outside
	at         atomic.Pointer[input]
	turned     atomic.Pointer[time.Time] // when the loop last went round
	goroutine  atomic.Int64              // that the loop runs on
}

func newWorker(inst *Instance, id int) *worker {
	w := &worker{id: id, pace: pace{inst.opts.CommitBytes, inst.opts.CommitBytes}, inst: inst, inbox: newInbox(), done: make(chan struct{}), log: inst.log.With(zap.Int("worker", id))}
	w.report = newReport(inst.hooks)
	w.call = nodes.NewCall(inst.graph.nodes, nodes.Env{
		Topology: inst.graph.plan.Topology, Cluster: inst.clusterID, Log: w.log,
		Late: func(err *topology.LateError) {
			w.log.Error("the next record fails for it, because what was asked for is lost", zap.Error(err))
		},
	})
	return w
}

// slice is how many records are processed before the worker looks at its inbox, its clock and its other tasks.
const slice = 256

// run is the worker's goroutine. It ends when ctx does; what is not committed by then is given up.
//
// A node may end its goroutine (runtime.Goexit, which t.FailNow calls). Nothing can keep it, so another one goes on: the
// deferred function runs on the old one, after everything on its stack has been left in order.
func (w *worker) run(ctx context.Context) {
	defer func() {
		if failure := w.call.Exited(); failure != nil {
			go w.resume(ctx, failure)
		}
	}()
	w.loop(ctx)
	close(w.done)
}

// resume goes on after a node has ended the worker's goroutine, with the failed record.
func (w *worker) resume(ctx context.Context, failure *nodes.Failure) {
	w.failed(ctx, &w.cause, failure)
	w.run(ctx)
}

func (w *worker) loop(ctx context.Context) {
	w.goroutine.Store(goroutineID())
	for ctx.Err() == nil {
		w.inbox.drain()
		now := time.Now()
		w.turned.Store(&now)
		w.reopen(now)
		switch {
		case ctx.Err() != nil:
		case w.sink == nil:
			w.connectSink(ctx, now)
		case w.due(now):
			w.commit(ctx)
		default:
			if in := w.next(now); in != nil {
				w.to(workerProcessing)
				w.work(ctx, in, now)
			} else {
				w.to(workerIdle)
				w.wait(ctx, now)
			}
		}
	}
	w.to(workerStopped)
	for _, t := range w.tasks {
		w.release(t)
		_ = t.to(taskClosed)
	}
	w.tasks = nil
	if w.sink != nil {
		_ = w.sink.Close()
	}
	w.inbox.close()
}

// to moves the worker to another state.
func (w *worker) to(next workerState) {
	now := workerState(w.state.Load())
	if now == next {
		return
	}
	for _, s := range workerTransitions[now] {
		if s == next {
			w.state.Store(int32(next))
			return
		}
	}
	w.inst.fail(fmt.Errorf("worker %d: no way from %s to %s", w.id, now, next))
}

// next picks the input to work on: tasks take turns, and within a task the oldest record comes first.
func (w *worker) next(now time.Time) *input {
	if w.probe != nil && w.mayTry(now) {
		return w.probe
	}
	for i := range w.tasks {
		t := w.tasks[(w.turn+i)%len(w.tasks)]
		if !t.is(taskRunning) || t.leaving() || t.unmarked() {
			continue
		}
		best := w.oldest(t, now)
		if best != nil {
			w.turn = (w.turn + i + 1) % len(w.tasks)
			return best
		}
	}
	return nil
}

// oldest is the input of a task whose next record has the lowest timestamp, the first of several, of those that have a
// record and need not wait; or nil.
func (w *worker) oldest(t *task, now time.Time) (best *input) {
	for _, in := range t.inputs {
		if in.ended() {
			if !w.open && !w.dirty() { // otherwise a commit is due
				w.recover(in)
			}
			continue
		}
		if in.unsent || w.standsStill(in, now) {
			continue
		}
		if in.head() == nil || now.Before(in.retryAt) {
			continue
		}
		if best == nil || in.head().Timestamp < best.head().Timestamp {
			best = in
		}
	}
	return best
}

// wait blocks until there may be something to do.
func (w *worker) wait(ctx context.Context, now time.Time) {
	until := now.Add(time.Minute) // Live looks whether the loop goes round
	if w.open || w.dirty() {
		until = earlier(until, w.since.Add(w.inst.opts.CommitInterval))
	}
	for _, t := range w.tasks {
		if f := t.failure.Load(); f != nil && t.is(taskFailed) {
			until = earlier(until, f.until)
		}
		for _, in := range t.inputs {
			if in.head() != nil && now.Before(in.retryAt) {
				until = earlier(until, in.retryAt)
			}
			if !in.heldUntil.IsZero() {
				until = earlier(until, in.heldUntil)
			}
			if in.unsent && !w.open && !w.dirty() {
				until = earlier(until, w.wayOf(in).next)
			}
		}
	}
	w.sleep(ctx, until.Sub(now))
}

// sleep waits for d, or less when something arrives.
func (w *worker) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.inbox.wake:
	case <-timer.C:
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// work processes a slice of a task's records, beginning with those of an input. Where the task has several inputs, each
// record is the oldest that has arrived: what lies in the inbox has its place in the order, too.
func (w *worker) work(ctx context.Context, in *input, now time.Time) {
	if !w.open {
		w.open, w.since = true, now
	}
	w.call.Within(in.task.ctx)
	w.at.Store(in)
	w.processing.Store(now.UnixNano())
	defer w.processing.Store(0)
	defer func() { w.giveBack(in) }()
	merge := len(in.task.inputs) > 1
	check, left := 0, slice
	if w.cautious > 0 || w.probe != nil {
		left = 1
	}
	for ; left > 0; left-- {
		r := in.head()
		if r == nil || w.try(ctx, in, r) != stepDone {
			return
		}
		if merge && left > 1 {
			if w.inbox.waiting() {
				return
			}
			if other := w.oldest(in.task, now); other != in {
				if other == nil {
					return
				}
				w.giveBack(in)
				in = other
				w.at.Store(in)
			}
		}
		if check++; check < w.stride {
			continue
		}
		check = 0
		then := now
		now = time.Now()
		if w.stride = 1; now.Sub(then) < slowStride {
			w.stride = usualStride
		}
		if now.Sub(w.since) >= w.inst.opts.CommitInterval || w.full() {
			return
		}
	}
}

// The clock is looked at after so many records: after each one where they take long, so that a transaction does not
// outlive its timeout for want of a look.
const (
	usualStride = 16
	slowStride  = 5 * time.Millisecond
)

// try processes one record to one of its ends, or leaves it for later.
func (w *worker) try(ctx context.Context, in *input, r *kafka.Record) step {
	w.report.begin()
	c := &w.cause
	c.of(in, r)
	if r.Excess != nil {
		return w.deadLetter(ctx, c, excessive(c))
	}
	w.inst.checkPartition(c)
	if len(in.refused) > 0 {
		if known := c.refusal(); known.output != nil {
			return w.deadLetter(ctx, c, unwanted(known.emitter, known.output))
		}
	}
	if in.letter != nil {
		return w.deadLetter(ctx, c, in.letter)
	}
	o, failure := w.call.Run(in.source, in.task, c.describe(), r.Key, r.Value)
	if failure != nil {
		return w.failed(ctx, c, failure)
	}
	effects := w.call.Effects()
	if f := w.nowhere(effects); f != nil {
		w.call.Undo()
		return w.failed(ctx, c, f)
	}
	if len(w.blocks) > 0 && w.held(c, nil) {
		return stepWait
	}
	for i := range effects {
		e := &effects[i]
		w.stage(c, e)
		if err := w.sink.Append(&w.out); err != nil {
			var refused *kafka.RefusedError
			if i == 0 && errors.As(err, &refused) && refused.Origin == w.out.Origin {
				// Nothing of the record is in the transaction yet, so it fails alone. A refusal of another origin was met
				// in the background, and the transaction is gone.
				f := unwanted(e.Node, err)
				w.call.Undo()
				return w.deadLetter(ctx, c, f)
			}
			return w.aborted(ctx, err)
		}
	}
	in.task.keep()
	w.counts[o]++
	if w.report != nil {
		w.report.end(c, o, nil)
	}
	w.bytes += c.size()
	if c.attempt > 1 || len(w.blocks) > 0 && w.probe != in {
		in.waiting.Store(nil)
	}
	in.advance()
	return stepDone
}

// due says whether the transaction is to be committed now.
func (w *worker) due(now time.Time) bool {
	if !w.open {
		if !w.dirty() && !w.trySending(now) {
			return false
		}
		w.open, w.since = true, now // only positions moved, past control records
		return w.urgent()
	}
	if w.probe != nil && w.dirty() {
		return true // before the try, and after it
	}
	return w.cautious > 0 || w.urgent() || now.Sub(w.since) >= w.inst.opts.CommitInterval || w.full()
}

// full says whether the transaction has become large enough to be committed before its time.
func (w *worker) full() bool { return w.bytes >= w.pace.limit || w.size() >= w.pace.limit }

// unmarked says whether an input of the task waits for its first commit.
func (t *task) unmarked() bool {
	for _, in := range t.inputs {
		if in.awaited() {
			return true
		}
	}
	return false
}

// urgent says whether an input waits for a commit: for its first one, or for the last one before its reading goes on elsewhere.
func (w *worker) urgent() bool {
	for _, t := range w.tasks {
		if !t.is(taskRunning) {
			continue
		}
		for _, in := range t.inputs {
			if in.awaited() || in.ended() {
				return true
			}
		}
	}
	return false
}

// dirty says whether an input moved since the last commit.
func (w *worker) dirty() bool {
	for _, t := range w.tasks {
		if !t.is(taskRunning) {
			continue
		}
		for _, in := range t.inputs {
			if in.dirty() {
				return true
			}
		}
	}
	return false
}

// connectSink takes the worker's transactional id over.
func (w *worker) connectSink(ctx context.Context, now time.Time) {
	if now.Before(w.connect) {
		w.sleep(ctx, w.connect.Sub(now))
		return
	}
	sink, err := w.inst.opts.Wire.NewSink(ctx, w.inst.transactionalID(w.id))
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		w.note(err)
		if kafka.ClassOf(err) == kafka.Fatal {
			w.inst.fail(fmt.Errorf("worker %d: %w", w.id, err))
			w.connect = now.Add(w.backoff())
			return
		}
		w.connect = now.Add(w.backoff())
		if refusal, ok := errors.AsType[*kafka.BlockedError](err); ok {
			if w.cut.IsZero() {
				w.cut = now
			}
			w.disconnected(refusal, w.cut, w.connect)
		}
		w.log.Warn("no transactional id yet, trying again", zap.Error(err), zap.Duration("in", time.Until(w.connect)))
		return
	}
	w.sink, w.cut, w.throttled = sink, time.Time{}, 0
	w.letGo()
	// An Append that waits for room in the sink's buffer has no context: closing the sink is what ends it.
	w.unhook = context.AfterFunc(ctx, func() { _ = sink.Close() })
	w.to(workerIdle)
	for _, t := range w.tasks {
		w.openTask(t)
	}
}

// workerWait is how long a worker waits after a failure that may be over at once.
var workerWait = backoff.Backoff{First: 50 * time.Millisecond, Max: 10 * time.Second}

// backoff grows with the failures in a row.
func (w *worker) backoff() time.Duration {
	w.failures++
	w.tries.Store(int64(w.failures))
	return workerWait.Wait(w.failures - 1)
}

// note keeps an error for health.
func (w *worker) note(err error) { w.lastError.Store(&err) }
