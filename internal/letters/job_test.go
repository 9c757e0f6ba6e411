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
