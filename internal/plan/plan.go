package plan

import (
	"context"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/provenance"
	"github.com/weirstream/weir/internal/record"
)

// Plan is a checked topology. Its order is stable: the order of declaration, which is the same in every process that runs the
// same program.
type Plan struct {
	Topology  string
	Names     Names // what its topics and its group are called in the cluster
	Subgraphs []*Subgraph
	Globals   []*Global // of all nodes, once each
	Topics    []Topic
}

// New makes a Plan of sub-graphs and works out its topics.
func New(topology string, names Names, subgraphs []*Subgraph) *Plan {
	p := &Plan{Topology: topology, Names: names, Subgraphs: subgraphs}
	for _, g := range subgraphs {
		for _, n := range g.Nodes {
			for _, global := range n.Globals {
				if !slices.Contains(p.Globals, global) {
					p.Globals = append(p.Globals, global)
				}
			}
		}
	}
	p.Topics = p.topics()
	return p
}

// Group is the consumer group, the first part of transactional ids, and the folder of the topology's state.
func (p *Plan) Group() string { return p.Names.Group(p.Topology) }

// Topic is what the stream's topic is called.
func (p *Plan) Topic(s *Stream) string { return p.Names.Topic(s) }

// DeadLetter is the topic to which a record of the input goes that failed in the node.
func (p *Plan) DeadLetter(n *Node, input *Stream) string { return p.Names.DeadLetter(n, input) }

// Retry is the topic where records of an input are delayed.
func (p *Plan) Retry(input *Stream, delay time.Duration) string {
	return p.Names.Retry(p.Topology, input, delay)
}

// Redrive is the topic through which dead letters of an input come back.
func (p *Plan) Redrive(input *Stream) string { return p.Names.Redrive(p.Topology, input) }

// Changelog is the compacted topic behind a store.
func (p *Plan) Changelog(store *Store) string { return p.Names.Changelog(p.Topology, store.Name) }

// Own says that a store is Weir's own: ids that a node knows, or records whose key is parked. Its authors have not declared it.
func (p *Plan) Own(store *Store) bool {
	for _, g := range p.Subgraphs {
		if store == g.Parked {
			return true
		}
		for _, n := range g.Nodes {
			if n.Dedup != nil && n.Dedup.Window > 0 && n.Dedup.Store == store {
				return true
			}
		}
	}
	return false
}

// Subgraph is a connected part of a topology. Its inputs have the same number of partitions, and partition p of all of
// them is one task. Two nodes are connected when they read the same stream or when an edge leads from one to the other.
type Subgraph struct {
	Index    int
	Inputs   []*Stream
	Nodes    []*Node
	Stores   []*Store
	Parked   *Store     // among Stores, of records whose key is parked; nil where none is
	Outsides []*Outside // of all nodes, once each
}

// Node is a node as declared.
type Node struct {
	Name       string
	Reads      []Handler
	Stores     []*Store
	Globals    []*Global
	Services   []*Service
	Outsides   []*Outside
	Outputs    []Output          // streams and edges, in order
	Retry      Backoff           // with defaults filled in
	Classify   func(error) Class // of errors that do not say what follows from them; nil: none is asked
	Later      []time.Duration   // delays of a record whose tries are used up, each longer than the one before it
	Parking    *bool             // what it says of that; nil: nothing
	Timeout    time.Duration     // of a call; 0 for any time
	DeadLetter string            // the topic for failed records, as its author named it; empty means <input stream>.dlq
	// PassHeaders are the headers of input records that go along with what the node emits, see Passes.
	PassHeaders []string
	Dedup       *Dedup // nil: the node is called with every record
}

// Dedup says which records a node leaves out because it has processed them before.
type Dedup struct {
	Type   string        // of the values that have ids, in Go's words
	Store  *Store        // where the node's ids are, or the last sequence number of each key
	Window time.Duration // for how long an id is known, in the stream's time; 0 with sequence numbers
}

// Handler is one On of a node: exactly one of Stream and Edge is set.
type Handler struct {
	Node   *Node
	Stream *Stream
	Edge   *Edge
	// Record decodes a stream's value and calls the node's function. A value that cannot be decoded is a *topology.DecodeError.
	Record func(call Call, key string, value []byte) error
	// Value calls the node's function with what an edge carried.
	Value func(call Call, key string, value any) error
}

// Input is the stream or edge that the handler reads.
func (h Handler) Input() Output {
	if h.Edge != nil {
		return h.Edge
	}
	return h.Stream
}

// Users are the nodes of the sub-graph that use the store.
func (g *Subgraph) Users(store *Store) []*Node {
	var users []*Node
	for _, n := range g.Nodes {
		if slices.Contains(n.Stores, store) {
			users = append(users, n)
		}
	}
	return users
}

// Output is what a node writes to: a *Stream or an *Edge.
type Output interface{ outputName() string }

// NameOf is the name of a stream or edge.
func NameOf(o Output) string {
	if o == nil {
		return ""
	}
	return o.outputName()
}

// Stream is a topology.StreamOf without its type.
type Stream struct {
	Name           string        // as its author wrote it: see Names.Topic
	Foreign        bool          // outside the entity.event_type.vN rule
	Unprefixed     bool          // called so in every environment
	Replayed       bool          // its records are copies that a replay has made, and say of which records
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

	CheckKey func(string) error // nil: any string is a key
	// ReadKey makes the key that nodes have of a record's, WriteKey a record's of that; nil: they are the same. WriteKey has headers for
	// the record too.
	ReadKey  func(r *Record, key string) (string, error)
	WriteKey func(topic, key string) (string, []record.Header, error)
	// Decode reads a value as the stream's codec does. nil: it has none.
	Decode func(r *Record, value []byte) (any, error)
	// Prepare registers or checks the schemas of the topic's values and keys; none where no codec has any.
	Prepare  []func(ctx context.Context, topic string, register bool) error
	Mistakes []Mistake // of its options
	NoCodec  bool      // it was declared without one
}

// Mistake is one thing that is wrong with what was declared.
type Mistake struct {
	What string // is wrong, as it goes on after the name
	Do   string // the way out
}

// Edge is a topology.EdgeOf without its type.
type Edge struct {
	Name string
	Type string // of the values, in Go's words
}

// Store is a topology.StoreOf without its type.
type Store struct {
	Name string
	Type string // of the values, in Go's words
	// Over puts the handle's type and codec over a database, which is the store's own from then on.
	Over    func(keyed.Database) keyed.Any
	NoCodec bool // it was declared without one
}

// Service is what a node calls outside of Kafka, with its circuit breaker.
type Service struct {
	Name     string
	Failures int
	Pause    time.Duration
}

// Global is a topology.GlobalOf without its type: a stream that is read whole.
type Global struct {
	Stream
	// View makes an empty copy, for one instance.
	View func() View
}

// View is an instance's copy of a [Global]. Its methods may be called from several goroutines.
type View interface {
	// Put takes a record of the topic; a value of nil removes the key. A value that cannot be decoded is kept as what the key has: each
	// look-up of it is the error that Put returns. A key that cannot be decoded is left out, with an error.
	Put(key string, value []byte) error
	// Len is the number of keys, Bytes the size of their keys and values as they were read.
	Len() int
	Bytes() int64
}

func (d *Stream) outputName() string { return d.Name }
func (d *Edge) outputName() string   { return d.Name }

// Backoff says how often and when a failed record is tried again, as topology.Backoff does.
type Backoff struct {
	Attempts int
	First    time.Duration
	Max      time.Duration
	Within   time.Duration // 0: any time
	Jitter   float64       // 0: DefaultJitter; below 0: none
}

// DefaultJitter is the share of a wait that is left to chance where nothing is said.
const DefaultJitter = 0.25

// Class says what follows from an error of a node, as topology.Class does.
type Class int8

// The classes.
const (
	Unclassified Class = iota
	Retriable
	Rejected
	Fatal
	World
)

// Topic is one topic of a plan.
type Topic struct {
	Name  string // in the cluster
	Role  Role
	Store string // of a changelog
	// Stream is what an input, an output or a global was declared as, which says what of the rest is stated and what is a default.
	Stream *Stream
	// PartitionsOf is the name of the input whose partition count the topic takes over, or empty when the count is its own.
	PartitionsOf string
	// Partitions is the count that is stated, by the topic's stream or by the input of PartitionsOf; 0 when none is.
	Partitions     int32
	Global         bool          // an input that is also looked up whole
	Written        bool          // by this topology: outputs and what it owns, and an input that a node also emits to
	Cleanup        string        // "delete", "compact" or "compact,delete"
	Retention      time.Duration // 0: the broker's default, Forever: records are not deleted for their age
	Tiered         bool          // older records go to remote storage
	LocalRetention time.Duration // of a tiered topic; 0: the broker's default
	MaxMessage     int           // max.message.bytes to make it with; 0: the broker's default
}

// Role says what a topology does with a topic.
type Role int8

// A topology reads inputs and globals, writes outputs and dead letters, and owns changelogs. It reads redrive topics too, as
// soon as there are such: the tool that redrives dead letters makes them. Retry topics it owns, writes and reads.
const (
	InputTopic Role = iota
	OutputTopic
	DeadLetterTopic
	ChangelogTopic
	GlobalTopic
	RedriveTopic
	RetryTopic
)

// Emission is what the options of an Emit ask for.
type Emission struct {
	Headers   []record.Header
	At        time.Time // zero: that of the input record
	Partition int32     // -1: where the key belongs
}

// traceContext are the headers by which a trace goes on (W3C Trace Context), in every record that an input record leads to. What is
// longer than maxTrace is no trace: it must not make an output too large that nobody asked to have it.
var traceContext = [...]string{"traceparent", "tracestate"}

const maxTrace = 4 << 10

// Passes says whether a header of the input goes along with what the node emits.
func (n *Node) Passes(h record.Header) bool {
	for _, name := range traceContext {
		if name == h.Key && len(h.Value) <= maxTrace {
			return true
		}
	}
	if provenance.Reserved(h.Key) {
		return false
	}
	for _, name := range n.PassHeaders {
		if name == h.Key || name == "*" {
			return true
		}
	}
	return false
}
