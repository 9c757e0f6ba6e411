package topology_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
)

type order struct{ Seq, Amount int64 }
type total struct{ LastSeq, Sum int64 }

// pass is a node's function that does nothing.
func pass[T any](topology.Context, string, T) error { return nil }

func text(name string, opts ...topology.StreamOption) *topology.StreamOf[string] {
	return topology.Stream(name, codecs.String(), opts...)
}

func count(name string) *topology.StoreOf[int64] { return topology.Store(name, codecs.Int64()) }

// good are the topologies that the goldens describe and draw.
var good = map[string]func() *topology.Topology{
	"one-node": func() *topology.Topology {
		placed := topology.Stream("order.placed.v1", codecs.JSON[order]())
		totals := topology.Stream("customer.total.v1", codecs.JSON[total](), topology.Retention(7*24*time.Hour))
		store := topology.Store("totals", codecs.JSON[total]())
		return topology.Define("customer-totals",
			topology.Node("accumulate",
				topology.On(placed, pass[order]),
				topology.Uses(store),
				topology.Emits(totals),
				topology.Retry(topology.Backoff{Attempts: 5, First: 100 * time.Millisecond, Max: 10 * time.Second}),
				topology.DeadLetter("order.placed.v1.dlq")))
	},
	// Two inputs, a branch of one node to two, a merge of two nodes to one, a store that two nodes share, and a node that
	// the records of one input never reach.
	"branch-merge": func() *topology.Topology {
		placed, cancelled := text("order.placed.v1"), text("order.cancelled.v1")
		out := text("order.settled.v1", topology.Retention(topology.Forever))
		large, small, settled := topology.Edge[string]("large"), topology.Edge[string]("small"), topology.Edge[[]byte]("settled")
		seen, sums := count("seen"), count("sums")
		return topology.Define("settlement",
			topology.Node("split",
				topology.On(placed, pass[string]),
				topology.On(cancelled, pass[string], topology.Tombstone(func(topology.Context, string) error { return nil })),
				topology.Uses(seen),
				topology.Emits(large, small)),
			topology.Node("review", topology.On(large, pass[string]), topology.Emits(settled),
				topology.Retry(topology.Backoff{Attempts: 1}), topology.DeadLetter("order.review.dlq")),
			topology.Node("accept", topology.On(small, pass[string]), topology.Uses(sums), topology.Emits(settled)),
			topology.Node("settle", topology.On(settled, pass[[]byte]), topology.Uses(sums, seen), topology.Emits(out)),
			topology.Node("audit", topology.On(cancelled, pass[string])))
	},
	// Three sub-graphs: two nodes that read one stream, one that reads the stream that these write, one that reads a topic
	// named by others.
	"several-sub-graphs": func() *topology.Topology {
		clicked, visited := text("page.clicked.v1"), text("page.visited.v2")
		legacy := topology.Stream("Legacy_Clicks", codecs.Bytes(), topology.Foreign())
		clicks, visits := count("clicks"), count("visits")
		return topology.Define("pages",
			topology.Node("import", topology.On(legacy, pass[[]byte])),
			topology.Node("count", topology.On(clicked, pass[string]), topology.Uses(clicks)),
			topology.Node("end", topology.On(visited, pass[string]), topology.Uses(visits)),
			topology.Node("sessions", topology.On(clicked, pass[string]), topology.Emits(visited)))
	},
	// Everything that streams can say of their topics: the second input states the count of the first one, too.
	"streams-that-say-more": func() *topology.Topology {
		placed := topology.Stream("order.placed.v1", codecs.JSON[order](), topology.Retention(30*24*time.Hour), topology.Tiered(),
			topology.LocalRetention(24*time.Hour), topology.Owner("team orders <orders@example.com>"))
		legacy := topology.Stream("Legacy_Orders", codecs.FromGoka[int64](int64Codec{}), topology.Foreign(), topology.Partitions(12),
			topology.KeyCodec(codecs.Int64()), topology.Subject("com.example.LegacyOrder"), topology.Tiered())
		latest := topology.Stream("customer.latest.v1", codecs.JSON[total](), topology.Compacted(), topology.Partitions(6))
		recent := topology.Stream("customer.recent.v1", codecs.JSON[total](), topology.Compacted(), topology.Retention(36*time.Hour))
		kept := topology.Stream("customer.kept.v1", codecs.JSON[total](), topology.Compacted(), topology.Retention(topology.Forever))
		return topology.Define("says-more",
			topology.Node("n", topology.On(placed, pass[order]), topology.On(legacy, pass[int64]), topology.Uses(count("seen")),
				topology.Emits(latest, recent, kept)))
	},
	// A node that knows ids, one after an edge that knows numbers.
	"deduplicated": func() *topology.Topology {
		placed, accepted := topology.Stream("order.placed.v1", codecs.JSON[order]()), topology.Edge[order]("accepted")
		store := topology.Store("totals", codecs.JSON[total]())
		return topology.Define("once",
			topology.Node("accept", topology.On(placed, pass[order]), topology.Emits(accepted),
				topology.Dedup(func(topology.Context, string, order) (string, error) { return "", nil }, 36*time.Hour)),
			topology.Node("add", topology.DedupSequence(store, func(_ topology.Context, _ string, o order) (int64, error) { return o.Seq, nil },
				func(t total) int64 { return t.LastSeq }), topology.On(accepted, pass[order]), topology.Uses(store)))
	},
	// A global that two nodes of different sub-graphs look up, and one whose topic the topology writes itself.
	"globals": func() *topology.Topology {
		in, other, out := text("order.placed.v1"), text("order.paid.v1"), text("rate.seen.v1", topology.Compacted())
		customers := topology.Global("customer.profile.v1", codecs.JSON[total](), topology.Owner("crm"))
		read, looked := text("fx.rate.v1"), topology.Global("fx.rate.v1", codecs.String())
		rates := topology.Global("rate.seen.v1", codecs.String())
		return topology.Define("look-ups",
			topology.Node("a", topology.On(in, pass[string]), topology.Uses(count("seen"), customers), topology.Emits(out)),
			topology.Node("b", topology.On(other, pass[string]), topology.Uses(rates, customers)),
			topology.Node("c", topology.On(read, pass[string]), topology.Uses(looked)))
	},
}

// int64Codec is a codec that comes from goka.
type int64Codec struct{}

func (int64Codec) Encode(any) ([]byte, error) { return nil, nil }
func (int64Codec) Decode([]byte) (any, error) { return nil, nil }

// bad are the topologies that Check refuses; the golden has the whole error of each.
var bad = map[string]func() *topology.Topology{
	"nil":   func() *topology.Topology { return nil },
	"empty": func() *topology.Topology { return topology.Define("") },
	"names": func() *topology.Topology {
		long := strings.Repeat("x", 250)
		return topology.Define("my topology",
			topology.Node("", topology.On(text("a.b.v1"), pass[string])),
			topology.Node("..", topology.On(text("a.c.v1"), pass[string])),
			topology.Node(`quo"te`, topology.On(text("a.d.v1"), pass[string])),
			topology.Node("streams",
				topology.On(text("orders"), pass[string]),
				topology.On(text("Order.Placed.v1"), pass[string]),
				topology.On(text("order.placed.v0"), pass[string]),
				topology.On(text("order.placed"), pass[string]),
				topology.On(text(""), pass[string]),
				topology.On(text("or der", topology.Foreign()), pass[string]),
				topology.On(text(long, topology.Foreign()), pass[string])),
			topology.Node("others",
				topology.On(topology.Edge[string]("ed/ge"), pass[string]),
				topology.Uses(count("st ore"), count(".")),
				topology.DeadLetter("dead letters")))
	},
	"nodes without a name": func() *topology.Topology {
		back, store := topology.Edge[string]("back"), count("st ore")
		return topology.Define("t",
			topology.Node("", topology.On(text("a.b.v1"), pass[string]), topology.On(text("a.b.v1"), pass[string]),
				topology.On(nil, pass[string]), topology.On(back, pass[string]), topology.Emits(back)),
			topology.Node("", topology.Uses(store)),
			topology.Node("x", topology.On(text("a.c.v1"), pass[string]), topology.Uses(store)))
	},
	"globals": func() *topology.Topology {
		twice := topology.Global("a.g.v1", codecs.String())
		return topology.Define("t",
			topology.Node("a", topology.On(text("a.b.v1"), pass[string]), topology.Uses((*topology.GlobalOf[string])(nil), twice, twice)),
			topology.Node("b", topology.On(text("a.b.v1.dlq", topology.Foreign()), pass[string]), topology.Uses(topology.Global("a.g.v1", codecs.Int64()),
				topology.Global[string]("a.h.v1", nil), topology.Global("other", codecs.String()), topology.Global("a.i.v1", codecs.String(), topology.Tiered()))),
			topology.Node("c", topology.On(text("a.c.v1"), pass[string]), topology.Uses(topology.Global("a.c.v1.dlq", codecs.Bytes(), topology.Foreign())),
				topology.Emits(topology.Stream("a.k.v1", codecs.Int64()), text("_weir.jobs", topology.Foreign()), text("a.l.v1", topology.Partitions(3)))),
			topology.Node("e", topology.On(text("a.e.v1"), pass[string]), topology.Uses(topology.Global("a.l.v1", codecs.String(), topology.Owner("o")))),
			topology.Node("d", topology.On(text("a.d.v1"), pass[string]), topology.Uses(topology.Global("a.k.v1", codecs.String()))))
	},
	"duplicates": func() *topology.Topology {
		return topology.Define("t",
			topology.Node("a", topology.On(text("a.b.v1"), pass[string]), topology.Uses(count("s"), topology.Store("n", codecs.String())),
				topology.Emits(text("a.out.v1"), topology.Edge[int]("e"))),
			topology.Node("a", topology.On(text("a.b.v1"), pass[string]), topology.On(topology.Edge[int]("e"), pass[int])),
			topology.Node("b", topology.On(topology.Stream("a.b.v1", codecs.Int64()), pass[int64]),
				topology.Uses(count("s"), count("n")),
				topology.Emits(text("a.out.v1"))),
			topology.Node("c", topology.On(text("a.c.v1"), pass[string]), topology.Emits(topology.Edge[string]("a.out.v1"))))
	},
	"twice on a node": func() *topology.Topology {
		in, out, s := text("a.b.v1"), text("a.c.v1"), count("s")
		return topology.Define("t",
			topology.Node("n",
				topology.On(in, pass[string]), topology.On(in, pass[string]), topology.On(in, pass[string]),
				topology.Uses(s), topology.Uses(s),
				topology.Emits(out, out),
				topology.Retry(topology.Backoff{}), topology.Retry(topology.Backoff{}),
				topology.DeadLetter("x"), topology.DeadLetter("y")))
	},
	"nil parts": func() *topology.Topology {
		var stream *topology.StreamOf[string]
		var edge *topology.EdgeOf[string]
		var store *topology.StoreOf[string]
		var codec *codecs.JSONCodec[string]
		return topology.Define("t",
			topology.NodeSpec{},
			topology.Node("nothing"),
			topology.Node("parts", topology.Part{}, topology.On(text("a.b.v1"), pass[string])),
			topology.Node("on", topology.On(nil, pass[string])),
			topology.Node("typed", topology.On(stream, pass[string]), topology.On(edge, pass[string]),
				topology.Uses(store, nil), topology.Emits(stream, edge, nil)),
			topology.Node("functions", topology.On(text("a.c.v1"), nil), topology.On(text("a.d.v1"), pass[string], topology.OnOption{}),
				topology.On(text("a.e.v1"), pass[string], topology.Tombstone(nil))),
			topology.Node("codecs",
				topology.On(topology.Stream[string]("a.f.v1", nil), pass[string]),
				topology.Emits(topology.Stream[string]("a.g.v1", codec)),
				topology.Uses(topology.Store[string]("s", nil), topology.Store("u", codecs.FromGoka[string](nil)))))
	},
	"edges": func() *topology.Topology {
		unread, unwritten, alive := topology.Edge[string]("unread"), topology.Edge[string]("unwritten"), topology.Edge[string]("alive")
		return topology.Define("t",
			topology.Node("a", topology.On(text("a.b.v1"), pass[string]), topology.Emits(unread, alive)),
			topology.Node("b", topology.On(unwritten, pass[string])),
			topology.Node("c", topology.On(alive, pass[string], topology.Tombstone(func(topology.Context, string) error { return nil }))))
	},
	"cycles": func() *topology.Topology {
		in, out := text("a.in.v1"), text("a.out.v1")
		e, f := topology.Edge[string]("e"), topology.Edge[string]("f")
		own := text("a.own.v1")
		return topology.Define("t",
			topology.Node("first", topology.On(in, pass[string]), topology.Emits(e)),
			topology.Node("second", topology.On(e, pass[string]), topology.Emits(out)),
			topology.Node("third", topology.On(out, pass[string]), topology.Emits(in)),
			topology.Node("self", topology.On(own, pass[string]), topology.Emits(own)),
			topology.Node("self-edge", topology.On(f, pass[string]), topology.Emits(f)))
	},
	"deduplication": func() *topology.Topology {
		id := func(topology.Context, string, string) (string, error) { return "", nil }
		number := func(topology.Context, string, string) (int64, error) { return 0, nil }
		last := func(n int64) int64 { return n }
		s := count("s")
		return topology.Define("t",
			topology.Node("window", topology.On(text("a.a.v1"), pass[string]), topology.Dedup(id, 0)),
			topology.Node("function", topology.On(text("a.b.v1"), pass[string]), topology.Dedup[string](nil, time.Hour)),
			topology.Node("type", topology.On(text("a.c.v1"), pass[string]), topology.On(topology.Stream("a.d.v1", codecs.Int64()), pass[int64]), topology.Dedup(id, time.Hour)),
			topology.Node("both", topology.On(text("a.e.v1"), pass[string]), topology.Dedup(id, time.Hour), topology.DedupSequence(s, number, last), topology.Uses(s)),
			topology.Node("unused", topology.On(text("a.f.v1"), pass[string]), topology.DedupSequence(count("u"), number, last)),
			topology.Node("nothing", topology.On(text("a.g.v1"), pass[string]), topology.DedupSequence[string, int64](nil, nil, last)),
			topology.Node("name", topology.On(text("a.h.v1"), pass[string]), topology.Dedup(id, time.Hour), topology.Uses(count("name-ids"))),
			topology.Dedup(id, time.Hour))
	},
	"shared store": func() *topology.Topology {
		shared, fine := count("shared"), count("fine")
		a := text("a.a.v1")
		return topology.Define("t",
			topology.Node("a", topology.On(a, pass[string]), topology.Uses(shared, fine)),
			topology.Node("b", topology.On(text("a.b.v1"), pass[string]), topology.Uses(shared)),
			topology.Node("c", topology.On(a, pass[string]), topology.Uses(fine)),
			topology.Node("d", topology.On(text("a.d.v1"), pass[string]), topology.Uses(shared)))
	},
	"backoff": func() *topology.Topology {
		node := func(name string, b topology.Backoff) topology.NodeSpec {
			return topology.Node(name, topology.On(text("a."+name+".v1"), pass[string]), topology.Retry(b))
		}
		return topology.Define("t",
			node("attempts", topology.Backoff{Attempts: -1}),
			node("first", topology.Backoff{First: -time.Second}),
			node("max", topology.Backoff{Max: -time.Second}),
			node("order", topology.Backoff{First: time.Minute, Max: time.Second}),
			node("long", topology.Backoff{Max: 48 * time.Hour}),
			node("long-first", topology.Backoff{First: 25 * time.Hour}),
			node("fine", topology.Backoff{First: time.Minute}),
			node("finer", topology.Backoff{Max: time.Millisecond}))
	},
	"topics that collide": func() *topology.Topology {
		in, long := text("a.in.v1"), text("a."+strings.Repeat("x", 241)+".v1")
		return topology.Define("t",
			topology.Node("input", topology.On(in, pass[string]), topology.DeadLetter("a.in.v1"), topology.Uses(count("s"))),
			topology.Node("output", topology.On(in, pass[string]), topology.DeadLetter("a.out.v1"), topology.Emits(text("a.out.v1"))),
			topology.Node("default", topology.On(text("a.c.v1"), pass[string]), topology.Emits(text("a.c.v1.dlq", topology.Foreign()))),
			topology.Node("changelog", topology.On(text("a.d.v1"), pass[string]), topology.DeadLetter("t-s-changelog")),
			topology.Node("writes", topology.On(text("a.e.v1"), pass[string]), topology.Uses(count("w")),
				topology.Emits(text("t-w-changelog", topology.Foreign()))),
			topology.Node("long", topology.On(long, pass[string])),
			topology.Node("longer", topology.On(text("a.f.v1"), pass[string]), topology.Uses(count(strings.Repeat("y", 240)))),
			topology.Node("dots", topology.On(text("a_g.v1", topology.Foreign()), pass[string]), topology.DeadLetter("x"),
				topology.Emits(text("a.g.v1"))))
	},
	"empty dead letter": func() *topology.Topology {
		return topology.Define("t", topology.Node("n", topology.On(text("a.b.v1"), pass[string]), topology.DeadLetter("")))
	},
	"stream options": func() *topology.Topology {
		var codec *codecs.JSONCodec[string]
		var parts []topology.Part
		for i, options := range [][]topology.StreamOption{
			{topology.Retention(time.Microsecond)}, {topology.Retention(0)}, {topology.Retention(-time.Hour)},
			{topology.Partitions(0)}, {topology.Partitions(-3)},
			{topology.Tiered(), topology.Compacted()},
			{topology.LocalRetention(time.Hour)},
			{topology.Tiered(), topology.LocalRetention(0)}, {topology.Tiered(), topology.LocalRetention(topology.Forever)},
			{topology.Tiered(), topology.Retention(time.Hour), topology.LocalRetention(61 * time.Minute)},
			{topology.KeyCodec[string](nil)}, {topology.KeyCodec[string](codec)},
			{topology.Subject("")}, {topology.Subject("a\nb")}, {topology.Owner(" ")}, {topology.Owner("\x1b[31mred")},
			{topology.Tiered(), topology.Retention(topology.Forever), topology.LocalRetention(time.Hour)},                        // right
			{topology.Tiered(), topology.Retention(time.Hour), topology.LocalRetention(time.Hour), topology.Owner("Größe & Co")}, // right
			{topology.Retention(time.Hour), topology.Retention(topology.Forever), topology.Compacted()},                          // right
		} {
			parts = append(parts, topology.Node(fmt.Sprint("n", i), topology.On(text(fmt.Sprintf("a.n%d.v1", i), options...), pass[string])))
		}
		return topology.Define("t", parts...)
	},
	"streams that say different things": func() *topology.Topology {
		return topology.Define("t",
			topology.Node("a", topology.On(text("a.b.v1", topology.Retention(time.Hour)), pass[string])),
			topology.Node("b", topology.On(text("a.b.v1", topology.Compacted(), topology.Partitions(2), topology.Retention(topology.Forever),
				topology.KeyCodec(codecs.Int64()), topology.Subject("b"), topology.Owner("me"), topology.Foreign()), pass[string])),
			topology.Node("c", topology.On(text("a.b.v1", topology.Retention(time.Hour)), pass[string]),
				topology.Emits(text("a.c.v1"), text("a.c.v1", topology.Tiered(), topology.LocalRetention(time.Minute)))))
	},
	"counts that differ": func() *topology.Topology {
		four, five, free := text("a.four.v1", topology.Partitions(4)), text("a.five.v1", topology.Partitions(5)), text("a.free.v1")
		six, e := text("a.six.v1", topology.Partitions(6)), topology.Edge[string]("e")
		return topology.Define("t",
			topology.Node("reads", topology.On(free, pass[string]), topology.On(four, pass[string]), topology.Emits(six)),
			topology.Node("behind", topology.On(e, pass[string])),
			topology.Node("before", topology.On(five, pass[string]), topology.Emits(e)),
			topology.Node("joins", topology.On(free, pass[string]), topology.Emits(e)),
			topology.Node("alone", topology.On(six, pass[string])))
	},
}
