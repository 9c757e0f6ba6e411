package kafka

// balance sets the quotas of all shares.
//
// Of a set with more units than members each member gets the same number, and some get one of the units that are left
// over. Who gets one of those decides both how even the sums over all sets are and how many units must move: a member
// that has one more than the even number keeps it only if it gets one. That is a flow, from members that take at most
// so many to sets that have so many, in which an edge along which a unit stays where it is gains two, and one along which
// it moves to its state one; the largest flow that gains most is the answer.
func balance(shares []*share, members int) {
	if members == 0 {
		return
	}
	rest := make([]int, len(shares))
	total := 0
	for i, s := range shares {
		if n := len(s.members); n > 0 {
			for _, m := range s.members {
				s.quota[m] = len(s.holder) / n
			}
			rest[i] = len(s.holder) % n
			total += rest[i]
		}
	}
	// Nodes: a source, a pool of what cannot be divided evenly, the members, the sets, a sink. While members know
	// different sets the sums cannot always be even: the uneven pool has room for all, but costs more than can be gained.
	const source, pool, uneven, first = 0, 1, 2, 3
	sets := first + members
	sink := sets + len(shares)
	net := &flow{nodes: sink + 1}
	net.edge(source, pool, total%members, 0)
	net.edge(source, uneven, total, -mostGain*total-1)
	for m := range members {
		net.edge(source, first+m, total/members, 0)
		net.edge(pool, first+m, 1, 0)
		net.edge(uneven, first+m, total, 0)
	}
	extra := map[[2]int]int{} // edge by set and member
	for i, s := range shares {
		for _, m := range s.members {
			gain := 0
			if s.held[m] > s.quota[m] {
				gain = mostGain
			} else if s.warm != nil && s.wantsExtra(m) {
				gain = 1
			}
			extra[[2]int{i, m}] = net.edge(first+m, sets+i, 1, gain)
		}
		net.edge(sets+i, sink, rest[i], 0)
	}
	net.fill(source, sink)
	for i, s := range shares {
		for _, m := range s.members {
			s.quota[m] += net.used(extra[[2]int{i, m}])
		}
	}
}

// mostGain is the gain of a unit that stays.
const mostGain = 2

// flow is a network in which fill finds the largest flow of the highest gain, by augmenting it along the path that
// gains most until there is none. Groups have tens of members and topologies a few sets, so the simplest way will do.
type flow struct {
	nodes int
	edges []flowEdge // the reverse of edge e is e^1
}

type flowEdge struct{ from, to, room, gain int }

func (f *flow) edge(from, to, room, gain int) int {
	f.edges = append(f.edges, flowEdge{from, to, room, gain}, flowEdge{to, from, 0, -gain})
	return len(f.edges) - 2
}

func (f *flow) used(edge int) int { return f.edges[edge^1].room }

func (f *flow) fill(source, sink int) {
	for {
		by := f.path(source)
		if by[sink] < 0 {
			return
		}
		for at := sink; at != source; at = f.edges[by[at]].from {
			f.edges[by[at]].room--
			f.edges[by[at]^1].room++
		}
	}
}

// path returns the edge by which each node is best reached, -1 where it is not (Bellman and Ford). It ends because the
// network begins without cycles, and augmenting along best paths makes none along which something is gained.
func (f *flow) path(source int) []int {
	gain, by := make([]int, f.nodes), make([]int, f.nodes)
	for i := range by {
		by[i] = -1
	}
	for changed := true; changed; {
		changed = false
		for i, e := range f.edges {
			if e.room == 0 || e.to == source || e.from != source && by[e.from] < 0 {
				continue
			}
			if g := gain[e.from] + e.gain; by[e.to] < 0 || g > gain[e.to] {
				gain[e.to], by[e.to] = g, i
				changed = true
			}
		}
	}
	return by
}
