package kafka

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// A reader that has stood still for StillFirst is looked into, and again after each StillAgain.
const (
	StillFirst = 5 * time.Second
	StillAgain = time.Minute
)

// stillReader is a Reader that can say why a scan stands still.
type stillReader interface {
	standsStill(ctx context.Context, tp TopicPartition, position, end int64)
}

// Wait is a scan that stands still, because a transaction is open: committed records are read up to its first offset.
type Wait struct {
	OpenTransaction
	Position, End int64 // how far the partition was read, and up to where it is to be
}

// abortedLate is how long after its timeout brokers may abort a transaction (transaction.abort.timed.out.transaction.cleanup.interval.ms).
const abortedLate = 10 * time.Second

// Text says what is waited for, and what a person can do, on a cluster that is reached by the config.
func (w Wait) Text(c Config) string {
	text := fmt.Sprintf("%s is read up to offset %d of %d, and the rest waits for %s: ", w.TopicPartition, w.Position, w.End, w.OpenTransaction)
	switch {
	case w.Hanging:
		return text + "abort it: " + w.AbortCommand(c)
	case w.Timeout > 0:
		text += fmt.Sprintf("wait, since the brokers abort it at %s at the latest; or ", w.Began.Add(w.Timeout+abortedLate).UTC().Format(time.RFC3339))
	}
	return text + "end its producer, or abort it: " + w.AbortCommand(c)
}

// OnWait has f called, from the goroutine of a Scan, when the scan has stood still for 5 s because of an open transaction, and each minute after
// that. Call it before anything is read. Without it a warning is logged.
func (c *Client) OnWait(f func(Wait)) { c.waits = f }

// standsStill implements stillReader.
func (f *Fetcher) standsStill(ctx context.Context, tp TopicPartition, position, end int64) {
	f.client.StandsStill(ctx, tp, position, end)
}

// StandsStill has it said where a reader of committed records stands still at a position of a partition because of an open transaction: see OnWait. A Scan calls it by itself.
// What keeps a leader from answering at all is the fetcher's to log.
func (c *Client) StandsStill(ctx context.Context, tp TopicPartition, position, end int64) {
	ctx, cancel := context.WithTimeout(ctx, StillFirst)
	defer cancel()
	open, err := c.OpenTransactions(ctx, []TopicPartition{tp})
	t, ok := open[tp]
	switch {
	case err != nil:
		c.log.Debug("could not ask for open transactions", zap.Stringer("partition", tp), zap.Error(err))
	case !ok:
	case c.waits != nil:
		c.waits(Wait{t, position, end})
	default:
		c.log.Warn("a reader of committed records waits for an open transaction", zap.String("wait", Wait{t, position, end}.Text(c.cfg)))
	}
}
