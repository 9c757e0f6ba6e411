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
	redrives  map[string]*subgraph // by topic through which dead letters come back
}

// subgraph is a connected part of the topology.
type subgraph struct {
	plan       *plan.Subgraph
	nodes      *nodes.Subgraph
	sources    []*nodes.Source // of the plan's inputs
	redrives   []*nodes.Source // where their dead letters come back, of which there may be topics or not
	stores     []*plan.Store
	partitions int32 // of its inputs; known once the topics have been looked at
}

func newGraph(p *plan.Plan) *graph {
	g := &graph{plan: p, nodes: nodes.NewGraph(p), inputs: map[string]*subgraph{}, redrives: map[string]*subgraph{}}
	for i, sub := range p.Subgraphs {
		s := &subgraph{plan: sub, nodes: g.nodes.Subgraphs[i], sources: g.nodes.Subgraphs[i].Sources, redrives: g.nodes.Subgraphs[i].Redrives, stores: sub.Stores}
		for _, stream := range sub.Inputs {
			g.inputs[p.Topic(stream)] = s
		}
		for _, src := range s.redrives {
			g.redrives[src.Topic] = s
		}
		g.subgraphs = append(g.subgraphs, s)
	}
	return g
}

// copartitioned lists the input topics of each sub-graph: they are assigned together. Redrive topics are among them, also those
// that do not exist: the group notices when one is made, and the coordinator keeps offsets only of topics that are subscribed to.
func (g *graph) copartitioned() [][]string {
	var sets [][]string
	for _, s := range g.subgraphs {
		var set []string
		for _, src := range s.sources {
			set = append(set, src.Topic)
		}
		for _, src := range s.redrives {
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

// optional lists the topics of copartitioned that need not exist.
func (g *graph) optional() (topics []string) {
	for _, s := range g.subgraphs {
		for _, src := range s.redrives {
			topics = append(topics, src.Topic)
		}
	}
	return topics
}
