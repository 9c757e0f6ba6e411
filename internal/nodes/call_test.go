package nodes_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// LevelDB's pool of buffers goes away up to a second after its database was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

type order struct {
	Seq    int64  `json:"seq"`
	Amount int64  `json:"amount"`
	Note   string `json:"note,omitempty"`
}

type total struct {
	LastSeq int64  `json:"last_seq"`
	Count   int64  `json:"count"`
	Sum     int64  `json:"sum"`
	Note    string `json:"note,omitempty"`
}

// stores is the State of a test.
type stores []keyed.Any

func (t stores) Mark(into []int) []int {
	for _, st := range t {
		into = append(into, st.Mark())
	}
	return into
}

func (t stores) Undo(marks []int) {
	for i, st := range t {
		st.Undo(marks[i])
	}
}

func (t stores) Store(i int) keyed.Any { return t[i] }

// open resolves a topology of one sub-graph.
func open(t testing.TB, parts ...topology.NodeSpec) (*nodes.Call, *nodes.Source, stores) {
	plan, err := topology.Define("t", parts...).Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	g := nodes.NewGraph(plan)
	var all stores
	for _, s := range plan.Subgraphs[0].Stores {
		db, err := state.Open(state.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		store := s.Over(db)
		t.Cleanup(func() { store.Close() })
		all = append(all, store)
	}
	return nodes.NewCall(g, nodes.Env{}), g.Subgraphs[0].Sources[0], all
}

// TestAContextThatIsUsedLaterIsNoRace uses Contexts of calls that have returned from many goroutines, while records go on:
// the race detector looks on. Nothing of it is done, and records fail for it.
//
// Mutation tried: a generation that is no atomic, under the race detector; runtime without its case of ended.
func TestAContextThatIsUsedLaterIsNoRace(t *testing.T) {
	in, out := topology.Stream("a.b.v1", codecs.String()), topology.Stream("a.c.v1", codecs.String())
	store := topology.Store("s", codecs.String())
	var kept topology.Context
	call, source, all := open(t, topology.Node("n", topology.On(in, func(ctx topology.Context, key, v string) error {
		if v == "keep" {
			kept = ctx
		}
		store.Set(ctx, key, v)
		out.Emit(ctx, key, v)
		return nil
	}), topology.Uses(store), topology.Emits(out)))
	run := func(v string) *nodes.Failure {
		_, failure := call.Run(source, all, nodes.Record{}, []byte("k"), []byte(v))
		return failure
	}
	if f := run("keep"); f != nil {
		t.Fatal(f)
	}
	var leaks sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		leaks.Go(func() {
			for first := true; ; first = false {
				select {
				case <-stop:
					if !first {
						return
					}
				default:
				}
				out.Emit(kept, "late", "late")
				store.Set(kept, "late", "late")
				if _, err := store.Get(kept, "k"); err == nil {
					t.Error("a late Get is answered")
				}
				for range store.Prefix(kept, "") {
					t.Error("a late loop goes round")
				}
			}
		})
	}
	failed := 0
	for range 2000 {
		f := run("v")
		if f == nil {
			if e := call.Effects(); len(e) != 1 || e[0].Key != "k" {
				t.Fatalf("effects of a record: %v", e)
			}
			continue
		}
		failed++
		var late *topology.LateError
		if !errors.As(f.Err, &late) || late.Node != "n" || f.Reason != nodes.Late || len(call.Effects()) != 0 {
			t.Fatalf("%v with %v", f, call.Effects())
		}
	}
	close(stop)
	leaks.Wait()
	if failed == 0 {
		if f := run("v"); f == nil {
			t.Error("no record failed")
		}
	}
	if _, ok, err := all[0].(*keyed.Store[string]).Get("late"); ok || err != nil {
		t.Errorf("a late Set was done: %v", err)
	}
}

// TestEffectsKnowTheirNode has nodes on one stream and behind an edge; one that drops the record leaves nothing.
//
// Mutation tried: Emit with the source's first node.
func TestEffectsKnowTheirNode(t *testing.T) {
	in, out, edge := topology.Stream("a.b.v1", codecs.String()), topology.Stream("a.c.v1", codecs.String()), topology.Edge[string]("e")
	emit := func(ctx topology.Context, key, v string) error { out.Emit(ctx, key, v); return nil }
	call, source, all := open(t,
		topology.Node("first", topology.On(in, emit), topology.Emits(out)),
		topology.Node("dropper", topology.On(in, func(ctx topology.Context, key, v string) error {
			out.Emit(ctx, key, v)
			edge.Emit(ctx, key, v)
			return ctx.Drop(topology.Filtered)
		}), topology.Emits(out, edge)),
		topology.Node("third", topology.On(in, func(ctx topology.Context, key, v string) error {
			edge.Emit(ctx, key, v)
			return nil
		}), topology.Emits(edge)),
		topology.Node("behind", topology.On(edge, emit), topology.Emits(out)))
	o, f := call.Run(source, all, nodes.Record{}, nil, []byte("v"))
	var names []string
	for _, e := range call.Effects() {
		names = append(names, e.Node.Decl.Name)
	}
	if want := []string{"first", "behind"}; f != nil || o != nodes.Processed || !slices.Equal(names, want) {
		t.Errorf("effects of %v, want %v (%v, %v)", names, want, o, f)
	}
}

// BenchmarkCall is what a record costs between the input and the sink: decoding, the node of the reference job, its store
// and its output, without the commit.
func BenchmarkCall(b *testing.B) {
	placed, totals := topology.Stream("order.placed.v1", codecs.JSON[order]()), topology.Stream("customer.total.v1", codecs.JSON[total]())
	store := topology.Store("totals", codecs.JSON[total]())
	call, source, all := open(b, topology.Node("accumulate",
		topology.On(placed, func(ctx topology.Context, key string, o order) error {
			t, err := store.Get(ctx, key)
			if err != nil {
				return err
			}
			t.LastSeq, t.Count, t.Sum = o.Seq, t.Count+1, t.Sum+o.Amount
			store.Set(ctx, key, t)
			totals.Emit(ctx, key, t)
			return nil
		}), topology.Uses(store), topology.Emits(totals)))
	var st nodes.State = all
	key, value := []byte("customer-1"), []byte(`{"seq":7,"amount":1999}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, failure := call.Run(source, st, nodes.Record{Record: plan.Record{Timestamp: time.UnixMilli(1)}}, key, value); failure != nil {
			b.Fatal(failure)
		}
		call.Undo()
	}
}

// An idempotency key is of the cluster, the topology, the node and the record, and of nothing else: not of the try, and not of the names'
// lengths alone.
//
// Mutations, each seen to fail it: each part left out; names without their lengths.
func TestAnIdempotencyKeyIsOfTheRecordAndTheNode(t *testing.T) {
	key := func(cluster, name, node string, r nodes.Record) (key string) {
		in := topology.Stream("a.b.v1", codecs.String())
		plan, err := topology.Define(name, topology.Node(node, topology.On(in, func(ctx topology.Context, _, _ string) error {
			key = ctx.IdempotencyKey()
			return nil
		}))).Plan(plan.Names{})
		if err != nil {
			t.Fatal(err)
		}
		g := nodes.NewGraph(plan)
		if _, failure := nodes.NewCall(g, nodes.Env{Cluster: cluster, Group: name}).Run(g.Subgraphs[0].Sources[0], stores{}, r, []byte("k"), []byte("v")); failure != nil {
			t.Fatal(failure)
		}
		return key
	}
	r := nodes.Record{Record: plan.Record{Topic: "a.b.v1", Partition: 1, Offset: 2, Attempt: 1}, TopicID: "i"}
	with := func(change func(r *nodes.Record)) nodes.Record { o := r; change(&o); return o }
	first := key("c", "t", "n", r)
	seen := map[string]string{first: "the record"}
	for name, other := range map[string]string{
		"cluster":   key("d", "t", "n", r),
		"topology":  key("c", "u", "n", r),
		"node":      key("c", "t", "m", r),
		"lengths":   key("ct", "n", "n", r),
		"lengths 2": key("c", "tn", "n", r),
		"topic":     key("c", "t", "n", with(func(r *nodes.Record) { r.Topic = "a.c.v1" })),
		"partition": key("c", "t", "n", with(func(r *nodes.Record) { r.Partition = 3 })),
		"topic id":  key("c", "t", "n", with(func(r *nodes.Record) { r.TopicID = "j" })),
		"offset":    key("c", "t", "n", with(func(r *nodes.Record) { r.Offset = 3 })),
	} {
		if was, twice := seen[other]; twice {
			t.Errorf("%s and %s have one key", was, name)
		}
		seen[other] = name
	}
	if again := key("c", "t", "n", with(func(r *nodes.Record) { r.Attempt, r.Timestamp = 2, time.UnixMilli(1) })); again != first {
		t.Error("another try has another key")
	}
}

// A node to which an edge brings several values of one record has a key for each, the same ones when it is done again; and the first is that
// of a node that is called once.
//
// Mutations, each seen to fail it: times that are not counted; that are not forgotten after the record.
func TestAnIdempotencyKeyIsOfOneValueOfAnEdge(t *testing.T) {
	in, edge := topology.Stream("a.b.v1", codecs.String()), topology.Edge[int]("e")
	var keys []string
	call, source, tbs := open(t,
		topology.Node("split", topology.On(in, func(ctx topology.Context, key, _ string) error {
			for i := range 3 {
				edge.Emit(ctx, key, i)
			}
			return nil
		}), topology.Emits(edge)),
		topology.Node("pay", topology.On(edge, func(ctx topology.Context, _ string, _ int) error {
			keys = append(keys, ctx.IdempotencyKey())
			return nil
		})))
	for range 2 {
		if _, failure := call.Run(source, tbs, nodes.Record{}, nil, []byte("v")); failure != nil {
			t.Fatal(failure)
		}
	}
	if again := slices.Equal(keys[:3], keys[3:]); !again || keys[0] == keys[1] || keys[1] == keys[2] {
		t.Errorf("keys %q", keys)
	}
}
