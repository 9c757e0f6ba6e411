package topology

import (
	"slices"

	"github.com/weirstream/weir/internal/plan"
)

// Topology is a named graph of nodes. It does not change once it is defined, and may be used from several goroutines.
type Topology struct {
	name     string
	nodes    []*node
	defaults node // what holds for nodes that say nothing
	mistakes []Mistake
}

// Define puts nodes together under a name, which is also the name of the consumer group. It never fails: mistakes come
// out of Check, and of everything that runs a topology.
//
// A [Retry], [RetryLater], [Parking], [Classify], [Timeout], [DeadLetter] or [PassHeaders] beside the nodes holds for every node that has none of its own.
func Define(name string, parts ...Part) *Topology {
	t := &Topology{name: name}
	for _, p := range parts {
		switch {
		case p.node != nil:
			t.nodes = append(t.nodes, p.node)
		case p.add == nil:
			t.mistakes = append(t.mistakes, Mistake{What: "has an empty node", Do: "make nodes with Node"})
		case !p.everywhere:
			t.mistakes = append(t.mistakes, Mistake{What: "has a part beside its nodes that belongs into one", Do: "give On, Uses and Emits to a Node"})
		default:
			p.add(&t.defaults)
		}
	}
	for _, m := range t.defaults.mistakes {
		t.mistakes = append(t.mistakes, Mistake{What: m.What, Do: m.Do})
	}
	return t
}

// Name is the topology's name.
func (t *Topology) Name() string {
	if t == nil {
		return ""
	}
	return t.name
}

// Describe checks the topology, and is what it consists of as text for people: sub-graphs, nodes, stores, streams and topics.
func (t *Topology) Describe() (string, error) {
	p, err := t.Plan(plan.Names{})
	if err != nil {
		return "", err
	}
	return p.Describe(), nil
}

// Plan checks the topology and brings it into the form in which an engine runs it, with the names that things have in its cluster.
// It is for Weir's own packages. The error is that of Check, for these names.
func (t *Topology) Plan(names plan.Names) (*plan.Plan, error) {
	if err := t.check(names); err != nil {
		return nil, err
	}
	return t.plan(names), nil
}

// plan makes a Plan of what there is, mistakes or not: Check looks at the topics of it.
func (t *Topology) plan(names plan.Names) *plan.Plan {
	var subgraphs []*plan.Subgraph
	for i, nodes := range t.components() {
		g := &plan.Subgraph{Index: i}
		for _, n := range nodes {
			n.joins(g, &t.defaults)
		}
		park(g)
		subgraphs = append(subgraphs, g)
	}
	return plan.New(t.name, names, subgraphs)
}

// joins adds the node to a sub-graph, with what it reads and uses.
func (n *node) joins(g *plan.Subgraph, defaults *node) {
	d := &plan.Node{Name: n.name, Stores: slices.Clone(n.stores), Globals: slices.Clone(n.globals), Services: slices.Clone(n.services), Outsides: slices.Clone(n.outsides), Outputs: slices.Clone(n.outputs)}
	for _, h := range n.reads {
		h.Node = d
		d.Reads = append(d.Reads, h)
		if h.Stream != nil && !slices.Contains(g.Inputs, h.Stream) {
			g.Inputs = append(g.Inputs, h.Stream)
		}
	}
	for _, s := range n.stores {
		if !slices.Contains(g.Stores, s) {
			g.Stores = append(g.Stores, s)
		}
	}
	for _, o := range n.outsides {
		if !slices.Contains(g.Outsides, o) {
			g.Outsides = append(g.Outsides, o)
		}
	}
	var retry Backoff
	if retries := said(n.retries, defaults.retries); len(retries) > 0 {
		retry = retries[0]
	}
	d.Retry = plan.Backoff(retry.withDefaults())
	if timeouts := said(n.timeouts, defaults.timeouts); len(timeouts) > 0 {
		d.Timeout = timeouts[0]
	}
	if dead := said(n.dead, defaults.dead); len(dead) > 0 {
		d.DeadLetter = dead[0]
	}
	if later := said(n.later, defaults.later); len(later) > 0 {
		d.Later = later[0]
	}
	if parking := said(n.parking, defaults.parking); len(parking) > 0 {
		d.Parking = &parking[0]
	}
	d.PassHeaders = said(n.passes, defaults.passes)
	if len(n.dedups) > 0 {
		d.Dedup = n.dedups[0].decl()
	}
	if classify := said(n.classify, defaults.classify); len(classify) > 0 {
		d.Classify = classify[0]
	}
	g.Nodes = append(g.Nodes, d)
}

// said is what a node says, or what holds where it says nothing.
func said[T any](own, defaults []T) []T {
	if len(own) > 0 {
		return own
	}
	return defaults
}
