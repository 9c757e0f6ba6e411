package cli

import (
	"strings"
	"testing"
)

// A letter whose origin does not exist is left alone with its reason, and the others go. It is still open afterwards, and goes when the topic is there.
//
// Mutations, each seen to fail it: explore that adds nothing; Absent that is not part of the job.
func TestALetterWhoseOriginIsGoneDoesNotKeepOthers(t *testing.T) {
	d := newDesk(t, -1)
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, "order.placed.v1", lettersOf)
	d.must(err)
	d.must(d.client.ProduceSync(t.Context(),
		spring("a", "order.placed.v1", 1, "java.lang.E", "x"), spring("b", "gone.v1", 1, "java.lang.E", "x"), spring("c", "order.placed.v1", 1, "java.lang.E", "x")).FirstErr())
	all := []string{"redrive", "--topic", lettersOf, "--all", "--to", "origin", "--json"}
	var r struct {
		Selected, Done, Open int
		Refused              map[string]int
	}
	out := d.dlq(0, all...)
	if d.data(out, &r); r.Selected != 2 || len(r.Refused) != 1 || !strings.Contains(out, "1 left alone: topic gone.v1 does not exist") {
		t.Errorf("planned: %s", out)
	}
	d.data(d.dlq(1, append(all, "--execute")...), &r)
	if r.Done != 2 || r.Open != 1 || d.records("order.placed.v1") < 2 {
		t.Errorf("redriven: %+v", r)
	}
	_, err = d.admin.CreateTopics(t.Context(), 2, 1, nil, "gone.v1")
	d.must(err)
	d.data(d.dlq(0, append(all, "--execute")...), &r)
	if r.Selected != 1 || r.Done != 1 || r.Open != 0 || d.records("gone.v1") < 1 {
		t.Errorf("redriven when the topic is there: %+v", r)
	}
}

// A letter that says it came from a topic of Weir's own is not written there, and is open afterwards.
//
// Mutation seen to fail it: explore without the topics that are owned.
func TestNoLetterGoesIntoATopicOfWeirsOwn(t *testing.T) {
	d := newDesk(t, -1)
	own := []string{"order.placed.v1.dlq.dlq", "totals-order.placed.v1-redrive", "totals-order.placed.v1-retry-1m"}
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, append(own, "order.placed.v1", lettersOf)...)
	d.must(err)
	d.must(d.client.ProduceSync(t.Context(), spring("a", own[0], 1, "java.lang.E", "x"), spring("b", own[1], 1, "java.lang.E", "x"),
		spring("c", own[2], 1, "java.lang.E", "x"), spring("d", "order.placed.v1", 1, "java.lang.E", "x")).FirstErr())
	all := []string{"redrive", "--topic", lettersOf, "--all", "--to", "origin", "--json", "--execute"}
	var r struct {
		Selected, Done, Open int
		Refused              map[string]int
	}
	for done := 1; done >= 0; done-- {
		out := d.dlq(1, all...)
		if d.data(out, &r); r.Done != done || r.Open != 3 || !strings.Contains(out, "3 left alone: the letter says that its record stood in a topic of Kafka's or of Weir's own") {
			t.Errorf("want %d done: %s", done, out)
		}
	}
	for _, topic := range own {
		if n := d.records(topic); n != 0 {
			t.Errorf("%s has %d records", topic, n)
		}
	}
}
