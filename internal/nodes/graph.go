package nodes

import (
	"slices"
	"time"

	"github.com/weirstream/weir/internal/plan"
)

// Graph is a plan with what the hot path looks up, resolved once.
type Graph struct {
	Subgraphs []*Subgraph // as in the plan
	nodes     []*Node     // of all sub-graphs
}

// Subgraph is a connected part of the topology.
type Subgraph struct {
	Sources  []*Source // as the plan's Inputs
	Redrives []*Source // where dead letters of each input come back, and where its records are delayed
	Nodes    []*Node   // as the plan's Nodes
	edges    map[*plan.Edge][]handler
}

// Source is an input stream with the nodes that read it, in the order of declaration.
type Source struct {
	Stream   *plan.Stream
	Topic    string        // what the stream is called in the cluster
	Redrives *Source       // the source whose dead letters come back, or whose records are delayed, through this one; nil for a source of the plan
	Delay    time.Duration // how long a record waits in it; 0 in others than retry topics
	Parks    bool          // a record that fails parks its key
	graph    *Subgraph
	handlers []handler
}

// Back adds a source through which records of another one come back, after a delay where that is not 0.
func (s *Subgraph) Back(src *Source, topic string, delay time.Duration) *Source {
	back := &Source{Stream: src.Stream, Topic: topic, Redrives: src, Delay: delay, Parks: src.Parks, graph: s, handlers: src.handlers}
	s.Redrives = append(s.Redrives, back)
	return back
}

// First is the node that gets the stream's records first.
func (s *Source) First() *Node { return s.handlers[0].node }

// Node is a node with its stores as indices into its sub-graph's.
type Node struct {
	Decl   *plan.Node
	Index  int // in its sub-graph
	id     int // in its graph
	stores []int
	topics []string // by output, what it is called in the cluster; "" of an edge
	// schemas are, by output, the topics by whose names their schemas go.
	schemas []string
	dead    []string // by input of its sub-graph, where records go that failed in the node
}

// Origin is the source of the plan whose records come through this one.
func (s *Source) Origin() *Source {
	if s.Redrives != nil {
		return s.Redrives
	}
	return s
}

// After is the source where its records wait for a delay.
func (s *Source) After(delay time.Duration) *Source {
	for _, other := range s.graph.Redrives {
		if other.Redrives == s.Origin() && other.Delay == delay {
			return other
		}
	}
	return nil
}

// DeadLetter is the topic to which records of an input go that failed in the node.
func (n *Node) DeadLetter(s *Source) string {
	return n.dead[slices.Index(s.graph.Sources, s.Origin())]
}

// handler is one On of a node.
type handler struct {
	plan.Handler
	node *Node
}

// NewGraph resolves a plan.
func NewGraph(of *plan.Plan) *Graph {
	g := &Graph{}
	for _, p := range of.Subgraphs {
		s := &Subgraph{edges: map[*plan.Edge][]handler{}}
		for _, stream := range p.Inputs {
			s.Sources = append(s.Sources, &Source{Stream: stream, Topic: of.Topic(stream), graph: s})
		}
		for i, decl := range p.Nodes {
			n := &Node{Decl: decl, Index: i, id: len(g.nodes)}
			g.nodes = append(g.nodes, n)
			s.Nodes = append(s.Nodes, n)
			for _, o := range decl.Outputs {
				topic, schemas := "", ""
				if stream, ok := o.(*plan.Stream); ok {
					topic, schemas = of.Topic(stream), of.Names.SchemaTopic(stream)
				}
				n.topics, n.schemas = append(n.topics, topic), append(n.schemas, schemas)
			}
			for _, input := range p.Inputs {
				n.dead = append(n.dead, of.DeadLetter(decl, input))
			}
			for _, store := range decl.Stores {
				n.stores = append(n.stores, slices.Index(p.Stores, store))
			}
			for _, h := range decl.Reads {
				if h.Edge != nil {
					s.edges[h.Edge] = append(s.edges[h.Edge], handler{h, n})
					continue
				}
				src := s.Sources[slices.Index(p.Inputs, h.Stream)]
				src.handlers = append(src.handlers, handler{h, n})
			}
		}
		for _, src := range s.Sources {
			src.Parks = p.Parks(src.Stream)
			s.Back(src, of.Redrive(src.Stream), 0)
			for _, delay := range p.Delays(src.Stream) {
				s.Back(src, of.Retry(src.Stream, delay), delay)
			}
		}
		g.Subgraphs = append(g.Subgraphs, s)
	}
	return g
}
