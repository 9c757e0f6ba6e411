package cli

import (
	"os"
	"strings"
	"testing"
)

// TestOpenLettersAreCopied, and those that were redriven and failed again are not, unless that is meant: one record has many of them.
//
// Mutations, each seen to fail it: open that returns takes; chosen that counts all.
func TestOpenLettersAreCopied(t *testing.T) {
	d := newCounter(t)
	d.send("bad", "good", "bad", "bad")
	d.live("bad")
	d.do(0, nil, "dlq", "discard", "--topic", tallyLetters, "--partition", "0", "--offset", "0", "--why", "test data", "--execute")
	if n := d.redrive(); n != 2 {
		t.Fatalf("%d are redriven", n)
	}
	d.live("bad") // and fail again
	var groups []struct{ Fingerprint string }
	d.data(d.do(0, nil, "dlq", "list", "--topic", tallyLetters, "--json"), &groups)
	if len(groups) != 1 {
		t.Fatal(groups)
	}
	for _, c := range []struct {
		name, more, note string
		replayed         int64
	}{
		{"copies", "", "2 are open and are copied; 3 were redriven, discarded or answered, and are left out", 2},
		{"all", ", resolved: true", "of the letters that are copied 2 are open, and 3 were", 5},
	} {
		_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, c.name)
		d.must(err)
		file := c.name + ".yaml"
		d.must(os.WriteFile(file, []byte("replay: "+c.name+"\nfrom: {topic: "+tallyLetters+", dlq: {fingerprint: "+groups[0].Fingerprint+c.more+"}}\ninto: topic\ntopic: "+c.name+"\n"), 0o600))
		var plan struct {
			Letters int64
			Notes   []string
		}
		d.data(d.do(0, nil, "replay", "plan", file, "--json"), &plan)
		if plan.Letters != 2 || !strings.Contains(strings.Join(plan.Notes, "\n"), c.note) {
			t.Errorf("%+v", plan)
		}
		var r struct{ Read, Filtered, Replayed int64 }
		d.data(d.do(0, nil, "replay", "run", file, "--json"), &r)
		if n := len((&shop{desk: d.desk}).read(c.name)); r.Read != 5 || r.Filtered != 5-c.replayed || r.Replayed != c.replayed || int64(n) != c.replayed {
			t.Errorf("%s: %+v, and %d records are there", c.name, r, n)
		}
	}
}
