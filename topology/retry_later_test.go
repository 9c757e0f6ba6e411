package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// TestPolicyMistakesAreNamed: what cannot be meant is a mistake, beside the nodes and in one.
func TestPolicyMistakesAreNamed(t *testing.T) {
	in := text("a.b.v1")
	class := func(error) topology.Class { return topology.ClassUnknown }
	broken, fine := topology.Service("broken", topology.Breaker{Failures: -1}), topology.Service("fine", topology.Breaker{})
	var none *topology.ServiceHandle
	for want, parts := range map[string][]topology.Part{
		"has 2 RetryLater parts":                                         {topology.RetryLater(time.Second), topology.RetryLater(time.Minute)},
		"has a RetryLater of 0 delays":                                   {topology.RetryLater()},
		"has a RetryLater after 0s":                                      {topology.RetryLater(0)},
		"has a RetryLater after 1.5ms":                                   {topology.RetryLater(1500 * time.Microsecond)},
		"has a RetryLater after 192h0m0s":                                {topology.RetryLater(8 * 24 * time.Hour)},
		"has a RetryLater after 1s that follows one after 1m0s":          {topology.RetryLater(time.Minute, time.Second)},
		"has 2 Parking parts":                                            {topology.Parking(true), topology.Parking(false)},
		"has 2 Classify parts":                                           {topology.Classify(class), topology.Classify(class)},
		"has a Classify without a function":                              {topology.Classify(nil)},
		"its Backoff has a Jitter of 2":                                  {topology.Retry(topology.Backoff{Jitter: 2})},
		"its Backoff tries Within 25h0m0s":                               {topology.Retry(topology.Backoff{Within: 25 * time.Hour})},
		"its Backoff has a time below 0":                                 {topology.Retry(topology.Backoff{Within: -1})},
		"uses service broken, which has a Breaker with a number below 0": {topology.Uses(broken)},
		"uses a nil service":                                             {topology.Uses(none)},
		"lists service fine twice":                                       {topology.Uses(fine, fine)},
		"":                                                               {topology.RetryLater(time.Millisecond, 7*24*time.Hour), topology.Parking(true), topology.Classify(class), topology.Uses(fine)},
	} {
		err := topology.Define("t", topology.Node("n", append(parts, topology.On(in, pass[string]))...)).Check()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), "node n: "+want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// TestRetryTopicsAreThoseOfTheDelays: an input has a topic for each delay of a node that its records reach, and one store of parked
// records where these park.
func TestRetryTopicsAreThoseOfTheDelays(t *testing.T) {
	first, second := text("z.first.v1"), text("a.second.v1")
	edge, store := topology.Edge[string]("e"), topology.Store("s", codecs.String())
	p := mustPlan(t, topology.Define("t", topology.RetryLater(90*time.Second, time.Hour),
		topology.Node("reads", topology.On(first, pass[string]), topology.On(second, pass[string]), topology.Emits(edge)),
		topology.Node("behind", topology.On(edge, pass[string]), topology.Uses(store), topology.RetryLater(time.Minute, time.Hour, 26*time.Hour))))
	var got []string
	for _, topic := range p.Topics {
		if topic.Role == plan.RetryTopic || topic.Role == plan.ChangelogTopic {
			got = append(got, topic.Name)
		}
	}
	want := "t-z.first.v1-retry-1m t-z.first.v1-retry-1m30s t-z.first.v1-retry-1h t-z.first.v1-retry-26h " +
		"t-a.second.v1-retry-1m t-a.second.v1-retry-1m30s t-a.second.v1-retry-1h t-a.second.v1-retry-26h t-s-changelog t-a.second.v1-parked-changelog"
	if strings.Join(got, " ") != want {
		t.Errorf("topics %q", got)
	}
	text := p.Describe()
	for _, line := range []string{"apart, again after 1m30s, again after 1h, then dead letter", "store a.second.v1-parked ([]uint8), for records whose key is parked"} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
}

// TestWhoAsksForParkingHasIt: said by name, a node without stores parks as well; a delay alone parks only where a node has stores.
//
// Mutation, seen to fail it: Parks that asks for stores first.
func TestWhoAsksForParkingHasIt(t *testing.T) {
	in := text("a.b.v1")
	for name, c := range map[string]struct {
		parts []topology.Part
		parks bool
	}{
		"asked for":       {[]topology.Part{topology.Parking(true)}, true},
		"and with delays": {[]topology.Part{topology.Parking(true), topology.RetryLater(time.Second)}, true},
		"only delays":     {[]topology.Part{topology.RetryLater(time.Second)}, false},
		"nothing":         {nil, false},
	} {
		p := mustPlan(t, topology.Define("t", topology.Node("n", append(c.parts, topology.On(in, pass[string]))...)))
		if parks := p.Subgraphs[0].Parked != nil; parks != c.parks {
			t.Errorf("%s: parks is %v", name, parks)
		}
	}
}
