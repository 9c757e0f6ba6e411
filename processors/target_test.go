package processors

import (
	"testing"

	"github.com/weirstream/weir/internal/plan"
)

// Mutation seen to fail it: target without the option.
func TestCommandsInMessagesAreCalledAsTheProgramSays(t *testing.T) {
	i := &engine{graph: &graph{plan: &plan.Plan{Topology: "orders"}}}
	if got := i.target(); got != "--brokers BROKERS --topology orders" {
		t.Error(got)
	}
	i.opts.Target = "--config weir.yaml --topology orders"
	if got := i.target(); got != i.opts.Target {
		t.Error(got)
	}
}
