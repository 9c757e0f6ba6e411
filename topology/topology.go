package topology

import "slices"

// Topology is a named graph of nodes. It does not change once it is defined, and may be used from several goroutines.
type Topology struct {
	name     string
	nodes    []*node
	mistakes []Mistake
}

// Define puts nodes together under a name, which is also the name of the consumer group. It never fails: mistakes come
// out of Check, and of everything that runs a topology.
func Define(name string, nodes ...NodeSpec) *Topology {
	t := &Topology{name: name}
	for _, n := range nodes {
		if n.node == nil {
			t.mistakes = append(t.mistakes, Mistake{What: "has an empty node", Do: "make nodes with Node"})
			continue
		}
		t.nodes = append(t.nodes, n.node)
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
			g.add(n)
		}
		p.Subgraphs = append(p.Subgraphs, g)
	}
	p.Topics = p.topics()
	return p
}

// add makes a NodeDecl of n and adds it, with what it reads and uses, to the sub-graph.
func (g *Subgraph) add(n *node) {
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
	if len(n.retries) > 0 {
		d.Retry = n.retries[0]
	}
	d.Retry = d.Retry.withDefaults()
	if len(n.dead) > 0 {
		d.DeadLetter = n.dead[0]
	}
	d.PassHeaders = n.passes
	g.Nodes = append(g.Nodes, d)
}
