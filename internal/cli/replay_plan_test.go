package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type planned struct {
	State      string
	Offsets    int64
	Letters    int64
	Seconds    float64
	Touches    []string
	Notes      []string
	Refused    string
	Partitions []struct{ Start, End int64 }
}

func (c *counter) plan(want int, file string) (p planned) {
	c.t.Helper()
	c.data(c.do(want, nil, "replay", "plan", file, "--json"), &p)
	return p
}

// The plan of a job that was stopped half way is what a run does then: what is left of its ranges, and no store is emptied again, nor a letter answered.
//
// Mutations, each seen to fail it: Plan that resolves the file again; planResumed without the progress; with letters also where the state is rebuilt.
func TestThePlanOfAStoppedReplayIsWhatIsLeft(t *testing.T) {
	d, file := begunAndStopped(t)
	d.live("r2") // the instances have gone on, and there are letters, which a fresh run would answer
	d.send("c")
	p := d.plan(0, file)
	var r receiptOfSlow
	out, _ := execute([]string{"replay", "status", file, "--json", "--brokers", d.addr}, tallies())
	d.data(out, &r)
	if p.State != "stopped" || len(p.Partitions) != 1 || p.Partitions[0].Start != r.Done || p.Partitions[0].End != 30 || p.Offsets != 30-r.Done || r.Done == 0 || p.Letters != 0 || p.Refused != "" {
		t.Errorf("%+v, of %+v", p, r)
	}
	said := strings.Join(append(p.Touches, p.Notes...), "\n")
	for text, want := range map[string]bool{
		fmt.Sprintf("%d of 30 offsets are done: this is what is left of it", r.Done):   true,
		"its keys were deleted when the job began":                                     true,
		"which answered 0 dead letters: none of that is done again":                    true,
		"all its keys are deleted":                                                     false,
		"go back to the start":                                                         false,
		"are answered":                                                                 false,
		"the group has read up to offset":                                              false,
		"topic item.seen.v1.dlq: records that fail are written":                        true,
		"group tallies: its instances are paused; the replay is its only member while": true,
	} {
		if strings.Contains(said, text) != want {
			t.Errorf("%q is said: %v, in\n%s", text, !want, said)
		}
	}
	fresh := d.plan(0, d.file("fresh", "state: reset\n"))
	if fresh.Letters < 10 || !strings.Contains(strings.Join(fresh.Touches, "\n"), "all its keys are deleted") {
		t.Errorf("a fresh one: %+v", fresh)
	}
}

// A range by time begins and ends at the first record of that time or a later one, which one wrong clock may have written. Plan and receipt say where earlier records follow.
//
// Mutations, each seen to fail it: disorder that looks at no record, or at the start alone; begin without what was found.
func TestRangesByTimeSayWhereTimesAreNotInOrder(t *testing.T) {
	d := newCounter(t)
	began := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i := range 40 {
		at := began.Add(time.Duration(i) * time.Hour)
		if i == 10 {
			at = began.AddDate(0, 0, 29)
		}
		d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: tallied, Key: []byte("k"), Value: fmt.Append(nil, "r", i), Timestamp: at}).FirstErr())
	}
	d.live()
	file := func(name, start, end string) string {
		text := "replay: " + name + "\nfrom: {topic: " + tallied + ", start: " + start + ", end: " + end + "}\ninto: topology\ntopology: tallies\n"
		d.must(os.WriteFile(name+".yaml", []byte(text), 0o600))
		return name + ".yaml"
	}
	notes := func(all []string) (found []string) {
		for _, n := range all {
			if strings.Contains(n, "of earlier times") {
				found = append(found, n)
			}
		}
		return found
	}
	for _, c := range []struct {
		name, start, end string
		want             []string
	}{
		{"in-order", "2026-11-01T12:00:00Z", "2026-11-02T12:00:00Z", []string{"from.start: offset 10 of item.seen.v1/0 is the first of 2026-11-01T12:00:00Z or later, and among the next 29 records there are 1 of earlier times (from offset 11 to 11): they are meant all the same",
			"from.end: offset 10 of item.seen.v1/0 is the first of 2026-11-02T12:00:00Z or later, and among the next 29 records there are 25 of earlier times (from offset 11 to 35): they are not meant"}},
		{"end", "2026-11-01T05:00:00Z", "2026-11-02T00:00:00Z", []string{"from.end: offset 10 of item.seen.v1/0 is the first of 2026-11-02T00:00:00Z or later, and among the next 29 records there are 13 of earlier times (from offset 11 to 23)"}},
		{"before", "2026-11-01T05:00:00Z", "2026-11-01T10:00:00Z", nil},
		{"offsets", "5", "30", nil},
	} {
		name := file(c.name, c.start, c.end)
		p := d.plan(0, name)
		var r receiptOfSlow
		d.data(d.do(0, nil, "replay", "run", name, "--state-dir", "state", "--log-level", "error", "--json"), &r)
		for _, found := range [][]string{notes(p.Notes), notes(r.Notes)} {
			if !slices.EqualFunc(found, c.want, strings.HasPrefix) {
				t.Errorf("%s: %q, want %q", c.name, found, c.want)
			}
		}
	}
}

// The rate bounds the records that are chosen, so the plan reckons with these.
//
// Mutation, seen to fail it: measure that takes all records for chosen ones.
func TestThePlanReckonsWithWhatTheRateBounds(t *testing.T) {
	d := newCounter(t)
	for i := range 30 {
		d.send(fmt.Sprint("r", i))
	}
	d.live()
	if p := d.plan(0, d.file("all", "rate: 1/s\n")); p.Seconds < 30 {
		t.Errorf("of all: %+v", p)
	}
	if p := d.plan(0, d.file("none", "rate: 1/s\nwhere: {keys: [nobody]}\n")); p.Seconds > 20 {
		t.Errorf("of none: %+v", p)
	}
}
