package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafka"
)

// changelogOrigin marks appended records that stem from state changes: the changes of a key are merged over the
// transaction, so no single input record is behind one.
const changelogOrigin = -1

// errOutside is a failure of at-least-once after its outputs were acknowledged: see endAtLeastOnce.
var errOutside = errors.New("outputs are written and offsets are not")

// commit ends the transaction. The order is the promise (exactly-once):
//
//	changelogs appended -> flush -> offsets into the transaction -> outside written -> end transaction -> stores written -> inputs forgotten
//
// Whatever fails before the end leaves the stores at the last commit and the inputs in memory, to be done again: abort does that. What was
// written outside (outside.go) stays, and is known when the records are done again.
// After the end nothing is left that could fail, but for the disk: a store that cannot be written is read from its changelog again.
// A crash before the end leaves nothing that anyone sees, since the next holder of the transactional id ends what is open; a
// crash after it leaves stores that are behind their changelogs, which the restore makes up for.
func (tx *transaction) commit(ctx context.Context) error {
	start, size := time.Now(), tx.size()
	var err error
	if tx.env.guarantee == ExactlyOnce {
		err = tx.endExactlyOnce(ctx)
	} else {
		err = tx.endAtLeastOnce(ctx)
	}
	if err != nil {
		return err
	}
	records := tx.records()
	tx.paced(size, time.Since(tx.since))
	tx.writeStores(start)
	tx.forget(time.Now())
	tx.cautious = max(0, tx.cautious-1)
	tx.env.committed(commitStats{records, size, time.Since(start)})
	return nil
}

func (tx *transaction) endExactlyOnce(ctx context.Context) error {
	if err := tx.drain(); err != nil {
		return err
	}
	fault.At(fault.BeforeFlush)
	if err := tx.sink.Flush(ctx); err != nil {
		return err
	}
	fault.At(fault.BeforeOffsets)
	if err := tx.sendOffsets(ctx); err != nil {
		return err
	}
	if err := tx.writeOutside(ctx); err != nil {
		return err
	}
	fault.At(fault.BeforeEnd)
	if err := tx.sink.Commit(ctx); err != nil {
		tx.unknown = kafka.ClassOf(err) == kafka.Indefinite
		return err
	}
	fault.At(fault.AfterEnd)
	return nil
}

// endAtLeastOnce writes outputs, then changelogs, then offsets, each acknowledged before the next is sent. Were state
// visible before the outputs, a crash between them would make a node that deduplicates by its state drop a record
// whose output was never written.
//
// What goes outside of Kafka is written first: it keeps account of its records itself, so it may be written again, but not missed.
func (tx *transaction) endAtLeastOnce(ctx context.Context) error {
	if err := tx.writeOutside(ctx); err != nil {
		return err
	}
	fault.At(fault.BeforeFlush)
	if err := tx.sink.Flush(ctx); err != nil {
		return err
	}
	if err := tx.drain(); err != nil {
		return errors.Join(errOutside, err)
	}
	if err := tx.sink.Flush(ctx); err != nil {
		return errors.Join(errOutside, err)
	}
	fault.At(fault.BeforeOffsets)
	if err := tx.sendOffsets(ctx); err != nil {
		return errors.Join(errOutside, err)
	}
	fault.At(fault.AfterEnd)
	return nil
}

// drain appends the state changes of the transaction to their changelogs.
func (tx *transaction) drain() error {
	for t := range tx.env.tasks.running() {
		var positions []byte
		for _, st := range t.stores {
			if st.Undrained() == 0 && !t.touch {
				continue
			}
			if positions == nil {
				positions = tx.positions(t)
			}
			st.positions = positions
			write := tx.drainStore
			if st.Undrained() == 0 {
				write = tx.touchStore
			}
			if err := write(st, time.Now().UnixMilli()); err != nil {
				return err
			}
		}
	}
	return nil
}

// sends says whether the offset of an input is part of the commit.
func (tx *transaction) sends(in *input) bool { return in.dirty() && !tx.env.blocks.outOfReach(in) }

// sendOffsets commits the positions of all inputs that moved.
func (tx *transaction) sendOffsets(ctx context.Context) error {
	offsets := map[kafka.TopicPartition]kafka.CommittedOffset{}
	for in := range tx.env.tasks.moving() {
		if tx.sends(in) {
			offsets[in.tp] = in.place(in.task.logs(tx.sink))
		}
	}
	tx.sent = offsets
	if len(offsets) == 0 {
		return nil
	}
	group := offsets
	if tx.env.again != nil {
		var err error
		if group, err = tx.env.again.attach(ctx, tx, offsets); err != nil {
			return err
		}
	}
	return tx.env.positions.commit(ctx, tx.sink, group)
}

// writeStores writes what was committed, with the checkpoint, into the databases. When the commit began nobody else had written to the
// changelogs: that is refused once somebody has. A store that cannot be written stops its task; the others go on. Nothing is lost: the
// changelog has it, and the task restores from there.
func (tx *transaction) writeStores(began time.Time) {
	for t := range tx.env.tasks.running() {
		for _, st := range t.stores {
			st.end, st.epoch = st.ends(tx.sink)
			if st.Pending() == 0 {
				continue
			}
			st.SetNote(st.note())
			st.SetAsOf(began)
			if err := st.Commit(st.end); err != nil {
				tx.env.tasks.fail(t, fmt.Errorf("write store %s/%d: %w", st.decl.Name, t.id.partition, err))
				break
			}
		}
	}
}

// forget lets go of the committed inputs and counts them, and of what was in the way of those that were tried.
func (tx *transaction) forget(now time.Time) {
	for t := range tx.env.tasks.running() {
		t.touch = false
		t.count()
		t.keepOutside()
		for _, q := range t.queues {
			q.settle()
		}
		for _, in := range t.inputs {
			tx.env.tasks.giveBack(in)
			at, sent := tx.sent[in.tp]
			out := !sent && (in.unsent || in.dirty())
			in.commit(now)
			in.fresh = in.fresh && out
			if sent {
				in.durable = at.Offset
				in.told()
			}
			if out {
				tx.env.blocks.unsent(in)
			}
		}
	}
	tx.env.ended(tx)
	tx.env.blocks.tried()
	tx.clear()
}
