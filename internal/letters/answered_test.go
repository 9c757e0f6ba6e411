package letters

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// Answers resolve the letters that they are given, and no others.
//
// Mutations, each seen to fail it: resolved without answered; spans that end before their last; spans that join what does not touch; spans of offsets out of order.
func TestAnswersResolveTheLettersThatTheyAreGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.SliceOfDistinct(rapid.Int64Range(0, 30), rapid.ID).Draw(t, "offsets")
		var all []Standing
		for _, offset := range given {
			all = append(all, Standing{"t", "id", 1, offset})
		}
		records, err := (&Tool{}).Answers("x", "a test", all)
		if err != nil {
			t.Fatal(err)
		}
		var jobs []job
		for _, r := range records {
			var j job
			if err := json.Unmarshal(r.Value, &j); err != nil || j.Version != 5 || string(r.Key) != j.key() {
				t.Fatalf("%s: %s, %v", r.Key, r.Value, err)
			}
			jobs = append(jobs, j)
		}
		r := newResolver(jobs)
		for partition := range int32(3) {
			for offset := range int64(32) {
				l := &Letter{Record: &kafka.Record{Offset: offset}, Partition: partition}
				if got, want := r.resolved(l), partition == 1 && slices.Contains(given, offset); got != want {
					t.Fatalf("%v: %d/%d is resolved: %t", given, partition, offset, got)
				}
			}
		}
	})
}

// A letter is found by the record that it is of: one of another topology, of another record, or of a topic that was deleted and made again is not. What
// answers it is heeded by listings, with an index and without. A command that takes the letters over meanwhile is noticed.
//
// Mutations, each seen to fail it: find without the id of the topic; Confirm that writes nothing.
func TestLettersAreFoundByTheirRecords(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	s := newShelf(t, broker.Addrs()[0])
	in := &plan.Stream{Name: "order.placed.v1"}
	p := plan.New("totals", plan.Names{}, []*plan.Subgraph{{Inputs: []*plan.Stream{in}, Nodes: []*plan.Node{{Name: "add", DeadLetter: indexTopic, Reads: []plan.Handler{{Stream: in}}}}}})
	infos, err := s.tool.Client.Topics(t.Context(), []string{in.Name})
	s.must(err)
	for _, c := range []deadletter.Cause{
		{Topology: "totals", Offset: 3, TopicID: infos[in.Name].ID}, {Topology: "totals", Offset: 4, TopicID: "AAAAAAAAAAAAAAAAAAAAAA"}, {Topology: "others", Offset: 3}, {Topology: "totals", Offset: 9}, {Topology: "totals", Offset: 5},
	} {
		c.Topic, c.Err = in.Name, fmt.Errorf("bad")
		r := &kgo.Record{Topic: indexTopic, Value: []byte("v")}
		for _, h := range deadletter.Headers(nil, c) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		s.must(s.client.ProduceSync(t.Context(), r).FirstErr())
	}
	claim, err := s.tool.Claim(t.Context(), p)
	s.must(err)
	defer claim.Close()
	var found []Standing
	origins := Origins{Plan: p, Inputs: map[string]string{in.Name: infos[in.Name].ID}, Has: func(_ kafka.TopicPartition, offset int64) bool { return offset < 9 }}
	s.must(s.tool.Find(t.Context(), origins, func(f *Found) error {
		if f.Open {
			found = append(found, f.At)
		}
		return nil
	}))
	if len(found) != 2 || found[0].Topic != indexTopic {
		t.Fatalf("%+v", found)
	}
	_, err = s.tool.ready(t.Context(), nil)
	s.must(err)
	answers, err := s.tool.Answers("x", "a test", found)
	s.must(err)
	sink, err := s.tool.Client.NewSink(t.Context(), "answers")
	s.must(err)
	defer sink.Close()
	for _, out := range answers {
		s.must(sink.Append(out))
	}
	s.must(sink.Flush(t.Context()))
	s.must(claim.Confirm(t.Context(), "a test"))
	s.must(sink.Commit(t.Context()))
	l, err := s.tool.List(t.Context(), Selection{})
	s.must(err)
	if l.Open != 3 || l.Resolved != 2 {
		t.Errorf("%+v", l)
	}
	s.same(&Index{Dir: t.TempDir()}, "answered")
	_, err = s.tool.Execute(t.Context(), Order{Verb: Discard, Selection: Selection{All: true}, Limit: 1}, 0)
	s.must(err)
	if err := claim.Confirm(t.Context(), "a test"); err == nil {
		t.Error("a claim stands that another command has taken over")
	}
}
