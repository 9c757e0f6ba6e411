package plan

import (
	"strings"
	"testing"
	"time"
)

// Whatever the engine and the commands make beside the streams of a topology is not the users' to write to, with a prefix or without.
//
// Mutations, each seen to fail it: each case of Owned left out; isRetry that takes any end.
func TestTopicsOfWeirsOwnAreNoTargets(t *testing.T) {
	in := &Stream{Name: "order.placed.v1"}
	for _, prefix := range []string{"", "staging."} {
		n := Names{Prefix: prefix}
		for topic, kind := range map[string]string{
			n.Redrive("totals", in):                      "a redrive topic",
			n.Retry("totals", in, 90*time.Second):        "a retry topic",
			n.Retry("totals", in, 1500*time.Millisecond): "a retry topic",
			n.Changelog("totals", "sums"):                "a changelog",
			n.DeadLetter(&Node{}, in):                    "a topic of dead letters",
			n.System("_weir.jobs"):                       "one of Weir's own",
			n.System("_weir.shadow.a.b.order.placed.v1"): "one of Weir's own",
			n.Topic(in): "",
			n.Topic(&Stream{Name: "order-retry-1.tried.v1"}): "",
			n.Topic(&Stream{Name: "retry-later"}):            "",
			n.Topic(&Stream{Name: "orders-retry-bin"}):       "",
		} {
			err := CheckTarget(topic)
			if Owned(topic) != kind || (err == nil) != (kind == "") || err != nil && !strings.Contains(err.Error(), kind) {
				t.Errorf("%s: %q, %v; want %q", topic, Owned(topic), err, kind)
			}
		}
	}
	for _, topic := range []string{"__consumer_offsets", "__transaction_state", "_schemas"} {
		if CheckTarget(topic) == nil {
			t.Errorf("%s is taken", topic)
		}
	}
}
