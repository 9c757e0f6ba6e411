//go:build !race

// Under the race detector sync.Pool forgets things on purpose, and what uses one allocates.

package topology_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// engine is a Runtime that does as little as one can.
type engine struct {
	opened keyed.Any
	buffer []byte
	err    error
}

func (e *engine) Record() *plan.Record                              { return nil }
func (e *engine) Key() string                                       { return "" }
func (e *engine) Now() time.Time                                    { return time.Time{} }
func (e *engine) Log() *zap.Logger                                  { return nil }
func (e *engine) IdempotencyKey() string                            { return "" }
func (e *engine) Outside(context.Context, *plan.Outside, any) error { return nil }
func (e *engine) Service(*plan.Service) error                       { return nil }
func (e *engine) Store(*plan.Store) (keyed.Any, error)              { return e.opened, nil }
func (e *engine) Global(*plan.Global) (plan.View, error)            { return nil, nil }
func (e *engine) Output(plan.Output) error                          { return nil }
func (e *engine) Buffer() []byte                                    { return e.buffer[:0] }
func (e *engine) Topic(*plan.Stream) string                         { return "" }
func (e *engine) Emit(_ *plan.Stream, _ string, b []byte, _ bool, _ *plan.Emission) {
	e.buffer = b
}
func (e *engine) Duplicate(string, int64)         {}
func (e *engine) Forward(*plan.Edge, string, any) {}
func (e *engine) Fail(err error)                  { e.err = err }

// reference is the body of the reference job's node: one record that it accepts, and one that it drops.
func reference(t testing.TB) (step func(), e *engine) {
	out := topology.Stream("customer.total.v1", codecs.JSON[total]())
	store := topology.Store("totals", codecs.JSON[total]())
	in := topology.Stream("order.placed.v1", codecs.Int64())
	p, err := topology.Define("t", topology.Node("n",
		topology.On(in, func(ctx topology.Context, key string, seq int64) error {
			v, err := store.Get(ctx, key)
			if err != nil {
				return err
			}
			if seq%2 == 0 {
				return ctx.Drop(topology.Duplicate)
			}
			v.Sum += seq
			store.Set(ctx, key, v)
			out.Emit(ctx, key, v)
			return nil
		}), topology.Uses(store), topology.Emits(out))).Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(state.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	opened := p.Subgraphs[0].Stores[0].Over(db)
	t.Cleanup(func() { opened.Close() })
	e = &engine{opened: opened, buffer: make([]byte, 0, 1024)}
	call := plan.NewScope(e, 0, nil).Begin()
	h := p.Subgraphs[0].Nodes[0].Reads[0]
	accepted, duplicate := []byte("1"), []byte("2")
	return func() {
		if err := h.Record(call, "customer-1", accepted); err != nil {
			e.err = err
		}
		if _, dropped := topology.Dropped(h.Record(call, "customer-1", duplicate)); !dropped {
			e.err = errors.New("not dropped")
		}
		opened.Undo(0)
	}, e
}

// TestHandlesDoNotAllocate runs the body of a node with a get, a set, an emit and a drop.
// Seen to fail: Drop that makes its error; Emit that appends to nil.
func TestHandlesDoNotAllocate(t *testing.T) {
	step, e := reference(t)
	step()
	if n := testing.AllocsPerRun(1000, step); n > 0 || e.err != nil {
		t.Errorf("%v allocations a record (%v)", n, e.err)
	}
}

func BenchmarkNode(b *testing.B) {
	step, e := reference(b)
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	if e.err != nil {
		b.Fatal(e.err)
	}
}
