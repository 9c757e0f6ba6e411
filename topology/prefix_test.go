package topology_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// What is sound without a prefix need not be with one: names that become one topic, or too long. Check does not know the prefix; whatever
// runs the topology does.
//
// Mutations, each seen to fail it: oneNameEach left out; topics without its look at lengths.
func TestAPrefixIsCheckedWithTheNames(t *testing.T) {
	long := strings.Repeat("x", 239)
	for prefix, c := range map[string]struct {
		graph *topology.Topology
		want  string
	}{
		"loop.": {topology.Define("t", topology.Node("n", topology.On(text("loop.bb.aa.v1", topology.Foreign(), topology.Unprefixed()), pass[string]),
			topology.Emits(text("bb.aa.v1")))), "streams loop.bb.aa.v1 and bb.aa.v1 are both the topic loop.bb.aa.v1"},
		"two.": {topology.Define("t", topology.Node("n", topology.On(text("two.bb.aa.v1", topology.Foreign(), topology.Unprefixed()), pass[string]),
			topology.On(text("bb.aa.v1"), pass[string]))), "are both the topic two.bb.aa.v1"},
		"prefix-of-20-letters": {topology.Define("t", topology.Node("n", topology.On(text(long, topology.Foreign()), pass[string]), topology.DeadLetter("d"))),
			"has 259 characters, 249 are allowed; use a shorter prefix"},
		"stg.": {topology.Define("t", topology.Node("n", topology.On(text("stg._weir.jobs", topology.Foreign(), topology.Unprefixed()), pass[string]),
			topology.DeadLetter("d"))), "topic stg._weir.jobs is Weir's own"},
	} {
		if err := c.graph.Check(); err != nil {
			t.Errorf("%s: without the prefix: %v", prefix, err)
		}
		if _, err := c.graph.Plan(plan.Names{Prefix: prefix}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", prefix, err, c.want)
		}
	}
}
