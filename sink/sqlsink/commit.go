package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// commit writes what accounts have staged in one transaction of the database, together with which records that was for. Each input's row
// comes first: it is locked from then on, and is only there with the input's epoch, so nobody can have claimed it, nor can anybody before the
// transaction has ended.
func (s *Sink) commit(ctx context.Context, of []plan.OutsideTask) error {
	var accounts []*account
	var inputs []*input
	for _, one := range of {
		if a := one.(*account); len(a.staged) > 0 {
			accounts = append(accounts, a)
			for _, in := range a.inputs {
				if len(in.now.spans) > 0 {
					inputs = append(inputs, in)
				}
			}
		}
	}
	if len(accounts) == 0 {
		return nil
	}
	// In one order everywhere, so that nobody waits for somebody who waits for him.
	slices.SortFunc(inputs, func(a, b *input) int { return strings.Compare(a.id, b.id) })
	for _, in := range inputs {
		in.account()
	}
	err := s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.save(ctx, tx, inputs); err != nil {
			return err
		}
		if err := s.work(ctx, tx, accounts); err != nil {
			return err
		}
		fault.At(fault.OutsideBegun)
		return nil
	})
	if err == nil {
		for _, in := range inputs {
			in.done.written()
			in.unsaved = in.unsaved[:0]
		}
		for _, a := range accounts {
			a.refused, a.tries = nil, 0
		}
		return nil
	}
	// The records are done again, and then it must be known whether this was committed, whatever the answer was.
	for _, in := range inputs {
		in.known = false
	}
	var failed *recordError
	switch known := errors.As(err, &failed); {
	case known && failed.refused:
		return s.refusal(ctx, accounts, failed)
	case known && ctx.Err() == nil: // the others may go on, if the database is there
		failed.staged.account.failed(err)
	case !errors.Is(err, plan.ErrOutsideFenced) && ctx.Err() == nil:
		for _, a := range accounts {
			a.failed(err)
		}
	}
	return err
}

// account brings the set of offsets up to what is to be written with this transaction.
func (in *input) account() {
	for _, s := range in.unsaved {
		in.done.add(s.first, s.next)
	}
	in.done.rise()
	for _, s := range in.now.spans {
		in.done.add(s.first, s.next)
	}
}

// save writes which records were written for.
func (s *Sink) save(ctx context.Context, tx *sql.Tx, inputs []*input) error {
	for _, in := range inputs {
		saved, err := tx.ExecContext(ctx, s.sql.save, in.done.text(), in.id, in.epoch)
		if err != nil {
			return err
		}
		if n, err := saved.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return fmt.Errorf("%s/%d: %w", in.origin.Topic, in.origin.Partition, plan.ErrOutsideFenced)
		}
	}
	for _, in := range inputs {
		gone, come := in.done.rows()
		for _, first := range gone {
			if _, err := tx.ExecContext(ctx, s.sql.gone, in.id, first); err != nil {
				return err
			}
		}
		for _, one := range come {
			if _, err := tx.ExecContext(ctx, s.sql.come, in.id, one.first, one.next); err != nil {
				return err
			}
		}
	}
	return nil
}

// recordError is an error of what a record asks for; refused says that it is the record's fault.
type recordError struct {
	staged  *staged
	refused bool
	err     error
}

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// work does what the records ask for.
func (s *Sink) work(ctx context.Context, tx *sql.Tx, accounts []*account) error {
	for _, a := range accounts {
		for _, one := range a.staged {
			if err := s.workFor(ctx, tx, one); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Sink) workFor(ctx context.Context, tx *sql.Tx, one *staged) error {
	for _, t := range one.tasks {
		err := t.do(ctx, tx)
		if err == nil {
			continue
		}
		err = fmt.Errorf("for %s/%d at offset %d: %w", one.input.origin.Topic, one.input.origin.Partition, one.offset, err)
		return &recordError{one, ctx.Err() == nil && (topology.IsRejected(err) || s.opts.Classify(err) == topology.ClassRejected), err}
	}
	return nil
}

// refusal says which records the database refuses, after it has refused one: each one is tried on its own, in a transaction that is taken
// back, so that many bad records cost no more of Kafka's transactions than one does.
func (s *Sink) refusal(ctx context.Context, accounts []*account, known *recordError) error {
	refusal := &plan.OutsideRefusal{Outside: "sink " + s.name}
	err := s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, a := range accounts {
			for _, one := range a.staged {
				if err := s.tryAlone(ctx, tx, one, refusal); err != nil {
					return err
				}
			}
		}
		return errTried
	})
	if len(refusal.Records) == 0 || !errors.Is(err, errTried) {
		refusal.Records = []plan.RefusedWork{{Cause: known.staged.cause, Err: known.err}}
	}
	return refusal
}

var errTried = errors.New("it was for the errors only")

func (s *Sink) tryAlone(ctx context.Context, tx *sql.Tx, one *staged, refusal *plan.OutsideRefusal) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT weir_record"); err != nil {
		return err
	}
	err := s.workFor(ctx, tx, one)
	var failed *recordError
	switch {
	case err == nil:
		_, err = tx.ExecContext(ctx, "RELEASE SAVEPOINT weir_record")
	case errors.As(err, &failed) && failed.refused:
		refusal.Records = append(refusal.Records, plan.RefusedWork{Cause: one.cause, Err: failed.err})
		_, err = tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT weir_record")
	}
	return err
}
