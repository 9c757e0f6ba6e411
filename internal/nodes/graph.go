package nodes

import (
	"slices"

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
	Redrives []*Source // as the plan's Inputs: where dead letters of each come back
	Nodes    []*Node   // as the plan's Nodes
	edges    map[*plan.Edge][]handler
}

// Source is an input stream with the nodes that read it, in the order of declaration.
type Source struct {
	Stream   *plan.Stream
	Topic    string  // what the stream is called in the cluster
	Redrives *Source // the source whose dead letters come back through this one; nil for a source of the plan
	graph    *Subgraph
	handlers []handler
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
	dead   []string // by input of its sub-graph, where records go that failed in the node
}

// DeadLetter is the topic to which records of an input go that failed in the node.
func (n *Node) DeadLetter(s *Source) string {
	if s.Redrives != nil {
		s = s.Redrives
	}
	return n.dead[slices.Index(s.graph.Sources, s)]
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
				topic := ""
				if stream, ok := o.(*plan.Stream); ok {
					topic = of.Topic(stream)
				}
				n.topics = append(n.topics, topic)
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
			s.Redrives = append(s.Redrives, &Source{Stream: src.Stream, Topic: of.Redrive(src.Stream), Redrives: src, graph: s, handlers: src.handlers})
		}
		g.Subgraphs = append(g.Subgraphs, s)
	}
	return g
}
