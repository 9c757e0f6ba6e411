package letters

import (
	"testing"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
)

// A job has resolved the letters that it chose between two offsets of one partition, and no others.
//
// Mutations seen to fail it: resolved without the partition, without From, with Position itself, without what the order chose.
func TestWhatAJobHasResolved(t *testing.T) {
	j := job{Partition: 1, From: 10, Position: 20, Until: 30, Order: Order{Verb: Discard, Selection: Selection{Fingerprint: "f"}}}
	for _, c := range []struct {
		partition   int32
		offset      int64
		fingerprint string
		want        bool
	}{
		{1, 10, "f", true}, {1, 19, "f", true}, {1, 9, "f", false}, {1, 20, "f", false}, {0, 15, "f", false}, {2, 15, "f", false}, {1, 15, "g", false},
	} {
		l := &Letter{Letter: deadletter.Letter{Fingerprint: c.fingerprint}, Record: &kafka.Record{Offset: c.offset}, Partition: c.partition}
		if got := j.resolved(l); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// What a letter failed of is told once.
//
// Mutation seen to fail it: the message always after the kind.
func TestTheReasonIsToldOnce(t *testing.T) {
	for want, l := range map[string]deadletter.Letter{
		"rejected: too small":      {Reason: "rejected", Message: "rejected: too small"},
		"rejected: rejectedly":     {Reason: "rejected", Message: "rejectedly"},
		"panic":                    {Reason: "panic"},
		"no key":                   {Message: "no key"},
		"the letter does not say":  {},
		"error: rejected: is late": {Reason: "error", Message: "rejected: is late"},
	} {
		if got := (&Letter{Letter: l}).reason(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
