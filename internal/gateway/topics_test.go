package gateway

import "testing"

// TestTopicsThatAreNotTheUsersTakeNoEvents, however many names a gateway takes.
//
// Mutations: Owned that is not asked, or of the name without the prefix; takes that is not asked of what is to be looked up.
func TestTopicsThatAreNotTheUsersTakeNoEvents(t *testing.T) {
	for name, taken := range map[string]bool{
		"order.placed.v1": true, "orders": true,
		"_schemas": false, "__consumer_offsets": false, "_weir.jobs": false, "staging._weir.desired": false, "customer-totals-totals-changelog": false,
		"order.placed.v1.dlq": false, "totals-order.placed.v1-redrive": false, "totals-order.placed.v1-retry-1m": false,
	} {
		if problem := (&topics{foreign: true}).takes(name); (problem == nil) != taken {
			t.Errorf("%s: %v", name, problem)
		}
		if taken {
			continue
		}
		if _, problem := (&topics{foreign: true}).get(name); problem == nil { // without a cluster: it is not asked
			t.Errorf("%s is looked up and found", name)
		}
	}
	if problem := (&topics{foreign: true, prefix: "_weir."}).takes("order.placed.v1"); problem == nil {
		t.Error("an environment of Weir's own takes events")
	}
}
