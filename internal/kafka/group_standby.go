package kafka

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Standby has a member take part in copies of state: stores that are kept on other members than the one that runs their task,
// so that the task can go on there at once.
//
// The leader of the group decides. It leaves a task with state where it is until a copy elsewhere is warm, and gives a task
// whose member is gone to the member with the warmest copy. What it goes by are the members' own words: a wrong one costs
// time, and never state, because whoever gets a task reads what its copy lacks.
type Standby struct {
	// Replicas is how many copies there should be of each task with state, beside the one that runs. The group keeps as many
	// as the member that wants most, on members that want any.
	Replicas int
	// Stateful has one input topic of each co-partitioned set whose tasks have state.
	Stateful []string
	// Held is what this member has of the state of tasks, each named by the topic in Stateful. It is called before each join and
	// must not block.
	Held func() map[TopicPartition]Warmth
	// Assigned is called with all copies that this member is to keep, and with what Assigned of the handler is about to be called with, after
	// Revoked and before that, on the same goroutine. No copy is of a task that the member runs or is about to get. It must not block for long.
	Assigned func(copies []Copy, added []TopicPartition)
}

// Warmth is how much of the state of a task a member has.
type Warmth struct {
	Lag       int64 // changelog offsets that are missing; 0 for the member that runs the task
	Following bool  // it is kept up to date: the member runs the task, or keeps a copy
}

// WarmLag is the lag up to which a copy is warm: what is missing is read in an instant.
const WarmLag = 10_000

// Copy is a copy of a task's state that a member is to keep.
type Copy struct {
	TopicPartition // an input of the task
	// Moves says that the task is to move here: Group.Rebalance is to be called when the copy is warm.
	Moves bool
}

// heldMost bounds how many tasks a member speaks of in its subscription: brokers keep the subscriptions of all members in one record.
const heldMost = 4096

// encodeHeld writes down what a member has, by topic: for each partition in order the distance from the one before it, and the
// lag, doubled, with Following as the lowest bit, all as varints.
func encodeHeld(held map[TopicPartition]Warmth) map[string][]byte {
	all := make([]TopicPartition, 0, len(held))
	for tp, w := range held {
		if tp.Partition >= 0 && w.Lag >= 0 {
			all = append(all, tp)
		}
	}
	if len(all) > heldMost { // those that matter most
		slices.SortFunc(all, func(a, b TopicPartition) int {
			return cmp.Or(cmp.Compare(held[a].Lag, held[b].Lag), a.Compare(b))
		})
		all = all[:heldMost]
	}
	slices.SortFunc(all, TopicPartition.Compare)
	encoded, last := map[string][]byte{}, map[string]int32{}
	for _, tp := range all {
		w := held[tp]
		data := binary.AppendUvarint(encoded[tp.Topic], uint64(tp.Partition-last[tp.Topic]))
		data = binary.AppendUvarint(data, uint64(w.Lag)<<1|uint64(btoi(w.Following)))
		encoded[tp.Topic], last[tp.Topic] = data, tp.Partition
	}
	return encoded
}

// decodeHeld reads what encodeHeld wrote, as far as it goes: another build may write something else.
func decodeHeld(encoded map[string][]byte) map[TopicPartition]Warmth {
	held := map[TopicPartition]Warmth{}
	for topic, data := range encoded {
		partition := uint64(0)
		for len(data) > 0 && len(held) < heldMost {
			distance, n := binary.Uvarint(data)
			if n <= 0 {
				break
			}
			value, k := binary.Uvarint(data[n:])
			if partition += distance; k <= 0 || distance > 1<<31-1 || partition > 1<<31-1 {
				break
			}
			held[TopicPartition{Topic: topic, Partition: int32(partition)}] = Warmth{Lag: int64(value >> 1), Following: value&1 == 1}
			data = data[n+k:]
		}
	}
	return held
}

// Rebalance asks for a rebalance: what this member would say of itself has changed. Why is for the log and the coordinator.
func (g *Group) Rebalance(why string) {
	g.notify(func(n *groupNews) { n.rebalance = why; n.asked = true }, false)
}

// copiesOf are the copies that an assignment has for this member. A partition that this member is assigned itself is none, whatever
// its leader says.
func (g *Group) copiesOf(m *mark) (copies []Copy) {
	add := func(topics map[string][]int32, moves bool) {
		for topic, ps := range topics {
			for _, p := range ps {
				tp := TopicPartition{Topic: topic, Partition: p}
				mine := slices.ContainsFunc(g.cfg.Copartitioned, func(set []string) bool {
					return slices.Contains(set, topic) && slices.ContainsFunc(set, func(sibling string) bool {
						return slices.Contains(g.assigned, TopicPartition{Topic: sibling, Partition: p})
					})
				})
				if slices.Contains(g.topics, topic) && p >= 0 && p < g.counts[topic] && !mine {
					copies = append(copies, Copy{tp, moves})
				}
			}
		}
	}
	add(m.Copies, false)
	add(m.Moves, true)
	slices.SortFunc(copies, func(a, b Copy) int {
		return cmp.Or(a.Compare(b.TopicPartition), btoi(b.Moves)-btoi(a.Moves))
	})
	return slices.CompactFunc(copies, func(a, b Copy) bool { return a.TopicPartition == b.TopicPartition })
}
