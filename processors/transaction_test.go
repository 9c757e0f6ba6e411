package processors

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// fakeEnv is what a transaction has around it in a test: it writes down the calls, in order, and fails the one that is named.
type fakeEnv struct {
	Sink
	Fetcher
	calls []string
	fails string
}

var errFake = errors.New("made to fail")

func (e *fakeEnv) call(name string) error {
	e.calls = append(e.calls, name)
	if name == e.fails {
		return errFake
	}
	return nil
}

func (e *fakeEnv) Flush(context.Context) error            { return e.call("flush") }
func (e *fakeEnv) Commit(context.Context) error           { return e.call("end") }
func (e *fakeEnv) Abort(context.Context) error            { return e.call("abort") }
func (e *fakeEnv) Throttled() time.Duration               { return 0 }
func (e *fakeEnv) Release(kafka.TopicPartition, int)      { e.calls = append(e.calls, "release") }
func (e *fakeEnv) End(kafka.TopicPartition) int64         { return -1 }
func (e *fakeEnv) LeaderEpoch(kafka.TopicPartition) int32 { return -1 }
func (e *fakeEnv) Close() error                           { return nil }
func (e *fakeEnv) commit(_ context.Context, _ Sink, positions map[kafka.TopicPartition]kafka.CommittedOffset) error {
	for _, p := range positions {
		if p.Offset != 6 {
			return errors.New("another position")
		}
	}
	return e.call("offsets")
}

// transactionOf is a transaction over a fake environment, with a task of two inputs. The first one has a record, at offset 5.
func transactionOf(t *testing.T, e *fakeEnv, g Guarantee) (*transaction, *input) {
	one := taskOfTwo(t)
	ts := &tasks{list: []*task{one}, env: tasksEnv{inputs: e}}
	now := time.Now()
	for _, in := range one.inputs {
		in.begin(kafka.Position{Offset: 5}, now)
	}
	one.inputs[0].push(kafka.Batch{Position: 6, Bytes: 100, Records: []kafka.Record{{Offset: 5, Key: []byte("k"), Value: []byte("v")}}})
	tx := &transaction{sink: e, pace: pace{1000, 1000}, env: transactionEnv{
		log: zap.NewNop(), guarantee: g, interval: time.Second, tasks: ts, blocks: &blocks{log: zap.NewNop(), tasks: ts}, positions: e,
		ended:     func(*transaction) { e.calls = append(e.calls, "ended") },
		committed: func(commitStats) { e.calls = append(e.calls, "committed") },
	}}
	return tx, one.inputs[0]
}

// done ends the next record of an input.
func (tx *transaction) done(in *input, now time.Time) {
	var c cause
	c.of(in, in.head())
	tx.begin(now)
	tx.took(&c, processed, 1, c.size(), nil)
	in.advance()
}

// TestATransactionEndsInItsOrder: nothing comes before what has to be there first, and after a call that failed comes none;
// then the transaction is as it was, to be aborted.
//
// Mutation tried: the offsets before the flush, with each guarantee; the inputs forgotten before the end.
func TestATransactionEndsInItsOrder(t *testing.T) {
	for guarantee, order := range map[Guarantee][]string{
		ExactlyOnce: {"flush", "offsets", "end", "release", "ended", "committed"},
		AtLeastOnce: {"flush", "flush", "offsets", "release", "ended", "committed"},
	} {
		for _, fails := range []string{"", "flush", "offsets", "end"} {
			e := &fakeEnv{fails: fails}
			tx, in := transactionOf(t, e, guarantee)
			tx.done(in, time.Now())
			err := tx.commit(t.Context())
			want := order
			if at := slices.Index(order, fails); at >= 0 {
				want = order[:at+1]
			}
			if !slices.Equal(e.calls, want) || (err != nil) != (len(want) < len(order)) || err != nil && !errors.Is(err, errFake) {
				t.Errorf("%s, %q fails: %v (%v), want %v", guarantee, fails, e.calls, err, want)
			}
			committed := err == nil
			if in.dirty() == committed || tx.open == committed || tx.records() == 0 != committed || in.next.Load() != map[bool]int64{true: 6, false: 5}[committed] {
				t.Errorf("%s, %q fails: dirty %v, open %v with %d records", guarantee, fails, in.dirty(), tx.open, tx.records())
			}
			outside := guarantee == AtLeastOnce && fails == "offsets"
			if errors.Is(err, errOutside) != outside {
				t.Errorf("%s, %q fails: %v", guarantee, fails, err)
			}
		}
	}
}

// TestAnAbortedTransactionIsDoneAgain: its records are the next ones, and none of them counts. Where the abort fails,
// nothing was done.
//
// Mutation tried: abort that clears before it has aborted; abort without rewind; clear that leaves the counts.
func TestAnAbortedTransactionIsDoneAgain(t *testing.T) {
	for _, fails := range []string{"", "abort"} {
		e := &fakeEnv{fails: fails}
		tx, in := transactionOf(t, e, ExactlyOnce)
		tx.done(in, time.Now())
		err := tx.abort(t.Context())
		if whole := tx.open && tx.records() == 1 && in.dirty(); whole != (fails != "") {
			t.Errorf("%q fails: open %v, %d records", fails, tx.open, tx.records())
		}
		if again := in.head() != nil && !in.dirty() && !tx.begun() && tx.records() == 0 && tx.size() == 0; again != (fails == "") || (err == nil) != again {
			t.Errorf("%q fails: %v; dirty %v, open %v, %d records", fails, err, in.dirty(), tx.open, tx.records())
		}
	}
}

// TestATransactionIsCommittedWhenItIsDue, and not before.
//
// Mutation tried: each condition of due and full taken out.
func TestATransactionIsCommittedWhenItIsDue(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		change      func(tx *transaction, in *input)
		soon, later bool // a moment after its beginning, and after the interval
	}{
		"nothing was done":                  {change: func(*transaction, *input) {}},
		"a record":                          {change: func(tx *transaction, in *input) { tx.done(in, now) }, later: true},
		"a position":                        {change: func(tx *transaction, in *input) { in.position++ }, later: true},
		"an input's first commit":           {change: func(tx *transaction, in *input) { in.unmarked = true }, soon: true, later: true},
		"a record alone":                    {change: func(tx *transaction, in *input) { tx.done(in, now); tx.cautious = 1 }, soon: true, later: true},
		"as large as it may be":             {change: func(tx *transaction, in *input) { tx.done(in, now); tx.pace.limit = tx.bytes }, soon: true, later: true},
		"not quite":                         {change: func(tx *transaction, in *input) { tx.done(in, now); tx.pace.limit = tx.bytes + 1 }, later: true},
		"before and after a block is tried": {change: func(tx *transaction, in *input) { tx.done(in, now); tx.env.blocks.probe = in }, soon: true, later: true},
	} {
		tx, in := transactionOf(t, &fakeEnv{}, ExactlyOnce)
		tc.change(tx, in)
		if soon, later := tx.due(now), tx.due(now.Add(time.Second)); soon != tc.soon || later != tc.later {
			t.Errorf("%s: due %v, then %v", name, soon, later)
		}
	}
}
