package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/guard"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// commit writes what accounts have staged in one transaction of the database, together with which records that was for. Each input's row
// comes first: it is locked from then on, and is only there with the input's epoch, so nobody can have claimed it, nor can anybody before the
// transaction has ended. Which records that was for comes last, so that a function that ends the transaction has not said so of records after it.
func (s *Sink) commit(ctx context.Context, of []plan.OutsideTask) error {
	var accounts []*account
	var inputs []*input
	var all []*staged
	for _, one := range of {
		if a := one.(*account); len(a.staged) > 0 {
			accounts, all = append(accounts, a), append(all, a.staged...)
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
	err := s.repeated(ctx, func() error { return s.write(ctx, inputs, all) })
	if err != nil {
		// The records are done again, and then it must be known whether this was committed, whatever the answer was.
		for _, in := range inputs {
			in.known = false
		}
		err = s.judge(ctx, inputs, all, err)
	} else {
		for _, in := range inputs {
			in.written()
		}
	}
	var failed *recordError
	var refusal *plan.OutsideRefusal
	switch {
	case err == nil:
		for _, a := range accounts {
			a.refused, a.tries = nil, 0
		}
	case errors.Is(err, plan.ErrOutsideFenced), errors.As(err, &refusal), ctx.Err() != nil:
	case errors.As(err, &failed): // the others may go on, if the database is there
		failed.staged.account.failed(err)
	default:
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

// written says that the database has the set of offsets.
func (in *input) written() {
	in.done.written()
	in.unsaved = in.unsaved[:0]
}

// write is a transaction of the database.
func (s *Sink) write(ctx context.Context, inputs []*input, all []*staged) error {
	return s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lock(ctx, tx, inputs); err != nil {
			return err
		}
		if err := s.work(ctx, tx, all); err != nil {
			return err
		}
		if err := s.save(ctx, tx, inputs); err != nil {
			return err
		}
		fault.At(fault.OutsideBegun)
		return nil
	})
}

// lock makes sure that nobody else writes for the inputs before the transaction has ended.
func (s *Sink) lock(ctx context.Context, tx *sql.Tx, inputs []*input) error {
	for _, in := range inputs {
		locked, err := tx.ExecContext(ctx, s.sql.lock, in.id, in.epoch)
		if err := in.mine(locked, err); err != nil {
			return err
		}
	}
	return nil
}

// mine says whether a statement has found the input's row.
func (in *input) mine(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return fmt.Errorf("%s/%d: %w", in.origin.Topic, in.origin.Partition, plan.ErrOutsideFenced)
	}
	return nil
}

// save writes which records were written for.
func (s *Sink) save(ctx context.Context, tx *sql.Tx, inputs []*input) error {
	for _, in := range inputs {
		saved, err := tx.ExecContext(ctx, s.sql.save, in.done.text(), in.id, in.epoch)
		if err := in.mine(saved, err); err != nil {
			return err
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

// work does what records ask for. Where a failed statement fails the transaction, a savepoint around all of it shows at its end whether a
// function has ignored such an error.
func (s *Sink) work(ctx context.Context, tx *sql.Tx, all []*staged) error {
	look := s.opts.Dialect.fails && called(all)
	if look {
		if _, err := tx.ExecContext(ctx, "SAVEPOINT weir_work"); err != nil {
			return err
		}
	}
	var at *staged
	err := guard.Call(func() error {
		for _, at = range all {
			if err := s.workFor(ctx, tx, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err = at.broken(err); err != nil {
		return err
	}
	if look {
		_, err = tx.ExecContext(ctx, "RELEASE SAVEPOINT weir_work")
	}
	return err
}

// called says whether functions are among what records ask for.
func called(all []*staged) bool {
	return slices.ContainsFunc(all, func(one *staged) bool {
		return slices.ContainsFunc(one.tasks, func(t *task) bool { return t.fn != nil })
	})
}

// workFor is to be called under a guard: functions, arguments, errors and Classify are the program's.
func (s *Sink) workFor(ctx context.Context, tx *sql.Tx, one *staged) error {
	for _, t := range one.tasks {
		var is kind
		err := s.do(ctx, tx, t)
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
		case errors.Is(err, errEnded):
			is = refused | final
		case errors.Is(err, errFailed), topology.IsRejected(err), s.opts.Classify(err) == topology.ClassRejected:
			is = refused
		case passing(err):
			is = transient
		}
		return one.error(err, is)
	}
	return nil
}

// do does one thing that a record asks for. Where databases go on after a failed statement, a function may have had the whole transaction taken back
// (INSERT OR ROLLBACK), and what comes after it would be in none: a savepoint shows that. Elsewhere that would cost two round trips a function, see work.
func (s *Sink) do(ctx context.Context, tx *sql.Tx, t *task) error {
	if t.fn == nil {
		_, err := tx.ExecContext(ctx, t.query, t.args...)
		return err
	}
	look := !s.opts.Dialect.fails
	if look {
		if _, err := tx.ExecContext(ctx, "SAVEPOINT weir_call"); err != nil {
			return err
		}
	}
	err := t.fn(ctx, tx)
	switch {
	case err != nil:
		return err
	case ended(ctx, tx):
		return errEnded
	case look:
		if _, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT weir_call"); err != nil {
			return lost(err)
		}
	}
	return nil
}

// lost is the error of a function after which its savepoint is not there any more.
func lost(err error) error {
	if failedState(err) {
		return fmt.Errorf("%w (%w)", errFailed, err)
	}
	return err
}

// ended says whether a transaction has ended. It asks nobody.
func ended(ctx context.Context, tx *sql.Tx) bool {
	_, err := tx.StmtContext(ctx, &sql.Stmt{}).ExecContext(ctx) // of no database, so nothing is executed
	return errors.Is(err, sql.ErrTxDone) && ctx.Err() == nil
}

var (
	errEnded  = errors.New("the function has ended the sink's transaction: leave Commit and Rollback to the sink")
	errFailed = errors.New("the function has returned no error and left a transaction that has failed: have it return the errors of its statements")
)

// recordError is an error of what a record asks for. The error that it was made of may have anybody's methods, and is for dead letters only.
type recordError struct {
	staged *staged
	is     kind
	text   string
	err    error
}

// kind is what is known of a recordError.
type kind int

const (
	refused   kind = 1 << iota // it is the record's fault
	transient                  // it passes by itself
	final                      // the transaction has ended with it
)

func (e *recordError) Error() string { return e.text }

// named is err with the record that it is of.
func (one *staged) named(err error) string {
	text := err.Error() // not by fmt, which would pass over a panic
	return fmt.Sprintf("for %s/%d at offset %d: %s", one.input.origin.Topic, one.input.origin.Partition, one.offset, text)
}

func (one *staged) error(err error, is kind) error {
	return &recordError{one, is, one.named(err), err}
}

// broken is err, or the record's where its function did not return.
func (one *staged) broken(err error) error {
	if did, ok := err.(*guard.BrokenError); ok && one != nil {
		return one.error(did, refused)
	}
	return err
}

// refusedError is a recordError for a dead letter, which names the type of what was wrong.
type refusedError struct{ *recordError }

func (e refusedError) Unwrap() error { return e.err }

func (e *recordError) refusal() plan.RefusedWork {
	return plan.RefusedWork{Cause: e.staged.cause, Err: refusedError{e}}
}
