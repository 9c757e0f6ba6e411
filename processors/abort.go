package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// aborted deals with a transaction that failed with err: it is done again from memory where nothing of it can become
// visible, and from Kafka where that cannot be known.
func (w *worker) aborted(ctx context.Context, err error) step {
	if ctx.Err() != nil {
		return stepStopping // the run loop ends and gives everything up
	}
	w.engine.metrics.aborts.Add(1)
	w.note(err)
	w.tellAborted(w.abortReason(err), err)
	if refusal, ok := errors.AsType[*kafka.BlockedError](err); ok {
		return w.blocked(ctx, err, refusal)
	}
	if refusal, ok := errors.AsType[*plan.OutsideRefusal](err); ok {
		return w.refusedOutside(ctx, refusal)
	}
	if refusal, ok := errors.AsType[*kafka.RefusedError](err); ok {
		return w.refused(ctx, err, refusal)
	}
	if recreated, ok := errors.AsType[*kafka.OutputRecreatedError](err); ok && w.tasks.isChangelog(recreated.Topic) {
		// The changelog lost what the stores hold. The restore says what is to be done.
		w.log.Error("a changelog was deleted and made again, its tasks are opened again", zap.Error(err))
		return w.abandon(err)
	}
	class := kafka.ClassOf(err)
	if class == kafka.Retriable {
		w.tx.slower(err)
	}
	if class == kafka.Fatal {
		w.engine.fail(fmt.Errorf("worker %d: %w", w.id, err))
	}
	if errors.Is(err, errOutside) || class == kafka.Fenced || class == kafka.Indefinite || class == kafka.Fatal {
		w.log.Warn("transaction given up, starting again from what Kafka holds", zap.Stringer("class", class), zap.Error(err))
		w.engine.source.gaveUp(w.tx, err)
		return w.abandon(err)
	}
	delay := w.backoff()
	w.log.Warn("transaction aborted, doing it again", zap.Error(err), zap.Duration("in", delay))
	end := w.redo(ctx)
	if end == stepAborted {
		w.sleep(ctx, delay)
	}
	return end
}

// refused does the transaction again, and the record whose output or dead letter a broker refuses in another way.
func (w *worker) refused(ctx context.Context, err error, refusal *kafka.RefusedError) step {
	o, ok := w.tasks.findOrigin(refusal.Origin)
	switch {
	case !ok:
		return w.unstored(ctx, err, refusal)
	case o.letter && !o.in.refuseLetter(o.offset, refusal):
		o.in.beginLetter(o.offset)
		return w.blocked(ctx, err, unwritable(o.in.tp, o.offset, refusal))
	case !o.letter:
		o.in.refuseOutput(o.offset, o.node, refusal)
	}
	w.log.Debug("a broker refuses a record, doing its transaction again without it", zap.Stringer("input", o.in.tp),
		zap.Int64("offset", o.offset), zap.Bool("dead_letter", o.letter), zap.Error(refusal))
	return w.redo(ctx)
}

// unstored deals with a state change that its changelog does not take. The changes of a key are merged, so it is not known
// whose it is: the records are done again one by one, until one stands alone. That one waits, and who comes after it.
func (w *worker) unstored(ctx context.Context, err error, refusal *kafka.RefusedError) (end step) {
	records := int(w.tx.records())
	if records <= 1 {
		return w.blocked(ctx, err, unstored(refusal))
	}
	if errors.Is(err, errOutside) {
		end = w.abandon(err)
	} else {
		end = w.redo(ctx)
	}
	w.tx.cautious = max(w.tx.cautious, records)
	return end
}

// redo aborts the transaction and goes back to the last commit, in memory, or from Kafka where the abort fails.
func (w *worker) redo(ctx context.Context) step {
	if err := w.tx.abort(ctx); err != nil {
		if ctx.Err() != nil {
			return stepStopping
		}
		return w.abandon(err)
	}
	w.to(workerIdle)
	return stepAborted
}

// blocked aborts a transaction that the cluster refuses through no fault of a record, and holds back what led to it.
func (w *worker) blocked(ctx context.Context, err error, refusal *kafka.BlockedError) step {
	early := !w.blocks.hold(refusal.TopicPartition, refusal)
	for _, tp := range refusal.Also {
		w.blocks.hold(tp, refusal)
	}
	var end step
	if errors.Is(err, errOutside) {
		end = w.abandon(err)
	} else if end = w.redo(ctx); end == stepAborted && early {
		w.sleep(ctx, w.backoff()) // what is held back was tried: do not do so without end
	}
	if w.tx.sink == nil && ctx.Err() == nil {
		// Where too few replicas are in sync, not even the abort can be written (the partition takes no marker), and until
		// it is, the transactional id is of no use: everything of the worker waits.
		w.disconnected(refusal, w.blocks.at[refusal.TopicPartition].since, w.connect)
	}
	return end
}

// abandon forgets the sink and everything that the tasks have in memory. They are opened again with a new sink: it
// ends what its transactional id has left open before offsets and changelogs are read.
//
// The transaction may have been given up because one record took longer than the transaction timeout. Done again in the
// same way it would be given up again, so the next ones are committed one by one: then nothing is open while a record
// is worked on.
func (w *worker) abandon(err error) step {
	w.tx.cautious = cautiousCommits
	w.unhook()
	_ = w.tx.sink.Close()
	w.tx.sink = nil
	w.connect = time.Now().Add(w.backoff())
	w.tasks.forget()
	w.tx.clear()
	w.to(workerConnecting)
	w.note(err)
	return stepAbandoned
}

// cautiousCommits is how many transactions of one record follow after one was given up.
const cautiousCommits = 32

// abortReason is why a transaction fails with err.
func (w *worker) abortReason(err error) AbortReason {
	if _, ok := errors.AsType[*kafka.RefusedError](err); ok && kafka.ClassOf(err) != kafka.Blocked {
		return AbortRefused
	}
	if _, ok := errors.AsType[*plan.OutsideRefusal](err); ok {
		return AbortRefused
	}
	if recreated, ok := errors.AsType[*kafka.OutputRecreatedError](err); ok && w.tasks.isChangelog(recreated.Topic) {
		return AbortRecreated
	}
	return AbortReason(kafka.ClassOf(err).String())
}

// failTask stops a task on an error of its stores. Work of the open transaction on it is lost from memory, so the
// transaction is aborted.
func (w *worker) failTask(t *task, err error) {
	if t.is(taskRunning) && w.tx.open {
		w.tellAborted(AbortTask, err)
		if w.redo(w.engine.ctx) != stepAborted {
			return
		}
	}
	w.tasks.fail(t, err)
}
