//go:build integration && unix

package identity

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// offsetsRow is a row of offsets show --output json.
type offsetsRow struct {
	Topic     string
	Partition int32
	Committed *int64
	State     *int64
	Start     int64
	End       int64
	Lag       int64
	Agrees    bool
	Why       string
}

func (p *place) show() (rows []offsetsRow) {
	p.t.Helper()
	out, messages, code := p.tool("offsets", "show", "--output", "json")
	p.must(json.Unmarshal([]byte(out), &rows))
	want := 0
	for _, r := range rows {
		if !r.Agrees {
			want = exitDisagrees
		}
	}
	if code != want {
		p.t.Fatalf("offsets show: exit code %d, want %d: %s", code, want, messages)
	}
	return rows
}

// The offsets command shows what there is, sets offsets to every place that --to knows, of one partition or of all, changes nothing
// without --execute, and refuses while the group has members, or without a reason.
//
// Mutations: change without the question for execute; Record without Members; matches that ignores the partition; earliest and
// latest exchanged; a time that finds no record is taken for offset 0.
func TestTheOffsetsCommand(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.begun(100) // 50 in each partition
	between := time.Now()
	p.until("a later millisecond", func() (bool, string) { return time.Since(between) > 5*time.Millisecond, "" })
	middle := between.Add(2 * time.Millisecond).UTC().Format(time.RFC3339Nano)
	p.send(40)
	p.noMembers()
	for i, r := range p.show() {
		if r.Topic != p.in() || int(r.Partition) != i || r.Committed == nil || *r.Committed != 50 || r.State == nil || *r.State != 50 ||
			r.Start != 0 || r.End != 70 || r.Lag != 20 || !r.Agrees || r.Why != "" {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	if out, _, code := p.tool("offsets", "show"); code != 0 || !strings.Contains(out, "COMMITTED") || strings.Count(out, p.in()) != 2 {
		t.Errorf("exit code %d: %s", code, out)
	}
	at := func(a, b int64) []int64 { return []int64{a, b} }
	for _, c := range []struct {
		args []string
		want []int64
	}{
		{[]string{"--to", "earliest"}, at(0, 0)},
		{[]string{"--to", "latest"}, at(70, 70)},
		{[]string{"--to", "state"}, at(50, 50)},
		{[]string{"--to", "7", "--partition", "1"}, at(50, 7)},
		{[]string{"--to", "9", "--partition", "0", "--topic", p.in()}, at(9, 7)},
		{[]string{"--to", middle}, at(50, 50)},
		{[]string{"--to", "2001-01-01T00:00:00Z", "--partition", "0"}, at(0, 50)},
		{[]string{"--to", time.Now().Add(time.Hour).Format(time.RFC3339)}, at(70, 70)},
	} {
		args := append([]string{"offsets", "reset", "--why", "t", "--output", "json"}, c.args...)
		before := p.committed()
		for _, execute := range []bool{false, true} {
			want := before
			if execute {
				args, want = append(args, "--execute"), c.want
			}
			out, messages, code := p.tool(args...)
			var said struct{ Executed bool }
			if err := json.Unmarshal([]byte(out), &said); code != 0 || err != nil || said.Executed != execute {
				t.Fatalf("%v: exit code %d, %v: %s%s", args, code, err, out, messages)
			}
			if got := p.committed(); !slices.Equal(got, want) {
				t.Errorf("%v: committed %v, want %v", args, got, want)
			}
		}
	}
	for _, r := range p.show() { // at 70, while the state is at 50: as was recorded
		if !r.Agrees || !strings.Contains(r.Why, "recorded by") {
			t.Errorf("%+v", r)
		}
	}
	before := p.committed()
	for want, args := range map[string][]string{
		"--why":                      {"offsets", "reset", "--to", "earliest", "--execute"},
		"where to?":                  {"offsets", "reset", "--why", "t", "--execute"},
		"holds offsets 0 to 70":      {"offsets", "reset", "--why", "t", "--to", "71", "--execute"},
		"no input":                   {"offsets", "reset", "--why", "t", "--to", "1", "--topic", "other", "--execute"},
		"has partition 9":            {"offsets", "reset", "--why", "t", "--to", "1", "--partition", "9", "--execute"},
		"give earliest, latest, sta": {"offsets", "reset", "--why", "t", "--to", "yesterday", "--execute"},
	} {
		if _, messages, code := p.tool(args...); code != exitUsage || !strings.Contains(messages, want) {
			t.Errorf("%v: exit code %d, want %d and %q: %s", args, code, exitUsage, want, messages)
		}
	}
	l := p.start()
	l.logs("tasks assigned")
	for _, args := range [][]string{{"offsets", "reset", "--to", "earliest", "--why", "t", "--execute"}, {"offsets", "accept", "--why", "t", "--execute"}} {
		p.until("the group has a member", func() (bool, string) {
			groups, err := p.admin.DescribeGroups(p.context(), p.name)
			return err == nil && len(groups[p.name].Members) == 1, ""
		})
		_, messages, code := p.tool(args...)
		switch {
		case args[1] == "accept" && code == 0 && strings.Contains(messages, "nothing to do"): // all agree, as was recorded
		case code == 0 || !strings.Contains(messages, "stop all instances first"):
			t.Errorf("%v with a member: exit code %d: %s", args, code, messages)
		}
	}
	if got := p.committed(); !slices.Equal(got, before) {
		t.Errorf("committed %v, want %v", got, before)
	}
	l.stop()
	p.counts(100)
	// accept records the disagreement, and changes no offset.
	p.reset("--to-earliest")
	for _, execute := range []bool{false, true} {
		args := []string{"offsets", "accept", "--why", "t"}
		if execute {
			args = append(args, "--execute")
		}
		if out, messages, code := p.tool(args...); code != 0 {
			t.Fatalf("exit code %d: %s%s", code, out, messages)
		}
		for _, r := range p.show() {
			if r.Agrees != execute || *r.Committed != 0 {
				t.Errorf("executed %v: %+v", execute, r)
			}
		}
	}
	l = p.start()
	p.done()
	l.stop()
	p.counts(100 + 140)
}
