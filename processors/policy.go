package processors

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/kafka"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// failedRecord is the policy for a record whose node failed: retry, dead-letter, or stop.
func (w *worker) failedRecord(ctx context.Context, in *input, r *kafka.Record, f *nodeError) bool {
	if err := in.task.broken(); err != nil {
		w.failTask(in.task, err)
		return false
	}
	w.inst.metrics.nodeFailed(f.node.decl.Name)
	var undecodable *topology.DecodeError
	var foreign *state.UndecodableError
	switch {
	case topology.IsFatal(f.err), errors.As(f.err, &foreign):
		// A store that this program cannot read is a bad deployment: no record may become a dead letter for it.
		w.inst.fail(&FatalError{Node: f.node.decl.Name, Input: in.tp, Offset: r.Offset, Err: f.err})
		in.retryAt = time.Now().Add(time.Hour) // the instance stops; nothing more of this input
		return false
	case topology.IsRejected(f.err), errors.As(f.err, &undecodable):
		return w.deadLetter(ctx, in, r, f)
	}
	backoff := f.node.decl.Retry
	if in.attempt+1 >= backoff.Attempts {
		return w.deadLetter(ctx, in, r, f)
	}
	in.attempt++
	delay := backoff.First << min(in.attempt-1, 30)
	if delay > backoff.Max || delay <= 0 {
		delay = backoff.Max
	}
	in.retryAt = time.Now().Add(delay)
	in.waiting.Store(&waiting{attempt: in.attempt, offset: r.Offset, until: in.retryAt, err: f})
	w.retries++
	w.log.Debug("record failed, trying again",
		zap.Stringer("input", in.tp), zap.Int64("offset", r.Offset), zap.Int("attempt", in.attempt),
		zap.Duration("in", delay), zap.Error(f))
	return false
}
