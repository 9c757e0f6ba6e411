package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/offsets"
)

// TestAGroupWhoseOffsetsHaveExpiredGoesOn: a group that was idle for longer than brokers keep its offsets has lost those of its redrive topic, too, of which its state
// says how far it was read. Each way out that a refusal names leads on, and what was redriven is counted once.
//
// Mutations, each seen to fail it: Show without the rows of redrive topics; goesAlong that leaves them as they are; Plan that has them begin where their inputs do.
func TestAGroupWhoseOffsetsHaveExpiredGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		ways    [][]string
		rebuilt bool
	}{
		"state":   {[][]string{{"--to", "state"}}, false},
		"latest":  {[][]string{{"--to", "latest"}}, false},
		"by name": {[][]string{{"--topic", tallied, "--to", "3"}, {"--topic", "tallies-" + tallied + "-redrive", "--to", "state"}}, false},
		"rebuilt": {[][]string{{"--to", "earliest"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newCounter(t)
			d.send("a", "bad1", "b")
			d.live("bad")
			if n := d.redrive(); n != 1 {
				t.Fatalf("%d letters were redriven", n)
			}
			d.live()
			if total, odd := d.tally(); total != 3 || len(odd) > 0 {
				t.Fatalf("%d are counted: %v", total, odd)
			}
			_, err := d.admin.DeleteGroup(t.Context(), "tallies")
			d.must(err)
			var rows []offsets.Row
			d.data(d.do(exitDisagrees, nil, "offsets", "show", "--json"), &rows)
			if len(rows) != 2 || rows[0].Agrees || rows[1].Agrees || rows[1].Of != tallied || rows[1].State == nil {
				t.Errorf("shown are %+v", rows)
			}
			if out := d.do(exitRefused, nil, "run", "--state-dir", "state", "--log-level", "error"); !strings.Contains(out, "its state has read this input up to offset") {
				t.Error(out)
			}
			if c.rebuilt {
				_, err := d.admin.DeleteTopic(t.Context(), tallyLog)
				d.must(err)
				d.must(os.RemoveAll("state"))
				t.Setenv("WEIR_ACCEPT_EMPTY_STATE", "true")
			}
			for _, way := range c.ways {
				d.do(0, nil, append([]string{"offsets", "reset", "--why", "idle", "--execute"}, way...)...)
			}
			if !c.rebuilt {
				d.do(0, nil, "offsets", "show")
			}
			d.send("c")
			d.live()
			if total, odd := d.tally(); total != 4 || len(odd) > 0 {
				t.Errorf("%d are counted: %v", total, odd)
			}
		})
	}
}

// TestOffsetsAreNotSetBackOverWhatWaits: a record that was redriven and not read yet would be counted as itself, and as what its input brings again.
//
// Mutation: Twice that finds nothing.
func TestOffsetsAreNotSetBackOverWhatWaits(t *testing.T) {
	d := newCounter(t)
	d.send("a", "bad1", "b")
	d.live("bad")
	d.redrive()
	d.live()
	d.send("bad2")
	d.live("bad")
	d.redrive()
	redrive := "tallies-" + tallied + "-redrive"
	back := []string{"offsets", "reset", "--to", "earliest", "--why", "t", "--execute"}
	if out := d.do(exitRefused, nil, back...); !strings.Contains(out, "records of "+tallied+" wait in "+redrive+"/0") {
		t.Error(out)
	}
	d.do(0, nil, "offsets", "reset", "--to", "latest", "--why", "t", "--execute") // goes forward, or stays
	d.live()
	d.do(0, nil, back...)
	d.live()
	if total, odd := d.tally(); total != 8 || len(odd) != 4 {
		t.Errorf("%d are counted: %v", total, odd)
	}
}

// TestASnapshotHasTheEmptyKey: the state of records without a key is restored like others.
//
// Mutation: the last record of a restored changelog deletes the empty key.
func TestASnapshotHasTheEmptyKey(t *testing.T) {
	d := newCounter(t)
	d.send("a", "")
	d.live()
	d.do(0, nil, "state", "snapshot", "--folder", "snap")
	d.send("", "b")
	d.live()
	d.do(0, nil, "state", "restore", "--folder", "snap", "--why", "t", "--execute")
	d.must(os.RemoveAll("state"))
	d.live()
	if total, odd := d.tally(); total != 2 || len(odd) > 0 { // beside that of the empty key
		t.Errorf("%d are counted: %v", total, odd)
	}
	last := map[string]string{}
	for _, r := range (&shop{desk: d.desk}).read(tallyLog) {
		last[string(r.Key)] = string(r.Value)
	}
	if last[""] != "2" {
		t.Errorf("of the empty key %q is the last record", last[""])
	}
}
