package offsets

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/kafka"
)

// The place of the state is where the state has read to, or further where Weir itself is known to have read: records that changed no
// state must not run twice, because their dead letters and outputs are written. What needs nothing, and what has no place, is kept as it
// is and does not hold up the others.
//
// Mutations seen to fail it: settled without Agrees, without the comparison with read, or with the state; Plan without max; unset without
// the case of a state that does not say; read that takes any topic's mark, or that of a stranger.
func TestAResetToTheStateSetsWhatNeedsIt(t *testing.T) {
	own, foreign := Mark{TopicID: "x"}.String(), "someone"
	set := func(read int64) string { return Set{Mark: Mark{TopicID: "x"}, Read: read}.String() }
	accepted := &Reset{Old: new(int64(50)), New: new(int64(20))}
	const kept, filled = -2, -3
	for n, c := range []struct {
		name             string
		committed, state int64
		mark             string
		reset            *Reset
		want             int64  // kept, or the offset that is set
		named            string // what is wrong where the partition is asked for by its number
	}{
		{"expired", -1, 50, "", nil, 50, ""},
		{"expired, and the state has read nothing", -1, 0, "", nil, 0, ""},
		{"further than the state by Weir itself", 60, 50, own, nil, kept, ""},
		{"equal", 50, 50, own, nil, kept, ""},
		{"equal, at the start", 0, 0, own, nil, kept, ""},
		{"equal, by a stranger", 50, 50, foreign, nil, 50, ""},
		{"never read", -1, -1, "", nil, kept, "does not say how far"},
		{"no state, by Weir itself", 60, -1, own, nil, kept, ""},
		{"no state, by a stranger", 60, -1, foreign, nil, kept, "does not say how far"},
		{"set forward by a stranger", 70, 50, foreign, nil, 50, ""},
		{"set back by a stranger", 20, 50, foreign, nil, 50, ""},
		{"set back by a stranger to the start", 0, 50, foreign, nil, 50, ""},
		{"set back by a stranger, and accepted", 20, 50, foreign, accepted, 50, ""},
		{"set back by a recorded reset", 20, 50, set(60), accepted, 60, ""},
		{"set back by a recorded reset that did not know", 20, 50, set(-1), accepted, 50, ""},
		{"set back by a recorded reset of another topic", 20, 50, Set{Mark: Mark{TopicID: "y"}, Read: 60}.String(), accepted, 50, ""},
		{"set back and then to the state", 60, 50, set(60), &Reset{Old: new(int64(50)), New: new(int64(60))}, kept, ""},
		{"set back and then to the state, and what was recorded is gone", 60, 50, set(60), nil, 60, ""},
		{"expired, with a state that does not say", -1, filled, "", nil, kept, "does not say how far"},
		{"an accepted reset is being worked off", 40, 50, Mark{TopicID: "x", State: 50}.String(), nil, 50, ""},
		{"a copy of older offsets", 40, 50, own, nil, 50, ""},
	} {
		p := int32(n)
		q := Question{TopicPartition: kafka.TopicPartition{Topic: "in", Partition: p}, TopicID: "x", Reset: c.reset,
			Committed: kafka.CommittedOffset{Offset: c.committed, Metadata: c.mark}, Filled: c.state == filled}
		if c.state >= 0 {
			q.State = []Position{{TopicID: "x", Offset: c.state, From: c.state}}
		}
		// A partition that says nothing stands beside it, and must not be in the way.
		silent := newRow(Question{TopicPartition: kafka.TopicPartition{Topic: "in", Partition: 99}, TopicID: "x", Committed: kafka.NoOffset}, 0, 100)
		rows := []Row{silent, newRow(q, 0, 100)}
		for _, partition := range []int32{-1, p} {
			changes, left, err := (&Tool{}).Plan(t.Context(), rows, Selection{"", partition}, Where{word: "state"})
			if c.named != "" && partition == p {
				if err == nil || !strings.Contains(err.Error(), c.named) {
					t.Errorf("%s, by its number: %v", c.name, err)
				}
				continue
			}
			got := map[int32]int64{}
			for _, l := range left {
				got[l.Partition] = kept
			}
			for _, change := range changes {
				got[change.Partition] = *change.New
			}
			want := map[int32]int64{p: c.want}
			if partition < 0 {
				want[99] = kept
			}
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("%s, partition %d: %v, %v, want %v", c.name, partition, got, err, want)
			}
		}
	}
}

// Mutations: check left out; Accept, or unset, without the case of a lost state.
func TestOnlyWhatIsMeantIsSet(t *testing.T) {
	rows := []Row{{Topic: "in", End: 9, Mend: MendOffsets}, {Topic: "in", Partition: 1, End: 9, Agrees: true},
		{Topic: "in", Partition: 2, End: 9, Mend: MendState, Why: "gone"}, {Topic: "other", End: 9, Mend: MendOffsets}}
	lost := rows[2:3]
	tool := &Tool{}
	say := func(changes []Change, kept []Kept, err error) string {
		var list []string
		for _, c := range changes {
			list = append(list, fmt.Sprintf("%s/%d", c.Topic, c.Partition))
		}
		for _, k := range kept {
			list = append(list, fmt.Sprintf("%s/%d %s", k.Topic, k.Partition, k.Why))
		}
		return fmt.Sprint(list, err)
	}
	where := func(text string) Where {
		w, err := ParseWhere(text)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	for _, c := range []struct{ got, want string }{
		{say(tool.Accept(rows, Selection{"", -1})), "[in/0 other/0 in/2 gone: accepting offsets does not help] <nil>"},
		{say(tool.Accept(rows, Selection{"other", -1})), "[other/0] <nil>"},
		{say(tool.Accept(rows, Selection{"in", 1})), "[] <nil>"},
		{say(tool.Plan(t.Context(), lost, Selection{"", -1}, where("state"))), "[in/2 gone: no offset helps] <nil>"},
		{say(tool.Plan(t.Context(), lost, Selection{"", 2}, where("state"))), "[] in/2: gone: no offset helps"},
		{say(tool.Plan(t.Context(), rows, Selection{"", 1}, where("latest"))), "[in/1] <nil>"},
		{say(tool.Plan(t.Context(), rows, Selection{"", 0}, where("3"))), "[in/0 other/0] <nil>"},
		{say(tool.Plan(t.Context(), rows, Selection{"", 7}, where("state"))), "[] no input of the topology has partition 7"},
		{say(tool.Plan(t.Context(), rows, Selection{"in", 9}, where("earliest"))), "[] in has no partition 9"},
		{say(tool.Plan(t.Context(), rows, Selection{"", -1}, where("10"))), "[] in/0 holds offsets 0 to 9, not 10"},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

// Mutations seen to fail it: a negative offset taken; a time without its zone; a topic that is none, or a partition under -1, taken.
func TestWhatCanMeanNothingIsRefused(t *testing.T) {
	for text, ok := range map[string]bool{
		"earliest": true, "latest": true, "state": true, "0": true, "12": true, "2026-01-31T08:00:00Z": true, "2026-01-31T08:00:00+01:00": true,
		"": false, "foo": false, "-1": false, "1.5": false, "State": false, " 3": false, "2026-01-31": false, "2026-01-31T08:00:00": false, "99999999999999999999": false,
	} {
		if _, err := ParseWhere(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	graphs := []Graph{{Inputs: []string{"a"}}, {Inputs: []string{"b", "c"}}}
	for s, ok := range map[Selection]bool{{"", -1}: true, {"c", 3}: true, {"", -2}: false, {"d", -1}: false} {
		if err := s.Among(graphs); (err == nil) != ok {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// Weir's own offset that is set again is Weir's own again; any other says who has set it.
//
// Mutations seen to fail it: metadata without the comparison with the state, with what was read, or with the mark's Set.
func TestATakenBackResetLeavesNothingToAccept(t *testing.T) {
	own := Mark{TopicID: "x", Partitions: 4, Logs: map[string]Log{"s": {TopicID: "l", End: 9}}}
	set := Set{Mark: own, Read: 70, Who: "w", Why: "y"}
	for _, c := range []struct {
		committed, state, to int64
		metadata             string
		own                  bool
	}{
		{10, 50, 70, set.String(), true},
		{10, -1, 70, set.String(), true},
		{10, 50, 50, set.String(), false},
		{10, 90, 70, set.String(), false},
		{70, 50, 70, own.String(), true},
		{70, 50, 10, own.String(), false},
		{10, 50, 50, "a stranger", false},
	} {
		q := Question{TopicPartition: kafka.TopicPartition{Topic: "in"}, TopicID: "x", Committed: kafka.CommittedOffset{Offset: c.committed, Metadata: c.metadata}}
		if c.state >= 0 {
			q.State = []Position{{TopicID: "x", Offset: c.state, From: c.state}}
		}
		row := newRow(q, 0, 100)
		change := row.to(&c.to)
		got := change.metadata("w", "y")
		if c.own != (got == own.String()) {
			t.Errorf("%+v: %q", c, got)
		}
		q.Committed = kafka.CommittedOffset{Offset: c.to, Metadata: got}
		if a := Judge(q); c.own && (a.Kind != Continue || !a.Marked) {
			t.Errorf("%+v: %+v", c, a)
		}
	}
}

// Mutations seen to fail it: a bound that cuts inside a letter; fields that are not escaped; no bound.
func TestASetOffsetSaysWhoAndWhy(t *testing.T) {
	known := Mark{TopicID: "x", Partitions: 4, Logs: map[string]Log{"store": {TopicID: "l", End: 9, Epoch: 2}}}
	for _, s := range []Set{{Read: -1}, {Mark: known}, {Mark: known, Read: 9, Who: "eve@host:1", Why: "a: 100 % of \"it\"; ünsure\n"}} {
		s.Mark.Set = true
		if got, ok := ParseSet(s.String()); !ok || !reflect.DeepEqual(got, s) {
			t.Errorf("%q is read as %+v, %v", s, got, ok)
		}
		if m, ok := ParseMark(s.String()); !ok || !reflect.DeepEqual(m, s.Mark) {
			t.Errorf("%q is read as the mark %+v, %v", s, m, ok)
		}
	}
	for n := range 40 {
		known.Logs[fmt.Sprint("a store with a longer name ", n)] = Log{TopicID: "abcdefghijklmnopqrstuv", End: 1 << 60}
	}
	for n := range 4 {
		words := strings.Repeat("a", n) + strings.Repeat("€", 10_000)
		long := Set{Mark: known, Read: 1 << 60, Who: words, Why: words}
		got, ok := ParseSet(long.String())
		if why := strings.TrimSuffix(got.Why, "…"); !ok || len(long.String()) > 4096 || !utf8.ValidString(got.Why) || !strings.HasPrefix(long.Why, why) || len(why) < 100 {
			t.Errorf("%d bytes, %v: %q", len(long.String()), ok, got.Why)
		}
	}
	for _, foreign := range []string{"", "weir1:x", "weir1-set:x:", "weir1-set:x:r-1", "weir1-set:x:w%2"} {
		if got, ok := ParseSet(foreign); ok {
			t.Errorf("%q is taken for %+v", foreign, got)
		}
	}
}
