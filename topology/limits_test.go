package topology

import (
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
)

// Each bound of a Backoff is exact: the value on it is taken, the next one is a mistake.
//
// Mutation: a First of up to twice Max is taken.
func TestTheBoundsOfABackoffAreExact(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		b     Backoff
		sound bool
	}{
		{Backoff{}, true},
		{Backoff{Attempts: 1}, true},
		{Backoff{Attempts: -1}, false},
		{Backoff{First: time.Second, Max: time.Second}, true},
		{Backoff{First: time.Second + 1, Max: time.Second}, false},
		{Backoff{First: -1}, false},
		{Backoff{Max: -1}, false},
		{Backoff{Attempts: 2, First: day, Max: day}, true},
		{Backoff{First: time.Second, Max: day + 1}, false},
	} {
		in := Stream("a.b.v1", codecs.String())
		node := Node("n", On(in, func(Context, string, string) error { return nil }), Retry(c.b))
		if err := Define("t", node).Check(); (err == nil) != c.sound {
			t.Errorf("%+v: %v", c.b, err)
		}
	}
}

// All inputs of a sub-graph share the first one's number of partitions, however many there are.
//
// Mutation: the second input only.
func TestEveryInputOfASubgraphIsBoundToTheFirst(t *testing.T) {
	parts := []Part{}
	names := []string{"a.b.v1", "c.d.v1", "e.f.v1", "g.h.v1"}
	for _, name := range names {
		parts = append(parts, On(Stream(name, codecs.String()), func(Context, string, string) error { return nil }))
	}
	plan, err := Define("t", Node("n", parts...)).Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		for _, topic := range plan.Topics {
			want := names[0]
			if i == 0 {
				want = ""
			}
			if topic.Name == name && topic.PartitionsOf != want {
				t.Errorf("%s has the partitions of %q, want %q", name, topic.PartitionsOf, want)
			}
		}
	}
}
