package letters

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// What newer builds have written of the letters of a topic is not understood, so which of them are open is not known, and commands say so and end. What such a build has written of
// another topic's letters is nobody's business.
//
// Mutations, each seen to fail it: jobs that takes any version; take that takes any version; jobs without the key.
func TestWhatANewerBuildHasDoneIsNotGuessed(t *testing.T) {
	for _, c := range []struct {
		key, value string
		understood bool
	}{
		{keyOf("another.dlq") + "x/0", `{"version": 7}`, true},
		{keyOf(indexTopic) + "x/0", `{"version": 7}`, false},
		{keyOf(indexTopic) + "x/0", `[]`, false},
		{passes + "totals/x", `{"version": 2}`, false},
	} {
		s := takenOver(t, 2)
		_, err := s.tool.ready(t.Context(), nil)
		s.must(err)
		s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: system.Jobs.Name, Key: []byte(c.key), Value: []byte(c.value)}).FirstErr())
		_, listed := s.tool.List(t.Context(), Selection{})
		_, moved := s.tool.Execute(t.Context(), Order{Verb: Redrive, Selection: Selection{All: true}}, 0)
		for what, err := range map[string]error{"list": listed, "redrive": moved} {
			said := err != nil && strings.Contains(err.Error(), "so which letters are open is not known: use the newest version")
			if said == c.understood || err != nil && !said {
				t.Errorf("%s beside %s %s: %v", what, c.key, c.value, err)
			}
		}
	}
}

// A topic of dead letters that was deleted and made again begins with no letter resolved, whatever was done with those before it.
//
// Mutation seen to fail it: jobs without the topic's id.
func TestATopicThatWasMadeAgainHasNoResolvedLetters(t *testing.T) {
	s := takenOver(t, 3)
	s.order(Order{Verb: Discard, Selection: Selection{All: true}})
	admin := kadm.NewClient(s.client)
	_, err := admin.DeleteTopics(t.Context(), indexTopic)
	s.must(err)
	_, err = admin.CreateTopics(t.Context(), 2, 1, nil, indexTopic)
	s.must(err)
	s.connect()
	for i := range 2 {
		r := &kgo.Record{Topic: indexTopic, Value: []byte("v")}
		for _, h := range deadletter.Headers(nil, deadletter.Cause{Topology: "totals", Topic: "order.placed.v1", Offset: int64(i), Err: fmt.Errorf("bad")}) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		s.must(s.client.ProduceSync(t.Context(), r).FirstErr())
	}
	if l, err := s.tool.List(t.Context(), Selection{}); err != nil || l.Open != 2 || l.Resolved != 0 {
		t.Errorf("%+v, %v", l, err)
	}
}

// The memory of a listing is bounded: after a number of fingerprints the others are one group, and those that have one of their own keep it.
//
// Mutation seen to fail it: add that heeds no bound.
func TestAListingHasOneGroupForWhatIsTooMuch(t *testing.T) {
	y := newTally(&Tool{}, nil, Selection{})
	add := func(n int) {
		l := &Letter{Letter: deadletter.Letter{System: deadletter.Weir, Fingerprint: fmt.Sprint(n), At: int64(n + 1)}, Record: &kafka.Record{Offset: int64(n)}}
		if err := y.add(t.Context(), l, true, true); err != nil {
			t.Fatal(err)
		}
	}
	for n := range maxGroups + 5 {
		add(n)
	}
	add(7)
	list := y.listing()
	if len(list.Groups) != maxGroups+1 || list.Open != maxGroups+6 {
		t.Fatalf("%d groups of %d letters", len(list.Groups), list.Open)
	}
	if o := list.Groups[0]; o.Fingerprint != Others || o.Count != 5 || !o.Last.Equal(time.UnixMilli(maxGroups+5)) || o.Example.Offset != maxGroups+4 {
		t.Errorf("%+v", o)
	}
	if seven := list.Groups[1]; seven.Fingerprint != "7" || seven.Count != 2 {
		t.Errorf("%+v", seven)
	}
}
