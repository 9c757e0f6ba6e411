package topology

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
)

// RetryLater moves a record out of the way when the tries of [Retry] are used up: into the topic <topology>-<input>-retry-<delay> of the
// first delay, from where the same nodes read it again when the delay is over, with as many tries; then into that of the next one. After
// the last one it is a dead letter. Its partition goes on meanwhile, and nothing waits for it, unless its key is parked: see [Parking].
// These topics have as many partitions as the input. Each delay is longer than the one before it, from 1ms up to 7 days.
// Default: no delay.
//
// What a record that waits knows in its headers: where it stood and when it failed first, and how often it was tried and delayed.
func RetryLater(delays ...time.Duration) Part {
	return Part{add: func(n *node) { n.later = append(n.later, slices.Clone(delays)) }, everywhere: true}
}

// Parking says whether records of a key wait for one of them that failed: once a record is delayed ([RetryLater]) or a dead letter,
// later ones of its key on that input are parked, in order, instead of overtaking it. They go on when it has passed: after its delay, or
// when it was redriven or discarded; in the same order, before anything newer of the key. Records that are undecodable or rejected, or
// fail otherwise of themselves, park nothing: no order would mend them. Nor do records without a key.
//
// Default: true where a node that a record reaches has stores and one has RetryLater, false otherwise. Parked records are state, in a
// store and a changelog of their own, so that switching it on is adding a store.
func Parking(on bool) Part {
	return Part{add: func(n *node) { n.parking = append(n.parking, on) }, everywhere: true}
}

const (
	shortestDelay = time.Millisecond
	longestDelay  = 7 * 24 * time.Hour
	mostDelays    = 16
)

// later checks RetryLater and Parking.
func (c *checker) later(at []string, n *node) {
	if len(n.later) > 1 {
		c.mistake(at, "keep one, with all delays", "has %d RetryLater parts", len(n.later))
	}
	if len(n.parking) > 1 {
		c.mistake(at, "keep one", "has %d Parking parts", len(n.parking))
	}
	for _, delays := range n.later {
		if len(delays) == 0 || len(delays) > mostDelays {
			c.mistake(at, fmt.Sprintf("give it up to %d", mostDelays), "has a RetryLater of %d delays", len(delays))
		}
		for i, d := range delays {
			switch {
			case d < shortestDelay || d > longestDelay || d%shortestDelay != 0:
				c.mistake(at, "use whole milliseconds, up to 7 days", "has a RetryLater after %v", d)
			case i > 0 && d <= delays[i-1]:
				c.mistake(at, "put the shorter one first", "has a RetryLater after %v that follows one after %v", d, delays[i-1])
			}
		}
	}
}

// park gives a sub-graph the store of its parked records, where some of its inputs park.
func park(g *plan.Subgraph) {
	var names []string
	for _, in := range g.Inputs {
		if g.Parks(in) {
			names = append(names, in.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	store := Store(strings.Clone(names[0])+plan.ParkedEnd, codecs.Bytes())
	g.Parked = &store.decl
	g.Stores = append(g.Stores, g.Parked)
}
