package nodes

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// Call runs records, one after the other, on one goroutine at a time. It is the plan.Runtime of its nodes.
type Call struct {
	env    Env
	graph  *Graph
	scopes []*plan.Scope                      // by Node.id
	within context.Context                    // of the scopes
	leaked atomic.Pointer[topology.LateError] // a use of a Context that no record has failed for yet
	last   atomic.Pointer[Node]               // called

	arena   arena.Arena
	state   State
	source  *Source
	record  Record
	wireKey string // of the record
	key     string // that nodes have: wireKey, or what the stream makes of it
	effects []Effect
	outward []Outward
	forward []forwarded
	marks   []int // savepoints of the stores: a run of one a store for each level
	base    int   // length of the first run
	scratch []int
	dropped topology.DropReason
	drops   int

	// The node in work.
	node    *Node
	at      string // the key that it was called with
	scope   *plan.Scope
	failed  error // its first Fail
	misuse  error // its first Fail that is fatal
	times   []int // by Node.id, how often an edge has called it for the record
	running bool  // in Run: what is still running when its goroutine has ended was ended by a node
	stack   []byte
}

// State is what the stores of a task can do together, in the order of the plan's stores: take savepoints, one a store,
// and go back to them.
type State interface {
	Mark(into []int) []int
	Undo(marks []int)
	Store(i int) keyed.Any
}

// Effect is an emit to a stream that waits for the end of its record.
type Effect struct {
	Node      *Node
	Stream    *plan.Stream
	Topic     string // what the stream is called in the cluster
	Key       string
	Value     []byte
	Tombstone bool
	As        *plan.Emission // what its options ask for, nil where there are none
}

// Outward is what a node wants done outside of Kafka at the end of its record's transaction.
type Outward struct {
	Node    *Node
	Outside *plan.Outside
	Work    any
}

// forwarded is a value on its way along an edge.
type forwarded struct {
	edge  *plan.Edge
	key   string
	value any
}

// Record is a record for nodes, and the cluster's id of its topic, "" where it is not known.
type Record struct {
	plan.Record
	TopicID string
	First   *First // of a record that was redriven, nil of others
}

// First is where a record was read first.
type First struct {
	Topic, TopicID string
	Partition      int32
	Offset         int64
}

// Outcome is what became of a record.
type Outcome int8

// The four ends of a record. Run knows the first three.
const (
	Processed Outcome = iota
	Filtered
	Deduplicated
	DeadLettered
	Outcomes
)

// Env is what nodes run in. The zero Env will do.
type Env struct {
	Group, Cluster string           // of the topology, and where it runs: in idempotency keys
	Log            *zap.Logger      // nil: nothing is logged
	Now            func() time.Time // nil: time.Now
	// Partitions is how many partitions a topic has, 0 where that is not known. nil: of none.
	Partitions func(topic string) int32
	// Global is the copy of a global that nodes look up, nil where the plan has none.
	Global func(*plan.Global) plan.View
	// Unserved has calls of services fail with an *UnservedError, and not be made.
	Unserved bool
	// Outside makes ready to write somewhere for a record, which was read there first; nil: nothing is to be done for that.
	Outside func(context.Context, *plan.Outside, First) error
	// Late, if not nil, is told when a Context is used after its node returned, on the goroutine that does so; it is not told again
	// until a record has failed for it.
	Late func(*topology.LateError)
}

// NewCall makes a Call for the nodes of a graph.
func NewCall(g *Graph, env Env) *Call {
	if env.Log == nil {
		env.Log = zap.NewNop()
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	c := &Call{env: env, graph: g, times: make([]int, len(g.nodes))}
	for _, n := range g.nodes {
		c.scopes = append(c.scopes, plan.NewScope(c, n.Decl.Timeout, func() error { return c.leak(&topology.LateError{Node: n.Decl.Name}) }))
	}
	return c
}

// Within says what ends the Contexts of the records to come. Default: nothing.
func (c *Call) Within(ctx context.Context) {
	if c.within == ctx {
		return
	}
	c.within = ctx
	for _, s := range c.scopes {
		s.Within(ctx)
	}
}

// Run processes one record. Without a failure its effects are staged; with one there are none. It does not return when a
// node ends the goroutine: see Exited.
func (c *Call) Run(s *Source, st State, r Record, key, value []byte) (o Outcome, failure *Failure) {
	c.arena.Reset() // of the record before
	c.source, c.state, c.record, c.key = s, st, r, string(key)
	c.wireKey = c.key
	c.record.Keyless = key == nil
	c.effects, c.forward, c.drops = c.effects[:0], c.forward[:0], 0
	c.forgetOutward(0)
	c.marks = st.Mark(c.marks[:0])
	c.base = len(c.marks)
	c.node, c.misuse, c.running, c.stack = s.handlers[0].node, nil, true, nil
	defer func() {
		if c.running { // a node did not return
			p := recover()
			if p == nil {
				c.stack = debug.Stack()
				return // the goroutine ends here, and Exited does the rest
			}
			failure = c.broken(Panic, fmt.Errorf("panic: %v", p), debug.Stack())
			c.running = false
		}
		c.end(failure)
	}()
	o, failure = c.run(value)
	if late := c.leaked.Load(); late != nil && (failure == nil || failure.Reason != Fatal) {
		c.leaked.Store(nil)
		failure = c.fail(c.node, late)
	}
	c.running = false
	return o, failure
}

// Exited is the failure of the record that was in work when a node ended the goroutine of Run, or nil. It takes back what
// the nodes did, and is for the goroutine that goes on.
func (c *Call) Exited() *Failure {
	if !c.running {
		return nil
	}
	failure := c.broken(Exit, errExit, c.stack)
	c.running = false
	c.end(failure)
	return failure
}

// end forgets what is not needed after a record, and takes back what failed.
func (c *Call) end(failure *Failure) {
	if c.scope != nil { // of a node that did not return
		c.scope.End()
		c.scope = nil
	}
	if failure != nil {
		c.Undo()
	}
	if len(c.forward) > 0 {
		clear(c.times)
	}
	clear(c.forward)
	c.forward = c.forward[:0]
}

// Undo takes back what the record has staged and changed.
func (c *Call) Undo() {
	c.marks = c.marks[:c.base]
	c.state.Undo(c.marks)
	clear(c.effects)
	c.effects = c.effects[:0]
	c.forgetOutward(0)
}

// forgetOutward takes back what was to be done outside but for the first n.
func (c *Call) forgetOutward(n int) {
	clear(c.outward[n:])
	c.outward = c.outward[:n]
}

func (c *Call) run(value []byte) (Outcome, *Failure) {
	if read := c.source.Stream.ReadKey; read != nil {
		var err error
		if c.key, err = read(&c.record.Record, c.wireKey); err != nil {
			return 0, c.fail(c.node, err)
		}
	}
	for i := range c.source.handlers {
		if failure := c.invoke(&c.source.handlers[i], c.key, value, nil); failure != nil {
			return 0, failure
		}
	}
	for i := 0; i < len(c.forward); i++ {
		f := c.forward[i]
		readers := c.source.graph.edges[f.edge]
		for j := range readers {
			c.times[readers[j].node.id]++
			if failure := c.invoke(&readers[j], f.key, nil, f.value); failure != nil {
				return 0, failure
			}
		}
	}
	if c.drops == 0 || len(c.effects) > 0 || len(c.outward) > 0 || c.changed() {
		return Processed, nil
	}
	if c.dropped == topology.Duplicate {
		return Deduplicated, nil
	}
	return Filtered, nil
}

// invoke calls one node. What a node did that then dropped the record is taken back: of a call that left the record
// out, nothing remains.
func (c *Call) invoke(h *handler, key string, value []byte, v any) *Failure {
	c.node, c.at, c.failed, c.misuse, c.scope = h.node, key, nil, nil, c.scopes[h.node.id]
	if c.last.Load() != h.node { // most topologies call one all the time, and a store costs more
		c.last.Store(h.node)
	}
	emits, forwards, outward, level := len(c.effects), len(c.forward), len(c.outward), len(c.marks)
	c.marks = c.state.Mark(c.marks)
	var err error
	if h.Edge == nil {
		err = h.Record(c.scope.Begin(), key, value)
	} else {
		err = h.Value(c.scope.Begin(), key, v)
	}
	var overdue time.Duration
	if h.node.Decl.Timeout > 0 {
		overdue = c.scope.Overdue(time.Now())
	}
	c.scope.End()
	c.scope = nil
	if c.failed != nil {
		err = c.failed
	}
	if overdue > 0 && !topology.IsRejected(err) && !topology.IsFatal(err) {
		if _, dropped := topology.Dropped(err); dropped {
			err = nil
		}
		err = &TimeoutError{Node: h.node.Decl.Name, Timeout: h.node.Decl.Timeout, Took: overdue, Err: err}
	}
	if c.misuse != nil {
		err = c.misuse
	}
	if err != nil {
		reason, ok := topology.Dropped(err)
		if !ok {
			return c.fail(h.node, err)
		}
		if c.drops == 0 {
			c.dropped = reason
		}
		c.drops++
		c.state.Undo(c.marks[level:])
		c.effects, c.forward = c.effects[:emits], c.forward[:forwards]
		c.forgetOutward(outward)
	}
	c.marks = c.marks[:level]
	return nil
}

// changed says whether a store was changed by the record.
func (c *Call) changed() bool {
	c.scratch = c.state.Mark(c.scratch[:0])
	return !slices.Equal(c.scratch, c.marks)
}

// leak notes that a Context was used after its node returned. It may be called from any goroutine.
func (c *Call) leak(err *topology.LateError) error {
	if c.leaked.CompareAndSwap(nil, err) && c.env.Late != nil {
		c.env.Late(err)
	}
	return err
}

// Overdue is the node whose call takes longer than its timeout at the moment, and how long it has taken; nil where none does. It may
// be called from any goroutine.
func (c *Call) Overdue(now time.Time) (*Node, time.Duration) {
	for _, n := range c.graph.nodes {
		if n.Decl.Timeout > 0 {
			if took := c.scopes[n.id].Overdue(now); took > 0 {
				return n, took
			}
		}
	}
	return nil, 0
}

// Dropped says whether a node has left the record out, whatever others made of it.
func (c *Call) Dropped() bool { return c.drops > 0 }

// Last is the node that was called last, nil before the first call. It may be called from any goroutine.
func (c *Call) Last() *Node { return c.last.Load() }

// Effects is what the record emits to streams, in order. It is valid until the next Run, with the values in it.
func (c *Call) Effects() []Effect { return c.effects }

// Outward is what the record's nodes want done outside of Kafka, in order. It is valid until the next Run.
func (c *Call) Outward() []Outward { return c.outward }

// Marks are the savepoints of the stores from before the record.
func (c *Call) Marks() []int { return c.marks[:c.base] }

// RecordKey is the key of the record in work, as it stands in its topic.
func (c *Call) RecordKey() string { return c.wireKey }

// Bytes is a key as bytes, in the memory that effects have.
func (c *Call) Bytes(key string) []byte { return c.arena.Copy(key) }
