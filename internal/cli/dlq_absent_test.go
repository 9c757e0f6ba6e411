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
