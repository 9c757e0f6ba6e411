package topology

import (
	"slices"
	"time"

	"github.com/weirstream/weir/state"
)

// Plan is a checked topology in the form in which an engine runs it. Its order is stable: the order of declaration,
// which is the same in every process that runs the same program.
type Plan struct {
	Topology  string
	Subgraphs []*Subgraph
	Topics    []Topic
}

// Subgraph is a connected part of a topology. Its inputs have the same number of partitions, and partition p of all of
// them is one task. Two nodes are connected when they read the same stream or when an edge leads from one to the other.
type Subgraph struct {
	Index  int
	Inputs []*StreamDecl
	Nodes  []*NodeDecl
	Stores []*StoreDecl
}

// NodeDecl is a node as declared.
type NodeDecl struct {
	Name       string
	Reads      []Handler
	Stores     []*StoreDecl
	Outputs    []Output      // streams and edges, in order
	Retry      Backoff       // with defaults filled in
	Timeout    time.Duration // of a call; 0 for any time
	DeadLetter string        // the topic for failed records; empty means <input stream>.dlq
	// PassHeaders are the headers of input records that go along with what the node emits, see Passes.
	PassHeaders []string
}

// Handler is one On of a node: exactly one of Stream and Edge is set.
type Handler struct {
	Node   *NodeDecl
	Stream *StreamDecl
	Edge   *EdgeDecl
	// Record decodes a stream's value and calls the node's function. A value that cannot be decoded is a *DecodeError.
	Record func(ctx Context, key string, value []byte) error
	// Value calls the node's function with what an edge carried.
	Value func(ctx Context, key string, value any) error
}

// input is the stream or edge that the handler reads.
func (h Handler) input() Output {
	if h.Edge != nil {
		return h.Edge
	}
	return h.Stream
}

// DeadLetterFor is the topic to which a record of the input stream goes that failed in this node.
func (n *NodeDecl) DeadLetterFor(input string) string {
	if n.DeadLetter != "" {
		return n.DeadLetter
	}
	return input + ".dlq"
}

// Users are the nodes of the sub-graph that use the store.
func (g *Subgraph) Users(store *StoreDecl) []*NodeDecl {
	var users []*NodeDecl
	for _, n := range g.Nodes {
		if slices.Contains(n.Stores, store) {
			users = append(users, n)
		}
	}
	return users
}

// Output is what a node writes to: a *StreamDecl or an *EdgeDecl.
type Output interface{ outputName() string }

// OutputName is the name of a stream or edge.
func OutputName(o Output) string {
	if o == nil {
		return ""
	}
	return o.outputName()
}

// StreamDecl is a [StreamOf] without its type.
type StreamDecl struct {
	Name           string
	Foreign        bool          // outside the entity.event_type.vN rule
	Type           string        // of the values, in Go's words
	Codec          string        // name of the values' codec
	KeyCodec       string        // name of the keys' codec
	Subject        string        // of the values in a schema registry
	Owner          string        // empty: none is named
	Partitions     int32         // 0: not stated
	Retention      time.Duration // 0: not stated
	Compacted      bool
	Tiered         bool
	LocalRetention time.Duration // 0: not stated

	checkKey func(string) error // nil: any string is a key
	mistakes []Mistake          // of its options
	noCodec  bool
}

// EdgeDecl is an [EdgeOf] without its type.
type EdgeDecl struct {
	Name string
	Type string // of the values, in Go's words
}

// StoreDecl is a [StoreOf] without its type.
type StoreDecl struct {
	Name string
	Type string // of the values, in Go's words
	// Open opens the store's database with the handle's codec.
	Open    func(state.Options) (state.Table, error)
	noCodec bool
}

func (d *StreamDecl) outputName() string { return d.Name }
func (d *EdgeDecl) outputName() string   { return d.Name }

// Backoff says how often and when a failed record is tried again: Attempts tries in all, the first repetition after
// First, each later one after twice the time before, at most Max.
type Backoff struct {
	Attempts int           // default 3, counting the first try
	First    time.Duration // default 100ms
	Max      time.Duration // default 10s
}

const (
	defaultAttempts = 3
	defaultFirst    = 100 * time.Millisecond
	defaultMax      = 10 * time.Second
)

// withDefaults fills in what is left out. A Max below the default First, or a First above the default Max, pulls the
// other with it.
func (b Backoff) withDefaults() Backoff {
	if b.Attempts == 0 {
		b.Attempts = defaultAttempts
	}
	if b.First == 0 {
		b.First = defaultFirst
		if b.Max > 0 {
			b.First = min(b.First, b.Max)
		}
	}
	if b.Max == 0 {
		b.Max = max(defaultMax, b.First)
	}
	return b
}

// Topic is one topic of a plan.
type Topic struct {
	Name  string
	Role  Role
	Store string // of a changelog
	// Stream is what an input or an output was declared as, which says what of the rest is stated and what is a default.
	Stream *StreamDecl
	// PartitionsOf is the name of the input whose partition count the topic takes over, or empty when the count is its own.
	PartitionsOf string
	// Partitions is the count that is stated, by the topic's stream or by the input of PartitionsOf; 0 when none is.
	Partitions     int32
	Written        bool          // by this topology: outputs and what it owns, and an input that a node also emits to
	Cleanup        string        // "delete", "compact" or "compact,delete"
	Retention      time.Duration // 0: the broker's default, Forever: records are not deleted for their age
	Tiered         bool          // older records go to remote storage
	LocalRetention time.Duration // of a tiered topic; 0: the broker's default
	MaxMessage     int           // max.message.bytes to make it with; 0: the broker's default
}

// Role says what a topology does with a topic.
type Role int8

// A topology reads inputs, writes outputs and dead letters, and owns changelogs.
const (
	Input Role = iota
	OutputTopic
	DeadLetterTopic
	Changelog
)
