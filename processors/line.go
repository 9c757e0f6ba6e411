package processors

import (
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/nodes"
)

// line counts how the records of an input end, to stop it when most of them fail in one way in a node: then it is not the records
// that are at fault, and the topic is not to be drained into the dead letters. Records that are undecodable or rejected do not count
// among the failures, however many they are: they are at fault themselves. What is done again after an abort is counted again
// from nothing.
type line struct {
	since   time.Time
	ended   int64            // records that have ended since then
	letters map[string]int64 // of them by fingerprint: dead letters of a node's errors
	stopped string           // the fingerprint that the line is stopped for, until a record passes
}

// lineKinds bounds how many fingerprints are counted at once: the one of most records is among the first.
const lineKinds = 32

const lineRemedy = "repair what the node's error names: the partition goes on by itself when its record passes. Where the records are at fault after all, " +
	"have the node reject them (topology.Reject, Classify), or raise stop-line-after"

// stops counts a dead letter that is about to be written, and says whether the line is to be stopped instead.
func (l *line) stops(f *nodes.Failure, after int, window time.Duration, now time.Time) bool {
	if after <= 0 {
		return false
	}
	kind := fingerprint(f)
	if l.stopped == kind {
		return true
	}
	if l.letters == nil || now.Sub(l.since) > window {
		*l = line{since: now, letters: map[string]int64{}, stopped: l.stopped}
	}
	n, known := l.letters[kind]
	if !known && len(l.letters) >= lineKinds {
		return false
	}
	if n >= int64(after) && 2*n > l.ended {
		l.stopped = kind
		return true
	}
	l.letters[kind] = n + 1
	return false
}

// fingerprint is that of the failure's dead letter.
func fingerprint(f *nodes.Failure) string {
	return deadletter.Fingerprint(f.Name, string(f.Reason), f.Text)
}
