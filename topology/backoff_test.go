package topology_test

import (
	"testing"
	"time"

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
		if got := plan.Subgraphs[0].Nodes[0].Retry; got != c.want {
			t.Errorf("%+v becomes %+v, want %+v", c.given, got, c.want)
		}
	}
}
