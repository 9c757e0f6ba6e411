package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafka"
)

// changelogOrigin marks appended records that stem from state changes: the changes of a key are merged over the
// transaction, so no single input record is behind one.
const changelogOrigin = -1

// errOutside is a failure of at-least-once after its outputs were acknowledged: see endAtLeastOnce.
var errOutside = errors.New("outputs are written and offsets are not")

// commit ends the open transaction. The order is the promise (exactly-once):
//
//	changelogs appended -> flush -> offsets into the transaction -> end transaction -> stores written -> inputs forgotten
//
// Whatever fails before the end leaves the stores at the last commit and the inputs in memory, to be done again.
func (w *worker) commit(ctx context.Context) step {
	w.to(workerCommitting)
	start, size := time.Now(), w.size()
	var err error
	if w.inst.opts.Guarantee == ExactlyOnce {
		err = w.endExactlyOnce(ctx)
	} else {
		err = w.endAtLeastOnce(ctx)
	}
	if err != nil {
		return w.aborted(ctx, err)
	}
	records := w.ended()
	w.paced(size, time.Since(w.since))
	w.writeStores()
	w.forget(time.Now())
	w.tried()
	w.failures = 0
	w.tries.Store(0)
	w.cautious = max(0, w.cautious-1)
	took := time.Since(start)
	w.inst.metrics.committed(took)
	w.tellCommitted(records, size, took)
	w.to(workerIdle)
	return stepDone
}

func (w *worker) endExactlyOnce(ctx context.Context) error {
	if err := w.drain(); err != nil {
		return err
	}
	fault.At(fault.BeforeFlush)
	if err := w.sink.Flush(ctx); err != nil {
		return err
	}
	fault.At(fault.BeforeOffsets)
	if err := w.sendOffsets(ctx); err != nil {
		return err
	}
	fault.At(fault.BeforeEnd)
	if err := w.sink.Commit(ctx); err != nil {
		return err
	}
	fault.At(fault.AfterEnd)
	return nil
}

// endAtLeastOnce writes outputs, then changelogs, then offsets, each acknowledged before the next is sent. Were state
// visible before the outputs, a crash between them would make a node that deduplicates by its state drop a record
// whose output was never written.
func (w *worker) endAtLeastOnce(ctx context.Context) error {
	fault.At(fault.BeforeFlush)
	if err := w.sink.Flush(ctx); err != nil {
		return err
	}
	if err := w.drain(); err != nil {
		return errors.Join(errOutside, err)
	}
	if err := w.sink.Flush(ctx); err != nil {
		return errors.Join(errOutside, err)
	}
	fault.At(fault.BeforeOffsets)
	if err := w.sendOffsets(ctx); err != nil {
		return errors.Join(errOutside, err)
	}
	fault.At(fault.AfterEnd)
	return nil
}

// drain appends the state changes of the transaction to their changelogs.
func (w *worker) drain() error {
	for _, t := range w.tasks {
		if !t.is(taskRunning) {
			continue
		}
		var positions []byte
		for _, st := range t.stores {
			if st.Undrained() == 0 && !t.touch {
				continue
			}
			if positions == nil {
				positions = t.positions(w.inst.opts.Guarantee)
			}
			st.positions = positions
			write := w.drainStore
			if st.Undrained() == 0 {
				write = w.touchStore
			}
			if err := write(st, time.Now().UnixMilli()); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendOffsets commits the positions of all inputs that moved, in the name of the group's member.
//
// A rebalance may raise the generation at any moment. The partitions of this worker are still its own then: they are
// taken away only by Revoked, which waits for this goroutine. So the newer generation is waited for and used.
func (w *worker) sendOffsets(ctx context.Context) error {
	offsets := map[kafka.TopicPartition]kafka.CommittedOffset{}
	var moved []*input
	for _, t := range w.tasks {
		if !t.is(taskRunning) {
			continue
		}
		for _, in := range t.inputs {
			if in.dirty() && !w.outOfReach(in) {
				offsets[in.tp] = in.place(t.logs(w.sink))
				moved = append(moved, in)
			}
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	op := "commit offsets of " + w.inst.graph.plan.Group()
	deadline := time.NewTimer(staleGenerationWait)
	defer deadline.Stop()
	for {
		changed := w.inst.group.Changed()
		m, ok := w.inst.group.Member()
		if !ok {
			return &kafka.Error{Class: kafka.Abortable, Op: op, Err: errors.New("this instance is not in the group at the moment")}
		}
		err := w.sink.Offsets(ctx, m, offsets)
		if err == nil {
			for _, in := range moved {
				in.durable = offsets[in.tp].Offset
			}
		}
		if !errors.Is(err, kafka.ErrStaleGeneration) {
			return err
		}
		if now, ok := w.inst.group.Member(); ok && now == m {
			select {
			case <-changed:
			case <-time.After(staleGenerationRetry):
				// The generation may be the right one: until every member has its assignment, the coordinator refuses
				// offsets that are outside of a transaction, and nothing tells when that is over.
			case <-ctx.Done():
				return ctx.Err()
			case <-deadline.C:
				return &kafka.Error{Class: kafka.Abortable, Op: op, Err: err}
			}
		}
	}
}

// staleGenerationWait bounds how long a commit waits for the outcome of a rebalance, asking at intervals.
const (
	staleGenerationWait  = 20 * time.Second
	staleGenerationRetry = 50 * time.Millisecond
)

// cautiousCommits is how many transactions of one record follow after one was given up.
const cautiousCommits = 32

// writeStores writes what was committed, with the checkpoint, into the databases. A store that cannot be written stops
// its task; the others go on. Nothing is lost: the changelog has it, and the task restores from there.
func (w *worker) writeStores() {
	for _, t := range w.tasks {
		if !t.is(taskRunning) {
			continue
		}
		for _, st := range t.stores {
			st.end, st.epoch = st.ends(w.sink)
			if st.Pending() == 0 {
				continue
			}
			st.SetNote(st.note())
			if err := st.Commit(st.end); err != nil {
				w.failTask(t, fmt.Errorf("write store %s/%d: %w", st.decl.Name, t.id.partition, err))
				break
			}
		}
	}
}

// forget lets go of the committed inputs and counts them.
func (w *worker) forget(now time.Time) {
	for _, t := range w.tasks {
		if !t.is(taskRunning) {
			continue
		}
		t.touch = false
		for _, in := range t.inputs {
			w.giveBack(in)
			out := in.unsent || in.dirty() && w.outOfReach(in)
			in.commit(now)
			if out {
				w.unsent(in)
			}
		}
	}
	w.inst.metrics.count(&w.counts, w.retries)
	w.inst.metrics.overLimit(w.letters.counts)
	w.inst.told.tell(&w.letters)
	w.report.tell()
	w.clear()
}

// giveBack lets the fetcher read on behind what was worked off.
func (w *worker) giveBack(in *input) {
	if n := in.release(); n > 0 {
		w.inst.inputs.Release(in.tp, n)
	}
}

// clear starts the next transaction.
func (w *worker) clear() {
	w.open, w.bytes, w.retries = false, 0, 0
	clear(w.counts[:])
	w.letters.clear()
	w.report.clear()
}

// ended is how many records have ended in the open transaction.
func (w *worker) ended() (records int64) {
	for _, n := range w.counts {
		records += n
	}
	return records
}

// aborted deals with a transaction that failed with err: it is done again from memory where nothing of it can become
// visible, and from Kafka where that cannot be known.
func (w *worker) aborted(ctx context.Context, err error) step {
	if ctx.Err() != nil {
		return stepStopping // the run loop ends and gives everything up
	}
	w.inst.metrics.aborts.Add(1)
	w.note(err)
	w.tellAborted(w.abortReason(err), err)
	if refusal, ok := errors.AsType[*kafka.BlockedError](err); ok {
		return w.blocked(ctx, err, refusal)
	}
	if refusal, ok := errors.AsType[*kafka.RefusedError](err); ok {
		return w.refused(ctx, err, refusal)
	}
	if recreated, ok := errors.AsType[*kafka.OutputRecreatedError](err); ok && w.isChangelog(recreated.Topic) {
		// The changelog lost what the stores hold. The restore says what is to be done.
		w.log.Error("a changelog was deleted and made again, its tasks are opened again", zap.Error(err))
		return w.abandon(err)
	}
	class := kafka.ClassOf(err)
	if class == kafka.Retriable {
		throttled := w.sink.Throttled() - w.throttled
		w.pace.failed(w.size(), throttled)
		w.notePace(throttled)
	}
	if class == kafka.Fenced {
		w.inst.fences.note(time.Now())
	}
	if class == kafka.Fatal {
		w.inst.fail(fmt.Errorf("worker %d: %w", w.id, err))
	}
	if errors.Is(err, errOutside) || class == kafka.Fenced || class == kafka.Indefinite || class == kafka.Fatal {
		w.log.Warn("transaction given up, starting again from what Kafka holds", zap.Stringer("class", class), zap.Error(err))
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
	o, ok := w.findOrigin(refusal.Origin)
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
	records := int(w.ended())
	if records <= 1 {
		return w.blocked(ctx, err, unstored(refusal))
	}
	if errors.Is(err, errOutside) {
		end = w.abandon(err)
	} else {
		end = w.redo(ctx)
	}
	w.cautious = max(w.cautious, records)
	return end
}

// redo aborts the transaction and goes back to the last commit, in memory, or from Kafka where the abort fails.
func (w *worker) redo(ctx context.Context) step {
	if err := w.sink.Abort(ctx); err != nil {
		if ctx.Err() != nil {
			return stepStopping
		}
		return w.abandon(err)
	}
	for _, t := range w.tasks {
		if !t.is(taskRunning) {
			continue
		}
		for _, st := range t.stores {
			st.Reset()
		}
		for _, in := range t.inputs {
			in.rewind()
		}
	}
	w.clear()
	w.untried()
	w.to(workerIdle)
	return stepAborted
}

// isChangelog says whether a topic is the changelog of a store here.
func (w *worker) isChangelog(topic string) bool {
	for _, t := range w.tasks {
		for _, st := range t.stores {
			if st.changelog.Topic == topic {
				return true
			}
		}
	}
	return false
}

// abandon forgets the sink and everything that the tasks have in memory. They are opened again behind a new sink: it
// ends what its transactional id has left open before offsets and changelogs are read.
//
// The transaction may have been given up because one record took longer than the transaction timeout. Done again in the
// same way it would be given up again, so the next ones are committed one by one: then nothing is open while a record
// is worked on.
func (w *worker) abandon(err error) step {
	w.cautious = cautiousCommits
	w.unhook()
	_ = w.sink.Close()
	w.sink = nil
	w.connect = time.Now().Add(w.backoff())
	for _, t := range w.tasks {
		if t.is(taskRunning) || t.is(taskRestoring) {
			w.release(t)
			if terr := t.to(taskCreated); terr != nil {
				w.inst.fail(terr)
			}
		}
	}
	w.clear()
	w.untried()
	w.to(workerConnecting)
	w.note(err)
	return stepAbandoned
}
