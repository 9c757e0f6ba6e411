package topologytest

import (
	"fmt"
	"slices"

	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// run is the topology.Runtime of one record.
type run struct {
	*Driver
	graph   *topology.Subgraph
	in      topology.Record
	node    *topology.NodeDecl
	failed  error
	dropped error
	emitted []Emitted
	queue   []forwarded
}

type forwarded struct {
	edge  *topology.EdgeDecl
	key   string
	value any
}

func (d *Driver) newRun(g *topology.Subgraph, in topology.Record) *run {
	return &run{Driver: d, graph: g, in: in}
}

// record runs the nodes that read the stream, then those behind their edges.
func (r *run) record(in *topology.StreamDecl, key string, value []byte) Result {
	start := r.marks(r.graph)
	err := r.each(func(h topology.Handler) error {
		if h.Stream != in {
			return nil
		}
		return r.call(h, func(ctx topology.Context) error { return h.Record(ctx, key, value) })
	})
	for i := 0; err == nil && i < len(r.queue); i++ {
		f := r.queue[i]
		err = r.each(func(h topology.Handler) error {
			if h.Edge != f.edge {
				return nil
			}
			return r.call(h, func(ctx topology.Context) error { return h.Value(ctx, f.key, f.value) })
		})
	}
	if err != nil {
		r.undo(r.graph, start)
		return Result{Err: err}
	}
	idle := len(r.emitted) == 0 && !r.changed(r.graph, start)
	r.commit(r.graph)
	if idle {
		return Result{Err: r.dropped}
	}
	return Result{Emitted: r.emitted}
}

func (r *run) each(do func(topology.Handler) error) error {
	for _, n := range r.graph.Nodes {
		for _, h := range n.Reads {
			if err := do(h); err != nil {
				return err
			}
		}
	}
	return nil
}

// call runs one node. A drop takes back what the call has done, and is no error.
func (r *run) call(h topology.Handler, fn func(topology.Context) error) error {
	r.node, r.failed = h.Node, nil
	marks, emitted, queued := r.marks(r.graph), len(r.emitted), len(r.queue)
	err := fn(topology.NewContext(r))
	if r.failed != nil {
		err = r.failed
	}
	if _, ok := topology.Dropped(err); ok {
		r.undo(r.graph, marks)
		r.emitted, r.queue = r.emitted[:emitted], r.queue[:queued]
		if r.dropped == nil {
			r.dropped = err
		}
		return nil
	}
	return err
}

// Record implements topology.Runtime.
func (r *run) Record() *topology.Record { return &r.in }

// Table implements topology.Runtime.
func (r *run) Table(store *topology.StoreDecl) (state.Table, error) {
	if !slices.Contains(r.node.Stores, store) {
		return nil, fmt.Errorf("node %s uses store %s, which is not in its Uses", r.node.Name, store.Name)
	}
	return r.tables[store], nil
}

// Output implements topology.Runtime.
func (r *run) Output(o topology.Output) error {
	if !slices.Contains(r.node.Outputs, o) {
		return fmt.Errorf("node %s emits to %s, which is not in its Emits", r.node.Name, topology.OutputName(o))
	}
	return nil
}

// Buffer implements topology.Runtime.
func (r *run) Buffer() []byte { return []byte{} }

// Emit implements topology.Runtime.
func (r *run) Emit(stream *topology.StreamDecl, key string, encoded []byte, tombstone bool) {
	if tombstone {
		encoded = nil
	}
	r.emitted = append(r.emitted, Emitted{stream.Name, key, encoded})
}

// Forward implements topology.Runtime.
func (r *run) Forward(edge *topology.EdgeDecl, key string, value any) {
	r.queue = append(r.queue, forwarded{edge, key, value})
}

// Fail implements topology.Runtime.
func (r *run) Fail(err error) {
	if r.failed == nil {
		r.failed = err
	}
}
