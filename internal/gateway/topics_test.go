package gateway

import "testing"

// TestTopicsThatAreNotTheUsersTakeNoEvents, however many names a gateway takes.
//
// Mutation: Owned that is not asked, or of the name without the prefix.
func TestTopicsThatAreNotTheUsersTakeNoEvents(t *testing.T) {
	for name, taken := range map[string]bool{
		"order.placed.v1": true, "orders": true,
		"_schemas": false, "__consumer_offsets": false, "_weir.jobs": false, "staging._weir.desired": false, "customer-totals-totals-changelog": false,
		"order.placed.v1.dlq": false, "totals-order.placed.v1-redrive": false, "totals-order.placed.v1-retry-1m": false,
	} {
		if problem := (&topics{foreign: true}).takes(name); (problem == nil) != taken {
			t.Errorf("%s: %v", name, problem)
		}
	}
	if problem := (&topics{foreign: true, prefix: "_weir."}).takes("order.placed.v1"); problem == nil {
		t.Error("an environment of Weir's own takes events")
	}
}
