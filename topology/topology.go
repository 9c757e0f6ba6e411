package topology

import "slices"

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
// A [Retry], [Timeout], [DeadLetter] or [PassHeaders] beside the nodes holds for every node that has none of its own.
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

// Plan checks the topology and brings it into the form in which an engine runs it. The error is that of Check.
func (t *Topology) Plan() (*Plan, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	return t.plan(), nil
}

// plan makes a Plan of what there is, mistakes or not: Check looks at the topics of it.
func (t *Topology) plan() *Plan {
	p := &Plan{Topology: t.name}
	for i, nodes := range t.components() {
		g := &Subgraph{Index: i}
		for _, n := range nodes {
			g.add(n, &t.defaults)
		}
		p.Subgraphs = append(p.Subgraphs, g)
	}
	p.Topics = p.topics()
	return p
}

// add makes a NodeDecl of n and adds it, with what it reads and uses, to the sub-graph.
func (g *Subgraph) add(n, defaults *node) {
	d := &NodeDecl{Name: n.name, Stores: slices.Clone(n.stores), Outputs: slices.Clone(n.outputs)}
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
	if retries := said(n.retries, defaults.retries); len(retries) > 0 {
		d.Retry = retries[0]
	}
	d.Retry = d.Retry.withDefaults()
	if timeouts := said(n.timeouts, defaults.timeouts); len(timeouts) > 0 {
		d.Timeout = timeouts[0]
	}
	if dead := said(n.dead, defaults.dead); len(dead) > 0 {
		d.DeadLetter = dead[0]
	}
	d.PassHeaders = said(n.passes, defaults.passes)
	g.Nodes = append(g.Nodes, d)
}

// said is what a node says, or what holds where it says nothing.
func said[T any](own, defaults []T) []T {
	if len(own) > 0 {
		return own
	}
	return defaults
}
