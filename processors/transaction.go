package processors

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
)

// transaction is what a worker has done since its last commit. With AtLeastOnce it is no transaction of Kafka's, but what lies
// between two commits of offsets. It begins with the first record, or the first position, after a commit, and ends by
// commit (commit.go), which forgets the inputs, or by abort, which does them again. What follows from an error of
// either is the worker's to decide (abort.go).
type transaction struct {
	env  transactionEnv
	sink Sink // nil while the worker has none

	open    bool // something was processed since the last commit
	since   time.Time
	bytes   int // of the records that have ended in it
	counts  [outcomes]int64
	letters letterNotes
	retries int64
	delayed int64                                          // records that wait in a retry topic now
	aside   int64                                          // records that have not ended: these, and those that are parked
	report  *report                                        // for hooks, nil without them
	unknown bool                                           // whether it was committed is not known
	sent    map[kafka.TopicPartition]kafka.CommittedOffset // the positions that it is committed with
	tally   map[kafka.TopicPartition]*ReplayCounts         // of a replay, nil without one

	cautious  int // so many transactions of one record are to come: see worker.abandon
	pace      pace
	slow      bool           // the pace is less than it may be, and was reported
	throttled time.Duration  // of the sink, as of the last commit
	out       kafka.Outgoing // reused: the sink copies it
}

// transactionEnv is all that a transaction needs of what is around it.
type transactionEnv struct {
	log       *zap.Logger
	guarantee Guarantee
	interval  time.Duration // how long a transaction is open before it is committed
	tasks     *tasks        // whose inputs and stores it is of
	blocks    *blocks
	positions ledger             // where the positions of the inputs are committed
	again     *again             // the replay, if it is one
	owner     offsets.Owner      // whose the state is
	ended     func(*transaction) // what it holds is committed, and about to be forgotten
	committed func(commitStats)  // everything of the commit is done
	inside    bool               // nothing is written outside of Kafka
	outsider  func() plan.Owner  // who writes there
}

// ledger is where the positions of inputs are committed.
type ledger interface {
	// commit adds positions to the sink's transaction; without transactions it commits them at once. The error has a kafka.Class.
	commit(ctx context.Context, s Sink, positions map[kafka.TopicPartition]kafka.CommittedOffset) error
}

// commitStats describes a commit.
type commitStats struct {
	records int64
	bytes   int
	took    time.Duration
}

// begun says whether there is something to commit.
func (tx *transaction) begun() bool { return tx.open || tx.env.tasks.dirty() }

// begin opens it, if it is not open.
func (tx *transaction) begin(now time.Time) {
	if !tx.open {
		tx.open, tx.since = true, now
	}
}

// took counts a cause that has ended in it, of whatever size.
func (tx *transaction) took(c *cause, o outcome, records int64, bytes int, letter *letterNote) {
	tx.counts[o] += records
	tx.bytes += bytes
	if letter != nil {
		tx.letters.add(*letter)
	}
	if tx.report != nil {
		tx.report.end(c, o, letter)
	}
	if t := tx.tallied(c); t != nil {
		t.count(c.record, o, records)
	}
}

// due says whether it is to be committed now.
func (tx *transaction) due(now time.Time) bool {
	if !tx.open {
		if !tx.env.tasks.dirty() && !tx.env.blocks.trySending(now) {
			return false
		}
		tx.begin(now) // only positions moved, past control records
		return tx.env.tasks.urgent()
	}
	if tx.env.blocks.probe != nil && tx.env.tasks.dirty() {
		return true // before the try, and after it
	}
	return tx.cautious > 0 || tx.env.tasks.urgent() || tx.full(now)
}

// full says whether it has been open for long enough, or has become large enough, to be committed.
func (tx *transaction) full(now time.Time) bool {
	return now.Sub(tx.since) >= tx.env.interval || tx.bytes >= tx.pace.limit || tx.size() >= tx.pace.limit
}

// size is the size of the transaction: inputs and pending changes.
func (tx *transaction) size() int { return tx.bytes + tx.env.tasks.pending() }

// records is how many records have ended in it.
func (tx *transaction) records() (n int64) {
	for _, count := range tx.counts {
		n += count
	}
	return n + tx.aside
}

// abort gives it up and takes the tasks back to the last commit, in memory. After an error nothing of that was done.
func (tx *transaction) abort(ctx context.Context) error {
	if err := tx.sink.Abort(ctx); err != nil {
		return err
	}
	tx.env.tasks.rewind()
	tx.clear()
	return nil
}

// clear makes room for the next one.
func (tx *transaction) clear() {
	tx.open, tx.bytes, tx.retries, tx.unknown, tx.sent = false, 0, 0, false, nil
	tx.delayed, tx.aside = 0, 0
	clear(tx.counts[:])
	clear(tx.tally)
	tx.letters.clear()
	tx.report.clear()
	tx.env.blocks.untried()
}
