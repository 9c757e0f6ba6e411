package processors

import (
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
)

// A record that fails of what is no property of it keeps its partition waiting, and is tried again until it passes: for the world's
// sake (topology.World), or because the line was stopped (line.go). Such tries do not count as those of the node's Retry.

// outage is such a wait of an input's next record. The zero outage is none.
type outage struct {
	tries int
	since time.Time
	kind  string // of the problem
}

// outageWait is how long the record waits before it is tried again.
var outageWait = backoff.Backoff{First: time.Second, Max: 30 * time.Second}

const worldRemedy = "repair what the node's error names; other partitions go on"

// holdUp has the next record of an input wait, whatever its class, and its tries begin again.
func (w *worker) holdUp(c *cause, f *nodes.Failure, kind, remedy string) step {
	in, now := c.in, time.Now()
	if in.outage.tries == 0 {
		in.outage.since = now
	}
	in.outage.tries++
	in.outage.kind = kind
	in.attempt = 0
	in.retryAt = now.Add(outageWait.Wait(in.outage.tries - 1))
	in.waiting.Store(&waiting{
		attempt: in.outage.tries, offset: c.record.Offset, until: in.retryAt, err: f, blocked: true, kind: kind, remedy: remedy, since: in.outage.since,
	})
	switch n := in.outage.tries; {
	case n == 1:
		w.log.Error("a partition waits: what its record failed of is no property of the record", c.fields(zap.String("kind", kind), zap.Error(f), zap.String("remedy", remedy))...)
	case n&(n-1) == 0:
		w.log.Warn("a partition still waits", c.fields(zap.String("kind", kind), zap.Int("tries", n),
			zap.Duration("since", now.Sub(in.outage.since).Round(time.Second)), zap.Error(f), zap.String("remedy", remedy))...)
	}
	if !w.tasks.dirty() {
		w.tx.open = false
	}
	return stepWait
}

// resumed says that the next record of an input has come to its end after an outage; passed, that its nodes took it.
func (w *worker) resumed(c *cause, passed bool) {
	in := c.in
	if passed && in.line.stopped != "" {
		in.line = line{}
	}
	if in.outage.tries == 0 {
		return
	}
	w.log.Info("a partition goes on", c.fields(zap.Int("tries", in.outage.tries), zap.Duration("after", time.Since(in.outage.since).Round(time.Millisecond)))...)
	in.outage = outage{}
	in.waiting.Store(nil)
}

// pause is how long a failed record waits before its next try.
func pause(retry plan.Backoff, failures int) time.Duration {
	wait := backoff.Backoff{First: retry.First, Max: retry.Max}
	switch {
	case retry.Jitter < 0:
		return wait.Wait(failures - 1)
	case retry.Jitter == 0:
		return wait.Shortened(failures-1, plan.DefaultJitter)
	}
	return wait.Shortened(failures-1, retry.Jitter)
}
