package processors

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// mend deals with inputs whose reading has ended with an error, once everything is committed that was read of them.
func (w *worker) mend() {
	for in := range w.tasks.moving() {
		if in.ended() && !in.task.leaving() && !w.tx.begun() {
			w.recover(in)
		}
	}
}

// recover deals with an input whose reading ended with an error. What is in memory of it has been processed and committed, so
// that no transaction that is done again goes back before it.
//
// Where records are gone, or are not those that were read before, auto.offset.reset decides (see reset), and the log says so. The new
// position is committed before the first record there: it may lie before the old one.
func (w *worker) recover(in *input) {
	err := in.broken
	in.broken = nil
	var corrupt *kafka.CorruptBatchError
	var gone *kafka.OffsetOutOfRangeError
	var recreated *kafka.TopicRecreatedError
	var truncated *kafka.TruncatedError
	var denied *kafka.BlockedError
	switch {
	case errors.As(err, &denied):
		w.tasks.unreadable(in, denied)
	case errors.As(err, &corrupt):
		w.corrupt(in, corrupt)
	case errors.As(err, &recreated):
		if w.reset(in) == ResetNone {
			w.engine.fail(w.engine.refuse([]string{recreatedProblem(recreated)}))
			return
		}
		// The new topic has to be looked at, off this goroutine: the task is opened again, and finds what is committed to
		// belong to another topic than there is now.
		w.tasks.reopenFor(in.task, recreated)
	case errors.As(err, &truncated):
		w.truncated(in, truncated)
	case errors.As(err, &gone):
		w.gap(in, gone)
	default:
		w.engine.fail(fmt.Errorf("read %s: %w", in.tp, err))
	}
}

// reset is what to do where records of an input are gone. It decides nothing over redrive and retry topics, whose records are Weir's own.
func (w *worker) reset(in *input) OffsetReset {
	if in.redriven {
		return ResetEarliest
	}
	return w.engine.opts.OffsetReset
}

// truncated continues where the log still is what was read.
func (w *worker) truncated(in *input, e *kafka.TruncatedError) {
	reset := w.reset(in)
	if reset == ResetNone {
		w.engine.fail(fmt.Errorf("%w: start with auto.offset.reset=earliest to continue there, or with latest to continue at the end", e))
		return
	}
	to, epoch := e.End, e.EndEpoch
	ends := w.engine.opts.Wire.Ends
	switch {
	case reset == ResetLatest:
	case to < 0:
		ends = w.engine.opts.Wire.Starts
	default:
		ends = nil
	}
	if ends != nil {
		found, err := ends(w.engine.ctx, []kafka.TopicPartition{in.tp})
		if err != nil {
			w.failTask(in.task, err) // opened again after a while, it finds the same
			return
		}
		to, epoch = found[in.tp], -1
	}
	w.engine.metrics.truncated(in.tp)
	w.log.Error("an input lost records that were read already (an unclean leader election does that), and others may have taken their offsets: "+
		"reading continues as auto.offset.reset says, the state keeps the effects of the lost ones", zap.Stringer("input", in.tp),
		zap.Int64("read", e.Offset), zap.Int64("from", to), zap.String("auto.offset.reset", string(reset)), zap.Error(e))
	w.tasks.moveTo(in, to, epoch)
}

// gap continues after records that are gone.
func (w *worker) gap(in *input, gone *kafka.OffsetOutOfRangeError) {
	if w.reset(in) == ResetNone {
		w.engine.fail(fmt.Errorf("%w: records are gone that were not processed; start with auto.offset.reset=earliest to continue after the gap", gone))
		return
	}
	to := gone.Start
	if gone.Offset > gone.End {
		to = gone.End // the partition lost its end: everything that is left has been read
	}
	w.engine.metrics.gap(in.tp, to-gone.Offset)
	w.log.Error("the next records of an input are gone, reading goes on after the gap",
		zap.Stringer("input", in.tp), zap.Int64("wanted", gone.Offset), zap.Int64("from", to), zap.Error(gone))
	w.tasks.moveTo(in, to, -1)
}

// moveTo continues an input elsewhere. That is where a transaction that is done again begins, too. epoch is the leader epoch of
// the record before that place, -1 where it is not known: with it, an end that is lost before another record was read is noticed.
func (ts *tasks) moveTo(in *input, to int64, epoch int32) {
	in.ahead = max(in.ahead, in.position)
	in.unmarked = true
	if in.bounded {
		to = min(to, in.until)
	}
	in.position, in.leader = to, epoch
	in.committed, in.settled = in.position, in.leader
	ts.fetch(in, kafka.Position{Offset: to, LeaderEpoch: epoch, TopicID: in.topicID})
}
