package topology

import (
	"fmt"
	"reflect"

	"github.com/weirstream/weir/internal/plan"
)

// EdgeOf is a handle on a stream in memory between nodes of one sub-graph. [Edge] makes it.
type EdgeOf[T any] struct{ decl plan.Edge }

// Edge declares a stream in memory between two nodes: no topic, no codec. Its records belong to the input record that
// they were made from: they fail together.
func Edge[T any](name string) *EdgeOf[T] {
	return &EdgeOf[T]{plan.Edge{Name: name, Type: reflect.TypeFor[T]().String()}}
}

// Emit hands v to the nodes that read the edge; they run after the present one has returned. What v points to is shared
// with them. An edge that the node does not list in Emits fails the record.
func (e *EdgeOf[T]) Emit(ctx Context, key string, v T) {
	run := ctx.runtime()
	if e == nil {
		run.Fail(errNilEdge)
		return
	}
	if err := run.Output(&e.decl); err != nil {
		run.Fail(err)
		return
	}
	run.Forward(&e.decl, key, v)
}

// Name is the edge's name.
func (e *EdgeOf[T]) Name() string {
	if e == nil {
		return ""
	}
	return e.decl.Name
}

func (e *EdgeOf[T]) readBy(n *node, fn func(Context, string, T) error, opts onOptions) {
	if e == nil {
		n.mistake(readsNil, "declare the stream or edge before the node")
		return
	}
	if opts.given {
		n.mistake(fmt.Sprintf("has a Tombstone function for edge %s", e.decl.Name), "leave it out: edges carry values only")
	}
	n.read(plan.Handler{Edge: &e.decl, Value: func(call plan.Call, key string, value any) error {
		v, ok := value.(T)
		if !ok && value != nil { // a nil T that is an interface loses its type on the way
			return fmt.Errorf("edge %s carries %s, not %T", e.decl.Name, e.decl.Type, value)
		}
		return invoke(n, Context{call}, key, v, fn)
	}}, fn == nil)
}

func (e *EdgeOf[T]) writtenBy(n *node) {
	if e == nil {
		n.mistake(emitsNil, "declare the stream or edge before the node")
		return
	}
	n.outputs = append(n.outputs, &e.decl)
}
