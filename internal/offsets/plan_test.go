package offsets

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/kafka"
)

// Without a partition, --to state sets only what needs it: the line in a refusal is for all partitions, and some may agree. It never takes a
// partition back whose last records changed no state, nor asks for one that nothing was ever read of.
//
// Mutations seen to fail it: Plan without settled; settled without accepted, or without the comparison of the two offsets.
func TestAResetToTheStateLeavesOutWhatNeedsNone(t *testing.T) {
	at := func(p int32, committed, state int64, mark string, r *Reset) Row {
		q := Question{TopicPartition: kafka.TopicPartition{Topic: "in", Partition: p}, Committed: kafka.CommittedOffset{Offset: committed, Metadata: mark}, Reset: r}
		if state >= 0 {
			q.State = []Position{{Offset: state, From: 0}}
		}
		return newRow(q, 0, 100)
	}
	rows := []Row{
		at(0, -1, 50, "", nil), // expired
		at(1, 60, 50, Mark{}.String(), nil),
		at(2, -1, -1, "", nil), // never read
		at(3, 70, 50, "", nil), // set forward
		at(4, 70, 50, "", &Reset{Old: new(int64(50)), New: new(int64(70))}),
		at(5, 40, 50, Mark{State: 50}.String(), nil), // an accepted reset that is being worked off
	}
	tool := &Tool{}
	changes, err := tool.Plan(t.Context(), rows, "", -1, "state")
	if err != nil {
		t.Fatal(err)
	}
	var got []int32
	for _, c := range changes {
		got = append(got, c.Partition)
		if *c.New != 50 {
			t.Errorf("partition %d is set to %d", c.Partition, *c.New)
		}
	}
	if want := []int32{0, 3, 4, 5}; len(got) != len(want) || got[0] != 0 || got[1] != 3 || got[2] != 4 || got[3] != 5 {
		t.Errorf("partitions %v are set, want %v", got, want)
	}
	if changes, err := tool.Plan(t.Context(), rows, "in", 1, "state"); err != nil || len(changes) != 1 || *changes[0].New != 50 {
		t.Errorf("partition 1 by its number: %v, %v", changes, err)
	}
	if changes, err := tool.Plan(t.Context(), rows[1:3], "", -1, "state"); err != nil || len(changes) != 0 {
		t.Errorf("where all agree: %v, %v", changes, err)
	}
	for words, ask := range map[string]func() ([]Change, error){
		"does not say how far": func() ([]Change, error) { return tool.Plan(t.Context(), rows, "in", 2, "state") },
		"has no input other":   func() ([]Change, error) { return tool.Plan(t.Context(), rows, "other", -1, "state") },
		"not that partition":   func() ([]Change, error) { return tool.Plan(t.Context(), rows, "in", 9, "earliest") },
	} {
		if changes, err := ask(); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, %v, want %q", changes, err, words)
		}
	}
}
