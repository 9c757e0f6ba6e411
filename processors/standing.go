package processors

import (
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// standing is why an input is not read at the moment, or nothing of it worked on. Only that partition stops: the task's
// other inputs and all other partitions go on. After a while it is read again, but for atFatal.
type standing int8

const (
	atNothing standing = iota
	atDamage           // the next batch is damaged: see corrupt
	atDenial           // the cluster does not let this principal read it
	atFatal            // a node ended the instance with its next record: nothing more of it is begun
)

// stand stops an input, or notes one more try of one that stands already. It returns whether it is the first.
func (ts *tasks) stand(in *input, at standing, why *waiting, wait time.Duration) (first bool) {
	now := time.Now()
	why.blocked, why.since, why.until = true, now, now.Add(wait)
	first = in.stands != at
	if before := in.waiting.Load(); !first && before != nil {
		why.since = before.since
	}
	in.stands, in.heldUntil = at, why.until
	in.waiting.Store(why)
	return first
}

// standsStill says whether an input stands. When its time has come it is read again.
func (ts *tasks) standsStill(in *input, now time.Time) bool {
	if in.heldUntil.IsZero() {
		return in.stands == atFatal
	}
	if !now.Before(in.heldUntil) {
		in.heldUntil = time.Time{}
		ts.fetch(in, kafka.Position{Offset: in.position, LeaderEpoch: in.leader, TopicID: in.topicID})
	}
	return true
}

// unreadable has an input wait that the cluster does not let this principal read.
func (ts *tasks) unreadable(in *input, err *kafka.BlockedError) {
	attempt := 1
	if before := in.waiting.Load(); in.stands == atDenial && before != nil {
		attempt = before.attempt + 1
	}
	wait := blockWait.Wait(attempt - 1)
	if ts.stand(in, atDenial, &waiting{attempt: attempt, offset: in.position, err: err, remedy: err.Remedy}, wait) {
		ts.env.log.Error("the cluster does not let an input be read: its partition waits, and goes on when it is mended",
			zap.Stringer("input", in.tp), zap.Int64("offset", in.position), zap.Error(err), zap.String("remedy", err.Remedy))
	}
}
