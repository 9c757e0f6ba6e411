package kafka

import (
	"cmp"
	"maps"
	"slices"
)

// groupMember is what the assignor knows of one member of a group.
type groupMember struct {
	id         string
	instance   string           // group.instance.id, or empty
	sets       [][]string       // the co-partitioned sets of its topology
	counts     map[string]int32 // how many partitions it sees of its topics; for the caller of assign
	owned      []TopicPartition // what it holds as it says
	generation int32            // in which it was given that, -1 for a member that holds nothing
	// previous is what a static member held when it was last heard of. It has restarted, so it holds nothing now and
	// nothing need be waited for, but it should get the same again.
	previous []TopicPartition

	// Of copies of state: see Standby. A member that keeps none has none of these.
	standby  int
	rack     string
	stateful []string
	held     map[TopicPartition]Warmth
}

// assignment is what a member gets.
type assignment struct {
	partitions map[string][]int32
	copies     map[string][]int32 // each by one input of its task; nil for none
	moves      map[string][]int32 // copies of tasks that are to move here when they are warm
}

// name orders members. Member ids are random; a static member keeps its place.
func (m *groupMember) name() string { return cmp.Or(m.instance, m.id) }

// assign shares partitions out among the members of a group. It is a pure function: the same members give the same
// answer in every process, whatever their order.
//
// What is shared out are units: partition p of all topics of a co-partitioned set. Of each set the members get numbers
// of units that differ by at most one, and of all sets together too. Among the ways to do that one is chosen that
// moves the fewest units away from members that have them.
//
// It is cooperative (KIP-429): a unit that is to move while its holder is alive is given to nobody, the holder sees
// that it has lost it, gives it up and joins again, and only then it is given to another. So in no generation, nor
// between two, has a partition two owners.
//
// Members may differ while a new version is rolled out: sets that share a topic count as one set, and each member is
// given the topics of a unit that it knows. Topics of one set with different numbers of partitions are given out as
// far as each goes.
//
// Where members keep copies of state, units with state move to members that have it: see assignor_standby.go.
func assign(members []groupMember, counts map[string]int32) map[string]*assignment {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b groupMember) int {
		return cmp.Or(cmp.Compare(a.name(), b.name()), cmp.Compare(a.id, b.id))
	})
	holders := holders(members)
	var shares []*share
	for _, topics := range mergeSets(members) {
		s := newShare(topics, members, holders, counts)
		s.heat(members)
		shares = append(shares, s)
	}
	balance(shares, len(members))

	assigned := make(map[string]*assignment, len(members))
	for _, m := range members {
		assigned[m.id] = &assignment{partitions: map[string][]int32{}}
	}
	for _, s := range shares {
		wanted := s.distribute()
		given := slices.Clone(wanted)
		for p := range given {
			given[p] = s.keep(int32(p), wanted[p], holders, counts)
			to := given[p]
			if to < 0 || !s.free(int32(p), to, holders, counts) {
				continue
			}
			for _, topic := range s.topics {
				if int32(p) < counts[topic] && s.knows[to][topic] {
					assigned[members[to].id].partitions[topic] = append(assigned[members[to].id].partitions[topic], int32(p))
				}
			}
		}
		s.copy(members, wanted, given, counts, assigned)
	}
	return assigned
}

// holders says which member, by index, holds a partition. Two members can claim the same one only after one of them
// was cut off for a while, and then the claim of the later generation counts (KIP-792).
func holders(members []groupMember) map[TopicPartition]int {
	held := map[TopicPartition]int{}
	for i, m := range members {
		for _, tp := range m.owned {
			if other, ok := held[tp]; !ok || m.generation > members[other].generation {
				held[tp] = i
			}
		}
	}
	return held
}

// mergeSets joins the sets of all members that share a topic. Sets and the topics in them are in order.
func mergeSets(members []groupMember) [][]string {
	set := map[string]*[]string{} // by topic
	for _, m := range members {
		for _, topics := range m.sets {
			var merged []string
			for _, topic := range topics {
				merged = append(merged, topic)
				if known := set[topic]; known != nil {
					merged = append(merged, *known...)
				}
			}
			slices.Sort(merged)
			merged = slices.Compact(merged)
			for _, topic := range merged {
				set[topic] = &merged
			}
		}
	}
	var all [][]string
	for _, topic := range slices.Sorted(maps.Keys(set)) {
		if topics := *set[topic]; topics[0] == topic {
			all = append(all, topics)
		}
	}
	return all
}

// share is one set's units and who is to have how many of them. Members go by index.
type share struct {
	topics  []string
	members []int                   // that know a topic of the set
	knows   map[int]map[string]bool // which
	holder  []int                   // of each unit, -1 where nobody of members has it
	held    map[int]int             // how many units a member has
	quota   map[int]int             // how many it shall have
	warm    []map[int]Warmth        // of each unit, what members have of its state; nil for a set without state, or without copies
	copies  int                     // how many of each unit
	keepers []int                   // the members that keep copies
}

func newShare(topics []string, members []groupMember, holders map[TopicPartition]int, counts map[string]int32) *share {
	s := &share{topics: topics, knows: map[int]map[string]bool{}, held: map[int]int{}, quota: map[int]int{}}
	var units int32
	for _, topic := range topics {
		units = max(units, counts[topic])
	}
	previous := map[TopicPartition]int{}
	for i, m := range members {
		known := map[string]bool{}
		for _, set := range m.sets {
			for _, topic := range set {
				if slices.Contains(topics, topic) {
					known[topic] = true
				}
			}
		}
		if len(known) > 0 {
			s.members = append(s.members, i)
			s.knows[i] = known
		}
		for _, tp := range m.previous {
			previous[tp] = i
		}
	}
	s.holder = make([]int, units)
	for p := range units {
		s.holder[p] = -1
		for _, from := range []map[TopicPartition]int{holders, previous} {
			for _, topic := range topics {
				i, ok := from[TopicPartition{Topic: topic, Partition: p}]
				if ok && s.holder[p] < 0 && s.knows[i] != nil {
					s.holder[p] = i
					s.held[i]++
				}
			}
		}
	}
	return s
}

// distribute returns the member of each unit, -1 for none. Members keep what they have up to their quota, and the rest
// fills the quotas in order; units with state go where their state is.
func (s *share) distribute() []int {
	to := make([]int, len(s.holder))
	left := maps.Clone(s.quota)
	for p := range to {
		to[p] = -1
	}
	for _, p := range s.byColdness() {
		if holder := s.holder[p]; holder >= 0 && left[holder] > 0 {
			to[p] = holder
			left[holder]--
		}
	}
	s.followState(to, left)
	next := 0
	for p := range to {
		for to[p] < 0 && next < len(s.members) {
			if m := s.members[next]; left[m] > 0 {
				to[p] = m
				left[m]--
			} else {
				next++
			}
		}
	}
	return to
}

// free says whether no other living member holds a partition of the unit.
func (s *share) free(p int32, to int, holders map[TopicPartition]int, counts map[string]int32) bool {
	for _, topic := range s.topics {
		if holder, ok := holders[TopicPartition{Topic: topic, Partition: p}]; ok && holder != to && p < counts[topic] {
			return false
		}
	}
	return true
}
