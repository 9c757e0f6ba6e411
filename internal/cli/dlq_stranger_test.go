package cli

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Records of an ordinary topic are no dead letters: list and show say so, and no verb changes them, also where letters stand beside them.
//
// Mutations, each seen to fail it: refuses without the case of a stranger; add that counts strangers.
func TestRecordsThatAreNoDeadLettersAreLeftAlone(t *testing.T) {
	d := newDesk(t, -1)
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, "order.placed.v1", lettersOf, "elsewhere")
	d.must(err)
	plain := func(topic string) *kgo.Record {
		return &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("x")}}}
	}
	d.must(d.client.ProduceSync(t.Context(), plain("order.placed.v1"), plain("order.placed.v1"), plain(lettersOf), letter(0, 1, "no customer")).FirstErr())
	for _, verb := range []string{"list", "show"} {
		out := d.dlq(0, verb, "--topic", "order.placed.v1")
		if !strings.Contains(out, "are no dead letters") || !strings.Contains(out, "seems to be no topic of dead letters") || strings.Contains(out, "FINGERPRINT") || strings.Contains(out, "letter 0/") {
			t.Errorf("%s of an ordinary topic: %s", verb, out)
		}
	}
	var r struct {
		Selected, Done, Open int
		Refused              map[string]int
	}
	for _, args := range [][]string{{"discard"}, {"redrive", "--to", "origin"}, {"redrive", "--to", "elsewhere"}} {
		out := d.dlq(1, append(args, "--topic", "order.placed.v1", "--all", "--execute", "--json")...)
		if d.data(out, &r); r.Selected != 0 || r.Done != 0 || r.Open != 0 || len(r.Refused) != 1 || strings.Contains(out, "drained") {
			t.Errorf("%v of an ordinary topic: %s", args, out)
		}
	}
	out := d.dlq(0, "list", "--topic", lettersOf)
	if !strings.Contains(out, "1 record is no dead letter") || strings.Contains(out, "seems") || strings.Count(out, "no customer") != 1 {
		t.Errorf("list of a topic with both: %s", out)
	}
	d.data(d.dlq(1, "discard", "--topic", lettersOf, "--all", "--execute", "--json"), &r)
	if r.Done != 1 || r.Open != 0 || d.records(lettersOf) != 2 {
		t.Errorf("discard of a topic with both: %+v", r)
	}
}
