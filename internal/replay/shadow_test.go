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

// A plan names the services that are called for the records again: a shadow calls them too.
//
// Mutation seen to fail it: nodes behind an edge left out.
func TestAPlanNamesTheServicesThatAreCalled(t *testing.T) {
	in, other, edge := &plan.Stream{Name: "in.seen.v1"}, &plan.Stream{Name: "other.seen.v1"}, &plan.Edge{Name: "edge"}
	node := func(name string, reads plan.Handler) *plan.Node {
		return &plan.Node{Name: name, Reads: []plan.Handler{reads}, Services: []*plan.Service{{Name: "of-" + name}}}
	}
	sub := &plan.Subgraph{Inputs: []*plan.Stream{in, other}, Nodes: []*plan.Node{
		node("first", plan.Handler{Stream: in}), node("second", plan.Handler{Edge: edge}), node("stranger", plan.Handler{Stream: other}),
	}}
	graph := plan.New("t", plan.Names{Prefix: "staging."}, []*plan.Subgraph{sub})
	touches := called(graph, sub, "staging.in.seen.v1")
	if len(touches) != 2 || !strings.HasPrefix(touches[0], "service of-first: node first calls it again") || !strings.HasPrefix(touches[1], "service of-second: ") {
		t.Errorf("%q", touches)
	}
}

// A topology that reads what it writes has no shadow: what that wrote would be read by production.
//
// Mutation seen to fail it: shadowNames without the check.
func TestATopologyThatReadsWhatItWritesHasNoShadow(t *testing.T) {
	in, loop := &plan.Stream{Name: "in.seen.v1"}, &plan.Stream{Name: "loop.seen.v1"}
	n := &plan.Node{Name: "n", Reads: []plan.Handler{{Stream: in}, {Stream: loop}}, Outputs: []plan.Output{loop}}
	tool := &Tool{}
	_, err := tool.shadowNames(plan.New("t", tool.Names, []*plan.Subgraph{{Inputs: []*plan.Stream{in, loop}, Nodes: []*plan.Node{n}}}), "job", "run")
	if err == nil || !strings.Contains(err.Error(), "topology t reads what it writes to loop.seen.v1") {
		t.Error(err)
	}
}
