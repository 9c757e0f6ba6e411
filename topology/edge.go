package topology

import (
	"fmt"
	"reflect"
)

// EdgeOf is a handle on a stream in memory between nodes of one sub-graph. [Edge] makes it.
type EdgeOf[T any] struct{ decl EdgeDecl }

// Edge declares a stream in memory between two nodes: no topic, no codec. Its records belong to the input record that
// they were made from: they fail together.
func Edge[T any](name string) *EdgeOf[T] {
	return &EdgeOf[T]{EdgeDecl{Name: name, Type: reflect.TypeFor[T]().String()}}
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

func (e *EdgeOf[T]) handler(fn func(Context, string, T) error, _ func(Context, string) error) Handler {
	if e == nil {
		return Handler{}
	}
	return Handler{Edge: &e.decl, Value: func(ctx Context, key string, value any) error {
		v, ok := value.(T)
		if !ok && value != nil { // a nil T that is an interface loses its type on the way
			return fmt.Errorf("edge %s carries %s, not %T", e.decl.Name, e.decl.Type, value)
		}
		return fn(ctx, key, v)
	}}
}

func (e *EdgeOf[T]) target() Output {
	if e == nil {
		return nil
	}
	return &e.decl
}
