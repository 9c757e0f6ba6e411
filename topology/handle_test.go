package topology_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// TestStoresReadWhatTheRecordWrote uses all that a store handle has, in one call of one node.
// Seen to fail: Lookup that says true always; Delete left out; Prefix without a bound.
func TestStoresReadWhatTheRecordWrote(t *testing.T) {
	in, store := text("a.b.v1"), topology.Store("s", codecs.JSON[*total]())
	node := func(ctx topology.Context, _ string, _ string) error {
		if v, ok, err := store.Lookup(ctx, "a"); v != nil || ok || err != nil {
			t.Errorf("Lookup of an absent key: %v %v %v", v, ok, err)
		}
		if v, err := store.Get(ctx, "a"); v != nil || err != nil {
			t.Errorf("Get of an absent key: %v %v", v, err)
		}
		for i, key := range []string{"a", "ab", "b", "b\xff", "b\xffx", "c"} {
			store.Set(ctx, key, &total{Sum: int64(i)})
		}
		store.Set(ctx, "nil", nil)
		if v, ok, err := store.Lookup(ctx, "nil"); v != nil || !ok || err != nil {
			t.Errorf("Lookup of a key with a nil value: %v %v %v", v, ok, err)
		}
		store.Delete(ctx, "nil")
		store.Delete(ctx, "absent")
		if v, ok, err := store.Lookup(ctx, "nil"); v != nil || ok || err != nil {
			t.Errorf("Lookup of a deleted key: %v %v %v", v, ok, err)
		}
		if v, err := store.Get(ctx, "b"); v == nil || v.Sum != 2 || err != nil {
			t.Errorf("Get: %v %v", v, err)
		}
		for _, c := range []struct{ got, want []string }{
			{keys(store.Range(ctx, "", "")), []string{"a", "ab", "b", "b\xff", "b\xffx", "c"}},
			{keys(store.Range(ctx, "ab", "b\xff")), []string{"ab", "b"}},
			{keys(store.Range(ctx, "b", "a")), nil},
			{keys(store.Prefix(ctx, "a")), []string{"a", "ab"}},
			{keys(store.Prefix(ctx, "b\xff")), []string{"b\xff", "b\xffx"}},
			{keys(store.Prefix(ctx, "\xff")), nil},
			{keys(store.Prefix(ctx, "")), []string{"a", "ab", "b", "b\xff", "b\xffx", "c"}},
		} {
			if !slices.Equal(c.got, c.want) {
				t.Errorf("iterated over %q, want %q", c.got, c.want)
			}
		}
		for range store.Range(ctx, "", "") {
			break
		}
		return nil
	}
	d := topologytest.New(t, topology.Define("t", topology.Node("n", topology.On(in, node), topology.Uses(store))))
	if r := d.Send("a.b.v1", "k", []byte("x")); r.Err != nil {
		t.Fatal(r.Err)
	}
	if got := slices.Sorted(maps.Keys(d.Store("s"))); !slices.Equal(got, []string{"a", "ab", "b", "b\xff", "b\xffx", "c"}) {
		t.Errorf("stored %q", got)
	}
}

func keys[V any](seq func(func(string, V) bool)) []string {
	var keys []string
	for k := range seq {
		keys = append(keys, k)
	}
	return keys
}

// TestTombstonesAreNotValues sends and emits tombstones next to empty values.
// Seen to fail: handler that gives nil to the codec; Tombstone that emits an empty value.
func TestTombstonesAreNotValues(t *testing.T) {
	in, deaf, out := text("a.in.v1"), text("a.deaf.v1"), text("a.out.v1")
	echo := func(ctx topology.Context, key, v string) error { out.Emit(ctx, key, v); return nil }
	gone := func(ctx topology.Context, key string) error { out.Tombstone(ctx, key); return nil }
	d := topologytest.New(t, topology.Define("t",
		topology.Node("n", topology.On(in, echo, topology.Tombstone(gone)), topology.Emits(out)),
		topology.Node("m", topology.On(deaf, echo), topology.Emits(out))))
	for _, c := range []struct {
		topic string
		value []byte
		want  string
	}{
		{"a.in.v1", []byte("v"), `[{a.out.v1 k "v" false}]`},
		{"a.in.v1", []byte{}, `[{a.out.v1 k "" false}]`},
		{"a.in.v1", nil, `[{a.out.v1 k "" true}]`},
		{"a.deaf.v1", []byte{}, `[{a.out.v1 k "" false}]`},
	} {
		r := d.Send(c.topic, "k", c.value)
		var got []string
		for _, e := range r.Emitted {
			got = append(got, fmt.Sprintf("{%s %s %q %v}", e.Topic, e.Key, e.Value, e.Value == nil))
		}
		if r.Err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%s %q: %s, want %s (%v)", c.topic, c.value, got, c.want, r.Err)
		}
	}
	r := d.Send("a.deaf.v1", "k", nil)
	if undecodable := (*topology.DecodeError)(nil); !errors.As(r.Err, &undecodable) || !errors.Is(r.Err, topology.ErrTombstone) {
		t.Errorf("a tombstone that nobody expects: %v", r.Err)
	}
}

// TestNullIsATombstonesTwin: where null is no value of the type, it goes to the Tombstone function, or is a dead letter that
// says so; where it is one, the node gets it.
//
// Mutations tried: handler without ErrNull; it calls the function with the zero value.
func TestNullIsATombstonesTwin(t *testing.T) {
	in, deaf := topology.Stream("a.in.v1", codecs.JSON[total]()), topology.Stream("a.deaf.v1", codecs.JSON[total]())
	pointers, out := topology.Stream("a.pointers.v1", codecs.JSON[*total]()), text("a.out.v1")
	d := topologytest.New(t, topology.Define("t",
		topology.Node("n", topology.Emits(out), topology.On(in, func(ctx topology.Context, key string, v total) error {
			out.Emit(ctx, key, fmt.Sprint("value ", v.Sum))
			return nil
		}, topology.Tombstone(func(ctx topology.Context, key string) error { out.Emit(ctx, key, "gone"); return nil }))),
		topology.Node("m", topology.Emits(out), topology.On(deaf, func(ctx topology.Context, key string, v total) error {
			out.Emit(ctx, key, "value")
			return nil
		})),
		topology.Node("p", topology.Emits(out), topology.On(pointers, func(ctx topology.Context, key string, v *total) error {
			out.Emit(ctx, key, fmt.Sprint("nil: ", v == nil))
			return nil
		}))))
	for _, null := range []string{"null", " null\n"} {
		if r := d.Send("a.in.v1", "k", []byte(null)); r.Err != nil || fmt.Sprint(r.Emitted) != "[a.out.v1 k: gone]" {
			t.Errorf("%q with a Tombstone function: %v", null, r)
		}
		r := d.Send("a.deaf.v1", "k", []byte(null))
		if undecodable := (*topology.DecodeError)(nil); !errors.As(r.Err, &undecodable) || !errors.Is(r.Err, codecs.ErrNull) || !errors.Is(r.Err, topology.ErrTombstone) || len(r.Emitted) > 0 {
			t.Errorf("%q without one: %v", null, r)
		}
		if r := d.Send("a.pointers.v1", "k", []byte(null)); r.Err != nil || fmt.Sprint(r.Emitted) != "[a.out.v1 k: nil: true]" {
			t.Errorf("%q of a pointer: %v", null, r)
		}
	}
}

// TestKeysAreParsedWhereAStreamSaysWhatTheyAre reads and emits records with keys that are numbers, and that are none. A stream that
// says nothing takes any key.
//
// Mutations: handler without the check, or with that of values only; Tombstone without admit; admit without the check; DecodeError without Key.
func TestKeysAreParsedWhereAStreamSaysWhatTheyAre(t *testing.T) {
	in, free := text("a.in.v1", topology.KeyCodec(codecs.Int64())), text("a.free.v1")
	out := text("a.out.v1", topology.KeyCodec(codecs.Int64()))
	emit := func(ctx topology.Context, _, v string) error { out.Emit(ctx, v, v); return nil }
	gone := func(ctx topology.Context, key string) error { out.Tombstone(ctx, key); return nil }
	d := topologytest.New(t, topology.Define("t", topology.Node("n", topology.Emits(out),
		topology.On(in, emit, topology.Tombstone(gone)), topology.On(free, emit, topology.Tombstone(gone)))))
	for _, c := range []struct {
		topic, key string
		value      []byte
		decode     bool   // it is the key of the input that is wrong
		err        string // part of the error
	}{
		{"a.in.v1", "12", []byte("-7"), false, ""},
		{"a.in.v1", "12", nil, false, ""},
		{"a.in.v1", "x", []byte("7"), true, "decode key of a.in.v1: "},
		{"a.in.v1", "x", nil, true, "decode key of a.in.v1: "},
		{"a.in.v1", "", []byte("7"), true, "decode key of a.in.v1: "},
		{"a.in.v1", "12", []byte("y"), false, `emit to stream a.out.v1 with key "y": `},
		{"a.free.v1", "x", []byte("7"), false, ""},
		{"a.free.v1", "x", nil, false, `emit to stream a.out.v1 with key "x": `},
	} {
		r := d.Send(c.topic, c.key, c.value)
		undecodable, decode := errors.AsType[*topology.DecodeError](r.Err)
		switch {
		case c.err == "" && (r.Err != nil || len(r.Emitted) != 1):
			t.Errorf("%s %s=%q: %v", c.topic, c.key, c.value, r)
		case c.err != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.err) || len(r.Emitted) > 0):
			t.Errorf("%s %s=%q: %v, want %q", c.topic, c.key, c.value, r, c.err)
		case decode != c.decode || decode && !undecodable.Key:
			t.Errorf("%s %s=%q: %#v", c.topic, c.key, c.value, r.Err)
		}
	}
}

// TestEdgesCarryValuesAsTheyAre sends along edges what interfaces make of values: nil among them.
// Seen to fail: handler that takes a nil interface for a value of another type.
func TestEdgesCarryValuesAsTheyAre(t *testing.T) {
	in := text("a.in.v1")
	pointers, errs := topology.Edge[*order]("pointers"), topology.Edge[error]("errors")
	boom := errors.New("boom")
	var got []any
	d := topologytest.New(t, topology.Define("t",
		topology.Node("n", topology.Emits(pointers, errs), topology.On(in, func(ctx topology.Context, key, _ string) error {
			pointers.Emit(ctx, key+"1", &order{Seq: 1})
			pointers.Emit(ctx, key+"2", nil)
			errs.Emit(ctx, key+"3", boom)
			errs.Emit(ctx, key+"4", nil)
			return nil
		})),
		topology.Node("p", topology.On(pointers, func(_ topology.Context, key string, v *order) error {
			got = append(got, key, v)
			return nil
		})),
		topology.Node("e", topology.On(errs, func(_ topology.Context, key string, v error) error {
			got = append(got, key, v)
			return nil
		}))))
	if r := d.Send("a.in.v1", "k", []byte{}); r.Err != nil {
		t.Fatal(r.Err)
	}
	if want := []any{"k1", &order{Seq: 1}, "k2", (*order)(nil), "k3", boom, "k4", nil}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestMisuseFailsTheRecordAndNothingElse uses handles that the node did not declare, that are nil, that have no codec,
// whose codec fails, and whose store is another's, and goes on as if nothing had happened: the record fails, and
// nothing panics. Seen to fail: each Fail left out; each nil check left out.
func TestMisuseFailsTheRecordAndNothingElse(t *testing.T) {
	in := text("a.in.v1")
	out, store, edge := text("a.out.v1"), count("s"), topology.Edge[int]("e")
	strict := topology.Stream("a.strict.v1", codecs.JSON[float64]())
	broken := topology.Store("broken", codecs.JSON[chan int]())
	var nilStream *topology.StreamOf[string]
	var nilEdge *topology.EdgeOf[string]
	var nilStore *topology.StoreOf[string]
	for _, c := range []struct {
		blames string
		use    func(ctx topology.Context)
	}{
		{"a.out.v1", func(ctx topology.Context) { out.Emit(ctx, "k", "v") }},
		{"a.out.v1", func(ctx topology.Context) { out.Tombstone(ctx, "k") }},
		{"emits to e", func(ctx topology.Context) { edge.Emit(ctx, "k", 1) }},
		{"store s", func(ctx topology.Context) { store.Set(ctx, "k", 1) }},
		{"store s", func(ctx topology.Context) { store.Delete(ctx, "k") }},
		{"store s", func(ctx topology.Context) { _, _ = store.Get(ctx, "k") }},
		{"store s", func(ctx topology.Context) { _, _, _ = store.Lookup(ctx, "k") }},
		{"store s", func(ctx topology.Context) { keys(store.Range(ctx, "", "")) }},
		{"store s", func(ctx topology.Context) { keys(store.Prefix(ctx, "")) }},
		{"nil stream", func(ctx topology.Context) { nilStream.Emit(ctx, "k", "v") }},
		{"nil stream", func(ctx topology.Context) { nilStream.Tombstone(ctx, "k") }},
		{"nil edge", func(ctx topology.Context) { nilEdge.Emit(ctx, "k", "v") }},
		{"nil store", func(ctx topology.Context) { nilStore.Set(ctx, "k", "v") }},
		{"nil store", func(ctx topology.Context) { nilStore.Delete(ctx, "k") }},
		{"nil store", func(ctx topology.Context) { _, _, _ = nilStore.Lookup(ctx, "k") }},
		{"nil store", func(ctx topology.Context) { keys(nilStore.Range(ctx, "", "")) }},
		{"nil store", func(ctx topology.Context) { keys(nilStore.Prefix(ctx, "")) }},
		{"stream a.strict.v1", func(ctx topology.Context) { strict.Emit(ctx, "k", inf()) }},
		{"store broken", func(ctx topology.Context) { broken.Set(ctx, "k", nil) }},
		{"store broken", func(ctx topology.Context) { _, _ = broken.Get(ctx, "k"); broken.Set(ctx, "k", nil) }},
	} {
		node := func(ctx topology.Context, _, _ string) error { c.use(ctx); return nil }
		d := topologytest.New(t, topology.Define("t",
			topology.Node("n", topology.On(in, node), topology.Uses(broken), topology.Emits(strict))))
		r := d.Send("a.in.v1", "k", []byte("x"))
		if r.Err == nil || !strings.Contains(r.Err.Error(), c.blames) {
			t.Errorf("%s: %v", c.blames, r.Err)
		}
		c.use(topology.Context{}) // outside of a call it must not panic
	}
	for _, name := range []string{nilStream.Name(), nilEdge.Name(), nilStore.Name(), (*topology.Topology)(nil).Name()} {
		if name != "" {
			t.Errorf("a nil handle is called %s", name)
		}
	}
	if (topology.Context{}).Record() == nil {
		t.Error("no record")
	}
	if _, err := store.Get(topology.Context{}, "k"); err == nil {
		t.Error("Get without a context is no error")
	}
}

func inf() float64 { x := 0.0; return 1 / x }

// other is a Runtime whose stores are of another type than the handle.
type other struct {
	plan.Runtime
	failed error
}

func (o *other) Store(*plan.Store) (keyed.Any, error) { return nil, nil }
func (o *other) Fail(err error)                       { o.failed = err }

// TestStoresOfAnotherTypeAreErrors gives a handle a store that is not its own. Seen to fail: an unchecked assertion.
func TestStoresOfAnotherTypeAreErrors(t *testing.T) {
	o := &other{}
	if _, err := count("s").Get(topology.NewContext(o), "k"); err == nil || o.failed == nil {
		t.Errorf("%v, %v", err, o.failed)
	}
}

// TestValuesOfAnotherTypeOnAnEdgeAreErrors hands a node what its edge cannot carry. Seen to fail: an unchecked assertion.
func TestValuesOfAnotherTypeOnAnEdgeAreErrors(t *testing.T) {
	e := topology.Edge[int]("e")
	p := mustPlan(t, topology.Define("t",
		topology.Node("a", topology.On(text("a.b.v1"), pass[string]), topology.Emits(e)),
		topology.Node("b", topology.On(e, pass[int]))))
	h := p.Subgraphs[0].Nodes[1].Reads[0]
	if err := h.Value(plan.Call{}, "k", "text"); err == nil {
		t.Error("a string went down an edge of ints")
	}
	if err := h.Value(plan.Call{}, "k", 1); err != nil {
		t.Error(err)
	}
}
