package topology

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/internal/dedup"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
)

// deduper is what a node leaves out because it has processed it before: a [Dedup] or a [DedupSequence].
type deduper interface {
	decl() *plan.Dedup
	// joins gives the node what it needs for that.
	joins(n *node)
	// check lists what is wrong with it.
	check(n *node) []plan.Mistake
}

// guard is a deduper for values of type T.
type guard[T any] interface {
	// around calls fn with a value that the node has not processed yet, and drops any other.
	around(ctx Context, key string, v T, fn func(Context, string, T) error) error
}

// invoke calls a node's function, unless the node has processed the value before.
func invoke[T any](n *node, ctx Context, key string, v T, fn func(Context, string, T) error) error {
	if len(n.dedups) == 0 {
		return fn(ctx, key, v)
	}
	g, ok := n.dedups[0].(guard[T])
	if !ok { // Check has refused it
		return Fatal(fmt.Errorf("node %s has a Dedup for values of another type than %s", n.name, reflect.TypeFor[T]()))
	}
	return g.around(ctx, key, v, fn)
}

// Dedup has the node leave out records that it has processed before: those whose id it knows. They end as deduplicated.
//
// id says what tells a record from all others of its partition: an id that the producer gave it, say. It is called with each
// value that the node reads, after decoding, and not with tombstones, which are not deduplicated. An error of it is one of the node: [Retry]
// applies, or [Reject]. An id of "" rejects the record, which could not be told from others. Where some values are to
// pass in any case, [Context.IdempotencyKey] is an id that no other record has.
//
// An id is known for window in the stream's time: until the node has processed a record of the same partition whose time is later by
// window, and by a quarter of it at most for longer. The clock is that of the records, so ids do not grow old while an instance stands
// still, or in a replay; a time ahead of the instance's clock counts as the present, and a record of any age is remembered for the whole window
// from when it was processed. A producer that sends a record again is recognised for that long, whatever time and offset the repetition
// has, if it has the same key: ids are known per partition.
//
// Ids are state of the node: they lie in a store of its own, <node>-ids, with a changelog, about 40 bytes each on disk, whatever the length of
// the id (two ids are the same when 128 bits of their SHA-256 are), and a few megabytes of memory a million of them. An id
// becomes known in the transaction in which its record was processed, on all instances, with the guarantee of the topology. A
// record that was dropped by the node's function, or became a dead letter, leaves no id: redriven it is processed. A dead letter whose record
// was sent again and processed meanwhile is a duplicate when it is redriven. Ids that are too old are deleted from the store and,
// with tombstones, from the changelog, some with each record.
//
// window is a millisecond at least. A topology that ran before without Dedup begins with no ids, see --accept-empty-state.
func Dedup[T any](id func(ctx Context, key string, v T) (string, error), window time.Duration) Part {
	return Part{add: func(n *node) {
		d := &ids[T]{id: id, window: window}
		d.store = plan.Store{Name: n.name + "-ids", Type: "ids", Over: func(db keyed.Database) keyed.Any { return dedup.Over(db, window) }}
		n.dedups = append(n.dedups, d)
	}}
}

// ids is a Dedup.
type ids[T any] struct {
	id     func(Context, string, T) (string, error)
	window time.Duration
	store  plan.Store
}

func (d *ids[T]) decl() *plan.Dedup {
	return &plan.Dedup{Type: reflect.TypeFor[T]().String(), Store: &d.store, Window: d.window}
}

func (d *ids[T]) joins(n *node) { n.stores = append(n.stores, &d.store) }

func (d *ids[T]) check(*node) (wrong []plan.Mistake) {
	if d.id == nil {
		wrong = append(wrong, plan.Mistake{What: "has a Dedup without a function", Do: "give it one that returns a record's id"})
	}
	if d.window < time.Millisecond {
		wrong = append(wrong, plan.Mistake{What: fmt.Sprintf("has a Dedup with a window of %v", d.window), Do: "use a millisecond or more: as long as a producer may take to send a record again"})
	}
	return wrong
}

var errNoID = Reject(errors.New("the record has no id: Dedup's function returned an empty one"))

func (d *ids[T]) around(ctx Context, key string, v T, fn func(Context, string, T) error) error {
	text, err := d.id(ctx, key, v)
	if err != nil {
		return err
	}
	if text == "" {
		return errNoID
	}
	known, err := d.at(ctx)
	if err != nil {
		return err
	}
	id := dedup.IDOf(text)
	first, seen, err := known.Seen(id)
	if err != nil {
		return d.fail(ctx, err)
	}
	if seen {
		ctx.runtime().Duplicate(first.Topic, first.Offset)
		return ctx.Drop(Duplicate)
	}
	if err := fn(ctx, key, v); err != nil {
		return err
	}
	r := ctx.Record()
	if err := known.Remember(id, ctx.Time(), ctx.Now(), dedup.Place{Topic: r.Topic, Offset: r.Offset}); err != nil {
		return d.fail(ctx, err)
	}
	return nil
}

// at are the ids of the task's partition. An error has failed the record already.
func (d *ids[T]) at(ctx Context) (*dedup.Ids, error) {
	run := ctx.runtime()
	opened, err := run.Store(&d.store)
	if err != nil {
		run.Fail(err)
		return nil, err
	}
	known, ok := opened.(*dedup.Ids)
	if around, wraps := opened.(interface{ Unwrap() keyed.Any }); !ok && wraps {
		known, ok = around.Unwrap().(*dedup.Ids)
	}
	if !ok {
		err := Fatal(fmt.Errorf("store %s is a %T, which does not hold ids", d.store.Name, opened))
		run.Fail(err)
		return nil, err
	}
	return known, nil
}

func (d *ids[T]) fail(ctx Context, err error) error {
	err = fmt.Errorf("ids of store %s: %w", d.store.Name, err)
	ctx.runtime().Fail(err)
	return err
}

// DedupSequence has the node leave out records that it has processed before, where the producer numbers the records of each key in
// ascending order: those whose number is not above the last one that was processed. They end as deduplicated. It needs no store of its own, and no
// window: the last number is part of what the node keeps for the key anyway.
//
// number is the number of a record; an error of it is one of the node, so [Reject] keeps a record out that has none. last is the number in what
// the store holds for the record's key, and is not asked for a key without a value: the first record of a key passes, whatever its number. The
// node's function puts the new number into the store with the rest, and lists the store in [Uses]. A record that
// became a dead letter has left no number, but is a duplicate when it is redriven after a later one of its key was processed.
func DedupSequence[T, S any](store *StoreOf[S], number func(ctx Context, key string, v T) (int64, error), last func(S) int64) Part {
	return Part{add: func(n *node) { n.dedups = append(n.dedups, &sequence[T, S]{store, number, last}) }}
}

// sequence is a DedupSequence.
type sequence[T, S any] struct {
	store  *StoreOf[S]
	number func(Context, string, T) (int64, error)
	last   func(S) int64
}

func (d *sequence[T, S]) decl() *plan.Dedup {
	s := &plan.Dedup{Type: reflect.TypeFor[T]().String(), Store: &plan.Store{}}
	if d.store != nil {
		s.Store = &d.store.decl
	}
	return s
}

func (d *sequence[T, S]) joins(*node) {}

func (d *sequence[T, S]) check(n *node) (wrong []plan.Mistake) {
	if d.number == nil || d.last == nil {
		wrong = append(wrong, plan.Mistake{What: "has a DedupSequence without its functions", Do: "give it one for a record's number, and one for the last number in the store"})
	}
	if d.store == nil {
		return append(wrong, plan.Mistake{What: "has a DedupSequence with a nil store", Do: usesNilDo})
	}
	for _, s := range n.stores {
		if s == &d.store.decl {
			return wrong
		}
	}
	return append(wrong, plan.Mistake{What: fmt.Sprintf("has a DedupSequence with store %s, which is not in its Uses", d.store.Name()), Do: "add it there"})
}

func (d *sequence[T, S]) around(ctx Context, key string, v T, fn func(Context, string, T) error) error {
	number, err := d.number(ctx, key, v)
	if err != nil {
		return err
	}
	state, known, err := d.store.Lookup(ctx, key)
	if err != nil {
		return err
	}
	if known && number <= d.last(state) {
		ctx.runtime().Duplicate("", -1)
		return ctx.Drop(Duplicate)
	}
	return fn(ctx, key, v)
}
