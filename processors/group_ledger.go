package processors

import (
	"context"
	"errors"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// groupLedger commits positions as the offsets of a consumer group, in the name of its member.
type groupLedger struct {
	name  string
	group func() Group
}

// commit implements ledger.
//
// A rebalance may raise the generation at any moment. The partitions of this worker are still its own then: they are
// taken away only by Revoked, which waits for this goroutine. So the newer generation is waited for and used.
func (l groupLedger) commit(ctx context.Context, s Sink, positions map[kafka.TopicPartition]kafka.CommittedOffset) error {
	op, group := "commit offsets of "+l.name, l.group()
	deadline := time.NewTimer(staleGenerationWait)
	defer deadline.Stop()
	for {
		changed := group.Changed()
		m, ok := group.Member()
		if !ok {
			return &kafka.Error{Class: kafka.Abortable, Op: op, Err: errors.New("this instance is not in the group at the moment")}
		}
		err := s.Offsets(ctx, m, positions)
		if !errors.Is(err, kafka.ErrStaleGeneration) {
			return err
		}
		if now, ok := group.Member(); ok && now == m {
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
