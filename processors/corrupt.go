package processors

import (
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/kafka"
)

// damagedRetry is how long an input that stopped at a damaged batch waits before it is read again: a broker's disk may have
// been repaired, or retention may have removed the batch.
const damagedRetry = time.Minute

// corrupt deals with an input whose next batch is damaged in the log itself. What was read before is processed already.
func (w *worker) corrupt(in *input, err *kafka.CorruptBatchError) {
	if w.inst.opts.CorruptBatch == CorruptSkip {
		w.inst.metrics.gap(in.tp, err.Next-err.Offset)
		w.log.Error("a batch of an input is damaged, reading continues after it", zap.Stringer("input", in.tp),
			zap.Int64("offset", err.Offset), zap.Int64("next", err.Next), zap.Error(err))
		in.position, in.leader = err.Next, -1
		w.fetch(in, kafka.Position{Offset: err.Next, LeaderEpoch: -1, TopicID: in.topicID})
		return
	}
	// Only this partition stops: the task's other inputs and all other partitions go on.
	now := time.Now()
	since := now
	if wait := in.waiting.Load(); wait != nil && in.damaged {
		since = wait.since
	} else {
		w.log.Error("a batch of an input is damaged, its partition stops", zap.Stringer("input", in.tp),
			zap.Int64("offset", err.Offset), zap.Int64("next", err.Next), zap.Error(err))
	}
	in.damaged, in.heldUntil = true, now.Add(damagedRetry)
	in.waiting.Store(&waiting{
		offset: err.Offset, until: in.heldUntil, err: err, blocked: true, since: since,
		remedy: "repair the log of " + in.tp.String() + " on its brokers, or start with on.corrupt.batch=skip to continue after the batch",
	})
}

// stands says whether an input stands at a damaged batch. When its time has come it is read again.
func (w *worker) stands(in *input, now time.Time) bool {
	if in.heldUntil.IsZero() {
		return false
	}
	if !now.Before(in.heldUntil) {
		in.heldUntil = time.Time{}
		w.fetch(in, kafka.Position{Offset: in.position, LeaderEpoch: in.leader, TopicID: in.topicID})
	}
	return true
}

// undamaged is called with what was read after all.
func (in *input) undamaged() {
	in.damaged = false
	in.waiting.Store(nil)
}
