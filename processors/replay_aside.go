package processors

import (
	"cmp"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/nodes"
)

// A replay into the topology sets records aside as instances do: in its transactions, those that are to be tried later go into the retry topics, and others
// of their keys are parked. It reads neither, so it ends with its ranges, and instances work both off when they go on.
//
// Of a shadow nobody would read a retry topic, and where outputs are suppressed it would bring them back. There a record waits in place for the delays that its node
// declares, and its partition with it, so the order of its key holds. A delay may be an hour: each is bounded, and so is how long a partition waits in
// vain. In a shadow the others of the key wait behind a letter, as with instances, and it ends without them.

// inPlace is what the next record of an input has behind it.
type inPlace struct {
	delays int // it has waited for
	tries  int // before the last of them
}

// The bounds of such waits: of each delay, and of those of a partition since one has helped last.
const (
	inPlaceDelay = 10 * time.Second
	inPlaceWaits = time.Minute
)

// hasInPlace says whether no record goes into a retry topic.
func (a *again) hasInPlace() bool { return a != nil && a.inPlace }

// later has a record whose tries are used up wait in place for its next delay. It returns false where that goes another way.
func (w *worker) later(c *cause, f *nodes.Failure) bool {
	a, in := w.engine.again, c.in
	if a == nil || !a.inPlace && !a.unlettered(in.tp, c.record) || !repeatable[f.Reason] || c.record.Excess != nil {
		return false
	}
	delays := f.Node.Decl.Later
	if in.here.delays >= len(delays) {
		return false
	}
	delay := min(delays[in.here.delays], inPlaceDelay)
	if in.waited+delay > inPlaceWaits {
		return false
	}
	in.waited += delay
	in.here = inPlace{in.here.delays + 1, in.here.tries + c.attempt}
	in.attempt, in.retryAt = 0, time.Now().Add(delay)
	in.waiting.Store(&waiting{offset: c.record.Offset, until: in.retryAt, err: f, delayed: true})
	if log := w.log.Check(zap.DebugLevel, "record failed, trying again later in its place"); log != nil {
		log.Write(c.fields(zap.Int("delays", in.here.delays), zap.Duration("in", delay), zap.Error(f))...)
	}
	return true
}

// tallied are the counts of a cause's input in a replay's transaction; nil where there are none, or it is not counted.
func (tx *transaction) tallied(c *cause) *ReplayCounts {
	if tx.tally == nil || !tx.env.again.counts(c.in.tp, c.record) {
		return nil
	}
	return tx.tallyOf(c.in.tp)
}

// keysOf is the group in idempotency keys.
func (e *engine) keysOf() string {
	group := e.graph.plan.Group()
	if e.again != nil {
		group = cmp.Or(e.again.Group, group)
	}
	return group
}
