package kafka

import (
	"cmp"
	"math"
	"slices"
)

// Units with state, where members keep copies of it.
//
// A unit that balance wants elsewhere stays with its holder until the other member has its state: that member is to keep a copy,
// and asks for a rebalance when the copy is warm (KIP-441). A unit whose holder is gone goes to the member that has most of its
// state, even against balance, which is restored in the same way. So a unit stands still for as long as it takes to open a warm
// copy, and balance is late by the time that it takes to make one.

// mostMoves is how many copies a member makes at a time so that their units can move to it.
const mostMoves = 2

// heat notes what members have of the share's state.
func (s *share) heat(members []groupMember) {
	stateful := false
	for _, i := range s.members {
		m := &members[i]
		s.copies = max(s.copies, m.standby)
		if m.standby > 0 {
			s.keepers = append(s.keepers, i)
			stateful = stateful || slices.ContainsFunc(m.stateful, func(topic string) bool { return slices.Contains(s.topics, topic) })
		}
	}
	if !stateful {
		s.copies, s.keepers = 0, nil
		return
	}
	s.warm = make([]map[int]Warmth, len(s.holder))
	for p := range s.warm {
		s.warm[p] = map[int]Warmth{}
	}
	for _, i := range s.keepers {
		for tp, w := range members[i].held {
			if int(tp.Partition) >= len(s.warm) || !slices.Contains(s.topics, tp.Topic) {
				continue
			}
			if w.Lag <= WarmLag {
				w.Lag = 0 // one is as good as the other
			}
			at := s.warm[tp.Partition]
			if was, ok := at[i]; ok { // two sets of an older version are one
				w = Warmth{Lag: max(w.Lag, was.Lag), Following: w.Following && was.Following}
			}
			at[i] = w
		}
	}
}

// lag is how much of a unit's state a member lacks: 0 where it is warm.
func (s *share) lag(p, member int) int64 {
	if s.warm != nil {
		if w, ok := s.warm[p][member]; ok {
			return w.Lag
		}
	}
	return math.MaxInt64
}

// wantsExtra says whether a member is warm for a unit that it does not hold and that somebody has to take.
func (s *share) wantsExtra(member int) bool {
	for p, holder := range s.holder {
		if holder != member && (holder < 0 || s.held[holder] > s.quota[holder]) && s.lag(p, member) == 0 {
			return true
		}
	}
	return false
}

// byColdness has the units in the order in which their holders keep them: last those that a member with room is warm for.
func (s *share) byColdness() []int {
	order := make([]int, len(s.holder))
	for p := range order {
		order[p] = p
	}
	if s.warm == nil {
		return order
	}
	elsewhere := make([]int64, len(order))
	for p, holder := range s.holder {
		elsewhere[p] = math.MaxInt64
		for m := range s.warm[p] {
			if m != holder && s.held[m] < s.quota[m] {
				elsewhere[p] = min(elsewhere[p], s.lag(p, m))
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(elsewhere[b], elsewhere[a]) })
	return order
}

// followState gives units that have nobody to members that have their state: to one that is warm, within its quota or against
// balance, else to one that makes a copy, else to one that has something on its disk and room. While some members keep no copies
// balance has to come first: what is given up for one of those would be taken back.
func (s *share) followState(to []int, left map[int]int) {
	if s.warm == nil {
		return
	}
	type place struct {
		p, member int
		lag       int64
	}
	var places []place
	for p := range to {
		if to[p] >= 0 {
			continue
		}
		for _, m := range s.members {
			if lag := s.lag(p, m); lag < math.MaxInt64 {
				places = append(places, place{p, m, lag})
			}
		}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.lag, b.lag), cmp.Compare(a.p, b.p), cmp.Compare(a.member, b.member))
	})
	even := len(s.keepers) == len(s.members) // what goes against balance now is set right afterwards
	for _, ok := range []func(place) bool{
		func(pl place) bool { return pl.lag == 0 && left[pl.member] > 0 },
		func(pl place) bool { return pl.lag == 0 && even && s.holder[pl.p] < 0 },
		func(pl place) bool { return s.warm[pl.p][pl.member].Following && left[pl.member] > 0 },
		func(pl place) bool { return s.warm[pl.p][pl.member].Following && even && s.holder[pl.p] < 0 },
		func(pl place) bool { return left[pl.member] > 0 },
	} {
		for _, pl := range places {
			if to[pl.p] < 0 && ok(pl) {
				to[pl.p] = pl.member
				left[pl.member]--
			}
		}
	}
}

// keep returns who is to have a unit now that wants to be with a member in the end: that member, or the one that holds it and
// has more of its state.
func (s *share) keep(p int32, wanted int, holders map[TopicPartition]int, counts map[string]int32) int {
	if s.warm == nil || wanted < 0 || !slices.Contains(s.keepers, wanted) {
		return wanted
	}
	holder := -1
	for _, topic := range s.topics {
		if h, ok := holders[TopicPartition{Topic: topic, Partition: p}]; ok && p < counts[topic] {
			holder = h
		}
	}
	if holder < 0 || holder == wanted || s.lag(int(p), wanted) == 0 || s.lag(int(p), holder) >= s.lag(int(p), wanted) ||
		!s.free(p, holder, holders, counts) || s.knows[holder] == nil {
		return wanted
	}
	return holder
}

// copy places the copies of the share's units. given is who has each unit now, or gets it when its holder has given it up; wanted is
// where it is to be in the end.
func (s *share) copy(members []groupMember, wanted, given []int, counts map[string]int32, assigned map[string]*assignment) {
	if s.warm == nil {
		return
	}
	c := &copier{share: s, members: members, given: given, load: map[int]int{}}
	c.placed = make([][]int, len(given))
	for range s.copies {
		c.round()
	}
	c.level()
	moves := map[int]int{}
	for p := range given {
		for _, m := range c.placed[p] {
			s.note(int32(p), m, m == wanted[p], members, counts, assigned)
		}
		m := wanted[p]
		switch {
		case m < 0 || !slices.Contains(s.keepers, m) || slices.Contains(c.placed[p], m):
		case m == given[p]: // its holder gives it up now: the copy is kept until then
			if s.holder[p] >= 0 && s.holder[p] != m && s.warm[p][m].Following {
				s.note(int32(p), m, false, members, counts, assigned)
			}
		case moves[m] < mostMoves:
			moves[m]++
			s.note(int32(p), m, true, members, counts, assigned)
		}
	}
}

// note has a member keep a copy, by an input that it knows.
func (s *share) note(p int32, member int, moves bool, members []groupMember, counts map[string]int32, assigned map[string]*assignment) {
	to := assigned[members[member].id]
	for _, topic := range s.topics {
		if p >= counts[topic] || !s.knows[member][topic] {
			continue
		}
		into := &to.copies
		if moves {
			into = &to.moves
		}
		if *into == nil {
			*into = map[string][]int32{}
		}
		(*into)[topic] = append((*into)[topic], p)
		return
	}
}

// copier places copies of a share's units, one of each in a round.
type copier struct {
	*share
	members []groupMember
	given   []int
	placed  [][]int     // by unit
	load    map[int]int // copies by member
}

// may says whether a member may keep a copy of a unit: not the one that has it, and not twice.
func (c *copier) may(p, m int) bool { return c.given[p] != m && !slices.Contains(c.placed[p], m) }

// near is how much speaks for it that two members go down together: a rack that is not known may be the same one.
func (c *copier) near(a, b int) int {
	switch in, other := c.members[a].rack, c.members[b].rack; {
	case in == "" || other == "":
		return 1
	case in == other:
		return 2
	}
	return 0
}

// together adds up how near those with a unit's state are to a member, but for the member itself.
func (c *copier) together(p, m int) (n int) {
	for _, other := range append([]int{c.given[p]}, c.placed[p]...) {
		if other >= 0 && other != m {
			n += c.near(m, other)
		}
	}
	return n
}

// round places one more copy of each unit: on another rack, evenly, and where its state is.
func (c *copier) round() {
	if len(c.keepers) == 0 {
		return
	}
	total := len(c.given)
	for _, n := range c.load {
		total += n
	}
	even := (total + len(c.keepers) - 1) / len(c.keepers)
	for p := range c.given {
		best := -1
		for _, m := range c.keepers {
			if c.may(p, m) && (best < 0 || c.prefer(p, m, best, even) < 0) {
				best = m
			}
		}
		if best >= 0 {
			c.placed[p] = append(c.placed[p], best)
			c.load[best]++
		}
	}
}

func (c *copier) prefer(p, a, b, even int) int {
	return cmp.Or(
		cmp.Compare(c.together(p, a), c.together(p, b)),
		btoi(c.load[a] >= even)-btoi(c.load[b] >= even),
		btoi(c.warm[p][b].Following)-btoi(c.warm[p][a].Following),
		cmp.Compare(c.lag(p, a), c.lag(p, b)),
		cmp.Compare(c.load[a], c.load[b]),
	)
}

// level moves copies from members with many to members with fewer while that keeps racks apart: first those of which least is there.
func (c *copier) level() {
	for c.levelOne() {
	}
}

func (c *copier) levelOne() bool {
	for _, to := range c.keepers {
		best, at := -1, 0
		for p, placed := range c.placed {
			for k, from := range placed {
				if c.load[from] < c.load[to]+2 || !c.may(p, to) || c.apart(p, k, to) > c.together(p, from) {
					continue
				}
				if best < 0 || c.lag(p, from) > c.lag(best, c.placed[best][at]) {
					best, at = p, k
				}
			}
		}
		if best >= 0 {
			c.load[c.placed[best][at]]--
			c.load[to]++
			c.placed[best][at] = to
			return true
		}
	}
	return false
}

// apart is together of a member that takes the place of a unit's k-th copy.
func (c *copier) apart(p, k, m int) int {
	return c.together(p, m) - c.near(m, c.placed[p][k])
}
