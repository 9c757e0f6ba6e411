package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/settings"
)

// TestALetterThatWasAnsweredSaysHow: of several commands that were for it the one that resolved it, with who and why; show and export alike. When it failed first
// is shown where that was another time.
//
// Mutations, each seen to fail it: add without first; answer takes the last job; answer without the range of the job; FirstFailed that is At.
func TestALetterThatWasAnsweredSaysHow(t *testing.T) {
	d := newLetters(t)
	d.must(d.client.ProduceSync(t.Context(), letter(0, 30, "again", deadletter.Header{Key: deadletter.HeaderFirstTime, Value: []byte("1650000000000")})).FirstErr())
	d.dlq(0, "discard", "--topic", lettersOf, "--key", "k10", "--why", "test data", "--execute")
	d.dlq(0, "redrive", "--topic", lettersOf, "--fingerprint", amounts, "--limit", "1", "--why", "one first", "--execute")
	d.dlq(0, "redrive", "--topic", lettersOf, "--fingerprint", amounts, "--why", "bug 4711", "--execute")
	d.dlq(0, "discard", "--topic", lettersOf, "--partition", "0", "--offset", "0-6", "--execute")

	type answer struct {
		How, Who, Why, Job, To string
		At                     time.Time
	}
	type shown struct {
		Partition   int32
		Offset      int64
		Open        bool
		Class       string
		Failed      time.Time
		FirstFailed time.Time `json:"first_failed"`
		Resolved    *answer
	}
	var all []shown
	d.data(d.dlq(0, "show", "--topic", lettersOf, "--limit", "0", "--json"), &all)
	hows := map[string]string{ // by the offset in partition 0
		"0": "redriven: one first", "1": "redriven: bug 4711", "4": "redriven: bug 4711", "5": "discarded: test data", "6": "discarded: ", "7": "",
	}
	for _, s := range all {
		if s.Class != "rejected" || s.Open != (s.Resolved == nil) {
			t.Errorf("%+v", s)
		}
		if a := s.Resolved; a != nil && (a.Who != who(&settings.Values{}) || a.Job == "" || time.Since(a.At) > time.Hour || a.To != "") {
			t.Errorf("%+v", a)
		}
		want, known := hows[string(rune('0'+s.Offset))]
		if s.Partition != 0 || !known {
			continue
		}
		got := ""
		if s.Resolved != nil {
			got = s.Resolved.How + ": " + s.Resolved.Why
		}
		if got != want {
			t.Errorf("letter 0/%d: %q, want %q", s.Offset, got, want)
		}
		if first := s.FirstFailed; first.Equal(s.Failed) == (s.Offset == 7) || s.Offset == 7 && first.UnixMilli() != 1_650_000_000_000 {
			t.Errorf("letter 0/%d failed first at %s", s.Offset, first)
		}
	}
	if len(all) != 15 {
		t.Errorf("%d letters", len(all))
	}
	for offset, want := range map[string][]string{
		"1": {"letter 0/1 (redriven), ", "\n  redriven  2", " by " + who(&settings.Values{}) + ": bug 4711\n"},
		"6": {"letter 0/6 (discarded), ", ": no reason was given\n"},
		"7": {"letter 0/7 (open), ", "\n  at first  2022-04-15T05:20:00Z\n"},
	} {
		out := d.dlq(0, "show", "--topic", lettersOf, "--partition", "0", "--offset", offset)
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("letter 0/%s does not say %q: %s", offset, text, out)
			}
		}
		if once := strings.Contains(out, "at first"); once != (offset == "7") {
			t.Errorf("letter 0/%s: %s", offset, out)
		}
	}
	var groups []struct {
		First       time.Time
		FirstFailed time.Time `json:"first_failed"`
	}
	d.data(d.dlq(0, "list", "--topic", lettersOf, "--key", "k30", "--json"), &groups)
	if len(groups) != 1 || groups[0].FirstFailed.UnixMilli() != 1_650_000_000_000 || !groups[0].First.After(groups[0].FirstFailed) {
		t.Errorf("listed: %+v", groups)
	}
	var line shown
	d.data(d.dlq(0, "export", "--topic", lettersOf, "--partition", "0", "--offset", "1", "--file", "-"), &line)
	if line.Resolved == nil || line.Resolved.Why != "bug 4711" || line.FirstFailed.IsZero() {
		t.Errorf("exported: %+v", line)
	}

	// Where a letter goes that leaves its topology.
	d.must(d.client.ProduceSync(t.Context(), letter(1, 31, "elsewhere")).FirstErr())
	_, err := d.admin.CreateTopics(t.Context(), 1, 1, nil, "other")
	d.must(err)
	d.dlq(0, "redrive", "--topic", lettersOf, "--key", "k31", "--to", "other", "--execute")
	if out := d.dlq(0, "redrive", "--topic", lettersOf, "--all"); !strings.Contains(out, "no --why is given") {
		t.Error(out)
	}
	if out := d.dlq(0, "show", "--topic", lettersOf, "--key", "k31"); !strings.Contains(out, " into other: no reason was given\n") {
		t.Error(out)
	}
}

// TestWhoIsTheUserBehindSudoAndTheOneOfTheCluster.
//
// Mutations, each seen to fail it: SUDO_USER, and the name for SASL, left out.
func TestWhoIsTheUserBehindSudoAndTheOneOfTheCluster(t *testing.T) {
	t.Setenv("SUDO_USER", "ana")
	v, err := settings.Resolve(settings.Sources{Env: []string{"WEIR_SASL_USERNAME=billing"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := who(v); !strings.HasPrefix(got, "ana as ") || !strings.HasSuffix(got, ", Kafka user billing") || !strings.Contains(got, "@") {
		t.Error(got)
	}
}

// Who reads what a command has come to can tell its own share from those of others.
//
// Mutations, each seen to fail it: printResult without TakenOver, without Others, or with all that were selected as if they had gone.
func TestWhatACommandHasComeToNamesEachShare(t *testing.T) {
	for want, r := range map[string]letters.Result{
		"selected 9, done 0, open afterwards 12\n  9 into x\n": {Selected: 9, Open: 12, Resolved: 4, Into: map[string]int64{"x": 9}},
		"selected 9, done 9, open afterwards 3\n  9 into x\n  4 letters of the topic were redriven, discarded or answered before this command began\n": {Executed: true, Selected: 9, Done: 9, Open: 3, Resolved: 4, Into: map[string]int64{"x": 9}},
		"selected 210, done 202 by this command, which has lost its place; open when it ended 1\n  7 redriven since by bob, job J\n  210 of those selected are for x\n": {
			Executed: true, Selected: 210, Done: 202, Open: 1, Into: map[string]int64{"x": 210}, TakenOver: true, Others: []letters.Share{{Job: "J", How: "redriven", Who: "bob", Done: 7}}},
	} {
		var out strings.Builder
		if printResult(&out, &r); out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
}
