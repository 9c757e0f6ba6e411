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
	id     int
	engine *engine
	log    *zap.Logger
	inbox  *inbox
	done   chan struct{}

	tasks  *tasks       // what it runs
	tx     *transaction // what it has done with them since the last commit, and its sink
	blocks *blocks      // what the cluster refuses it

	state  atomic.Int32
	call   *nodes.Call
	cause  cause          // of the try in work
	out    kafka.Outgoing // reused: the sink copies it
	sent   []kafka.Header // reused: the headers of out
	asked  []any          // reused: of a record, by one Outside
	unhook func() bool    // of the sink from the end of the context

	stride   int       // records between two looks at the clock
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

func newWorker(e *engine, id int) *worker {
	w := &worker{id: id, engine: e, inbox: newInbox(), done: make(chan struct{}), log: e.log.With(zap.Int("worker", id))}
	w.call = nodes.NewCall(e.graph.nodes, nodes.Env{
		Group: e.keysOf(), Cluster: e.clusterID, Log: w.log, Global: e.globals.view,
		Partitions: func(topic string) int32 { return e.partitions.Load().of(topic) },
		Outside:    w.outside,
		Late: func(err *topology.LateError) {
			w.log.Error("the next record fails for it, because what was asked for is lost", zap.Error(err))
		},
	})
	w.tasks = &tasks{env: tasksEnv{
		ctx: e.ctx, log: w.log, inputs: e.inputs,
		sink:    func() Sink { return w.tx.sink },
		restore: e.restore,
		closing: e.closing,
		put:     w.inbox.put, // a worker that ends stops its restorers itself
		began:   e.begun,
		aside:   e.aside,
		suspect: e.suspect.add,
		fail:    e.fail,
		ending:  e.ending.Load,
	}}
	w.blocks = &blocks{log: w.log, tasks: w.tasks}
	w.tx = &transaction{
		report: newReport(e.hooks),
		pace:   pace{e.opts.CommitBytes, e.opts.CommitBytes},
		env: transactionEnv{
			log: w.log, guarantee: e.opts.Guarantee, interval: e.opts.CommitInterval, tasks: w.tasks, blocks: w.blocks,
			positions: e.source,
			again:     e.again,
			owner:     e.graph.owner(),
			ended:     e.count,
			committed: w.committed,
			inside:    e.inside,
			outsider:  e.outsideOwner,
		},
	}
	if e.again != nil {
		w.tx.tally = map[kafka.TopicPartition]*ReplayCounts{}
	}
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
	w.goroutine.Store(goroutineID())
	w.failed(ctx, &w.cause, failure)
	w.run(ctx)
}

func (w *worker) loop(ctx context.Context) {
	w.goroutine.Store(goroutineID())
	for ctx.Err() == nil {
		w.inbox.drain()
		now := time.Now()
		w.turned.Store(&now)
		w.tasks.reopen(now)
		switch {
		case ctx.Err() != nil:
		case w.tx.sink == nil:
			w.connectSink(ctx, now)
		case w.tx.due(now):
			w.commit(ctx)
		default:
			w.mend()
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
	w.tasks.close()
	if w.tx.sink != nil {
		_ = w.tx.sink.Close()
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
	w.engine.fail(fmt.Errorf("worker %d: no way from %s to %s", w.id, now, next))
}

// next picks the input to work on: one that tries a block comes first.
func (w *worker) next(now time.Time) *input {
	if in := w.blocks.next(now); in != nil {
		return in
	}
	return w.tasks.next(now)
}

// commit ends the open transaction, or deals with what stands in its way.
func (w *worker) commit(ctx context.Context) step {
	w.to(workerCommitting)
	if err := w.tx.commit(ctx); err != nil {
		return w.aborted(ctx, err)
	}
	w.failures = 0
	w.tries.Store(0)
	w.to(workerIdle)
	return stepDone
}

// errLost is why a transaction is given up with partitions that were lost.
var errLost = errors.New("its partitions were lost to the group")

// give hands tasks back. With clean, what was done on them is committed first, together with the worker's other tasks;
// without, it is aborted, because somebody else may have the partitions already.
func (w *worker) give(ctx context.Context, ids map[taskID]bool, clean bool) (committed bool) {
	running := false
	for t := range w.tasks.running() {
		running = running || ids[t.id]
	}
	if running && w.tx.sink != nil && w.tx.begun() {
		if clean {
			clean = w.commit(ctx) == stepDone
		} else {
			w.tellAborted(AbortLost, errLost)
			w.redo(ctx)
		}
	}
	w.tasks.remove(ids)
	return clean
}

// makeRoom ends the call in work, from any goroutine, since tasks are to be given up. It is done again after what is in the inbox.
func (w *worker) makeRoom() {
	if in := w.at.Load(); in != nil && w.processing.Load() > 0 {
		in.task.yield()
		w.inbox.put(in.task.renew)
	}
}

// wait blocks until there may be something to do.
func (w *worker) wait(ctx context.Context, now time.Time) {
	until := now.Add(time.Minute) // Live looks whether the loop goes round
	if w.tx.begun() {
		until = earlier(until, w.tx.since.Add(w.engine.opts.CommitInterval))
	} else {
		until = w.blocks.waitFor(until)
	}
	until = w.tasks.waitFor(now, until)
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

// work processes a slice of a task's records, beginning with those of an input. Where the task has several inputs, each
// record is the oldest that has arrived: what lies in the inbox has its place in the order, too.
func (w *worker) work(ctx context.Context, in *input, now time.Time) {
	w.tx.begin(now)
	w.call.Within(in.task.calls.Load().ctx)
	w.at.Store(in)
	w.processing.Store(now.UnixNano())
	defer w.processing.Store(0)
	defer func() { w.tasks.giveBack(in) }()
	merge := len(in.task.inputs)+len(in.task.queues) > 1
	check, left := 0, slice
	if w.tx.cautious > 0 || w.blocks.probe != nil {
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
			if other := w.tasks.oldest(in.task, now); other != in {
				if other == nil {
					return
				}
				w.tasks.giveBack(in)
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
		if w.tx.full(now) {
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
