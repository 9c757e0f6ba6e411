package cli

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
)

// forged is a letter with headers that somebody made up.
func forged(topology, topic string, partition int32, more ...deadletter.Header) *kgo.Record {
	r := &kgo.Record{Topic: "staging." + lettersOf, Key: []byte("k"), Value: []byte("v")}
	for _, h := range append(deadletter.Headers(nil, deadletter.Cause{Topology: topology, Group: topology, Node: "accumulate", Topic: topic, Partition: partition, Offset: 1,
		Attempts: 1, Reason: "rejected", At: 1_700_000_000_000}), more...) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// Whatever a letter says of its topology and of where it failed, its record goes into the redrive topic of that topology in the command's environment, or is
// left alone: not into another environment's, which its instances would process. The other letters go, and the liars can be discarded, with nothing told
// to anybody. A partition that nobody has is the key's.
//
// Mutations, each seen to fail it: elsewhere without IsRedrive, without the signs, or without the check of the name; releases without elsewhere; settle that
// returns an error for any partition that is not there.
func TestAForgedLetterLeavesNoEnvironment(t *testing.T) {
	d := newDesk(t, -1)
	staging := []string{"staging.order.placed.v1", "staging." + lettersOf, "staging._weir.jobs", "staging._weir.audit"}
	others := []string{"order.placed.v1", "totals-order.placed.v1-redrive", "staging.eu.totals-order.placed.v1-redrive", "staging.eu.order.placed.v1"}
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, append(staging[:2:2], others...)...)
	d.must(err)
	compact := "compact"
	_, err = d.admin.CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compact}, "staging.eu._weir.jobs")
	d.must(err)
	parks := deadletter.Header{Key: deadletter.HeaderParks, Value: []byte("staging.totals-parked-changelog")}
	d.must(d.client.ProduceSync(t.Context(),
		forged("totals", "totals-order.placed.v1-redrive", 0, parks), // production's
		forged("eu.totals", "staging.order.placed.v1", 0),            // that of staging.eu.
		forged("eu.totals", "staging.eu.totals-order.placed.v1-redrive", 0, parks),
		forged("to tals", "staging.order.placed.v1", 0), // of no name at all
		forged("totals", "staging.order.placed.v1", 1_000_000),
		forged("totals", "staging.order.placed.v1", -7),
		forged("totals", "staging.order.placed.v1", 1),
	).FirstErr())
	var r struct {
		Selected, Done, Open int
		Refused              map[string]int
		Into                 map[string]int
	}
	at := []string{"--topic", "staging." + lettersOf, "--topic.prefix", "staging.", "--all", "--execute", "--json"}
	out := d.dlq(1, append([]string{"redrive"}, at...)...)
	if d.data(out, &r); r.Done != 3 || r.Open != 4 || len(r.Into) != 1 || r.Into["staging.totals-order.placed.v1-redrive"] != 3 ||
		!strings.Contains(out, "4 left alone: the letter says that its record failed in another environment, or in a topic that is not its topology's") {
		t.Errorf("redriven: %s", out)
	}
	if n := d.records("staging.totals-order.placed.v1-redrive"); n < 3 {
		t.Errorf("%d records were redriven", n)
	}
	d.data(d.dlq(0, append([]string{"discard"}, at...)...), &r)
	if r.Done != 4 || r.Open != 0 {
		t.Errorf("discarded: %+v", r)
	}
	for _, topic := range others {
		if n := d.records(topic); n != 0 {
			t.Errorf("%s has %d records", topic, n)
		}
	}
	if out := d.dlq(0, append([]string{"redrive"}, at...)...); !strings.Contains(out, "is drained") {
		t.Errorf("afterwards: %s", out)
	}
}
