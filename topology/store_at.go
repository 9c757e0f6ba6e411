package topology

import (
	"fmt"
	"iter"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
)

// over is the store with its type at one partition.
func (s *StoreOf[T]) over(db keyed.Database) keyed.Any { return keyed.Over[T](db, s.codec) }

// at is the store at the task's partition, with its type, so that values are not boxed. An error has failed the
// record already.
func (s *StoreOf[T]) at(ctx Context) (*keyed.Store[T], error) {
	run := ctx.runtime()
	if s == nil {
		run.Fail(errNilStore)
		return nil, errNilStore
	}
	t, err := run.Store(&s.decl)
	if err != nil {
		run.Fail(err)
		return nil, err
	}
	own, ok := t.(*keyed.Store[T])
	if !ok {
		// Whoever replaces plan.Store.Over may put something around the store, to watch the engine or to fail it.
		if around, wraps := t.(interface{ Unwrap() keyed.Any }); wraps {
			own, ok = around.Unwrap().(*keyed.Store[T])
		}
	}
	if !ok || own == nil {
		err := Fatal(fmt.Errorf("store %s is a %T, which does not hold values of type %s", s.decl.Name, t, s.decl.Type))
		run.Fail(err)
		return nil, err
	}
	return own, nil
}

// Range iterates over the keys from from (included) to to (excluded) in the order of their bytes; an empty to means to
// the end. It sees the changes of the record so far. The store may be changed meanwhile: the loop visits the keys that
// were there when it began and are there when it comes to them. An error ends the loop and fails the record.
func (s *StoreOf[T]) Range(ctx Context, from, to string) iter.Seq2[string, T] {
	t, err := s.at(ctx)
	if err != nil {
		return nothing[T]
	}
	return within(ctx, t.Range(from, to, s.iterationFailed(ctx)))
}

// Prefix iterates over the keys that begin with prefix. It is Range otherwise.
func (s *StoreOf[T]) Prefix(ctx Context, prefix string) iter.Seq2[string, T] {
	t, err := s.at(ctx)
	if err != nil {
		return nothing[T]
	}
	return within(ctx, t.Prefix(prefix, s.iterationFailed(ctx)))
}

func (s *StoreOf[T]) iterationFailed(ctx Context) func(error) {
	return func(err error) { ctx.runtime().Fail(fmt.Errorf("iterate over store %s: %w", s.decl.Name, err)) }
}

// within ends a loop that outlives the call of its node: one that is kept open by iter.Pull, runs in a goroutine, or was
// only made in the call. Each step is checked before the store is touched, for the worker uses it meanwhile.
func within[T any](ctx Context, seq iter.Seq2[string, T]) iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		if ctx.call.Ended() {
			ctx.runtime().Fail(plan.ErrOutside)
			return
		}
		for k, v := range seq {
			if !yield(k, v) {
				return
			}
			if ctx.call.Ended() {
				ctx.runtime().Fail(plan.ErrOutside)
				return
			}
		}
	}
}

func nothing[T any](func(string, T) bool) {}
