package processors

import (
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/nodes"
)

// outage is what an input waits for that is no property of its record: a service that a codec asks.
type outage struct {
	tries int
	since time.Time
}

// outageWait is how long a record waits for what is not there before it is tried again.
var outageWait = backoff.Backoff{First: 250 * time.Millisecond, Max: 30 * time.Second}

// outageRemedy is what an operator does about an outage.
const outageRemedy = "make what the error names answer again"

// holdUp has a record wait at the head of its input, for as long as it takes; all others pass.
func (w *worker) holdUp(c *cause, f *nodes.Failure) step {
	in, now := c.in, time.Now()
	if in.outage.tries == 0 {
		in.outage.since = now
	}
	in.outage.tries++
	in.attempt = 0
	in.retryAt = now.Add(outageWait.Wait(in.outage.tries - 1))
	in.waiting.Store(&waiting{attempt: in.outage.tries, offset: c.record.Offset, until: in.retryAt, err: f, blocked: true, remedy: outageRemedy, since: in.outage.since})
	switch n := in.outage.tries; {
	case n == 1:
		w.log.Error("a partition waits: what its record failed of is no property of the record", c.fields(zap.Error(f), zap.String("remedy", outageRemedy))...)
	case n&(n-1) == 0:
		w.log.Warn("a partition still waits", c.fields(zap.Int("tries", n), zap.Duration("since", now.Sub(in.outage.since).Round(time.Second)), zap.Error(f))...)
	}
	if !w.tasks.dirty() {
		w.tx.open = false
	}
	return stepWait
}
