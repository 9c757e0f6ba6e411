package gateway

import "testing"

// TestTopicsThatAreNotTheUsersTakeNoEvents, however many names a gateway takes.
//
// Mutation: Internal that is not asked.
func TestTopicsThatAreNotTheUsersTakeNoEvents(t *testing.T) {
	for name, taken := range map[string]bool{
		"order.placed.v1": true, "orders": true,
		"_schemas": false, "__consumer_offsets": false, "_weir.jobs": false, "staging._weir.desired": false, "customer-totals-totals-changelog": false,
	} {
		if problem := (&topics{foreign: true}).takes(name); (problem == nil) != taken {
			t.Errorf("%s: %v", name, problem)
		}
	}
}
