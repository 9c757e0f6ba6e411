package kafka

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"
)

// cleanup is what is known of a topic's cleanup.policy.
type cleanup struct {
	compacts bool
	until    time.Time // asked again then
}

const cleanupKept = time.Minute

var errNoBatch = errors.New("the broker sends no batch, though the log goes on: a batch's length is damaged, or remote storage did not answer")

// mayLack says whether a partition may have no batch from the cursor's position to its end, although offsets were given out up to
// there (end): compaction leaves such gaps. Anywhere else it is damage, which the broker itself does not see: it takes a batch with a
// length that cannot be for the end of its file. When the topic's policy is not known, it is asked for, and the partition is read again
// afterwards.
func (r *reader) mayLack(c *cursor, end int64) bool {
	f := r.fetcher
	f.mu.Lock()
	known, ok := f.cleanups[c.Topic]
	f.mu.Unlock()
	switch {
	case !ok || !time.Now().Before(known.until):
		r.leave(c, f.lookUpCleanup)
		return false
	case !known.compacts:
		r.damaged(c, errNoBatch, end, nil)
	}
	return known.compacts
}

// lookUpCleanup asks for the policy of a cursor's topic, and has the cursor read on.
func (f *Fetcher) lookUpCleanup(c *cursor) {
	ctx, cancel := context.WithTimeout(f.ctx, f.client.cfg.RequestTimeout)
	defer cancel()
	infos, err := f.client.Topics(ctx, []string{c.Topic})
	if err != nil {
		f.retry(c, err)
		return
	}
	// A policy that is hidden from us is taken for that of compaction: nothing is stopped for what cannot be known.
	policy, stated := infos[c.Topic].Config["cleanup.policy"]
	known := cleanup{compacts: !stated || strings.Contains(policy, "compact"), until: time.Now().Add(cleanupKept)}
	f.mu.Lock()
	f.cleanups[c.Topic] = known
	f.mu.Unlock()
	if known.compacts {
		f.log.Warn("a partition has no batch up to its end, reading continues there: compaction leaves such a gap, and so does damage",
			zap.Stringer("partition", c.TopicPartition), zap.Int64("position", c.position))
	}
	f.resume(c)
}
