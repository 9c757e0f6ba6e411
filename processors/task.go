package processors

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
)

// taskID names a task: a sub-graph at one partition.
type taskID struct {
	subgraph  int
	partition int32
}

func (id taskID) String() string { return fmt.Sprintf("%d_%d", id.subgraph, id.partition) }

func (id taskID) compare(other taskID) int {
	return cmp.Or(id.subgraph-other.subgraph, int(id.partition-other.partition))
}

// taskState is where a task is in its life.
type taskState int32

const (
	taskCreated   taskState = iota // assigned, nothing opened
	taskRestoring                  // its restorer opens the stores and reads the changelogs
	taskRunning                    // its inputs are read and processed
	taskFailed                     // it stopped on an error of its stores and will be opened again
	taskClosed                     // given up
)

var taskStateNames = [...]string{"created", "restoring", "running", "failed", "closed"}

func (s taskState) String() string { return taskStateNames[s] }

// taskTransitions is the life of a task: from each state, the states that may follow.
var taskTransitions = map[taskState][]taskState{
	taskCreated:   {taskRestoring, taskClosed},
	taskRestoring: {taskRunning, taskFailed, taskCreated, taskClosed},
	taskRunning:   {taskFailed, taskCreated, taskClosed},
	taskFailed:    {taskCreated, taskClosed},
	taskClosed:    {},
}

// task is one sub-graph at one partition: the unit of order, state and assignment. Its fields belong to its worker's
// goroutine, but for the atomic ones, which statistics read.
type task struct {
	id       taskID
	graph    *subgraph
	state    atomic.Int32
	inputs   []*input
	queues   []*input // of parked records, see queue.go
	parking  *parking // nil where nothing parks, and until restored
	parked   parked
	stores   []*taskStore // in the order of graph.plan.Stores; nil until restored
	restorer *restorer
	restored atomic.Pointer[RestoreStats] // how far a restore is, nil outside one
	asking   atomic.Pointer[time.Time]    // since when its restorer waits for the committed offsets, nil when it does not
	failure  atomic.Pointer[failure]      // why the task is failed, and until when it waits
	whole    atomic.Pointer[wholeFrom]    // of the changelogs of its stores, nil until restored
	reopens  int                          // times in a row that it failed
	base     context.Context              // of all calls of the instance
	calls    atomic.Pointer[taskCalls]    // what ends its nodes' calls now
	given    atomic.Bool                  // it is given up
	outsides []plan.OutsideTask           // its accounts with graph.plan.Outsides, from their first use on
	touch    bool                         // the state takes up the name of a recorded reset with the next commit
}

type failure struct {
	err   error
	until time.Time
}

// wholeFrom says from which offset on each changelog holds the whole state of its store.
type wholeFrom map[kafka.TopicPartition]int64

// taskStore is a store of a task with its changelog.
type taskStore struct {
	keyed.Any
	decl      *plan.Store
	changelog kafka.TopicPartition
	topicID   string // of the changelog
	behind    int64  // up to where the committed offsets say that it was written
	whole     int64  // from which offset on the changelog holds the whole state
	marked    bool   // the committed offsets know the changelog as it is
	dir       string
	positions []byte // of the task's inputs, as the changelog says them up to end; nil where it does not
	epoch     int32  // leader epoch of the changelog record before end, -1 when it is not known
	end       int64  // the checkpoint to write next: the changelog offset after everything committed
}

// newTask makes a task whose nodes' calls end with ctx. redriven says from which partitions of redrive topics it reads.
func newTask(ctx context.Context, id taskID, g *subgraph, redriven map[kafka.TopicPartition]bool) *task {
	t := &task{id: id, graph: g, base: ctx}
	t.renew()
	for _, s := range slices.Concat(g.sources, g.redrives) {
		if s.Redrives != nil && !redriven[kafka.TopicPartition{Topic: s.Topic, Partition: id.partition}] {
			continue
		}
		in := &input{
			task:   t,
			source: s, redriven: s.Redrives != nil,
			tp: kafka.TopicPartition{Topic: s.Topic, Partition: id.partition},
		}
		in.away.Store(-1)
		t.inputs = append(t.inputs, in)
		if s.Redrives == nil && s.Parks {
			t.queues = append(t.queues, &input{task: t, source: s, queued: true, tp: in.tp, queue: queue{of: in}})
		}
	}
	return t
}

// taskCalls is what ends calls: a context, made anew when they were only to make room.
type taskCalls struct {
	ctx context.Context
	end context.CancelCauseFunc
}

// renew lets calls begin, unless the task is given up or the instance stops. It is for the worker's goroutine, and for newTask.
func (t *task) renew() {
	if c := t.calls.Load(); c != nil && c.ctx.Err() == nil {
		return
	}
	c := &taskCalls{}
	c.ctx, c.end = context.WithCancelCause(t.base)
	t.calls.Store(c)
	if t.given.Load() { // it may have been given up meanwhile
		c.end(errGivenUp)
	}
}

// leave ends the task's calls for good, from any goroutine.
func (t *task) leave() {
	t.given.Store(true)
	t.calls.Load().end(errGivenUp)
}

// yield ends the call in work, from any goroutine. Its record is begun again after the worker has done what it is to make room for.
func (t *task) yield() { t.calls.Load().end(errRoom) }

// leaving says whether the task is given up, makes room, or the instance stops: none of its records is begun.
func (t *task) leaving() bool { return t.calls.Load().ctx.Err() != nil }

// Why a call of a node is to end, for context.Cause.
var (
	errGivenUp  = fmt.Errorf("the task is given up: its partitions go to another instance: %w", context.Canceled)
	errStopping = fmt.Errorf("the instance stops: %w", context.Canceled)
	errRoom     = fmt.Errorf("other tasks of the worker are given up, and wait for this call; its record is processed again: %w", context.Canceled)
)

// unmarked says whether an input waits for its first commit: no record of the task is begun before.
func (t *task) unmarked() bool {
	for _, in := range t.inputs {
		if in.awaited() {
			return true
		}
	}
	return false
}

// everything are the inputs of the task and its queues.
func (t *task) everything() iter.Seq[*input] {
	return func(yield func(*input) bool) {
		for _, list := range [...][]*input{t.inputs, t.queues} {
			for _, in := range list {
				if !yield(in) {
					return
				}
			}
		}
	}
}

// count notes how much is parked.
func (t *task) count() {
	if t.parking == nil {
		return
	}
	if totals, err := t.parking.totals(); err == nil {
		t.parked.keys.Store(totals.Keys)
		t.parked.records.Store(totals.Records)
	}
}

// lag is the lag of all inputs. known is false when the cluster has not been asked about one of them yet.
func (t *task) lag() (sum int64, known bool) {
	known = true
	for _, in := range t.inputs {
		lag, ok := in.lagNow()
		sum += lag
		known = known && ok
	}
	return sum, known
}

func (t *task) is(s taskState) bool { return taskState(t.state.Load()) == s }

// to moves the task to another state; a transition that is not in the table is a programming error and is refused.
func (t *task) to(next taskState) error {
	now := taskState(t.state.Load())
	for _, s := range taskTransitions[now] {
		if s == next {
			t.state.Store(int32(next))
			return nil
		}
	}
	return fmt.Errorf("task %s: no way from %s to %s", t.id, now, next)
}

// Mark, Undo and Store make the task the nodes.State of its records.
func (t *task) Mark(into []int) []int {
	for _, st := range t.stores {
		into = append(into, st.Mark())
	}
	return into
}

// Undo implements nodes.State.
func (t *task) Undo(marks []int) {
	for i, st := range t.stores {
		st.Undo(marks[i])
	}
}

// Store implements nodes.State.
func (t *task) Store(i int) keyed.Any { return t.stores[i].Any }

func (t *task) keep() {
	for _, st := range t.stores {
		st.Keep()
	}
	if t.parking != nil {
		t.parking.keep()
	}
}

// pending is the size of the task's uncommitted changes.
func (t *task) pending() int {
	n := 0
	for _, st := range t.stores {
		n += st.Pending()
	}
	return n
}

// broken is the first error that a store cannot go on after.
func (t *task) broken() error {
	for _, st := range t.stores {
		if err := st.Err(); err != nil {
			return fmt.Errorf("store %s/%d: %w", st.decl.Name, t.id.partition, err)
		}
	}
	return nil
}

// closeStores releases the databases; what is not committed is given up.
func closeStores(stores []*taskStore) error {
	var first error
	for _, st := range stores {
		if err := st.Close(); err != nil && first == nil {
			first = fmt.Errorf("close store %s/%d: %w", st.decl.Name, st.changelog.Partition, err)
		}
	}
	return first
}

// restorer opens a task's stores and brings them up to date, away from the worker, so that its other tasks go on. What
// it has opened is its own until the worker takes it.
type restorer struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when result and err are there
	result *opened
	err    error
}

// take hands over what was opened. The restorer must be done.
func (r *restorer) take() (*opened, error) {
	o, err := r.result, r.err
	r.result = nil
	r.cancel()
	return o, err
}

// end waits for a restorer that was cancelled, and closes what it has opened.
func (r *restorer) end() error {
	<-r.done
	return r.result.close()
}
