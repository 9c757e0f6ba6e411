package topology

import (
	"errors"
	"time"

	"github.com/weirstream/weir/internal/plan"
)

// Backoff says how often and when a failed record is tried again: Attempts tries in all, the first repetition after
// First, each later one after twice the time before, at most Max. A part of each wait is left to chance, so that records that failed
// together do not come back together.
type Backoff struct {
	Attempts int           // default 3, counting the first try
	First    time.Duration // default 100ms
	Max      time.Duration // default 10s
	// Within is how long after its first failure a record is tried again at most: a try that would begin later is not made. Default: any
	// time.
	Within time.Duration
	// Jitter is the share of each wait that is left to chance, up to 1: a wait is shortened by up to so much. Default 0.25, below 0: none.
	Jitter float64
}

const (
	defaultAttempts = 3
	defaultFirst    = 100 * time.Millisecond
	defaultMax      = 10 * time.Second
)

// withDefaults fills in what is left out. A Max below the default First, or a First above the default Max, pulls the
// other with it.
func (b Backoff) withDefaults() Backoff {
	if b.Attempts == 0 {
		b.Attempts = defaultAttempts
	}
	if b.First == 0 {
		b.First = defaultFirst
		if b.Max > 0 {
			b.First = min(b.First, b.Max)
		}
	}
	if b.Max == 0 {
		b.Max = max(defaultMax, b.First)
	}
	return b
}

// Retry says how often and when a record is tried again for which the node returned an error that is neither rejected
// nor fatal, nor the world's: see [Class]. Only the record's partition waits. Default: the zero Backoff.
func Retry(b Backoff) Part {
	return Part{add: func(n *node) { n.retries = append(n.retries, b) }, everywhere: true}
}

// Class says what follows from an error of a node.
type Class = plan.Class

// The classes.
const (
	// ClassUnknown leaves it to the error: what it says by [Reject], [Fatal] or [World], and else it is retriable.
	ClassUnknown Class = plan.Unclassified
	// ClassRetriable has the record tried again, as [Retry] says; afterwards it is a dead letter.
	ClassRetriable Class = plan.Retriable
	// ClassRejected is that of [Reject]: the record is a dead letter at once.
	ClassRejected Class = plan.Rejected
	// ClassFatal is that of [Fatal]: the instance stops.
	ClassFatal Class = plan.Fatal
	// ClassWorld is that of [World]: the partition waits until a try succeeds.
	ClassWorld Class = plan.World
)

// Classify says of the errors of a node what follows from them, where they do not say it themselves by [Reject], [Fatal] or [World]:
// those of a client's library, for instance. The errors of a [Timeout] are asked about too, panics are not. class is called on the
// goroutine of the node; what it panics with is a failure of the record. Default: every such error is retriable.
func Classify(class func(error) Class) Part {
	return Part{add: func(n *node) { n.classify = append(n.classify, class) }, everywhere: true}
}

// World says that what failed is no property of the record: a service or a database that the node needs does not answer. The record
// is no dead letter, however long that lasts, and no try counts: its input partition waits and tries it again, after 1 s at first and
// 30 s at last, while all others go on. Health names the partition with the error, as a problem of kind "blocked". World(nil) is an
// error as well.
func World(err error) error { return &world{reason(err)} }

// IsWorld reports whether err, an error that a node returned, is that of [World], or wraps one. A fatal error is not the world's,
// whatever it wraps.
func IsWorld(err error) bool {
	_, ok := errors.AsType[*world](err)
	return ok && !IsFatal(err)
}

type world struct{ err error }

func (e *world) Error() string { return "world: " + e.err.Error() }
func (e *world) Unwrap() error { return e.err }
