package replay

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/plan"
)

// TestAShadowWritesOnlyItsOwnTopics, also where a stream is called so in every environment.
func TestAShadowWritesOnlyItsOwnTopics(t *testing.T) {
	in, out, other := &plan.Stream{Name: "in.seen.v1", Unprefixed: true}, &plan.Stream{Name: "out.seen.v1", Unprefixed: true}, &plan.Stream{Name: "other.seen.v1"}
	of := func(names plan.Names) *plan.Plan {
		n := &plan.Node{Name: "n", Reads: []plan.Handler{{Stream: in}}, Outputs: []plan.Output{out, other}}
		return plan.New("t", names, []*plan.Subgraph{{Inputs: []*plan.Stream{in}, Nodes: []*plan.Node{n}}})
	}
	tool := &Tool{Names: plan.Names{Prefix: "staging."}}
	names, err := tool.shadowNames(of(tool.Names), "job", "run")
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range of(names).Topics {
		if own := strings.HasPrefix(topic.Name, "staging._weir.shadow.job.run."); topic.Written && !own || topic.Role == plan.InputTopic && own {
			t.Errorf("%s topic %s", topic.Role, topic.Name)
		}
	}
	if out, other := names.SchemaTopic(out), names.SchemaTopic(other); out != "out.seen.v1" || other != "staging.other.seen.v1" {
		t.Errorf("schemas go by %s and %s", out, other)
	}
}
