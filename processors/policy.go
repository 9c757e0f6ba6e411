package processors

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// failedRecord is the policy for a record whose node failed: retry, dead-letter, or stop.
func (w *worker) failedRecord(ctx context.Context, in *input, r *kafka.Record, f *nodes.Failure) bool {
	if err := in.task.broken(); err != nil {
		w.failTask(in.task, err)
		return false
	}
	if in.task.leaving() && (f.Reason == nodes.Error || f.Reason == nodes.Timeout) {
		return false // its Context ended: whoever has the task next processes the record
	}
	w.inst.metrics.nodeFailed(f.Name)
	switch f.Reason {
	case nodes.Fatal:
		w.inst.fail(&FatalError{Node: f.Name, Input: in.tp, Offset: r.Offset, Err: f.Err})
		in.retryAt = time.Now().Add(time.Hour) // the instance stops; nothing more of this input
		return false
	case nodes.Rejected, nodes.Undecodable, nodes.Late:
		return w.deadLetter(ctx, in, r, f)
	}
	retry := f.Node.Decl.Retry
	if in.attempt+1 >= retry.Attempts {
		return w.deadLetter(ctx, in, r, f)
	}
	in.attempt++
	delay := backoff.Backoff{First: retry.First, Max: retry.Max}.Wait(in.attempt - 1)
	in.retryAt = time.Now().Add(delay)
	in.waiting.Store(&waiting{attempt: in.attempt, offset: r.Offset, until: in.retryAt, err: f})
	w.retries++
	w.report.retried(in, r, f, delay)
	w.log.Debug("record failed, trying again",
		zap.Stringer("input", in.tp), zap.Int64("offset", r.Offset), zap.Int("attempt", in.attempt),
		zap.Duration("in", delay), zap.Error(f))
	return false
}

// unwanted is the failure of a record whose output a broker does not take.
func unwanted(emitter *nodes.Node, err error) *nodes.Failure {
	return &nodes.Failure{Node: emitter, Name: emitter.Decl.Name, Reason: nodes.Refused, Err: err, Text: err.Error()}
}

// excessive is the failure of a record that is over a limit: no node has seen it, so the first that would have counts.
func excessive(in *input, r *kafka.Record) *nodes.Failure {
	if r.Excess.Limit == kafka.OnCorruptBatch {
		return damaged(in, r)
	}
	err := &LimitError{TopicPartition: in.tp, Offset: r.Offset, Excess: *r.Excess, Key: len(r.Key), Value: len(r.Value), Headers: len(r.Headers)}
	n := in.source.First()
	return &nodes.Failure{Node: n, Name: n.Decl.Name, Reason: nodes.Limit, Err: err, Text: err.Error()}
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
