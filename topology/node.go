package topology

import (
	"fmt"
	"time"
)

// NodeSpec is a node for [Define]. [Node] makes it.
type NodeSpec = Part

// Part is one part of a node: [On], [Uses], [Emits], [Retry], [Timeout], [DeadLetter] or [PassHeaders].
//
// A node is a part of a topology, and so is a [Retry], [Timeout], [DeadLetter] or [PassHeaders] that stands beside the nodes: it holds
// for every node that says nothing of its kind.
type Part struct {
	add        func(*node)
	node       *node // of a node
	everywhere bool  // may stand beside the nodes
}

const readsNil = "reads a nil handle"

// node is a node as it was declared, mistakes included.
type node struct {
	name     string
	reads    []Handler
	stores   []*StoreDecl
	outputs  []Output
	retries  []Backoff
	timeouts []time.Duration
	dead     []string
	passes   []string  // headers of the input
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
			n.mistake("has an empty part", "make parts with On, Uses, Emits, Retry, Timeout, DeadLetter and PassHeaders")
			continue
		}
		p.add(n)
	}
	return NodeSpec{node: n}
}

// Source is what [On] reads: a stream or an edge with values of type T.
type Source[T any] interface {
	// handler is a Handler without its Node; an empty one when the handle is nil.
	handler(fn func(Context, string, T) error, tombstone func(Context, string) error) Handler
}

// Target is what [Emits] accepts: a stream or an edge.
type Target interface{ target() Output }

// Keyed is what [Uses] accepts: a store.
type Keyed interface{ keyed() *StoreDecl }

// On makes the node read a stream or an edge. fn is called for one record at a time; records of one key come in the
// order of their offsets. What it returns decides what becomes of the record, see the package's documentation; a panic is
// an error of the record.
func On[T any](in Source[T], fn func(ctx Context, key string, v T) error, opts ...OnOption) Part {
	return Part{add: func(n *node) {
		var tombstone func(Context, string) error
		for _, o := range opts {
			if o.tombstone != nil {
				tombstone = o.tombstone
			}
		}
		var h Handler
		if in != nil {
			h = in.handler(fn, tombstone)
		}
		switch {
		case h.Stream == nil && h.Edge == nil:
			n.mistake(readsNil, "declare the stream or edge before the node")
			return
		case h.Edge != nil && len(opts) > 0:
			n.mistake(fmt.Sprintf("has a Tombstone function for edge %s", h.Edge.Name),
				"leave it out: edges carry values only")
		case fn == nil:
			n.mistake(fmt.Sprintf("has no function for %s", OutputName(h.input())), "give On a function")
		}
		for _, o := range opts {
			if o.tombstone == nil {
				n.mistake(fmt.Sprintf("has a nil Tombstone function for %s", OutputName(h.input())),
					"give Tombstone a function or leave it out")
			}
		}
		n.reads = append(n.reads, h)
	}}
}

// OnOption changes how [On] reads.
type OnOption struct {
	tombstone func(Context, string) error
}

// Tombstone handles the records of a stream that have no value, or with JSON one of null where null is no value of the
// type: some producers write that for nil. Without it such a record is a dead letter.
func Tombstone(fn func(ctx Context, key string) error) OnOption { return OnOption{fn} }

// Uses gives the node stores to read and write.
func Uses(stores ...Keyed) Part {
	return Part{add: func(n *node) {
		for _, s := range stores {
			var d *StoreDecl
			if s != nil {
				d = s.keyed()
			}
			if d == nil {
				n.mistake("uses a nil store", "declare the store before the node")
				continue
			}
			n.stores = append(n.stores, d)
		}
	}}
}

// Emits gives the node streams and edges to write to.
func Emits(targets ...Target) Part {
	return Part{add: func(n *node) {
		for _, t := range targets {
			var o Output
			if t != nil {
				o = t.target()
			}
			if o == nil {
				n.mistake("emits to a nil handle", "declare the stream or edge before the node")
				continue
			}
			n.outputs = append(n.outputs, o)
		}
	}}
}

// Retry says how often and when a record is tried again for which the node returned an error that is neither rejected
// nor fatal. Only the record's partition waits. Default: the zero Backoff.
func Retry(b Backoff) Part {
	return Part{add: func(n *node) { n.retries = append(n.retries, b) }, everywhere: true}
}

// Timeout is how long one call of the node may take, by the real clock. Then its Context ends, and the record fails as with any error,
// whatever the call returns but that the record is rejected or the program wrong: [Retry] says what follows. The call is waited for: one
// that does not heed its Context holds up its worker's partitions, and is reported with its stack. Default: any time.
func Timeout(d time.Duration) Part {
	return Part{add: func(n *node) { n.timeouts = append(n.timeouts, d) }, everywhere: true}
}

// DeadLetter is the topic to which records go that failed in this node. Default: the input stream's name and ".dlq".
func DeadLetter(topic string) Part {
	return Part{add: func(n *node) { n.dead = append(n.dead, topic) }, everywhere: true}
}
