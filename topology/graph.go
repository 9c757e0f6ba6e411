package topology

import "github.com/weirstream/weir/internal/plan"

// link leads from a node to one that reads what it writes.
type link struct {
	to  int
	via plan.Output
}

// links lists, for each node, the nodes that read its outputs, in the order of declaration. Streams lead to nodes of the
// same topology as edges do, only through Kafka.
func (t *Topology) links() [][]link {
	readers := map[plan.Output][]int{}
	for i, n := range t.nodes {
		for _, h := range n.reads {
			readers[h.Input()] = append(readers[h.Input()], i)
		}
	}
	links := make([][]link, len(t.nodes))
	for i, n := range t.nodes {
		for _, o := range n.outputs {
			for _, to := range readers[o] {
				links[i] = append(links[i], link{to, o})
			}
		}
	}
	return links
}

// components are the sub-graphs: nodes are together when they read the same stream or edge, or when an edge leads from
// one to the other. Both orders, of sub-graphs and of nodes in them, are that of declaration.
func (t *Topology) components() [][]*node {
	// root[i] is the first node of the sub-graph of node i.
	root := make([]int, len(t.nodes))
	for i := range root {
		root[i] = i
	}
	join := func(a, b int) {
		from, to := root[a], root[b]
		if from < to {
			from, to = to, from
		}
		for i := range root {
			if root[i] == from {
				root[i] = to
			}
		}
	}
	first := map[plan.Output]int{} // the first node that reads a stream, or that touches an edge
	touch := func(i int, o plan.Output) {
		if j, ok := first[o]; ok {
			join(i, j)
			return
		}
		first[o] = i
	}
	for i, n := range t.nodes {
		for _, h := range n.reads {
			touch(i, h.Input())
		}
		for _, o := range n.outputs {
			if _, ok := o.(*plan.Edge); ok {
				touch(i, o)
			}
		}
	}
	var components [][]*node
	index := map[int]int{}
	for i, n := range t.nodes {
		c, ok := index[root[i]]
		if !ok {
			c = len(components)
			index[root[i]] = c
			components = append(components, nil)
		}
		components[c] = append(components[c], n)
	}
	return components
}

// cycles finds at least one cycle in each part of the graph that has any. A cycle is a list of nodes, each with the
// output that leads to the next, the last to the first.
func (t *Topology) cycles() [][]step {
	links := t.links()
	const (
		unseen = iota
		open
		done
	)
	state := make([]int, len(t.nodes))
	var path []step
	var found [][]step
	var visit func(i int)
	visit = func(i int) {
		state[i] = open
		for _, l := range links[i] {
			path = append(path, step{i, l.via})
			switch state[l.to] {
			case unseen:
				visit(l.to)
			case open:
				for at := range path {
					if path[at].node == l.to {
						found = append(found, append([]step(nil), path[at:]...))
						break
					}
				}
			}
			path = path[:len(path)-1]
		}
		state[i] = done
	}
	for i := range t.nodes {
		if state[i] == unseen {
			visit(i)
		}
	}
	return found
}

type step struct {
	node int
	via  plan.Output
}
