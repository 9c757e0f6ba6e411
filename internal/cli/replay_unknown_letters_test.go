package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// redrived is what a redrive of all letters prints.
type redrived struct {
	Selected, Done, Open int
	Refused              map[string]int
}

func (c *counter) redriveAll(code int, more ...string) (r redrived) {
	c.t.Helper()
	out := c.do(code, nil, append([]string{"dlq", "redrive", "--topic", tallyLetters, "--all", "--json"}, more...)...)
	c.data(out[:strings.LastIndex(out, "\n}")+2], &r)
	return r
}

// TestALetterThatAReplayDidNotKnowOfIsNotRedrivenToo: of a topic that the program names no more as one of dead letters. The record had its effect by the replay, or by the instances that go on from
// offsets that were set back.
//
// Mutations, each seen to fail it: since that finds nothing; since without the time of the letter; since that looks at topics that were known, or takes what was left out; comesTwice that is
// always true; an order whose jobs take what it spares; offsets reset without a pass; a rebuild without one.
func TestALetterThatAReplayDidNotKnowOfIsNotRedrivenToo(t *testing.T) {
	for _, c := range []struct {
		name                string
		again               func(d *counter)
		by                  string
		refused, total, odd int
	}{
		{"keep", func(d *counter) { d.replay("again", "state: keep\n") }, "replay again", 2, 6, 2},
		{"keep, of some", func(d *counter) { d.replay("again", "state: keep\nwhere: {keys: [k]}\n") }, "replay again", 2, 6, 2},
		{"keep, up to the second", func(d *counter) {
			d.file("again", "state: keep\n")
			d.do(0, nil, "replay", "run", d.edited("again", tallied+"}", tallied+", end: 3}"), "--state-dir", "state", "--log-level", "error")
		}, "replay again", 1, 5, 2},
		{"reset", func(d *counter) { d.replay("again", "state: reset\n") }, "replay again", 2, 4, 0},
		{"restore", func(d *counter) {
			d.do(0, nil, "state", "restore", "--folder", "snap", "--why", "t", "--execute")
			d.live()
		}, "state restore", 2, 4, 0},
		{"offsets", func(d *counter) { d.do(0, nil, "offsets", "reset", "--to", "3", "--why", "t", "--execute"); d.live() }, "offsets reset", 1, 3, 0},
		{"offsets, taken back before anybody has read", func(d *counter) {
			d.do(0, nil, "offsets", "reset", "--to", "1", "--why", "t", "--execute")
			d.do(0, nil, "offsets", "reset", "--to", "latest", "--why", "t", "--execute")
		}, "", 0, 2, 0},
		{"letters are to stay", func(d *counter) {
			d.do(0, nil, "offsets", "reset", "--to", "3", "--why", "t", "--execute", "--letters", "keep")
			d.live()
		}, "", 0, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newCounter(t)
			d.send("a")
			d.live()
			d.do(0, nil, "state", "snapshot", "--folder", "snap")
			d.send("bad1", "b", "bad2")
			d.live("bad")
			d.letters = "item.failed.v1.dlq"
			_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, d.letters)
			d.must(err)
			c.again(d)
			if total, odd := d.tally(); total != int64(c.total) || len(odd) != c.odd {
				t.Errorf("%d are counted, want %d: %v", total, c.total, odd)
			}
			// What fails from then on, as before, is a letter of its own.
			d.letters = tallyLetters
			d.send("bad3")
			d.live("bad3")
			code := exitFailure
			if c.refused == 0 {
				code = 0
			}
			for _, more := range [][]string{nil, {"--to", "origin"}} {
				r := d.redriveAll(0, more...)
				if n := 3 - c.refused; r.Selected != n || len(r.Refused) > 1 {
					t.Errorf("%v: %+v", more, r)
				}
				for why, n := range r.Refused {
					if n != c.refused || !strings.Contains(why, "was processed again since it failed, by "+c.by+" at ") || strings.Contains(why, "of some records") != strings.Contains(c.name, "some") {
						t.Errorf("%d: %s", n, why)
					}
				}
			}
			if r := d.redriveAll(code, "--execute"); r.Done != 3-c.refused || r.Open != c.refused {
				t.Errorf("%+v", r)
			}
			if n := d.openLetters(); n != c.refused {
				t.Errorf("%d letters are open, want %d", n, c.refused)
			}
			if r := d.redriveAll(0, "--to", d.letters+".other"); c.refused > 0 && r.Selected != c.refused {
				t.Errorf("into another topic: %+v", r)
			}
			if r := d.redriveAll(0, "--force", "--execute"); r.Done != c.refused || len(r.Refused) > 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestAReplayThatWasStoppedHasNotProcessedTheRest, so letters of that are redriven.
//
// Mutation, seen to fail it: since without the progress of a replay.
func TestAReplayThatWasStoppedHasNotProcessedTheRest(t *testing.T) {
	d := newCounter(t)
	d.send("bad0")
	for range 24 {
		d.send("r")
	}
	d.send("bad25")
	d.live("bad")
	d.letters = "item.failed.v1.dlq"
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, d.letters)
	d.must(err)
	d.stopped("state: keep\n")
	if r := d.redriveAll(0); r.Selected != 1 || len(r.Refused) != 1 {
		t.Errorf("%+v", r)
	}
}

// TestLettersThatNobodyReadAreOpenAgain: they were answered, since the offsets were set back, and are left out by offsets that are set further ahead before anybody has read their records. What was read
// since stays answered.
//
// Mutations, each seen to fail it: read that is always unread, always wasRead, and never unsure; read that counts the pass of the answer; Again without Unread; resolvedBy without reopenedAt.
func TestLettersThatNobodyReadAreOpenAgain(t *testing.T) {
	d := newCounter(t)
	d.send("a", "bad1", "b", "bad2", "c")
	d.live("bad")
	d.do(0, nil, "state", "snapshot", "--folder", "late")
	reset := func(to string, letters, reopened int, more ...string) {
		t.Helper()
		for _, more := range [][]string{more, append(more, "--execute")} {
			var r struct {
				Letters  int
				Reopened int `json:"letters_reopened"`
			}
			if d.data(d.do(0, nil, append([]string{"offsets", "reset", "--to", to, "--why", "t", "--json"}, more...)...), &r); r.Letters != letters || r.Reopened != reopened {
				t.Fatalf("--to %s %v: %+v", to, more, r)
			}
		}
	}
	reset("0", 2, 0)
	reset("2", 0, 1)
	if n := d.openLetters(); n != 1 {
		t.Fatalf("%d letters are open", n)
	}
	reset("latest", 0, 1)
	reset("0", 2, 0)
	reset("latest", 0, 0, "--letters", "keep")
	reset("0", 0, 0)
	d.do(0, nil, "state", "restore", "--folder", "late", "--why", "t", "--execute") // which is further ahead
	if n := d.openLetters(); n != 0 {
		t.Fatalf("%d letters are open that were kept answered", n)
	}
	d.do(0, nil, "dlq", "discard", "--topic", tallyLetters, "--all", "--execute")

	d.send("bad3", "bad4")
	d.live("bad")
	d.do(0, nil, "state", "snapshot", "--folder", "later")
	reset("5", 2, 0)
	d.do(0, nil, "state", "restore", "--folder", "later", "--why", "t", "--execute")
	if n := d.openLetters(); n != 2 {
		t.Fatalf("%d letters are open after a restore", n)
	}
	if n := d.redrive(); n != 2 {
		t.Errorf("%d letters were redriven", n)
	}
	d.live()
	d.send("bad5", "e")
	d.live("bad5")
	reset("7", 1, 0)
	d.live() // which reads the record
	reset("7", 0, 0)
	reset("latest", 0, 0)
	if n := d.openLetters(); n != 0 {
		t.Errorf("%d letters are open whose records were read", n)
	}
	if total, odd := d.tally(); total != 8 || odd["e"] != 2 || len(odd) != 1 {
		t.Errorf("%d are counted: %v", total, odd)
	}
}

// TestWhoSetOffsetsMayHaveReadLetters: by another program, so nobody knows whether records were read in between.
//
// Mutation, seen to fail it: read that is never unsure.
func TestWhoSetOffsetsMayHaveReadLetters(t *testing.T) {
	d := newCounter(t)
	d.send("a", "bad1", "b")
	d.live("bad")
	d.do(0, nil, "offsets", "reset", "--to", "0", "--why", "t", "--execute")
	var set kadm.Offsets
	set.Add(kadm.Offset{Topic: tallied, Partition: 0, At: 1, LeaderEpoch: -1})
	_, err := d.admin.CommitOffsets(t.Context(), "tallies", set)
	d.must(err)
	d.do(0, nil, "offsets", "accept", "--why", "t", "--execute")
	if out := d.do(0, nil, "offsets", "reset", "--to", "latest", "--why", "t", "--execute"); !strings.Contains(out, "whether the records of 1 answered dead letters, which are left out, have been read since is not known") {
		t.Error(out)
	}
	if n := d.openLetters(); n != 0 {
		t.Errorf("%d letters are open", n)
	}
}

// TestALetterWhoseRecordARebuildFindsGoneIsOpenAgain: retention has taken the record when the replay would have read it, after it had answered the letter.
//
// Mutations, each seen to fail it: end without reopen; upTo that is empty; saw that notes nothing.
func TestALetterWhoseRecordARebuildFindsGoneIsOpenAgain(t *testing.T) {
	d := newCounter(t)
	d.send("bad0")
	for range 24 {
		d.send("r" + time.Now().Format("150405.000000000"))
	}
	d.send("bad25", "s", "bad27", "t")
	d.live("bad")
	file, _ := d.stopped("state: reset\n")
	_, err := d.admin.DeleteRecords(t.Context(), kadm.Offsets{tallied: {0: {Topic: tallied, Partition: 0, At: 26}}})
	d.must(err)
	var r struct {
		State    string
		Answered int `json:"letters_answered"`
		Notes    []string
	}
	out := d.do(0, nil, "replay", "resume", file, "--state-dir", "state", "--log-level", "error", "--json")
	d.data(out[strings.Index(out, "\n{")+1:], &r) // what is gone is logged before that
	if r.State != "done" || r.Answered != 2 || len(r.Notes) == 0 || !strings.HasPrefix(r.Notes[0], "1 dead letters that the replay had answered are open again") {
		t.Errorf("%+v", r)
	}
	if n := d.openLetters(); n != 1 {
		t.Errorf("%d letters are open", n)
	}
	if n := d.redrive(); n != 1 {
		t.Errorf("%d letters were redriven", n)
	}
	d.live()
	_, odd := d.tally()
	if out := d.do(0, nil, "dlq", "show", "--topic", tallyLetters, "--json"); len(odd) > 0 || strings.Count(out, `"how": "answered"`) != 2 || strings.Count(out, `"how": "redriven"`) != 1 {
		t.Errorf("%v: %s", odd, out)
	}
}
