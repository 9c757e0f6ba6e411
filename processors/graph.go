package processors

import (
	"github.com/weirstream/weir/topology"
)

// graph is a plan with what the hot path looks up, resolved once: no map is read for a record.
type graph struct {
	plan      *topology.Plan
	subgraphs []*subgraph
	inputs    map[string]*subgraph // by input topic
}

// subgraph is a connected part of the topology.
type subgraph struct {
	plan       *topology.Subgraph
	sources    []*source
	stores     []*topology.StoreDecl
	edges      map[*topology.EdgeDecl][]handler
	partitions int32 // of its inputs; known once the topics have been looked at
}

// source is an input stream with the nodes that read it, in the order of declaration.
type source struct {
	stream   *topology.StreamDecl
	handlers []handler
}

// handler is one On of a node.
type handler struct {
	topology.Handler
	node *node
}

// node is a node with its stores as indices into its task's tables.
type node struct {
	decl   *topology.NodeDecl
	tables []int // of decl.Stores
}

func newGraph(plan *topology.Plan) *graph {
	g := &graph{plan: plan, inputs: map[string]*subgraph{}}
	for _, p := range plan.Subgraphs {
		s := &subgraph{plan: p, stores: p.Stores, edges: map[*topology.EdgeDecl][]handler{}}
		for _, stream := range p.Inputs {
			s.sources = append(s.sources, &source{stream: stream})
			g.inputs[stream.Name] = s
		}
		for _, decl := range p.Nodes {
			n := &node{decl: decl}
			for _, store := range decl.Stores {
				for i, known := range p.Stores {
					if known == store {
						n.tables = append(n.tables, i)
					}
				}
			}
			for _, h := range decl.Reads {
				if h.Edge != nil {
					s.edges[h.Edge] = append(s.edges[h.Edge], handler{h, n})
					continue
				}
				for _, src := range s.sources {
					if src.stream.Name == h.Stream.Name {
						src.handlers = append(src.handlers, handler{h, n})
					}
				}
			}
		}
		g.subgraphs = append(g.subgraphs, s)
	}
	return g
}

// copartitioned lists the input topics of each sub-graph: they are assigned together.
func (g *graph) copartitioned() [][]string {
	var sets [][]string
	for _, s := range g.subgraphs {
		var set []string
		for _, src := range s.sources {
			set = append(set, src.stream.Name)
		}
		sets = append(sets, set)
	}
	return sets
}

// changelogTopic is the compacted topic behind a store.
func (g *graph) changelogTopic(store *topology.StoreDecl) string {
	return topology.ChangelogName(g.plan.Topology, store.Name)
}
