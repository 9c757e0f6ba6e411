package letters

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
)

// A job has resolved the letters that it chose between two offsets of one partition, and no others.
//
// Mutations, each seen to fail it: resolved without the partition; covers with to itself; resolved without takes.
func TestWhatAJobHasResolved(t *testing.T) {
	j := job{Partition: 1, From: 10, Position: 20, Until: 30, Order: Order{Verb: Discard, Selection: Selection{Fingerprint: "f"}}}
	for _, c := range []struct {
		partition   int32
		offset      int64
		fingerprint string
		want        bool
	}{
		{1, 10, "f", true}, {1, 19, "f", true}, {1, 9, "f", false}, {1, 20, "f", false}, {0, 15, "f", false}, {2, 15, "f", false}, {1, 15, "g", false},
	} {
		l := &Letter{Letter: deadletter.Letter{System: deadletter.Weir, Fingerprint: c.fingerprint}, Record: &kafka.Record{Offset: c.offset}, Partition: c.partition}
		if got := newResolver([]job{j}).resolved(l); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// Whatever jobs there were, in whatever order, a letter is resolved where one of them took it.
//
// Mutations, each seen to fail it: apart that keeps the first of two ranges that touch; a job filed under its fingerprint that chooses none; keys of bytes
// that are not looked up.
func TestLettersAreResolvedWhereAJobTookThem(t *testing.T) {
	keys := []string{"a", "b", "\xff"}
	rapid.Check(t, func(t *rapid.T) {
		var jobs []job
		for range rapid.IntRange(0, 12).Draw(t, "jobs") {
			s := Selection{Fingerprint: rapid.SampledFrom([]string{"", "f", "g"}).Draw(t, "fingerprint")}
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				s.Offset = new(rapid.Int64Range(0, 9).Draw(t, "offset"))
			case 1:
				s.Key = new(rapid.SampledFrom(keys[:2]).Draw(t, "key"))
			case 2:
				s.KeyBytes = []byte(keys[2])
			case 3:
				s.From = new(rapid.Int64Range(0, 9).Draw(t, "first"))
			}
			from := rapid.Int64Range(0, 9).Draw(t, "from")
			jobs = append(jobs, job{
				Partition: rapid.Int32Range(0, 1).Draw(t, "partition"), From: from, Position: rapid.Int64Range(from, 10).Draw(t, "position"),
				Order: Order{Verb: rapid.SampledFrom([]Verb{Redrive, Discard}).Draw(t, "verb"), Selection: s, Why: rapid.SampledFrom([]string{"", "x"}).Draw(t, "why")},
			})
		}
		r := newResolver(jobs)
		for offset := range int64(10) {
			l := &Letter{
				Letter:    deadletter.Letter{System: deadletter.Weir, Fingerprint: rapid.SampledFrom([]string{"f", "g"}).Draw(t, "of"), Cut: rapid.Bool().Draw(t, "cut"), Topology: "t", Position: deadletter.Position{TopicPartition: kafka.TopicPartition{Topic: "in"}}},
				Record:    &kafka.Record{Offset: offset, Key: []byte(rapid.SampledFrom(keys).Draw(t, "its key"))},
				Partition: rapid.Int32Range(0, 1).Draw(t, "its partition"),
			}
			want := slices.ContainsFunc(jobs, func(j job) bool {
				return j.Partition == l.Partition && j.From <= offset && offset < j.Position && j.takes(l)
			})
			if got := r.resolved(l); got != want {
				t.Fatalf("%+v of %+v: resolved %t, want %t", l.Letter, jobs, got, want)
			}
		}
	})
}

// A job of a build that wrote letters back into a topic which is none to write to now has resolved them; one that refused them has not.
//
// Mutation seen to fail it: refuses that asks plan.Owned whatever is absent.
func TestAJobOfAnEarlierBuildHasResolvedWhatItWrote(t *testing.T) {
	l := &Letter{Letter: deadletter.Letter{System: deadletter.Spring, First: deadletter.Position{TopicPartition: kafka.TopicPartition{Topic: "a.b.v1.dlq"}}}, Record: &kafka.Record{}}
	o := Order{Verb: Redrive, To: Origin, Selection: Selection{All: true}}
	if !o.takes(l) {
		t.Error("what an earlier build has written back is open")
	}
	if o.Absent = []Way{{Topic: "a.b.v1.dlq"}}; o.takes(l) {
		t.Error("what was refused is resolved")
	}
	l.First.Topic, o.Absent = "t-s-changelog", nil
	if o.takes(l) {
		t.Error("what every build has refused is resolved")
	}
}

// However often a command was run, and for however many single letters, a look-up asks few orders.
//
// Mutations, each seen to fail it: Why as part of what tells orders apart; jobs by offset among the others.
func TestManyJobsCostALookUpNothing(t *testing.T) {
	var jobs []job
	for i := range int64(100_000) {
		jobs = append(jobs, job{From: 0, Position: i + 1, Order: Order{Verb: Discard, Selection: Selection{Offset: &i}, Why: "one by one"}},
			job{From: i, Position: i + 1, Order: Order{Verb: Redrive, Selection: Selection{All: true}, Why: fmt.Sprint("run ", i)}})
	}
	p := newResolver(jobs)[0]
	if len(p.byOffset) != 100_000 || len(p.others) != 1 || len(p.others[0].ranges) != 1 {
		t.Errorf("%d by offset, %d others", len(p.byOffset), len(p.others))
	}
}

// A letter is chosen where everything holds that is asked for.
//
// Mutations, each seen to fail it: each of the cases of has left out; a header by its name alone although a value is given; until that takes its own time.
func TestASelectionIsAllThatItAsksFor(t *testing.T) {
	at := time.UnixMilli(5000)
	l := &Letter{Letter: deadletter.Letter{Fingerprint: "f", At: at.UnixMilli()}, Partition: 1, Record: &kafka.Record{Offset: 7, Key: []byte("k"), Headers: []kafka.Header{
		{Key: "shop", Value: []byte("1")}, {Key: "shop", Value: []byte("2")}}}}
	yes := Selection{Fingerprint: "f", Key: new("k"), KeyBytes: []byte("k"), Partition: new(int32(1)), Offset: new(int64(7)), From: new(int64(7)), To: new(int64(7)),
		Headers: []HasOne{{Name: "shop"}, {Name: "shop", Value: new("2")}}, Since: &at, Until: new(at.Add(time.Millisecond))}
	if !yes.has(l) {
		t.Error("all of it holds")
	}
	for name, change := range map[string]func(*Selection){
		"fingerprint": func(s *Selection) { s.Fingerprint = "g" },
		"key":         func(s *Selection) { s.Key = new("K") },
		"bytes":       func(s *Selection) { s.KeyBytes = []byte("K") },
		"partition":   func(s *Selection) { s.Partition = new(int32(2)) },
		"offset":      func(s *Selection) { s.Offset = new(int64(8)) },
		"from":        func(s *Selection) { s.From = new(int64(8)) },
		"to":          func(s *Selection) { s.To = new(int64(6)) },
		"header":      func(s *Selection) { s.Headers = []HasOne{{Name: "Shop"}} },
		"value":       func(s *Selection) { s.Headers = []HasOne{{Name: "shop"}, {Name: "shop", Value: new("3")}} },
		"since":       func(s *Selection) { s.Since = new(at.Add(time.Millisecond)) },
		"until":       func(s *Selection) { s.Until = &at },
	} {
		no := yes
		if change(&no); no.has(l) {
			t.Errorf("another %s, and it is chosen", name)
		}
	}
}

// What a letter failed of is told once.
//
// Mutation seen to fail it: the message always after the kind.
func TestTheReasonIsToldOnce(t *testing.T) {
	for want, l := range map[string]deadletter.Letter{
		"rejected: too small":      {Reason: "rejected", Message: "rejected: too small"},
		"rejected: rejectedly":     {Reason: "rejected", Message: "rejectedly"},
		"panic":                    {Reason: "panic"},
		"no key":                   {Message: "no key"},
		"the letter does not say":  {},
		"error: rejected: is late": {Reason: "error", Message: "rejected: is late"},
	} {
		l.System = deadletter.Weir
		if got := (&Letter{Letter: l}).reason(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
