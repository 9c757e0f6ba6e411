package processors

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// failed is the policy for a cause whose node failed: retry, dead-letter, or stop.
func (w *worker) failed(ctx context.Context, c *cause, f *nodes.Failure) step {
	in := c.in
	if err := in.task.broken(); err != nil {
		w.failTask(in.task, err)
		return stepAborted
	}
	if in.task.leaving() && (f.Reason == nodes.Error || f.Reason == nodes.Timeout) {
		return stepStopping // its Context ended: whoever has the task next processes the record
	}
	w.inst.metrics.nodeFailed(f.Name)
	switch f.Reason {
	case nodes.Fatal:
		w.inst.fail(&FatalError{Node: f.Name, Input: in.tp, Offset: c.record.Offset, Err: f.Err})
		in.stands = atFatal
		return stepStopping
	case nodes.Rejected, nodes.Undecodable, nodes.Late:
		return w.deadLetter(ctx, c, f)
	}
	retry := f.Node.Decl.Retry
	if c.attempt >= retry.Attempts {
		return w.deadLetter(ctx, c, f)
	}
	in.attempt = c.attempt
	delay := backoff.Backoff{First: retry.First, Max: retry.Max}.Wait(in.attempt - 1)
	in.retryAt = time.Now().Add(delay)
	in.waiting.Store(&waiting{attempt: in.attempt, offset: c.record.Offset, until: in.retryAt, err: f})
	w.retries++
	w.report.retried(c, f, delay)
	if log := w.log.Check(zap.DebugLevel, "record failed, trying again"); log != nil {
		log.Write(c.fields(zap.Int("attempt", c.attempt), zap.Duration("in", delay), zap.Error(f))...)
	}
	return stepWait
}

// unwanted is the failure of a record whose output a broker does not take.
func unwanted(emitter *nodes.Node, err error) *nodes.Failure {
	return &nodes.Failure{Node: emitter, Name: emitter.Decl.Name, Reason: nodes.Refused, Err: err, Text: err.Error()}
}

// excessive is the failure of a record that is over a limit: no node has seen it, so the first that would have counts.
func excessive(c *cause) *nodes.Failure {
	r := c.record
	if r.Excess.Limit == kafka.OnCorruptBatch {
		return damaged(c)
	}
	err := &LimitError{TopicPartition: c.in.tp, Offset: r.Offset, Excess: *r.Excess, Key: len(r.Key), Value: len(r.Value), Headers: len(r.Headers)}
	return &nodes.Failure{Node: c.node, Name: c.node.Decl.Name, Reason: nodes.Limit, Err: err, Text: err.Error()}
}

// The four ends of a record.
type outcome = nodes.Outcome

const (
	processed    = nodes.Processed
	filtered     = nodes.Filtered
	deduplicated = nodes.Deduplicated
	deadLettered = nodes.DeadLettered
	outcomes     = nodes.Outcomes
)
