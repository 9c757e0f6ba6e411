package topology

import (
	"time"

	"github.com/weirstream/weir/internal/plan"
)

// NodeSpec is a node for [Define]. [Node] makes it.
type NodeSpec = Part

// Part is one part of a node: [On], [Uses], [Emits], [Dedup], [DedupSequence], [Retry], [RetryLater], [Parking], [Classify], [Timeout],
// [DeadLetter] or [PassHeaders].
//
// A node is a part of a topology, and so is each of them from Retry on that stands beside the nodes: it holds for every node
// that says nothing of its kind.
type Part struct {
	add        func(*node)
	node       *node // of a node
	everywhere bool  // may stand beside the nodes
}

// What is wrong with a part that was given a nil handle.
const (
	readsNil  = "reads a nil handle"
	emitsNil  = "emits to a nil handle"
	usesNil   = "uses a nil store"
	usesNilDo = "declare the store before the node"
)

// node is a node as it was declared, mistakes included.
type node struct {
	name     string
	reads    []plan.Handler
	stores   []*plan.Store
	globals  []*plan.Global
	services []*plan.Service
	outsides []*plan.Outside
	outputs  []plan.Output
	retries  []Backoff
	classify []func(error) Class
	later    [][]time.Duration
	parking  []bool
	timeouts []time.Duration
	dead     []string
	passes   []string  // headers of the input
	dedups   []deduper // at most one, but for mistakes
	mistakes []Mistake // those that only the parts know of
}

func (n *node) mistake(what, do string) {
	n.mistakes = append(n.mistakes, Mistake{Node: shown(n.name), What: what, Do: do})
}

// Node declares a step of a topology: what it reads and does (On), and what it uses and emits to.
func Node(name string, parts ...Part) NodeSpec {
	n := &node{name: name}
	for _, p := range parts {
		if p.node != nil {
			n.mistake("has node "+shown(p.node.name)+" among its parts", "give nodes to Define, side by side")
			continue
		}
		if p.add == nil {
			n.mistake("has an empty part", "make parts with On, Uses, Emits, Retry and the other functions that return a Part")
			continue
		}
		p.add(n)
	}
	if len(n.dedups) == 1 {
		n.dedups[0].joins(n)
	}
	return NodeSpec{node: n}
}

// read notes what the node reads.
func (n *node) read(h plan.Handler, noFunction bool) {
	if noFunction {
		n.mistake("has no function for "+plan.NameOf(h.Input()), "give On a function")
	}
	n.reads = append(n.reads, h)
}

// Source is what [On] reads: a stream or an edge with values of type T.
type Source[T any] interface {
	// readBy declares itself, or what is wrong with it, on a node that reads it.
	readBy(n *node, fn func(Context, string, T) error, opts onOptions)
	Name() string
}

// Target is what [Emits] accepts: a stream or an edge.
type Target interface {
	// writtenBy declares itself, or what is wrong with it, on a node that writes it.
	writtenBy(n *node)
}

// Usable is what [Uses] accepts: a store, a global, a service or a sink.
type Usable interface {
	// usedBy declares itself, or what is wrong with it, on a node that uses it.
	usedBy(n *node)
}

// On makes the node read a stream or an edge. fn is called for one record at a time; records of one key come in the
// order of their offsets. What it returns decides what becomes of the record, see the package's documentation; a panic is
// an error of the record.
func On[T any](in Source[T], fn func(ctx Context, key string, v T) error, opts ...OnOption) Part {
	return Part{add: func(n *node) {
		if in == nil {
			n.mistake(readsNil, "declare the stream or edge before the node")
			return
		}
		given := onOptions{given: len(opts) > 0}
		for _, o := range opts {
			if o.tombstone != nil {
				given.tombstone = o.tombstone
			}
		}
		known := len(n.reads)
		in.readBy(n, fn, given)
		for _, o := range opts {
			if o.tombstone == nil && len(n.reads) > known {
				n.mistake("has a nil Tombstone function for "+in.Name(), "give Tombstone a function or leave it out")
			}
		}
	}}
}

// OnOption changes how [On] reads.
type OnOption struct {
	tombstone func(Context, string) error
}

// onOptions are the options of an On together.
type onOptions struct {
	given     bool                        // there are some
	tombstone func(Context, string) error // nil: a tombstone is a mistake of the record
}

// Tombstone handles the records of a stream that have no value, or with JSON one of null where null is no value of the
// type: some producers write that for nil. Without it such a record is a dead letter.
func Tombstone(fn func(ctx Context, key string) error) OnOption { return OnOption{fn} }

// Uses gives the node stores to read and write, globals to look up, services to call, and sinks into systems besides Kafka.
func Uses(things ...Usable) Part {
	return Part{add: func(n *node) {
		for _, thing := range things {
			if thing == nil {
				n.mistake(usesNil, usesNilDo)
				continue
			}
			thing.usedBy(n)
		}
	}}
}

// Emits gives the node streams and edges to write to.
func Emits(targets ...Target) Part {
	return Part{add: func(n *node) {
		for _, target := range targets {
			if target == nil {
				n.mistake(emitsNil, "declare the stream or edge before the node")
				continue
			}
			target.writtenBy(n)
		}
	}}
}

// Timeout is how long one call of the node may take, by the real clock. Then its Context ends, and the record fails as with any error,
// whatever the call returns but that the record is rejected or the program wrong: [Retry] says what follows. The call is waited for: one
// that does not heed its Context holds up its worker's partitions, and is named in health and logged with its stack
// a second after its time; of each node one such call a minute is logged, with the number of the others. Default: any time.
func Timeout(d time.Duration) Part {
	return Part{add: func(n *node) { n.timeouts = append(n.timeouts, d) }, everywhere: true}
}

// DeadLetter is the topic to which records go that failed in this node. Default: the input stream's name and ".dlq".
func DeadLetter(topic string) Part {
	return Part{add: func(n *node) { n.dead = append(n.dead, topic) }, everywhere: true}
}
