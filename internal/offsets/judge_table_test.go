package offsets

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

// Every case of a committed offset, its mark, what the state says, and a reset that was recorded, against the rule in words: committed
// offsets decide, positions detect, and only a recorded reset may put offsets and state apart.
//
// Mutations seen to fail it: each case of Judge left out; covers without the old offset, without the new one, or without the
// topic's id; Top that takes positions of another topic; Continue without State; equal that takes null for any offset; a stranger's
// offset that is let through where it is the state's.
func TestJudge(t *testing.T) {
	const now, gone, top = "now", "gone", int64(100)
	ptr := func(n int64) *int64 { return &n }
	offsets := []struct {
		name string
		at   int64
	}{{"none", -1}, {"below", 40}, {"equal", top}, {"above", 160}}
	marks := []struct{ name, metadata string }{
		{"no mark", "someone"}, {"set by the tool", Mark{TopicID: now, Set: true}.String()}, {"own mark", Mark{TopicID: now}.String()}, {"mark of another topic", Mark{TopicID: gone}.String()},
	}
	states := []struct {
		name string
		of   []Position
		from int64 // of the same topic
	}{
		{"no positions", nil, 0},
		{"positions", []Position{{TopicID: now, Offset: top, From: top}}, top},
		{"positions with older offsets", []Position{{TopicID: now, Offset: top, From: 40}}, 40},
		{"positions of another topic", []Position{{TopicID: gone, Offset: top, From: top}}, 0},
	}
	for _, o := range offsets {
		for _, m := range marks {
			for _, s := range states {
				for _, r := range []string{"none", "matching", "other old", "other new", "other topic"} {
					if o.at < 0 && m.name != "no mark" {
						continue // there is nothing to carry a mark
					}
					name := fmt.Sprintf("committed %s, %s, %s, reset %s", o.name, m.name, s.name, r)
					q := Question{TopicPartition: kafka.TopicPartition{Topic: "in"}, TopicID: now, State: s.of,
						Committed: kafka.CommittedOffset{Offset: o.at, Metadata: m.metadata}}
					if o.at < 0 {
						q.Committed.Metadata = ""
					}
					has := strings.HasPrefix(s.name, "positions") && s.name != "positions of another topic"
					reset := Reset{TopicID: now, Old: nil, New: orNull(o.at)}
					if has {
						reset.Old = ptr(top)
					}
					switch r {
					case "other old":
						reset.Old = ptr(top + 1)
					case "other new":
						reset.New = ptr(o.at + 7)
					case "other topic":
						reset.TopicID = gone
					}
					if r != "none" {
						q.Reset = &reset
					}

					// The rule.
					want := Answer{Kind: Continue}
					own := m.name == "own mark"
					disagree := false
					switch {
					case m.name == "mark of another topic":
						want = Answer{Kind: Recreated, Was: gone}
					case s.name == "positions of another topic" && m.name == "no mark":
						want = Answer{Kind: Recreated, Was: gone}
					case o.at < 0:
						want.Kind, disagree = Begin, has
					case own:
						want.Marked = true
						disagree = has && o.at < s.from
					default:
						want.Foreign = m.name == "no mark"
						disagree = has && (o.at != top || m.name == "no mark")
					}
					if disagree && r != "matching" {
						want = Answer{Kind: Refused}
					} else if disagree {
						want.Foreign, want.Marked, want.Accepted = false, false, true
					}
					if has && want.Kind != Refused && (own || disagree) && o.at < top {
						want.State = top
					}

					got := Judge(q)
					why := got.Why
					got.Why = ""
					if got != want || (why != "") != (want.Kind == Refused) {
						t.Errorf("%s: %+v (%s), want %+v", name, got, why, want)
					}
				}
			}
		}
	}
}

// What the table cannot say: clusters without topic ids, what the instance itself has read before, state from before there were
// positions, several stores, and the mark of an accepted reset.
func TestJudgeBesidesTheTable(t *testing.T) {
	at := func(offset int64, metadata string) kafka.CommittedOffset {
		return kafka.CommittedOffset{Offset: offset, Metadata: metadata}
	}
	none := at(-1, "")
	for _, c := range []struct {
		name string
		q    Question
		want Answer
	}{
		{"no ids: a mark with one is taken", Question{Committed: at(5, "weir1:x")}, Answer{Kind: Continue, Marked: true}},
		{"no id in the mark", Question{TopicID: "x", Committed: at(5, "weir1:")}, Answer{Kind: Continue, Marked: true}},
		{"positions without an id count", Question{TopicID: "x", Committed: none, State: []Position{{Offset: 9}}}, Answer{Kind: Refused}},
		{"another topic was read before, its offsets are gone", Question{TopicID: "x", Was: "y", Committed: none}, Answer{Kind: Recreated, Was: "y"}},
		{"another topic was read before, a stranger's offset", Question{TopicID: "x", Was: "y", Committed: at(5, "")}, Answer{Kind: Recreated, Was: "y"}},
		{"another was read before, and the new one since", Question{TopicID: "x", Was: "y", Committed: at(5, "weir1:x")}, Answer{Kind: Continue, Marked: true}},
		{"the same topic was read before", Question{TopicID: "x", Was: "x", Committed: none}, Answer{Kind: Begin}},
		{"state without positions", Question{Committed: none, Filled: true}, Answer{Kind: Refused}},
		{"state without positions, an input was added", Question{Committed: none, Filled: true, Known: true}, Answer{Kind: Begin}},
		{"state without positions, accepted", Question{Committed: none, Filled: true, Reset: &Reset{}}, Answer{Kind: Begin, Accepted: true}},
		{"a reset to no offset does not cover an offset", Question{Committed: at(5, ""), State: []Position{{Offset: 9}}, Reset: &Reset{Old: new(int64(9))}}, Answer{Kind: Refused}},
		{"a reset that knew no state does not cover some", Question{Committed: none, State: []Position{{Offset: 9}}, Reset: &Reset{}}, Answer{Kind: Refused}},
		{"state without positions, offsets of an older Weir", Question{Committed: at(5, ""), Filled: true}, Answer{Kind: Continue, Foreign: true}},
		{"the furthest of two stores counts", Question{Committed: at(5, ""), State: []Position{{Offset: 5}, {Offset: 9}}}, Answer{Kind: Refused}},
		{"one of two stores has changed nothing since", Question{Committed: at(9, "weir1-set:"), State: []Position{{Offset: 5}, {Offset: 9}}}, Answer{Kind: Continue}},
		{"one of two stores is ahead of a copy", Question{Committed: at(5, "weir1:"), State: []Position{{Offset: 5, From: 5}, {Offset: 9, From: 9}}}, Answer{Kind: Refused}},
		{"an accepted reset is being worked off", Question{Committed: at(5, "weir1::9"), State: []Position{{Offset: 9, From: 9}}}, Answer{Kind: Continue, Marked: true, State: 9}},
		{"an accepted reset to less", Question{Committed: at(5, "weir1::8"), State: []Position{{Offset: 9, From: 9}}}, Answer{Kind: Refused}},
	} {
		got := Judge(c.q)
		got.Why = ""
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
