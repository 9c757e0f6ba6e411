package processors

import (
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
)

// graph is a plan with what the hot path looks up, resolved once: no map is read for a record.
type graph struct {
	plan      *plan.Plan
	nodes     *nodes.Graph
	subgraphs []*subgraph
	inputs    map[string]*subgraph // by input topic
}

// subgraph is a connected part of the topology.
type subgraph struct {
	plan       *plan.Subgraph
	nodes      *nodes.Subgraph
	sources    []*nodes.Source
	stores     []*plan.Store
	partitions int32 // of its inputs; known once the topics have been looked at
}

func newGraph(p *plan.Plan) *graph {
	g := &graph{plan: p, nodes: nodes.NewGraph(p), inputs: map[string]*subgraph{}}
	for i, sub := range p.Subgraphs {
		s := &subgraph{plan: sub, nodes: g.nodes.Subgraphs[i], sources: g.nodes.Subgraphs[i].Sources, stores: sub.Stores}
		for _, stream := range sub.Inputs {
			g.inputs[p.Topic(stream)] = s
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
			set = append(set, src.Topic)
		}
		sets = append(sets, set)
	}
	return sets
}

// owner is whose the state is.
func (g *graph) owner() offsets.Owner {
	return offsets.Owner{Prefix: g.plan.Names.Prefix, Topology: g.plan.Topology}
}

// changelogTopic is the compacted topic behind a store.
func (g *graph) changelogTopic(store *plan.Store) string {
	return g.plan.Changelog(store)
}
