package simkafka

import (
	"slices"

	"github.com/weirstream/weir/internal/kafka"
)

// unit is what is assigned as one: a partition of every topic of a co-partitioned set.
type unit struct {
	set       int
	partition int32
}

// assign is the leader's part of the cooperative protocol (KIP-429): a unit stays where it is while that is balanced. A
// unit that has to move is given to nobody in this generation; its owner gives it up and joins again, and the
// generation after that gives it away; withheld says that there is such a unit.
func (g *group) assign(c *Cluster) (withheld bool) {
	owner := map[unit]*member{}
	for _, m := range g.members {
		for _, tp := range m.owned {
			for s, set := range g.sets {
				if slices.Contains(set, tp.Topic) {
					owner[unit{s, tp.Partition}] = m
				}
			}
		}
		m.assigned = nil
	}
	var units []unit
	for s, set := range g.sets {
		n := int32(0)
		for _, name := range set {
			if t := c.topics[name]; t != nil {
				n = max(n, t.info.Partitions)
			}
		}
		for p := range n {
			units = append(units, unit{s, p})
		}
	}
	quota := len(units) / len(g.members)
	extra := len(units) % len(g.members)
	count := map[*member]int{}
	var free []unit
	for _, u := range units {
		m := owner[u]
		switch {
		case m == nil:
			free = append(free, u)
		case count[m] < quota:
			count[m]++
			g.give(c, m, u)
		case count[m] == quota && extra > 0:
			extra--
			count[m]++
			g.give(c, m, u)
		default:
			withheld = true // given to nobody now, to whoever has least when its owner has given it back
		}
	}
	for _, u := range free {
		best := g.members[0]
		for _, m := range g.members[1:] {
			if count[m] < count[best] {
				best = m
			}
		}
		count[best]++
		g.give(c, best, u)
	}
	return withheld
}

func (g *group) give(c *Cluster, m *member, u unit) {
	for _, name := range g.sets[u.set] {
		if t := c.topics[name]; t != nil && u.partition < t.info.Partitions {
			m.assigned = append(m.assigned, kafka.TopicPartition{Topic: name, Partition: u.partition})
		}
	}
}

// assignCopies has members keep copies of the state of units that others have, as many as they want, now here and now there: the
// engine must be right with any. Some say that their unit is to move, which costs a rebalance when they are warm.
func (g *group) assignCopies(c *Cluster) {
	want := 0
	for _, m := range g.members {
		m.copies = nil
		want = max(want, m.standby)
	}
	for _, set := range g.sets {
		t := c.topics[set[0]]
		if t == nil {
			continue
		}
		for p := range t.info.Partitions {
			tp := kafka.TopicPartition{Topic: set[0], Partition: p}
			rng := c.seeded("copies", tp, g.generation/4) // not another place in each generation
			n := 0
			for _, i := range rng.Perm(len(g.members)) {
				m := g.members[i]
				if m.standby > 0 && n < want && !slices.Contains(m.assigned, tp) {
					n++
					m.copies = append(m.copies, kafka.Copy{TopicPartition: tp, Moves: rng.IntN(4) == 0 && g.generation%4 == 0})
				}
			}
		}
	}
}
