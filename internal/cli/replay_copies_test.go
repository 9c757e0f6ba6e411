package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// copied is a counter of which two records that failed were redriven into the input itself, by each of the two names that it has there or by those given, and a third one has an open letter.
func copied(t *testing.T, by ...string) *counter {
	t.Helper()
	d := newCounter(t)
	d.send("a", "bad1", "b", "bad2", "c", "bad3")
	d.live("bad")
	if by == nil {
		by = []string{"origin", tallied}
	}
	for _, to := range by {
		d.do(0, nil, "dlq", "redrive", "--topic", tallyLetters, "--all", "--limit", "1", "--to", to, "--why", "t", "--execute")
	}
	d.live()
	if total, odd := d.tally(); total != int64(3+len(by)) || len(odd) > 0 {
		t.Fatalf("%d are counted: %v", total, odd)
	}
	return d
}

// TestARecordThatWasRedrivenIntoItsTopicIsReplayedOnce: its copy is, and where it stands first it is left out, as it never had an effect there.
//
// Mutations, each seen to fail it: Copied of --to origin alone, of a topic alone, and of every letter that was redriven; leavesOut without letterCopied; letters of a shadow without those
// of production.
func TestARecordThatWasRedrivenIntoItsTopicIsReplayedOnce(t *testing.T) {
	for _, c := range []struct {
		into, more              string
		filtered, counted, open int64
		odd                     int
	}{
		{"topology", "state: keep\n", 3, 5 * 2, 1, 5},
		{"topology", "state: reset\n", 2, 6, 0, 0},
		{"shadow", "", 2, 5, 1, 0},
	} {
		t.Run(c.into+" "+strings.TrimSpace(c.more), func(t *testing.T) {
			d := copied(t)
			// One that went through the redrive topic is replayed where it stands.
			d.send("bad4")
			d.live("bad4")
			d.do(0, nil, "dlq", "redrive", "--topic", tallyLetters, "--partition", "0", "--offset", "3-", "--execute")
			d.live()
			c.counted++
			if strings.Contains(c.more, "keep") {
				c.counted, c.odd = c.counted+1, c.odd+1
			}
			var r struct {
				Read, Filtered int64
				Notes          []string
			}
			file := d.file("again", c.more)
			if c.into == "shadow" {
				file = d.edited("again", "into: topology", "into: shadow")
			}
			if out := d.do(0, nil, "replay", "plan", file); !strings.Contains(out, "2 records whose letters were redriven into the topic itself") {
				t.Error(out)
			}
			d.data(d.do(0, nil, "replay", "run", file, "--state-dir", "state", "--log-level", "error", "--json"), &r)
			if r.Read != 9 || r.Filtered != c.filtered || len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "2 records whose letters were redriven into the topic itself") {
				t.Errorf("%+v", r)
			}
			if total, odd := d.tally(); total != c.counted || len(odd) != c.odd {
				t.Errorf("%d are counted, want %d: %v", total, c.counted, odd)
			}
			if n := d.openLetters(); n != int(c.open) {
				t.Errorf("%d letters are open, want %d", n, c.open)
			}
		})
	}
}

// TestACopyIsKnownWhoeverNamesItsLetter: letters that were redriven into the input are heeded where the program names another topic of dead letters since. A letter there that is
// open is not: a redrive leaves it alone.
//
// Mutations, each seen to fail it: Find without strays; strays of --to origin alone, and of a topic alone; a range that begins after its first letter, or ends before its last.
func TestACopyIsKnownWhoeverNamesItsLetter(t *testing.T) {
	for _, c := range []struct {
		into, more string
		by         []string
		counted    int64
		odd        int
	}{
		{"topology", "state: keep\n", []string{"origin", tallied}, 5 + 6, 5},
		{"topology", "state: reset\n", []string{"origin"}, 6, 0},
		{"shadow", "", []string{tallied}, 4, 0},
	} {
		t.Run(c.into+" "+strings.TrimSpace(c.more), func(t *testing.T) {
			d := copied(t, c.by...)
			d.letters = "item.failed.v1.dlq"
			_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, d.letters)
			d.must(err)
			if out := d.do(exitRefused, nil, "offsets", "reset", "--to", "0", "--why", "t", "--execute"); !strings.Contains(out, fmt.Sprint(len(c.by), " records would be processed twice")) {
				t.Error(out)
			}
			var r struct{ Read, Filtered int64 }
			file := d.file("again", c.more)
			if c.into == "shadow" {
				file = d.edited("again", "into: topology", "into: shadow")
			}
			d.data(d.do(0, nil, "replay", "run", file, "--state-dir", "state", "--log-level", "error", "--json"), &r)
			if n := int64(len(c.by)); r.Read != 6+n || r.Filtered != n {
				t.Errorf("%+v", r)
			}
			if total, odd := d.tally(); total != c.counted || len(odd) != c.odd {
				t.Errorf("%d are counted, want %d: %v", total, c.counted, odd)
			}
		})
	}
}

// TestOffsetsAreNotSetBackOverARecordAndItsCopy, nor is a snapshot restored before both: instances, which process what comes then, leave nothing out.
//
// Mutations, each seen to fail it: refuseCopied that refuses nothing; record that does not ask where letters are kept; Restore without uncopied.
func TestOffsetsAreNotSetBackOverARecordAndItsCopy(t *testing.T) {
	d := copied(t)
	d.do(0, nil, "state", "snapshot", "--folder", "late")
	const twice = "would be processed twice, as they stand and as copies"
	reset := []string{"offsets", "reset", "--why", "t", "--execute", "--to"}
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitRefused, "2 records " + twice, append(reset, "0")},
		{exitRefused, "1 records " + twice, append(reset, "3", "--letters", "keep")},
		{exitRefused, "item.seen.v1/0 offset 3", append(reset, "2")},
		{exitUsage, `--accept: "all" is not allowed`, append(reset, "2", "--accept", "all")},
		{0, "done: recorded", append(reset, "4", "--letters", "keep")},
		{0, "done: recorded", append(reset, "0", "--letters", "keep", "--accept", "copies")},
		{0, "done: recorded", append(reset, "latest")},
	} {
		if out := d.do(c.code, nil, c.args...); !strings.Contains(out, c.says) {
			t.Errorf("%v: %s", c.args, out)
		}
	}
	d.do(0, nil, "state", "restore", "--folder", "late", "--why", "t", "--execute")
	d.live()
	if total, odd := d.tally(); total != 5 || len(odd) > 0 {
		t.Errorf("%d are counted: %v", total, odd)
	}

	d = newCounter(t)
	d.send("a", "b")
	d.live("bad")
	d.do(0, nil, "state", "snapshot", "--folder", "early")
	d.send("bad1", "c")
	d.live("bad")
	d.do(0, nil, "dlq", "redrive", "--topic", tallyLetters, "--all", "--to", "origin", "--execute")
	d.live()
	restore := []string{"state", "restore", "--folder", "early", "--why", "t"}
	for _, more := range [][]string{nil, {"--execute"}} {
		if out := d.do(exitRefused, nil, append(restore, more...)...); !strings.Contains(out, "1 records "+twice) {
			t.Error(out)
		}
	}
	d.do(0, nil, append(restore, "--execute", "--accept", "copies")...)
	d.live()
	if total, odd := d.tally(); total != 5 || odd["bad1"] != 2 {
		t.Errorf("%d are counted: %v", total, odd)
	}
}

// TestARebuildThatLeavesRecordsOutIsLeftToItself: instances would process them, so the topology stays paused while the replay is stopped.
//
// Mutations, each seen to fail it: let without leavesOut; waits without it.
func TestARebuildThatLeavesRecordsOutIsLeftToItself(t *testing.T) {
	d := copied(t)
	for range 20 {
		d.send("c" + time.Now().Format("150405.000000000"))
	}
	d.live()
	file, said := d.stopped("state: reset\n")
	if !strings.Contains(said, "stays paused, by replay/slow") || !strings.Contains(said, "so topology tallies stays paused until the replay is resumed") {
		t.Errorf("the topology is not held: %s", said)
	}
	var r struct {
		Done, Filtered int64
		State          string
	}
	for _, out := range []string{d.do(exitFailure, nil, "replay", "status", file), d.do(0, nil, "replay", "list")} {
		if !strings.Contains(out, "stopped") || strings.Contains(out, "waiting") || strings.Contains(out, "waits for the instances") {
			t.Errorf("it is told as one that waits: %s", out)
		}
	}
	d.data(d.do(0, nil, "replay", "resume", file, "--state-dir", "state", "--log-level", "error", "--json"), &r)
	if r.State != "done" || r.Filtered != 2 {
		t.Errorf("%+v", r)
	}
	d.live()
	if total, odd := d.tally(); total != 26 || len(odd) > 0 {
		t.Errorf("%d are counted: %v", total, odd)
	}
}
