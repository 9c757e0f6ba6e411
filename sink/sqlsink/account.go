package sqlsink

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/plan"
)

// account is what is known of the records of one task: plan.OutsideTask.
type account struct {
	sink    *Sink
	owner   plan.Owner
	inputs  map[plan.Origin]*input
	staged  []*staged // in order
	refused error     // what the database answered last, where no record was at fault
	tries   int       // how often in a row
	until   time.Time // when records may try again after that
}

// input is what is known of the records of one input partition.
type input struct {
	origin plan.Origin
	id     string
	// known is that the rest is as it is in the database, where nobody else has asked for it since: then the epoch is another one.
	known bool
	epoch int64
	done  offsets // of records that were written for, and of others that have ended

	now     offsets // of records that are written for in this transaction
	since   []span  // what has ended in this transaction; that is not sure before Kafka has committed it
	unsaved []span  // what has ended before, and the database does not know
}

// staged is what a record asks for.
type staged struct {
	account *account
	input   *input
	offset  int64
	cause   int64
	tasks   []*task
}

func (s *Sink) open(owner plan.Owner) plan.OutsideTask {
	return &account{sink: s, owner: owner, inputs: map[plan.Origin]*input{}}
}

func (a *account) input(from plan.Origin) *input {
	in := a.inputs[from]
	if in == nil {
		h := sha256.New()
		for _, part := range [...]string{a.owner.Group, a.sink.name, from.Topic, from.TopicID} {
			fmt.Fprintf(h, "%d:%s", len(part), part)
		}
		fmt.Fprintf(h, "%d", from.Partition)
		in = &input{origin: from, id: hex.EncodeToString(h.Sum(nil)[:16])}
		a.inputs[from] = in
	}
	return in
}

// Ready implements plan.OutsideTask.
func (a *account) Ready(ctx context.Context, from plan.Origin) error {
	if a.refused != nil && time.Now().Before(a.until) {
		return a.refused
	}
	in := a.input(from)
	if in.known {
		return nil
	}
	if err := a.claim(ctx, in); err != nil {
		if ctx.Err() == nil { // else the record is what ended
			a.failed(err)
		}
		return err
	}
	return nil
}

// failed has the task's records wait: the database refuses something that no record is at fault of.
func (a *account) failed(err error) {
	a.refused = err
	a.until = time.Now().Add(wait.Wait(a.tries))
	a.tries++
	for _, in := range a.inputs {
		in.known = false
	}
}

// claim asks the database what it knows of an input, and raises the input's epoch: whoever asked before writes nothing more for it.
func (a *account) claim(ctx context.Context, in *input) error {
	err := a.sink.repeated(ctx, func() error { return a.ask(ctx, in) })
	if err == nil || ctx.Err() != nil {
		return err
	}
	return a.sink.again(ctx, func() error { // the tables may be missing
		for _, table := range [...]string{a.sink.sql.inputs, a.sink.sql.offsets} {
			if _, made := a.sink.db.ExecContext(ctx, table); made != nil {
				return errors.Join(err, made)
			}
		}
		err = a.ask(ctx, in)
		return err
	}, racing)
}

func (a *account) ask(ctx context.Context, in *input) error {
	s := a.sink.sql
	err := a.sink.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		raised, err := tx.ExecContext(ctx, s.raise, a.owner.Instance, in.id)
		if err != nil {
			return err
		}
		if n, err := raised.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			if _, err := tx.ExecContext(ctx, s.first, in.id, a.owner.Group, a.sink.name, in.origin.Topic, in.origin.TopicID, in.origin.Partition, a.owner.Instance); err != nil {
				return err
			}
		}
		return in.load(ctx, tx, s)
	})
	if err != nil {
		return fmt.Errorf("find out which records of %s/%d were written for: %w", in.origin.Topic, in.origin.Partition, err)
	}
	in.known = true
	return nil
}

// load reads what the database knows of the input.
func (in *input) load(ctx context.Context, tx *sql.Tx, s statements) error {
	var recent string
	if err := tx.QueryRowContext(ctx, s.known, in.id).Scan(&in.epoch, &recent); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, s.rows, in.id)
	if err != nil {
		return err
	}
	defer rows.Close()
	var spans []span
	for rows.Next() {
		var one span
		if err := rows.Scan(&one.first, &one.next); err != nil {
			return err
		}
		spans = append(spans, one)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var done offsets
	if err := done.load(spans, recent); err != nil {
		return err
	}
	done.written()
	in.done = done
	return nil
}

// Stage implements plan.OutsideTask.
func (a *account) Stage(from plan.Origin, offset, cause int64, work []any) {
	in := a.input(from)
	if in.done.has(offset) || in.now.has(offset) {
		return
	}
	in.now.add(offset, offset+1)
	one := &staged{account: a, input: in, offset: offset, cause: cause}
	for _, w := range work {
		one.tasks = append(one.tasks, w.(*task))
	}
	a.staged = append(a.staged, one)
}

// Cover implements plan.OutsideTask.
func (a *account) Cover(from plan.Origin, first, next int64) {
	in := a.input(from)
	in.since = join(in.since, span{first: first, next: next})
}

// join appends a span, to the last one where they touch.
func join(spans []span, s span) []span {
	if n := len(spans); n > 0 && spans[n-1].next == s.first {
		spans[n-1].next = s.next
		return spans
	}
	return append(spans, s)
}

// Keep implements plan.OutsideTask.
func (a *account) Keep() {
	for _, in := range a.inputs {
		for _, s := range in.since {
			in.unsaved = join(in.unsaved, s)
		}
	}
	a.Forget()
}

// Forget implements plan.OutsideTask.
func (a *account) Forget() {
	for _, in := range a.inputs {
		in.since, in.now = in.since[:0], offsets{}
	}
	clear(a.staged)
	a.staged = a.staged[:0]
}
