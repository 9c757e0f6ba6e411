package processors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	"github.com/weirstream/weir/state"
)

// Instance is one process of a topology: one member of its group, with some workers. Make it with New, run it once.
type Instance struct {
	opts        Options
	graph       *graph
	log         *zap.Logger
	metrics     *metrics
	hooks       *hooks
	id          string
	partitioner partitioner.Partitioner
	cacheBytes  int64 // of each store

	ctx        context.Context // ends the workers and restorers
	cancel     context.CancelFunc
	calls      context.Context         // ends the calls of nodes, before ctx
	endCalls   context.CancelCauseFunc // ends calls
	clusterID  string
	failed     chan error // the first error that ends the instance
	phase      atomic.Value
	workers    []*worker
	inputs     Fetcher
	changelogs Fetcher
	group      Group
	restores   chan struct{} // bounds restores at a time
	suspect    dirs          // databases to set aside before they are opened
	accepts    atomic.Bool   // empty state, until all tasks have begun

	watched  atomic.Pointer[time.Time] // when watch last went round; the pointer keeps the monotonic clock
	stopping atomic.Pointer[time.Time] // when the stop began
	ending   atomic.Bool               // it stops, or is about to

	readingJobs chan struct{} // holds something while recorded resets are read

	patrol *patrol
	fences *fences

	globals    *globals
	partitions atomic.Pointer[map[string]int32] // of every topic of the plan
	letters    map[string]bool                  // topics of dead letters of the program
	told       letterLog
	misplaced  sync.Map // topics of which a misplaced record was reported

	mu     sync.Mutex
	placed map[taskID]*placement
}

// placement is where a task runs.
type placement struct {
	task   *task
	worker *worker
}

// leaveWithin bounds how long an instance takes to commit and leave its group, stopWithin how long all of its stop.
const (
	leaveWithin = 3500 * time.Millisecond
	stopWithin  = leaveWithin + 500*time.Millisecond
)

// New makes an instance of a plan. It talks to nobody yet. Options that make no sense are refused with an error that joins a
// *SettingError for each mistake.
func New(plan *plan.Plan, opts Options) (*Instance, error) {
	opts = opts.WithDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	opts.Wire = sabotaged(opts.Wire)
	i := &Instance{
		opts: opts, graph: newGraph(plan), log: opts.Log.With(zap.String("topology", plan.Topology)),
		failed: make(chan error, 1), restores: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
		readingJobs: make(chan struct{}, 1),
		placed:      map[taskID]*placement{},
	}
	i.told.log = i.log
	i.letters = map[string]bool{}
	for _, topic := range opts.DeadLetters {
		i.letters[topic] = true
	}
	i.phase.Store(Starting)
	i.accepts.Store(opts.AcceptEmptyState)
	var err error
	if i.partitioner, err = partitioner.Parse(opts.Partitioner); err != nil {
		return nil, mistake.In("partitioner").Errorf("%w", err)
	}
	if i.hasStores() && opts.StateDir == "" {
		return nil, mistake.In("state-dir").Errorf("the topology has stores: a state folder is needed (state-dir)")
	}
	if i.hooks, err = newHooks(opts.Hooks, plan.Topology, i.log); err != nil {
		return nil, err
	}
	i.metrics, i.patrol, i.globals = newMetrics(i), newPatrol(i), newGlobals(i)
	i.fences = &fences{inst: i, started: time.Now()}
	return i, nil
}

func (i *Instance) hasStores() bool {
	return slices.ContainsFunc(i.graph.subgraphs, func(s *subgraph) bool { return len(s.stores) > 0 })
}

// Run processes until ctx ends, then commits, leaves the group and returns nil, within 5 s even when no broker answers.
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
	unlock, err := i.claim()
	if err != nil {
		return err
	}
	defer unlock.Close()
	if err := i.onItsCluster(ctx, i.check); err != nil {
		if denied, ok := errors.AsType[*kafka.BlockedError](err); ok {
			return fmt.Errorf("%w; what to do: %s", err, denied.Remedy)
		}
		return err
	}
	if err := i.metrics.register(); err != nil {
		return err
	}
	defer i.metrics.unregister()

	i.ctx, i.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer i.cancel()
	i.calls, i.endCalls = context.WithCancelCause(i.ctx)
	defer i.endCalls(errStopping)
	i.hooks.ending = i.ctx.Done()
	if i.inputs, err = i.opts.Wire.NewFetcher(); err != nil {
		return err
	}
	defer i.inputs.Close()
	if i.changelogs, err = i.opts.Wire.NewFetcher(); err != nil {
		return err
	}
	defer i.changelogs.Close()
	i.globals.start(i.ctx)
	defer i.globals.stop()
	if err := i.globals.await(ctx); err != nil {
		return err
	}

	for n := range i.opts.Workers {
		i.workers = append(i.workers, newWorker(i, n))
	}
	group := kafka.GroupConfig{Group: i.graph.plan.Group(), Instance: i.id, Started: i.fences.started, Copartitioned: i.graph.copartitioned()}
	if i.opts.Static {
		group.InstanceID = i.id
	}
	if i.group, err = i.opts.Wire.Join(group, (*membership)(i)); err != nil {
		return err
	}
	for _, w := range i.workers {
		go w.run(i.ctx)
	}
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
		told := make(chan struct{})
		go func() {
			defer close(told)
			i.tellWaiting(i.ctx)
		}()
		defer func() { <-told }()
		i.watch(i.ctx)
	}()
	spoken := make(chan struct{})
	go func() {
		defer close(spoken)
		i.told.run(i.ctx)
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
	if err := i.group.Leave(leave); err != nil {
		i.log.Warn("the group was not left in order; its other members take over when the session times out", zap.Error(err))
	}
	stop()
	i.cancel()
	<-ended
	<-spoken
	stuck := i.awaitWorkers(overdue)
	i.told.summarize()
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

// awaitWorkers waits until all workers have ended, or says which one is in a call that does not return. Nothing can end
// that call but the end of the process; whatever it does has no effect any more.
func (i *Instance) awaitWorkers(overdue context.Context) error {
	for _, w := range i.workers {
		select {
		case <-w.done:
		case <-overdue.Done():
		}
		select {
		case <-w.done:
			continue
		default:
		}
		in, since := w.at.Load(), w.processing.Load()
		if in == nil || since == 0 {
			return fmt.Errorf("worker %d does not end; what is not committed is done again at the next start", w.id)
		}
		return fmt.Errorf("worker %d has been in one call of a node for %s, at %s after offset %d, and cannot be stopped; "+
			"what is not committed is done again at the next start", w.id, time.Since(time.Unix(0, since)).Round(time.Second), in.tp, in.next.Load())
	}
	return nil
}

// claim takes the state folder, so that no second process uses it, and settles the instance's id.
func (i *Instance) claim() (io.Closer, error) {
	i.id = i.opts.InstanceID
	if i.opts.StateDir == "" {
		if i.id == "" {
			host, err := os.Hostname()
			if err != nil {
				return nil, fmt.Errorf("no instance id: %w", err)
			}
			var held heldID
			i.id, held = holdID(fmt.Sprintf("%s-%d", host, os.Getpid()))
			return held, nil
		}
		return io.NopCloser(nil), nil
	}
	dir := state.TopologyDir(i.opts.StateDir, i.graph.plan.Group())
	lock, err := state.LockDir(dir)
	if err != nil {
		return nil, mistake.In("state-dir").Errorf("%w", err)
	}
	if i.id == "" {
		if i.id, err = state.InstanceID(dir); err != nil {
			_ = lock.Close()
			return nil, err
		}
	}
	return lock, nil
}

// transactionalID is the same for a worker after a restart, so that it ends what it left open at once.
func (i *Instance) transactionalID(worker int) string {
	if i.opts.Guarantee != ExactlyOnce {
		return ""
	}
	return fmt.Sprintf("%s-%s-%d", i.graph.plan.Group(), i.id, worker)
}

// fail ends the instance with its first error.
func (i *Instance) fail(err error) {
	i.ending.Store(true)
	select {
	case i.failed <- err:
	default:
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

// begun ends the acceptance of empty state when all tasks have begun for the first time: what is lost after that is refused
// again, also when a worker starts again.
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

// count counts and reports what a transaction holds that is committed.
func (i *Instance) count(tx *transaction) {
	i.metrics.count(&tx.counts, tx.retries)
	i.metrics.overLimit(tx.letters.counts)
	i.told.tell(&tx.letters)
	tx.report.tell()
}
