package deadletter

import (
	"errors"
	"slices"
	"testing"
)

// TestAFingerprintIsSharedByFailuresOfOneKind compares messages, two at a time.
//
// Mutation: normalised that keeps numbers, or quotes, or drops all that is no letter; a node or a kind left out.
func TestAFingerprintIsSharedByFailuresOfOneKind(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"amount -3 is below 0", "amount -44 is below 0", true},
		{`no count in "bad 1"`, `no count in "b\x00"`, true},
		{"order 550e8400-e29b-41d4-a716-446655440000 is closed", "order 00000000-e29b-41d4-a716-446655440001 is closed", true},
		{"at 2026-01-31T08:00:00Z", "at 2027-02-01T09:10:11Z", true},
		{"an unclosed ' quote 1", "an unclosed ' quote 2", true},
		{"café 1", "café 2", true},
		{"no such customer", "no such order", false},
		{"a: b", "a; b", false},
		{"", "a", false},
	} {
		if got := Fingerprint("n", "error", c.a) == Fingerprint("n", "error", c.b); got != c.same {
			t.Errorf("%q and %q: the same is %v", c.a, c.b, got)
		}
	}
	if Fingerprint("n", "error", "a") == Fingerprint("m", "error", "a") || Fingerprint("n", "error", "a") == Fingerprint("n", "panic", "a") || len(Fingerprint("n", "", "")) != 16 {
		t.Error("node and kind do not count")
	}
}

// TestALetterKnowsWhenItFailedAndHowOftenItWasRedriven goes round: it fails, is redriven, fails, and is redriven again.
//
// Mutation: again without the number of redrives, or with the time of the last failure for the first; Redriven that leaves the number before.
func TestALetterKnowsWhenItFailedAndHowOftenItWasRedriven(t *testing.T) {
	c := Cause{Topology: "t", Group: "x.t", Node: "n", Reason: "error", Topic: "a.b.v1", Partition: 1, Offset: 10, At: 1000, Err: errors.New("no 7")}
	headers := Headers(append(original[:1:1], header(HeaderRedrives, "9")), c) // what a producer wrote is no fact
	for round := range 3 {
		l, err := Read(headers)
		if err != nil || l.Redrives != round || l.At != 1000+int64(round) || l.FirstAt != 1000 || l.Group != "x.t" || l.First != at("a.b.v1", 1, 10) ||
			l.Fingerprint != Fingerprint("n", "error", "no 8") {
			t.Fatalf("round %d: %+v, %v", round, l, err)
		}
		back := Redriven(headers)
		counts := slices.DeleteFunc(slices.Clone(back), func(h Header) bool { return h.Key != HeaderRedrives })
		if l, err := Read(back); err != nil || l.Redrives != round+1 || len(counts) != 1 {
			t.Fatalf("redriven in round %d: %+v, %v, %v", round, l, counts, err)
		}
		c.Topic, c.Offset, c.At, c.Letters = "t-a.b.v1-redrive", int64(round), c.At+1, true
		headers = Headers(back, c)
	}
}
