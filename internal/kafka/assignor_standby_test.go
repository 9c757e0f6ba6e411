package kafka

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// warmCrew is a crew whose members keep copies of state, which get warm as rounds go by.
type warmCrew struct {
	*crew
	copies map[string][]Copy // by member
	trail  []string
	lost   map[TopicPartition]string // units of members that are gone, with one that was warm for it, or ""
}

// first is the topic that stands for a set.
func (c *warmCrew) units() (all []TopicPartition) {
	for _, set := range c.sets() {
		for p := range c.counts[set[0]] {
			all = append(all, TopicPartition{Topic: set[0], Partition: p})
		}
	}
	return all
}

func (c *warmCrew) add(id string, sets [][]string, standby int, rack string) {
	m := &groupMember{id: id, sets: sets, generation: -1, standby: standby, rack: rack, held: map[TopicPartition]Warmth{}}
	for _, set := range sets {
		m.stateful = append(m.stateful, set[0])
	}
	c.members[id] = m
}

// round is a generation in which members take what they are given and follow their copies for a while. asks says that a copy whose
// unit is to move is warm.
func (c *warmCrew) round(t *rapid.T) (again, asks bool) {
	assigned := assign(c.list(), c.counts)
	c.trail = append(c.trail, "\n"+lines(assigned)+"\nCOPIES "+copyLines(assigned))
	before := c.once(t)
	again = c.crew.round(t)
	after := c.once(t)
	for _, u := range c.units() {
		was, is := before[u], after[u]
		if m := c.members[was]; m != nil && is != was && is != "" {
			t.Fatalf("%v went from %s to %s in one round", u, was, is)
		}
		if warm, ok := c.lost[u]; ok && is != "" {
			if w, has := c.members[is].held[u]; c.members[warm] != nil && (!has || w.Lag > WarmLag) {
				t.Fatalf("%v of a member that is gone went to %s, and %s was warm", u, is, warm)
			}
			delete(c.lost, u)
		}
	}
	for id, m := range c.members {
		copies := map[TopicPartition]bool{}
		for moves, topics := range map[bool]map[string][]int32{false: assigned[id].copies, true: assigned[id].moves} {
			for topic, ps := range topics {
				for _, p := range ps {
					u := TopicPartition{Topic: topic, Partition: p}
					if copies[u] {
						t.Fatalf("%s keeps two copies of %v", id, u)
					}
					if after[u] == id {
						t.Fatalf("%s runs %v and is to keep a copy of it", id, u)
					}
					copies[u] = true
					w, has := m.held[u]
					if !has {
						w.Lag = 3 * WarmLag
					}
					if w.Lag -= WarmLag; w.Lag < 0 {
						w.Lag = 0
					}
					m.held[u] = Warmth{Lag: w.Lag, Following: true}
					asks = asks || moves && w.Lag <= WarmLag
				}
			}
		}
		for u, w := range m.held { // what is left on the disk falls behind
			if !copies[u] && after[u] != id {
				m.held[u] = Warmth{Lag: w.Lag + 1}
			}
		}
		for _, tp := range m.owned {
			if slices.Contains(m.stateful, tp.Topic) {
				m.held[tp] = Warmth{Following: true}
			}
		}
		c.copies[id] = nil
		for u := range copies {
			c.copies[id] = append(c.copies[id], Copy{TopicPartition: u})
		}
	}
	return again, asks
}

// settle goes round until nothing moves, nobody asks for it, and the plan stays: one that changes begins other copies, which ask later.
func (c *warmCrew) settle(t *rapid.T) {
	const most = 60 // more than it takes to make a copy of everything, two at a time
	calm := 0
	for rounds := 0; calm < 2; rounds++ { // copies that were cold are warm after another round
		before := c.once(t)
		again, asks := c.round(t)
		planned := len(c.trail) > 1 && c.trail[len(c.trail)-1] == c.trail[len(c.trail)-2]
		if calm++; again || asks || !planned || !maps.Equal(before, c.once(t)) {
			calm = 0
		}
		if rounds > most {
			t.Fatalf("no fixpoint after %d rounds; the last ones: %v", rounds, c.trail[len(c.trail)-6:])
		}
	}
}

func (c *warmCrew) leave(t *rapid.T, id string) {
	for _, tp := range c.members[id].owned {
		if !slices.Contains(c.members[id].stateful, tp.Topic) {
			continue
		}
		c.lost[tp] = ""
		if slices.ContainsFunc(c.list(), func(m groupMember) bool { return m.standby == 0 }) {
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(c.members)) {
			if w, ok := c.members[other].held[tp]; ok && other != id && w.Lag <= WarmLag && c.members[other].standby > 0 {
				c.lost[tp] = other
			}
		}
	}
	delete(c.members, id)
	delete(c.copies, id)
}

// checkCopies checks a fixpoint: each unit has as many copies as there can be, apart from each other, and evenly.
func (c *warmCrew) checkCopies(t *rapid.T) {
	owner := c.once(t)
	want, keepers := 0, 0
	for _, m := range c.members {
		want = max(want, m.standby)
		keepers += btoi(m.standby > 0)
	}
	has := func(id string, u TopicPartition) bool { return slices.Contains(c.copies[id], Copy{TopicPartition: u}) }
	for _, set := range c.sets() {
		load := map[string]int{}
		for p := range c.counts[set[0]] {
			u := TopicPartition{Topic: set[0], Partition: p}
			n := 0
			for id := range c.members {
				if has(id, u) {
					n++
					load[id]++
				}
			}
			most := keepers - btoi(c.members[owner[u]].standby > 0)
			if n != min(want, most) {
				t.Fatalf("%v has %d copies, want %d of %d members: %v", u, n, want, len(c.members), c.copies)
			}
			near := func(id string) int { // to the active one
				switch a, b := c.members[id].rack, c.members[owner[u]].rack; {
				case a == "" || b == "":
					return 1
				case a == b:
					return 2
				}
				return 0
			}
			for id := range c.members { // racks: no copy beside the active one, or where nobody knows, where another rack has room
				for other, m := range c.members {
					if want == 1 && has(id, u) && m.standby > 0 && !has(other, u) && owner[u] != other && near(other) < near(id) {
						t.Fatalf("the copy of %v on %s may be in the rack of %s, and %s is not", u, id, owner[u], other)
					}
				}
			}
		}
		racks := map[string]bool{}
		for _, m := range c.members {
			racks[m.rack] = true
		}
		if len(racks) > 1 {
			continue
		}
		for from := range c.members {
			for to, m := range c.members {
				for p := range c.counts[set[0]] {
					u := TopicPartition{Topic: set[0], Partition: p}
					if m.standby > 0 && has(from, u) && !has(to, u) && owner[u] != to && load[from] >= load[to]+2 {
						t.Fatalf("%s keeps %d copies and %s %d, and %v could be there", from, load[from], to, load[to], u)
					}
				}
			}
		}
	}
}

// Mutations seen to fail it, of racks: a rack that is not known counts as another one; apart that counts the copy that goes.
func TestUnitsMoveToTheirState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := drawCrew(t)
		sets := base.sets()
		base.members = map[string]*groupMember{}
		c := &warmCrew{crew: base, copies: map[string][]Copy{}, lost: map[TopicPartition]string{}}
		want := rapid.IntRange(1, 3).Draw(t, "copies")
		racks := rapid.SampledFrom([]string{"", "r", "rs", "rst", "r-", "rs-"}).Draw(t, "racks") // - is not known
		old := rapid.Bool().Draw(t, "some of an older build")
		add := func(id string) {
			standby, rack := want, ""
			if racks != "" {
				rack = strings.Trim(string(racks[rapid.IntRange(0, len(racks)-1).Draw(t, "rack")]), "-")
			}
			if old && rapid.Bool().Draw(t, "older build") {
				standby = 0
			}
			c.add(id, sets, standby, rack)
			if standby == 0 {
				c.members[id].held, c.members[id].stateful = nil, nil
			}
		}
		for i := range rapid.IntRange(1, 5).Draw(t, "members") {
			add(fmt.Sprintf("m%d", i))
		}
		c.settle(t)
		c.check(t)
		c.checkCopies(t)
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			if len(c.members) > 1 && rapid.Bool().Draw(t, "leave") {
				c.leave(t, rapid.SampledFrom(slices.Sorted(maps.Keys(c.members))).Draw(t, "who"))
			} else {
				add(fmt.Sprintf("n%d", c.generation))
			}
			c.settle(t)
			c.check(t)
			c.checkCopies(t)
		}
	})
}

// copyLines writes down who keeps which copies; those whose units are to move have a star.
func copyLines(assigned map[string]*assignment) string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(assigned)) {
		line := id + ":"
		for _, topic := range slices.Sorted(maps.Keys(assigned[id].copies)) {
			line += fmt.Sprintf(" %s%v", topic, assigned[id].copies[topic])
		}
		for _, topic := range slices.Sorted(maps.Keys(assigned[id].moves)) {
			line += fmt.Sprintf(" *%s%v", topic, assigned[id].moves[topic])
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

// keeper is a member that keeps copies of a's state.
func keeper(id string, owned []TopicPartition, held map[int32]Warmth) groupMember {
	m := groupMember{id: id, sets: [][]string{{"a"}}, owned: owned, generation: 4, standby: 1, stateful: []string{"a"}, held: map[TopicPartition]Warmth{}}
	for p, w := range held {
		m.held[TopicPartition{Topic: "a", Partition: p}] = w
	}
	return m
}

func TestCopiesInSpecialCases(t *testing.T) {
	warm, cold, runs := Warmth{Lag: 9, Following: true}, Warmth{Lag: 2 * WarmLag, Following: true}, Warmth{Following: true}
	inRack := func(rack string, m groupMember) groupMember { m.rack = rack; return m }
	older := func(m groupMember) groupMember { m.standby, m.stateful, m.held = 0, nil, nil; return m }
	for _, c := range []struct {
		name         string
		members      []groupMember
		want, copies string
	}{
		{"a new member gets copies first, and not more than two at a time", []groupMember{
			keeper("x", holds("a", 0, 1, 2, 3, 4, 5, 6, 7), map[int32]Warmth{0: runs, 1: runs, 2: runs, 3: runs, 4: runs, 5: runs, 6: runs, 7: runs}), keeper("y", nil, nil),
		}, "x: a[0 1 2 3 4 5 6 7]\ny:", "x:\ny: a[0 1 2 3] *a[4 5 6 7]"},
		{"a warm copy is moved to", []groupMember{
			keeper("x", holds("a", 0, 1), map[int32]Warmth{0: runs, 1: runs}), keeper("y", nil, map[int32]Warmth{0: warm}),
		}, "x: a[1]\ny:", "x: a[0]\ny: a[0 1]"},
		{"what is given up goes where it is warm", []groupMember{
			keeper("x", holds("a", 1), map[int32]Warmth{0: {Lag: 1}, 1: runs}), keeper("y", nil, map[int32]Warmth{0: warm}),
		}, "x: a[1]\ny: a[0]", "x: a[0]\ny: a[1]"},
		{"the unit of a member that is gone goes where it is warm, against balance", []groupMember{
			keeper("x", holds("a", 0, 1), map[int32]Warmth{0: runs, 1: runs, 2: warm, 3: warm}), keeper("y", nil, nil),
		}, "x: a[0 1 2 3]\ny:", "x:\ny: a[0 1 2 3]"},
		{"where nobody is warm, to who has most", []groupMember{
			keeper("x", nil, map[int32]Warmth{0: {Lag: 5 * WarmLag}, 1: {Lag: 7 * WarmLag}}), keeper("y", nil, map[int32]Warmth{0: cold, 1: cold}),
		}, "x:\ny: a[0 1]", "x: a[0 1]\ny:"},
		{"a holder that has no more of it itself lets go", []groupMember{
			keeper("x", holds("a", 0, 1), nil), keeper("y", nil, nil),
		}, "x: a[0]\ny:", "x: a[1]\ny: a[0]"},
		{"a member of an older build gets no copies, and units as ever", []groupMember{
			keeper("x", holds("a", 0, 1), map[int32]Warmth{0: runs, 1: runs}), older(keeper("y", nil, nil)),
		}, "x: a[0]\ny:", "x: a[1]\ny:"},
		{"other racks first", []groupMember{
			inRack("r", keeper("x", holds("a", 0), map[int32]Warmth{0: runs})),
			inRack("r", keeper("y", holds("a", 1), map[int32]Warmth{0: warm, 1: runs})), inRack("s", keeper("z", holds("a", 2), map[int32]Warmth{2: runs})),
		}, "x: a[0]\ny: a[1]\nz: a[2]", "x: a[2]\ny:\nz: a[0 1]"},
	} {
		counts := map[string]int32{"a": 0}
		for _, m := range c.members {
			for _, tp := range m.owned {
				counts["a"] = max(counts["a"], tp.Partition+1)
			}
			for tp := range m.held {
				counts["a"] = max(counts["a"], tp.Partition+1)
			}
		}
		got := assign(c.members, counts)
		if lines(got) != c.want || copyLines(got) != c.copies {
			t.Errorf("%s:\n%s\nwant:\n%s\ncopies:\n%s\nwant:\n%s", c.name, lines(got), c.want, copyLines(got), c.copies)
		}
		slices.Reverse(c.members)
		if again := assign(c.members, counts); lines(again) != lines(got) || copyLines(again) != copyLines(got) {
			t.Errorf("%s: with the members in another order:\n%s\n%s", c.name, lines(again), copyLines(again))
		}
	}
}

func TestWhatIsHeldIsWrittenAndRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		held := map[TopicPartition]Warmth{}
		for range rapid.IntRange(0, 20).Draw(t, "tasks") {
			tp := TopicPartition{Topic: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "topic"), Partition: rapid.Int32Range(0, 1<<31-1).Draw(t, "partition")}
			held[tp] = Warmth{Lag: rapid.Int64Range(0, 1<<62).Draw(t, "lag"), Following: rapid.Bool().Draw(t, "following")}
		}
		if got := decodeHeld(encodeHeld(held)); !maps.Equal(got, held) {
			t.Fatalf("%v was read as %v", held, got)
		}
		decodeHeld(map[string][]byte{"a": rapid.SliceOf(rapid.Byte()).Draw(t, "anything")})
	})
	many := map[TopicPartition]Warmth{}
	for p := range int32(3 * heldMost) {
		many[TopicPartition{Topic: "a", Partition: p}] = Warmth{Lag: int64(3*heldMost - p), Following: true}
	}
	encoded := encodeHeld(many)
	got := decodeHeld(encoded)
	if len(got) != heldMost || got[TopicPartition{Topic: "a", Partition: 3*heldMost - 1}].Lag != 1 || len(encoded["a"]) > 4*heldMost {
		t.Errorf("of %d tasks %d are left, in %d bytes", len(many), len(got), len(encoded["a"]))
	}
}

// A member takes over the copies that its leader has for it, whatever build that is of: none of a partition that it has itself or that
// it does not know. Leaders and members of other builds understand the rest of an assignment and of a subscription.
func TestCopiesInAnAssignmentAreCheckedAndOtherBuildsPassThemBy(t *testing.T) {
	g := &Group{cfg: GroupConfig{Copartitioned: [][]string{{"a", "b"}, {"c"}}}, topics: []string{"a", "b", "c"}, counts: map[string]int32{"a": 4, "b": 4, "c": 2},
		assigned: append(holds("b", 1), holds("c", 0)...)}
	got := g.copiesOf(&mark{
		Copies: map[string][]int32{"a": {0, 1, 3, 4, -1}, "c": {0, 1}, "z": {0}},
		Moves:  map[string][]int32{"a": {2, 3}},
	})
	want := []Copy{{TopicPartition{Topic: "a"}, false}, {TopicPartition{Topic: "a", Partition: 2}, true}, {TopicPartition{Topic: "a", Partition: 3}, true}, {TopicPartition{Topic: "c", Partition: 1}, false}}
	if !slices.Equal(got, want) {
		t.Errorf("the copies are %v, want %v", got, want)
	}
	if got := g.copiesOf(readMark([]byte(`{"weir":1,"group":"g","partitions":{"a":4}}`))); len(got) > 0 {
		t.Errorf("a leader that knows no copies gives %v", got)
	}
	data, err := mark{Weir: 1, Group: "g", Partitions: map[string]int32{"a": 4}, Copies: map[string][]int32{"a": {1}}}.encode()
	var before struct { // as builds without copies read it
		Weir       int              `json:"weir"`
		Group      string           `json:"group"`
		Partitions map[string]int32 `json:"partitions"`
	}
	if err != nil || json.Unmarshal(data, &before) != nil || before.Group != "g" || before.Partitions["a"] != 4 {
		t.Errorf("a build without copies reads %s as %+v", data, before)
	}
}
