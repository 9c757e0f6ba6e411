package processors

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/weirstream/weir/internal/arena"
	"github.com/weirstream/weir/kafka"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// call runs the nodes of a sub-graph on one record and stages what they do: emits wait in a list, state changes in the
// tables' undo logs. Nothing of it is part of the transaction until the caller takes it over; a failure leaves nothing
// behind. It is the topology.Runtime of its worker, made once and used for every record.
type call struct {
	ctx     topology.Context
	arena   arena.Arena
	task    *task
	record  topology.Record
	raw     *kafka.Record
	key     string
	node    *node
	staged  []staged
	forward []forwarded
	marks   []int // savepoints of the tables: a run of len(task.tables) for each level
	failed  error // the first Fail of the node in work
	dropped topology.DropReason
	drops   int
	headers []topology.Header
}

// staged is an emit that waits for the end of its record.
type staged struct {
	stream    *topology.StreamDecl
	key       string
	value     []byte
	tombstone bool
}

// forwarded is a value on its way along an edge.
type forwarded struct {
	edge  *topology.EdgeDecl
	key   string
	value any
}

// outcome is what became of a record: the four counts of an instance.
type outcome int8

const (
	processed outcome = iota
	filtered
	deduplicated
	deadLettered
	outcomes
)

// nodeError is a failed record: which node failed, and how.
type nodeError struct {
	node  *node
	err   error
	stack []byte // of a panic
}

func (e *nodeError) Error() string { return fmt.Sprintf("node %s: %v", e.node.decl.Name, e.err) }
func (e *nodeError) Unwrap() error { return e.err }

func newCall() *call {
	c := &call{}
	c.ctx = topology.NewContext(c)
	return c
}

// run processes one record. Without an error its effects are staged; with one there are none.
func (c *call) run(in *input, r *kafka.Record) (o outcome, failure *nodeError) {
	c.task, c.raw, c.key = in.task, r, string(r.Key)
	c.record = topology.Record{
		Topic: in.tp.Topic, Partition: in.tp.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Attempt: in.attempt + 1,
	}
	if len(r.Headers) > 0 {
		c.headers = c.headers[:0]
		for _, h := range r.Headers {
			c.headers = append(c.headers, topology.Header{Key: h.Key, Value: h.Value})
		}
		c.record.Headers = c.headers
	}
	c.staged, c.forward, c.drops = c.staged[:0], c.forward[:0], 0
	c.marks = c.task.mark(c.marks[:0])
	start := len(c.marks)
	defer func() {
		if p := recover(); p != nil {
			failure = &nodeError{node: c.node, err: fmt.Errorf("panic: %v", p), stack: debug.Stack()}
		}
		if failure != nil {
			c.task.undo(c.marks[:start])
			c.staged = c.staged[:0]
		}
		clear(c.forward)
		c.forward = c.forward[:0]
	}()
	for i := range in.source.handlers {
		h := &in.source.handlers[i]
		if failure = c.invoke(h, func() error { return h.Record(c.ctx, c.key, r.Value) }); failure != nil {
			return 0, failure
		}
	}
	for i := 0; i < len(c.forward); i++ {
		f := c.forward[i]
		for j := range c.task.graph.edges[f.edge] {
			h := &c.task.graph.edges[f.edge][j]
			if failure = c.invoke(h, func() error { return h.Value(c.ctx, f.key, f.value) }); failure != nil {
				return 0, failure
			}
		}
	}
	if c.drops == 0 || len(c.staged) > 0 || c.changed(c.marks[:start]) {
		return processed, nil
	}
	if c.dropped == topology.Duplicate {
		return deduplicated, nil
	}
	return filtered, nil
}

// invoke calls one node. What a node did that then dropped the record is taken back: of a call that left the record
// out, nothing remains.
func (c *call) invoke(h *handler, fn func() error) *nodeError {
	c.node, c.failed = h.node, nil
	emits, forwards, level := len(c.staged), len(c.forward), len(c.marks)
	c.marks = c.task.mark(c.marks)
	err := fn()
	if c.failed != nil {
		err = c.failed
	}
	if err != nil {
		reason, ok := topology.Dropped(err)
		if !ok {
			return &nodeError{node: h.node, err: err}
		}
		if c.drops == 0 {
			c.dropped = reason
		}
		c.drops++
		c.task.undo(c.marks[level:])
		c.staged, c.forward = c.staged[:emits], c.forward[:forwards]
	}
	c.marks = c.marks[:level]
	return nil
}

// changed says whether a table was changed since the marks were taken.
func (c *call) changed(marks []int) bool {
	for i, tb := range c.task.tables {
		if tb.Mark() != marks[i] {
			return true
		}
	}
	return false
}

// time is the timestamp of what the record leads to: its own, or now when it has none.
func (c *call) time() int64 {
	if c.raw.Timestamp >= 0 {
		return c.raw.Timestamp
	}
	return time.Now().UnixMilli()
}

// Record implements topology.Runtime.
func (c *call) Record() *topology.Record { return &c.record }

// Table implements topology.Runtime.
func (c *call) Table(store *topology.StoreDecl) (state.Table, error) {
	for i, s := range c.node.decl.Stores {
		if s == store {
			return c.task.tables[c.node.tables[i]].Table, nil
		}
	}
	return nil, fmt.Errorf("store %q is not among the node's Uses: add it there", store.Name)
}

// Output implements topology.Runtime.
func (c *call) Output(decl topology.Output) error {
	for _, o := range c.node.decl.Outputs {
		if o == decl {
			return nil
		}
	}
	return fmt.Errorf("%q is not among the node's Emits: add it there", topology.OutputName(decl))
}

// Buffer implements topology.Runtime.
func (c *call) Buffer() []byte { return c.arena.Tail() }

// Emit implements topology.Runtime.
func (c *call) Emit(stream *topology.StreamDecl, key string, encoded []byte, tombstone bool) {
	c.staged = append(c.staged, staged{stream, key, c.arena.Take(encoded), tombstone})
}

// Forward implements topology.Runtime.
func (c *call) Forward(edge *topology.EdgeDecl, key string, value any) {
	c.forward = append(c.forward, forwarded{edge, key, value})
}

// Fail implements topology.Runtime.
func (c *call) Fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
}
