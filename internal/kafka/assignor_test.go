package kafka

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// crew is a group in a test: members that join, take what they are assigned and give up what they are not.
type crew struct {
	counts     map[string]int32
	members    map[string]*groupMember
	generation int32
}

func (c *crew) list() []groupMember {
	var ms []groupMember
	for _, id := range slices.Sorted(maps.Keys(c.members)) {
		ms = append(ms, *c.members[id])
	}
	return ms
}

// round is a generation: everybody joins, then each member in turn takes over its assignment. It returns whether
// anybody gave something up, which makes another round.
func (c *crew) round(t *rapid.T) (again bool) {
	assigned := assign(c.list(), c.counts)
	c.generation++
	for _, id := range rapid.Permutation(slices.Sorted(maps.Keys(c.members))).Draw(t, "order") {
		m := c.members[id]
		var owned []TopicPartition
		for topic, ps := range assigned[id].partitions {
			for _, p := range ps {
				owned = append(owned, TopicPartition{Topic: topic, Partition: p})
			}
		}
		for _, tp := range m.owned {
			if !slices.Contains(owned, tp) {
				again = true
			}
		}
		m.owned, m.generation = owned, c.generation
		c.once(t)
	}
	return again
}

// once checks that nothing has two owners, which must hold after every single step of every member.
func (c *crew) once(t *rapid.T) map[TopicPartition]string {
	owner := map[TopicPartition]string{}
	for id, m := range c.members {
		for _, tp := range m.owned {
			if other, ok := owner[tp]; ok {
				t.Fatalf("%s is owned by %s and %s", tp, other, id)
			}
			owner[tp] = id
		}
	}
	return owner
}

func (c *crew) settle(t *rapid.T) (rounds int) {
	for rounds = 1; c.round(t); rounds++ {
		if rounds == 2 {
			t.Fatalf("no fixpoint after two rounds")
		}
	}
	return rounds
}

// moved counts the units that changed hands between members that live before and after.
func moved(before, after map[TopicPartition]string, living map[string]*groupMember) int {
	n := 0
	for tp, was := range before {
		if tp.Topic[1] == 'a' && after[tp] != was && living[was] != nil { // the first topic stands for its set
			n++
		}
	}
	return n
}

func drawCrew(t *rapid.T) *crew {
	c := &crew{counts: map[string]int32{}, members: map[string]*groupMember{}}
	var sets [][]string
	for s := range rapid.IntRange(1, 4).Draw(t, "sets") {
		n := rapid.Int32Range(0, 9).Draw(t, "partitions")
		set := []string{fmt.Sprintf("%da", s), fmt.Sprintf("%db", s)}
		c.counts[set[0]] = n
		c.counts[set[1]] = rapid.Int32Range(0, n).Draw(t, "fewer")
		sets = append(sets, set)
	}
	for i := range rapid.IntRange(1, 6).Draw(t, "members") {
		c.add(fmt.Sprintf("m%d", i), sets)
	}
	return c
}

func (c *crew) add(id string, sets [][]string) {
	c.members[id] = &groupMember{id: id, sets: sets, generation: -1}
}

func (c *crew) sets() [][]string { return c.list()[0].sets }

// check checks a fixpoint: everything is assigned, together, evenly.
func (c *crew) check(t *rapid.T) {
	owner := c.once(t)
	loads := map[string]int{}
	for _, set := range c.sets() {
		perSet := map[string]int{}
		for p := range c.counts[set[0]] {
			a, ok := owner[TopicPartition{Topic: set[0], Partition: p}]
			if !ok {
				t.Fatalf("%s/%d is owned by nobody", set[0], p)
			}
			b, ok := owner[TopicPartition{Topic: set[1], Partition: p}]
			if ok != (p < c.counts[set[1]]) || ok && a != b {
				t.Fatalf("partition %d of %v: owned by %q and %q", p, set, a, b)
			}
			perSet[a]++
			loads[a]++
		}
		even(t, c.members, perSet)
	}
	even(t, c.members, loads)
}

func even(t *rapid.T, members map[string]*groupMember, n map[string]int) {
	low, high := 1<<30, 0
	for id := range members {
		low, high = min(low, n[id]), max(high, n[id])
	}
	if high-low > 1 {
		t.Fatalf("uneven: %v", n)
	}
}

// Mutations: free returns true always (two owners); quota without the rest (owned by nobody); the pool's capacity is
// total (uneven sums); distribute ignores the holder (more moved than must be).
func TestAssignmentsAreCompleteEvenCopartitionedAndNeverDoubled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrew(t)
		c.settle(t)
		c.check(t)
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			before := c.once(t)
			if len(c.members) > 1 && rapid.Bool().Draw(t, "leave") {
				id := rapid.SampledFrom(slices.Sorted(maps.Keys(c.members))).Draw(t, "who")
				delete(c.members, id)
			} else {
				c.add(fmt.Sprintf("n%d", c.generation), c.sets())
			}
			least := fewestMoves(c, before)
			c.settle(t)
			c.check(t)
			if n := moved(before, c.once(t), c.members); n != least {
				t.Fatalf("%d units moved, %d would do", n, least)
			}
			before = c.once(t)
			if c.round(t) || moved(before, c.once(t), c.members) > 0 {
				t.Fatalf("a round without any change moved something")
			}
		}
	})
}

// fewestMoves finds, by trying all ways to hand out the units that cannot be divided evenly, how few units an even
// assignment can take away from living members.
func fewestMoves(c *crew, before map[TopicPartition]string) int {
	ids := slices.Sorted(maps.Keys(c.members))
	sets := c.sets()
	held := make([]map[string]int, len(sets))
	for i, set := range sets {
		held[i] = map[string]int{}
		for p := range c.counts[set[0]] {
			if id := before[TopicPartition{Topic: set[0], Partition: p}]; c.members[id] != nil {
				held[i][id]++
			}
		}
	}
	best := 1 << 30
	sums := make([]int, len(ids))
	var try func(set, moves int)
	try = func(set, moves int) {
		if set == len(sets) {
			if slices.Max(sums)-slices.Min(sums) <= 1 {
				best = min(best, moves)
			}
			return
		}
		units := int(c.counts[sets[set][0]])
		for bits := range 1 << len(ids) {
			extra := 0
			for i := range ids {
				extra += bits >> i & 1
			}
			if extra != units%len(ids) {
				continue
			}
			more := moves
			for i, id := range ids {
				quota := units/len(ids) + bits>>i&1
				sums[i] += quota
				more += max(0, held[set][id]-quota)
			}
			if more < best {
				try(set+1, more)
			}
			for i := range ids {
				sums[i] -= units/len(ids) + bits>>i&1
			}
		}
	}
	try(0, 0)
	return best
}

// lines writes an assignment down, in order.
func lines(assigned map[string]*assignment) string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(assigned)) {
		line := id + ":"
		for _, topic := range slices.Sorted(maps.Keys(assigned[id].partitions)) {
			line += fmt.Sprintf(" %s%v", topic, assigned[id].partitions[topic])
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

func holds(topic string, ps ...int32) []TopicPartition {
	var tps []TopicPartition
	for _, p := range ps {
		tps = append(tps, TopicPartition{Topic: topic, Partition: p})
	}
	return tps
}

// Mutations: holders ignores the generation; mergeSets keeps sets apart; distribute gives topics that a member does not
// know; free looks at one topic only.
func TestAssignmentsInSpecialCases(t *testing.T) {
	ab := [][]string{{"a", "b"}}
	onlyA := [][]string{{"a"}}
	for _, c := range []struct {
		name    string
		members []groupMember
		counts  map[string]int32
		want    string
	}{
		{"no partitions", []groupMember{{id: "x", sets: ab}}, nil, "x:"},
		{"more members than partitions", []groupMember{{id: "x", sets: onlyA}, {id: "y", sets: onlyA}}, map[string]int32{"a": 1}, "x: a[0]\ny:"},
		{"topics of different sizes", []groupMember{{id: "x", sets: ab}, {id: "y", sets: ab}}, map[string]int32{"a": 4, "b": 1}, "x: a[0 1] b[0]\ny: a[2 3]"},
		{"the later generation's claim counts", []groupMember{
			{id: "x", sets: onlyA, owned: holds("a", 0, 1), generation: 4},
			{id: "y", sets: onlyA, owned: holds("a", 0), generation: 5},
		}, map[string]int32{"a": 2}, "x: a[1]\ny: a[0]"},
		{"what another holds is withheld", []groupMember{
			{id: "x", sets: onlyA, owned: holds("a", 0, 1, 2, 3), generation: 4},
			{id: "y", sets: onlyA, generation: -1},
		}, map[string]int32{"a": 4}, "x: a[0 1]\ny:"},
		{"a topic that nobody reads any more", []groupMember{
			{id: "x", sets: onlyA, owned: append(holds("z", 0), holds("a", 0)...), generation: 4},
		}, map[string]int32{"a": 1, "z": 1}, "x: a[0]"},
		{"a new version reads one topic more", []groupMember{
			{id: "new", sets: ab, generation: -1},
			{id: "old", sets: onlyA, owned: holds("a", 0, 1), generation: 4},
		}, map[string]int32{"a": 4, "b": 4}, "new: a[2 3] b[2 3]\nold: a[0 1]"},
		{"a new version joins two sets", []groupMember{
			{id: "new", sets: ab, owned: holds("a", 0, 1), generation: 4},
			{id: "old", sets: [][]string{{"a"}, {"b"}}, owned: holds("b", 0, 1), generation: 4},
		}, map[string]int32{"a": 2, "b": 2}, "new:\nold:"}, // both are given up, then given out together
		{"a static member that has restarted", []groupMember{
			{id: "9", instance: "one", sets: onlyA, generation: -1, previous: holds("a", 1, 3)},
			{id: "1", instance: "two", sets: onlyA, owned: holds("a", 0, 2), generation: 4},
		}, map[string]int32{"a": 4}, "1: a[0 2]\n9: a[1 3]"},
		{"a static member that was away for too long", []groupMember{
			{id: "9", instance: "one", sets: onlyA, generation: -1, previous: holds("a", 0, 1, 2)},
			{id: "1", instance: "two", sets: onlyA, owned: holds("a", 0, 2), generation: 4},
		}, map[string]int32{"a": 3}, "1: a[0 2]\n9: a[1]"},
	} {
		got := lines(assign(c.members, c.counts))
		if got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
		slices.Reverse(c.members)
		if again := lines(assign(c.members, c.counts)); again != got {
			t.Errorf("%s: with the members in another order:\n%s\nnot:\n%s", c.name, again, got)
		}
	}
}
