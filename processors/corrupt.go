package processors

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// damagedRetry is how long an input that stopped at a damaged batch waits before it is read again: a broker's disk may have
// been repaired, or retention may have removed the batch.
const damagedRetry = time.Minute

// damagedPrefix is how much of a damaged batch its dead letter holds: enough for its header and a look.
const damagedPrefix = 1 << 10

// spoilt is the damaged batch that an input passed over last. It is kept, since its dead letter may have to be written again.
type spoilt struct {
	offset int64
	why    error
	size   int // bytes that it decompressed to
	sum    [sha256.Size]byte
}

// damaged is the failure of a batch that is passed over.
func damaged(c *cause) *nodes.Failure {
	in, r := c.in, c.record
	text := fmt.Sprintf("a batch of %s is damaged in the log and was passed over, as on.corrupt.batch=skip wants it: offsets %d to %d", in.tp, r.Offset, r.Excess.Last)
	if s := in.spoilt; s != nil && s.offset == r.Offset {
		text = fmt.Sprintf("%s: %v; it decompresses to %d bytes with SHA-256 %x, the value has the first %d", text, s.why, s.size, s.sum, len(r.Value))
	}
	return &nodes.Failure{Node: c.node, Name: c.node.Decl.Name, Reason: nodes.Damaged, Err: &DamagedError{text}, Text: text}
}

// corrupt deals with an input whose next batch is damaged in the log itself. What was read before is processed already.
func (w *worker) corrupt(in *input, err *kafka.CorruptBatchError) {
	if w.engine.opts.CorruptBatch == CorruptSkip {
		w.engine.metrics.gap(in.tp, err.Next-err.Offset)
		w.log.Error("a batch of an input is damaged: it becomes a dead letter, and reading continues after it", zap.Stringer("input", in.tp),
			zap.Int64("offset", err.Offset), zap.Int64("next", err.Next), zap.Error(err))
		in.push(kafka.Batch{TopicPartition: in.tp, Position: err.Next, LeaderEpoch: -1, TopicID: in.topicID, Records: []kafka.Record{{
			Offset: err.Offset, Timestamp: -1, Value: bytes.Clone(err.Bytes[:min(len(err.Bytes), damagedPrefix)]), // of what may be much more
			Excess: &kafka.Excess{Limit: kafka.OnCorruptBatch, Size: int64(len(err.Bytes)), Last: err.Next - 1, Records: int(err.Next - err.Offset)},
		}}})
		in.spoilt = &spoilt{offset: err.Offset, why: err.Err, size: len(err.Bytes), sum: sha256.Sum256(err.Bytes)}
		w.tasks.fetch(in, kafka.Position{Offset: err.Next, LeaderEpoch: -1, TopicID: in.topicID})
		return
	}
	if w.tasks.stand(in, atDamage, &waiting{
		attempt: 1, offset: err.Offset, err: err,
		remedy: "repair the log of " + in.tp.String() + " on its brokers, or start with on.corrupt.batch=skip to continue after the batch",
	}, damagedRetry) {
		w.log.Error("a batch of an input is damaged, its partition stops", zap.Stringer("input", in.tp),
			zap.Int64("offset", err.Offset), zap.Int64("next", err.Next), zap.Error(err))
	}
}
