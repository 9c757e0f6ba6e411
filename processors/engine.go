package processors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/plan"
)

// engine runs the tasks of given partitions: its workers, restores and fetchers. Which partitions these are, where their
// inputs go on, and who keeps their positions is the source's: a consumer group for an Instance, a list of ranges for a rangeRun.
type engine struct {
	opts        Options
	graph       *graph
	log         *zap.Logger
	metrics     *metrics
	hooks       *hooks
	source      source
	again       *again // the replay that it runs, nil for none
	id          string
	partitioner partitioner.Partitioner
	cacheBytes  int64 // of each store

	ctx        context.Context // ends the workers and restorers
	cancel     context.CancelFunc
	calls      context.Context         // ends the calls of nodes, before ctx
	endCalls   context.CancelCauseFunc // ends calls
	clusterID  string
	failed     chan error  // the first error that ends the engine
	ending     atomic.Bool // it stops, or is about to
	claimed    atomic.Bool // the state folder and the id are its own
	workers    []*worker
	inputs     Fetcher
	changelogs Fetcher
	copies     *copies
	restores   chan struct{}  // bounds restores at a time
	closing    *closing       // stores of tasks that were given up
	suspect    dirs           // databases to set aside before they are opened
	accepts    atomic.Bool    // empty state, until all tasks have begun
	aside      bool           // records may be delayed, and their keys parked
	inside     bool           // nothing is written outside of Kafka
	spoken     sync.WaitGroup // what speaks of the workers in the log

	readingJobs chan struct{} // holds something while recorded resets are read

	globals    *globals
	partitions atomic.Pointer[partitionCounts] // of every topic of the plan
	letters    map[string]bool                 // topics of dead letters of the program
	told       letterLog
	misplaced  sync.Map // topics of which a misplaced record was reported

	mu     sync.Mutex
	placed map[taskID]*placement
	// redriven are the partitions of redrive topics that the group has assigned: inputs of their tasks.
	redriven map[kafka.TopicPartition]bool
}

// source is where an engine's partitions come from, and who keeps the positions of their inputs.
type source interface {
	ledger
	// committed is what is known of the offsets of inputs. It is asked for before the changelogs are looked at: see restore.
	committed(ctx context.Context, inputs []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error)
	// begin says in o where the inputs of a task go on. o has its restored stores.
	begin(ctx context.Context, t *task, committed map[kafka.TopicPartition]kafka.CommittedOffset, o *opened) error
	// settled is called when a transaction is committed.
	settled(tx *transaction)
	// gaveUp is called when a worker gives a transaction up together with its sink, because of an error.
	gaveUp(tx *transaction, err error)
}

// placement is where a task runs.
type placement struct {
	task   *task
	worker *worker
}

// newEngine makes an engine of a plan. The source is to be set before it starts.
func newEngine(plan *plan.Plan, opts Options) (*engine, error) {
	opts = opts.WithDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	opts.Wire = sabotaged(opts.Wire)
	e := &engine{
		opts: opts, graph: newGraph(plan), log: opts.Log.With(zap.String("topology", plan.Topology)),
		failed: make(chan error, 1), restores: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
		readingJobs: make(chan struct{}, 1), closing: newClosing(),
		placed: map[taskID]*placement{}, letters: map[string]bool{}, redriven: map[kafka.TopicPartition]bool{},
	}
	e.told.log = e.log
	for _, topic := range opts.DeadLetters {
		e.letters[topic] = true
	}
	for topic := range e.graph.redrives {
		e.letters[topic] = true
	}
	e.accepts.Store(opts.AcceptEmptyState)
	var err error
	if e.partitioner, err = partitioner.Parse(opts.Partitioner); err != nil {
		return nil, mistake.In("partitioner").Errorf("%w", err)
	}
	if e.hasStores() && opts.StateDir == "" {
		return nil, mistake.In("state-dir").Errorf("the topology has stores: a state folder is needed (state-dir)")
	}
	if e.hooks, err = newHooks(opts.Hooks, plan.Topology, e.log); err != nil {
		return nil, err
	}
	e.metrics, e.globals, e.copies = newMetrics(e), newGlobals(e), newCopies(e)
	return e, nil
}

func (e *engine) hasStores() bool {
	return slices.ContainsFunc(e.graph.subgraphs, func(s *subgraph) bool { return len(s.stores) > 0 })
}

// prepare takes the state folder and the instance's id, checks the topics, begins to read the globals, and makes the workers. These
// are to be started when the globals are there. What it has taken is the engine's until end is called, after stop.
func (e *engine) prepare(ctx context.Context) (end func(), err error) {
	var ends []func()
	all := func() {
		for _, f := range slices.Backward(ends) {
			f()
		}
	}
	defer func() {
		if err != nil {
			all()
		}
	}()
	unlock, err := e.claim()
	if err != nil {
		return nil, err
	}
	ends = append(ends, func() { _ = unlock.Close() })
	e.claimed.Store(true)
	if err := e.onItsCluster(ctx, e.check); err != nil {
		if denied, ok := errors.AsType[*kafka.BlockedError](err); ok {
			return nil, fmt.Errorf("%w; what to do: %s", err, denied.Remedy)
		}
		return nil, err
	}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	ends = append(ends, e.cancel)
	e.calls, e.endCalls = context.WithCancelCause(e.ctx)
	ends = append(ends, func() { e.endCalls(errStopping) })
	e.hooks.ending = e.ctx.Done()
	if e.inputs, err = e.opts.Wire.NewFetcher(); err != nil {
		return nil, err
	}
	ends = append(ends, func() { _ = e.inputs.Close() })
	if e.changelogs, err = e.opts.Wire.NewFetcher(); err != nil {
		return nil, err
	}
	ends = append(ends, func() { _ = e.changelogs.Close() })
	e.globals.start(e.ctx)
	ends = append(ends, e.globals.stop)
	for n := range e.opts.Workers {
		e.workers = append(e.workers, newWorker(e, n))
	}
	return all, nil
}

// start has the workers run.
func (e *engine) start() {
	for _, w := range e.workers {
		go w.run(e.ctx)
	}
	e.spoken.Go(func() { e.told.run(e.ctx) })
	e.spoken.Go(func() { e.logOverdue(e.ctx) })
}

// stop ends the workers and waits for them, until overdue ends. What they have not committed is given up.
func (e *engine) stop(overdue context.Context) error {
	e.cancel()
	e.spoken.Wait()
	stuck := e.awaitWorkers(overdue)
	if stuck == nil {
		stuck = e.awaitStores(overdue)
	}
	e.told.summarize()
	return stuck
}

// noEndError says which worker has not ended within the bound of a stop, and what keeps it, as far as that is known.
type noEndError struct{ text string }

func (e *noEndError) Error() string {
	return e.text + "; what is not committed is done again at the next start"
}

// awaitWorkers waits until all workers have ended, or says which one is in a call that does not return, and of which node. Nothing can
// end that call but the end of the process; whatever it does has no effect any more.
func (e *engine) awaitWorkers(overdue context.Context) error {
	for _, w := range e.workers {
		select {
		case <-w.done:
			continue
		case <-overdue.Done():
		}
		select {
		case <-w.done:
			continue
		case <-time.After(stopMoment):
		}
		in, node, since := w.at.Load(), w.call.Last(), w.processing.Load()
		if in == nil || node == nil || since == 0 {
			return &noEndError{fmt.Sprintf("worker %d does not end", w.id)}
		}
		return &noEndError{fmt.Sprintf("worker %d has been in one call of node %s for %s, with a record of %s, and cannot be stopped: "+
			"have the node give its Context to what it waits for",
			w.id, node.Decl.Name, time.Since(time.Unix(0, since)).Round(time.Second), in.whereabouts())}
	}
	return nil
}

// awaitStores waits until the workers' stores are closed.
func (e *engine) awaitStores(overdue context.Context) error {
	for _, id := range e.closing.under() {
		if err := e.closing.await(overdue, id); err != nil {
			return &noEndError{fmt.Sprintf("the stores of task %s are still being written to the disk, which is slow; what is missing in them is read from their changelogs", id)}
		}
	}
	return nil
}

// fail ends the instance with its first error.
func (e *engine) fail(err error) {
	e.ending.Store(true)
	select {
	case e.failed <- err:
	default:
	}
}

// place gives tasks to the workers that have the fewest.
func (e *engine) place(ids []taskID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		if _, ok := e.placed[id]; ok {
			continue
		}
		counts := map[*worker]int{}
		for _, p := range e.placed {
			counts[p.worker]++
		}
		best := e.workers[0]
		for _, w := range e.workers[1:] {
			if counts[w] < counts[best] {
				best = w
			}
		}
		t := newTask(e.calls, id, e.graph.subgraphs[id.subgraph], e.redriven)
		if e.again != nil {
			t.queues = nil // their records are none of the replay's: instances work them off
		}
		e.placed[id] = &placement{t, best}
		best.inbox.put(func() { best.tasks.add(t) })
	}
}

// take has the workers give tasks up, after a last commit if clean. It returns when they have, and says whether it was committed.
func (e *engine) take(ids []taskID, clean bool) (committed bool) {
	perWorker := map[*worker]map[taskID]bool{}
	e.mu.Lock()
	for _, id := range ids {
		if p, ok := e.placed[id]; ok {
			if perWorker[p.worker] == nil {
				perWorker[p.worker] = map[taskID]bool{}
			}
			perWorker[p.worker][id] = true
			p.task.leave()
			delete(e.placed, id)
		}
	}
	e.mu.Unlock()
	var waits sync.WaitGroup
	var uncommitted atomic.Bool
	for w, ids := range perWorker {
		given := make(chan struct{})
		if !w.inbox.put(func() {
			if !w.give(e.ctx, ids, clean) {
				uncommitted.Store(true)
			}
			close(given)
		}) {
			continue
		}
		waits.Add(1)
		go func() {
			defer waits.Done()
			room := time.NewTicker(roomAfter)
			defer room.Stop()
			for {
				select {
				case <-given:
					return
				case <-w.done:
					return
				case <-room.C:
					w.makeRoom()
				}
			}
		}()
	}
	waits.Wait()
	return !uncommitted.Load()
}

// roomAfter is how long a worker may go on with the call in work when tasks of it are to be given up. A call of a task that it keeps is
// then ended, and done again: the group waits for the hand-over, and for no record.
const roomAfter = time.Second

// redrive notes which partitions of redrive topics were assigned, or given back.
func (e *engine) redrive(tps []kafka.TopicPartition, assigned bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, tp := range tps {
		switch {
		case e.graph.redrives[tp.Topic] == nil:
		case assigned:
			e.redriven[tp] = true
		default:
			delete(e.redriven, tp)
		}
	}
}

// placedOf lists those of the tasks that run here.
func (e *engine) placedOf(ids []taskID) []taskID {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id taskID) bool { return e.placed[id] == nil })
}

// taskIDs turns input partitions, and those of redrive topics, into tasks, in order.
func (e *engine) taskIDs(tps []kafka.TopicPartition) []taskID {
	seen := map[taskID]bool{}
	var ids []taskID
	for _, tp := range tps {
		g, ok := e.graph.inputs[tp.Topic]
		if !ok {
			g, ok = e.graph.redrives[tp.Topic]
		}
		if !ok {
			continue
		}
		id := taskID{g.plan.Index, tp.Partition}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, taskID.compare)
	return ids
}

// placements lists the tasks in order.
func (e *engine) placements() []*placement {
	e.mu.Lock()
	all := make([]*placement, 0, len(e.placed))
	for _, p := range e.placed {
		all = append(all, p)
	}
	e.mu.Unlock()
	slices.SortFunc(all, func(a, b *placement) int {
		return a.task.id.compare(b.task.id)
	})
	return all
}

// begun ends the acceptance of empty state when all tasks have begun for the first time: what is lost after that is refused
// again, also when a worker starts again.
func (e *engine) begun() {
	if !e.accepts.Load() {
		return
	}
	for _, p := range e.placements() {
		if !p.task.is(taskRunning) {
			return
		}
	}
	if e.accepts.Swap(false) {
		e.log.Info("all tasks have begun: accept-empty-state has no effect any more")
	}
}

// count counts and reports what a transaction holds that is committed.
func (e *engine) count(tx *transaction) {
	e.metrics.count(&tx.counts, tx.retries)
	e.metrics.delayed.Add(tx.delayed)
	e.metrics.overLimit(tx.letters.counts)
	e.told.tell(&tx.letters)
	tx.report.tell()
	e.source.settled(tx)
	if e.again != nil {
		e.again.settled(tx)
	}
}

// dirs is a set of folders.
type dirs struct {
	mu  sync.Mutex
	set map[string]bool
}

func (d *dirs) add(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.set == nil {
		d.set = map[string]bool{}
	}
	d.set[dir] = true
}

func (d *dirs) remove(dir string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.set[dir]
	delete(d.set, dir)
	return was
}
