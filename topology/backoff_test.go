package topology_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
)

// TestBackoffDefaultsFitTogether plans nodes that leave parts of their Backoff out: First is never above Max.
// Seen to fail: withDefaults without its min, and without its max.
func TestBackoffDefaultsFitTogether(t *testing.T) {
	for _, c := range []struct{ given, want topology.Backoff }{
		{topology.Backoff{}, topology.Backoff{Attempts: 3, First: 100 * time.Millisecond, Max: 10 * time.Second}},
		{topology.Backoff{Attempts: 1}, topology.Backoff{Attempts: 1, First: 100 * time.Millisecond, Max: 10 * time.Second}},
		{topology.Backoff{Max: time.Millisecond}, topology.Backoff{Attempts: 3, First: time.Millisecond, Max: time.Millisecond}},
		{topology.Backoff{First: time.Minute}, topology.Backoff{Attempts: 3, First: time.Minute, Max: time.Minute}},
		{topology.Backoff{Attempts: 9, First: 1, Max: 2}, topology.Backoff{Attempts: 9, First: 1, Max: 2}},
	} {
		plan := mustPlan(t, topology.Define("t", topology.Node("n", topology.On(text("a.b.v1"), pass[string]), topology.Retry(c.given))))
		if got := plan.Subgraphs[0].Nodes[0].Retry; topology.Backoff(got) != c.want {
			t.Errorf("%+v becomes %+v, want %+v", c.given, got, c.want)
		}
	}
}

// Retries hold up a partition, so that absurd ones are a mistake: a slip of the finger would stop it for years.
//
// Mutations seen to fail this test: either bound removed; total without the doubling.
func TestAbsurdRetriesAreMistakes(t *testing.T) {
	in := topology.Stream("page.clicked.v1", codecs.String())
	for _, c := range []struct {
		b    topology.Backoff
		want string
	}{
		{topology.Backoff{}, ""},
		{topology.Backoff{Attempts: 100}, ""},
		{topology.Backoff{Attempts: 10_000, First: time.Millisecond, Max: time.Second}, ""},
		{topology.Backoff{Attempts: 25, First: time.Hour, Max: time.Hour}, ""},
		{topology.Backoff{Attempts: 26, First: time.Hour, Max: time.Hour}, "waits for 25h0m0s in all"},
		{topology.Backoff{Attempts: 6, First: time.Hour, Max: 23 * time.Hour}, "waits for 31h0m0s in all"},
		{topology.Backoff{Attempts: 10_000}, "in all"},
		{topology.Backoff{Attempts: 10_001, First: 1, Max: 1}, "10001 Attempts"},
		{topology.Backoff{Attempts: 1_000_000_000}, "1000000000 Attempts"},
		{topology.Backoff{Attempts: math.MaxInt}, "Attempts"},
	} {
		err := topology.Define("t", topology.Node("n", topology.On(in, func(topology.Context, string, string) error { return nil }), topology.Retry(c.b))).Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.b, err, c.want)
		}
	}
}
