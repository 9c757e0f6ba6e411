package topology

import (
	"slices"
	"time"
)

// deadLetterRetention is how long dead letters are kept: long enough that somebody comes back from a holiday.
const deadLetterRetention = 30 * 24 * time.Hour

// deadLetterSize is the largest record batch of a dead-letter topic: a record that its input topic just took, perhaps
// compressed, must fit with the reason for its failure. Clusters for hire refuse to make topics of more than 8 MiB.
const deadLetterSize = 8 << 20

func (r Role) String() string {
	switch r {
	case Input:
		return "input"
	case OutputTopic:
		return "output"
	case DeadLetterTopic:
		return "dead letter"
	case Changelog:
		return "changelog"
	}
	return "unknown"
}

// ChangelogName is the topic behind a store of a topology.
func ChangelogName(topology, store string) string { return topology + "-" + store + "-changelog" }

// topics lists every topic of the plan once: inputs, outputs, dead letters, changelogs, each in the order of declaration.
func (p *Plan) topics() []Topic {
	var topics []Topic
	at := map[string]int{}
	add := func(t Topic) {
		if i, ok := at[t.Name]; ok {
			topics[i].Written = topics[i].Written || t.Role == OutputTopic
			return
		}
		at[t.Name] = len(topics)
		topics = append(topics, t)
	}
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			t := streamTopic(in, Input)
			if counted := g.counted(); in != counted {
				t.PartitionsOf, t.Partitions = counted.Name, counted.Partitions
			}
			add(t)
		}
	}
	for _, g := range p.Subgraphs {
		for _, n := range g.Nodes {
			for _, o := range n.Outputs {
				if s, ok := o.(*StreamDecl); ok {
					add(streamTopic(s, OutputTopic))
				}
			}
		}
	}
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			for _, n := range g.reached(in) {
				add(Topic{Name: n.DeadLetterFor(in.Name), Role: DeadLetterTopic, Written: true,
					Cleanup: "delete", Retention: deadLetterRetention, MaxMessage: deadLetterSize})
			}
		}
	}
	for _, g := range p.Subgraphs {
		for _, s := range g.Stores {
			t := Topic{Name: ChangelogName(p.Topology, s.Name), Role: Changelog, Store: s.Name, Written: true,
				Cleanup: "compact", Retention: Forever}
			if counted := g.counted(); counted != nil {
				t.PartitionsOf, t.Partitions = counted.Name, counted.Partitions
			}
			add(t)
		}
	}
	return topics
}

// streamTopic is the topic of a stream as the stream wants it.
func streamTopic(s *StreamDecl, role Role) Topic {
	t := Topic{
		Name: s.Name, Role: role, Stream: s, Partitions: s.Partitions, Written: role == OutputTopic,
		Cleanup: s.cleanup(), Retention: s.Retention, Tiered: s.Tiered, LocalRetention: s.LocalRetention,
	}
	if s.Compacted && s.Retention == 0 {
		t.Retention = Forever
	}
	return t
}

// counted is the input whose partition count holds for the whole sub-graph: the first that states one, else the first; nil when there
// is no input.
func (g *Subgraph) counted() *StreamDecl {
	for _, in := range g.Inputs {
		if in.Partitions > 0 {
			return in
		}
	}
	if len(g.Inputs) > 0 {
		return g.Inputs[0]
	}
	return nil
}

// reached lists the nodes in which a record of the input may fail: those that read it, and those behind their edges.
func (g *Subgraph) reached(in *StreamDecl) []*NodeDecl {
	reached := map[Output]bool{in: true}
	var nodes []*NodeDecl
	for grown := true; grown; {
		grown = false
		for _, n := range g.Nodes {
			if slices.Contains(nodes, n) || !slices.ContainsFunc(n.Reads, func(h Handler) bool { return reached[h.input()] }) {
				continue
			}
			grown = true
			nodes = append(nodes, n)
			for _, o := range n.Outputs {
				if _, ok := o.(*EdgeDecl); ok {
					reached[o] = true
				}
			}
		}
	}
	return nodes
}

// deadLetters lists the topics to which records go that fail in a node of the sub-graph: one, unless the node takes the
// default and records of several inputs reach it.
func (g *Subgraph) deadLetters(n *NodeDecl) []string {
	var topics []string
	for _, in := range g.Inputs {
		if topic := n.DeadLetterFor(in.Name); slices.Contains(g.reached(in), n) && !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}
