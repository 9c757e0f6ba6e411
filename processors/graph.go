package processors

import (
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/topology"
)

// graph is a plan with what the hot path looks up, resolved once: no map is read for a record.
type graph struct {
	plan      *topology.Plan
	nodes     *nodes.Graph
	subgraphs []*subgraph
	inputs    map[string]*subgraph // by input topic
}

// subgraph is a connected part of the topology.
type subgraph struct {
	plan       *topology.Subgraph
	nodes      *nodes.Subgraph
	sources    []*nodes.Source
	stores     []*topology.StoreDecl
	partitions int32 // of its inputs; known once the topics have been looked at
}

func newGraph(plan *topology.Plan) *graph {
	g := &graph{plan: plan, nodes: nodes.NewGraph(plan), inputs: map[string]*subgraph{}}
	for i, p := range plan.Subgraphs {
		s := &subgraph{plan: p, nodes: g.nodes.Subgraphs[i], sources: g.nodes.Subgraphs[i].Sources, stores: p.Stores}
		for _, stream := range p.Inputs {
			g.inputs[stream.Name] = s
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
			set = append(set, src.Stream.Name)
		}
		sets = append(sets, set)
	}
	return sets
}

// changelogTopic is the compacted topic behind a store.
func (g *graph) changelogTopic(store *topology.StoreDecl) string {
	return topology.ChangelogName(g.plan.Topology, store.Name)
}
