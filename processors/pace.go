package processors

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/plan"
)

// pace is how large a transaction may become. As a rule that is commit-bytes. A cluster that takes less in a transaction's time
// than that, because of a quota or because it is slow, would refuse the same transaction again and again: it is given up when a
// batch is not acknowledged in time, and done again at the same size. So a transaction that failed is followed by smaller
// ones, by the smallest when a quota was the cause, and those that brokers throttle are kept to what they take in paceTarget.
// It grows again when nothing holds it up.
type pace struct {
	most, limit int
}

const (
	paceTarget = 2 * time.Second // well under the 8s after which a batch is given up by default
	paceLeast  = 16 << 10
)

// committed takes the measure of a transaction that was committed: its size, how long it was open, and how long brokers
// have made it wait because of a quota.
func (p *pace) committed(size int, took, throttled time.Duration) {
	switch {
	case took > paceTarget && throttled > 0:
		p.set(int(float64(min(size, p.limit)) * max(0.25, float64(paceTarget)/float64(took))))
	case took < paceTarget/2:
		p.set(2 * p.limit)
	}
}

// failed takes the size of a transaction that could not be delivered in time, and how long brokers made it wait because of a
// quota. What a quota lets through may be any part of a transaction, so the next one begins at the least: each failure
// costs all of delivery.timeout.ms, and growing again costs little.
func (p *pace) failed(size int, throttled time.Duration) {
	if throttled > 0 {
		p.set(paceLeast)
		return
	}
	p.set(min(size, p.limit) / 4)
}

func (p *pace) set(limit int) { p.limit = min(p.most, max(limit, paceLeast)) }

// paced takes the measure of a commit.
func (tx *transaction) paced(size int, took time.Duration) {
	throttled := tx.sink.Throttled()
	tx.pace.committed(size, took, throttled-tx.throttled)
	tx.notePace(throttled - tx.throttled)
	tx.throttled = throttled
}

// slower takes the measure of a transaction that failed with err. What a system outside of Kafka refuses is no matter of its size, unless it took too
// long.
func (tx *transaction) slower(err error) {
	throttled := tx.sink.Throttled() - tx.throttled
	if failed, ok := errors.AsType[*outsideFailed](err); ok {
		if !errors.Is(err, plan.ErrOutsideSlow) {
			return
		}
		tx.pace.failed(tx.size(), 0)
		if tx.slow = tx.pace.limit < tx.pace.most; tx.slow {
			tx.env.log.Warn("a transaction takes too long outside of Kafka: transactions are made smaller", zap.String("outside", failed.outside.Kind+" "+failed.outside.Name),
				zap.Int("bytes", tx.pace.limit))
		}
		return
	}
	tx.pace.failed(tx.size(), throttled)
	tx.notePace(throttled)
}

// notePace says when transactions become smaller than they may be, and when that is over.
func (tx *transaction) notePace(throttled time.Duration) {
	slow := tx.pace.limit < tx.pace.most
	if slow == tx.slow {
		return
	}
	tx.slow = slow
	if slow {
		tx.env.log.Warn("brokers take less than is processed: transactions are made smaller. Raise the client's quota (producer_byte_rate), or have more or faster brokers",
			zap.Int("bytes", tx.pace.limit), zap.Duration("throttled", throttled))
	} else {
		tx.env.log.Info("transactions have their full size again")
	}
}
