package cli

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A letter of a partition that its input got after the redrive topic was made is refused before anything is done, by the dry run too, with the line that helps; letters of other
// partitions are redriven, and all of them when the topic has as many.
//
// Mutations, each seen to fail it: plan without lacks; lacks that refuses each letter into such a topic.
func TestALetterOfAnAddedPartitionSaysWhatItsRedriveTopicLacks(t *testing.T) {
	d := newLetters(t)
	const redrive = "customer-totals-order.placed.v1-redrive"
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, redrive)
	d.must(err)
	want := "topic " + redrive + " has 1 partitions, its input order.placed.v1 has 2, and a letter's record stood in partition 1: give it as many first, with kafka-topics.sh --bootstrap-server " + d.addr + " --alter --topic " +
		redrive + " --partitions 2 (nothing was done"
	for _, more := range [][]string{nil, {"--execute"}} {
		if out := d.dlq(exitFailure, append([]string{"redrive", "--topic", lettersOf, "--fingerprint", amounts}, more...)...); !strings.Contains(out, want) {
			t.Errorf("%v: %s", more, out)
		}
	}
	if n := d.records(redrive); n != 0 {
		t.Errorf("%d records were redriven", n)
	}
	d.dlq(0, "redrive", "--topic", lettersOf, "--fingerprint", amounts, "--partition", "0", "--execute")
	if n := d.records(redrive); n < 5 {
		t.Errorf("%d records of partition 0 were redriven", n)
	}
	_, err = d.admin.UpdatePartitions(t.Context(), 2, redrive)
	d.must(err)
	var r struct{ Done int }
	d.data(d.dlq(0, "redrive", "--topic", lettersOf, "--fingerprint", amounts, "--execute", "--json"), &r)
	if ends, err := d.admin.ListEndOffsets(t.Context(), redrive); r.Done != 5 || err != nil || !has(ends, redrive, 1) {
		t.Errorf("%d letters were redriven then, %v", r.Done, err)
	}
}

func has(ends kadm.ListedOffsets, topic string, partition int32) bool {
	o, ok := ends.Lookup(topic, partition)
	return ok && o.Offset > 0
}
