package sqlsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/guard"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// judge finds out which records are at fault of a transaction that failed with err, if any are. It returns what the transaction ends with
// in the end: nil, where all of it was written after all.
func (s *Sink) judge(ctx context.Context, inputs []*input, all []*staged, err error) error {
	var failed *recordError
	var end *commitError
	switch known := errors.As(err, &failed); {
	case errors.Is(err, plan.ErrOutsideFenced), ctx.Err() != nil:
		return err
	case known && failed.is&final != 0: // it must not be called once more
		return s.refusal(failed)
	case known && failed.is&refused != 0:
		if found := s.tryEach(ctx, all); errors.As(found, new(*plan.OutsideRefusal)) {
			return found
		}
		return s.refusal(failed)
	case errors.As(err, &end) && s.refuses(end.err):
		return s.search(ctx, inputs, all)
	case called(all) && !errors.Is(err, plan.ErrOutsideSlow):
		// A function may be at fault of what fails after it.
		found := s.tryEach(ctx, all)
		if errors.As(found, new(*plan.OutsideRefusal)) || errors.As(found, &failed) {
			return found
		}
	}
	return err
}

// refuses says whether an error of a COMMIT is some record's fault.
func (s *Sink) refuses(err error) (yes bool) {
	_ = guard.Call(func() error {
		yes = s.opts.Classify(err) == topology.ClassRejected
		return nil
	})
	return yes
}

func (s *Sink) refusal(of ...*recordError) *plan.OutsideRefusal {
	r := &plan.OutsideRefusal{Outside: "sink " + s.name}
	for _, e := range of {
		r.Records = append(r.Records, e.refusal())
	}
	return r
}

// tryEach tries each record on its own, in a transaction that is taken back, so that many bad records cost no more of Kafka's transactions than
// one does. The error is an OutsideRefusal where records are refused, the recordError of one that is not at fault, or another one.
func (s *Sink) tryEach(ctx context.Context, all []*staged) error {
	var found []*recordError
	err := s.repeated(ctx, func() error {
		found = nil
		return s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
			for _, one := range all {
				if err := s.tryAlone(ctx, tx, one, &found); err != nil {
					return err
				}
			}
			return errTried
		})
	})
	if len(found) > 0 {
		return s.refusal(found...)
	}
	return err
}

var errTried = errors.New("it was for the errors only")

func (s *Sink) tryAlone(ctx context.Context, tx *sql.Tx, one *staged, found *[]*recordError) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT weir_record"); err != nil {
		return err
	}
	err := one.broken(guard.Call(func() error { return s.workFor(ctx, tx, one) }))
	if err == nil {
		if _, err = tx.ExecContext(ctx, "RELEASE SAVEPOINT weir_record"); err == nil {
			return nil
		}
		if ctx.Err() != nil || !failedState(err) {
			return one.error(err, 0)
		}
		err = one.error(lost(err), refused)
	}
	var failed *recordError
	if !errors.As(err, &failed) || failed.is&refused == 0 {
		return err
	}
	*found = append(*found, failed)
	if failed.is&final != 0 {
		return errTried
	}
	if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT weir_record"); err != nil {
		return errTried // the others are tried when the transaction is done again
	}
	return nil
}

// search finds the record at fault of a COMMIT, as of a constraint that is checked no earlier. What is before it is written on the way, in
// transactions that become smaller. Nothing that comes after it is, since that is done again without it, and may come to something else.
func (s *Sink) search(ctx context.Context, inputs []*input, all []*staged) error {
	began := time.Now()
	for size := (len(all) + 1) / 2; len(all) > 0; {
		size = min(size, len(all))
		err := s.repeated(ctx, func() error { return s.writePart(ctx, inputs, all[:size]) })
		var failed *recordError
		var end *commitError
		switch {
		case err == nil:
			all = all[size:]
			if len(all) > 0 && time.Since(began) > s.opts.Timeout { // what is written stays so
				return fmt.Errorf("find the record that the database refuses: %w", plan.ErrOutsideSlow)
			}
		case errors.As(err, &failed) && failed.is&refused != 0:
			return s.refusal(failed)
		case !errors.As(err, &end) || !s.refuses(end.err):
			return err
		case size == 1:
			return s.refusal(&recordError{all[0], refused, all[0].named(end.err), end.err})
		default:
			size = (size + 1) / 2
		}
	}
	return nil
}

// writePart writes some records in a transaction of the database, by what it knows now.
func (s *Sink) writePart(ctx context.Context, inputs []*input, some []*staged) error {
	err := s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.lock(ctx, tx, inputs); err != nil {
			return err
		}
		for _, in := range inputs {
			if err := in.load(ctx, tx, s.sql); err != nil {
				return err
			}
			for _, one := range in.unsaved {
				in.done.add(one.first, one.next)
			}
			in.done.rise()
		}
		var todo []*staged
		for _, one := range some {
			if !one.input.done.has(one.offset) {
				one.input.done.add(one.offset, one.offset+1)
				todo = append(todo, one)
			}
		}
		if err := s.work(ctx, tx, todo); err != nil {
			return err
		}
		if err := s.save(ctx, tx, inputs); err != nil {
			return err
		}
		fault.At(fault.OutsideBegun)
		return nil
	})
	if err != nil {
		return err
	}
	for _, in := range inputs {
		in.written()
	}
	return nil
}
