package processors

import (
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/kafka"
)

// damagedRetry is how long an input that stopped at a damaged batch waits before it is read again: a broker's disk may have
// been repaired, or retention may have removed the batch.
const damagedRetry = time.Minute

// corrupt deals with an input whose next batch is damaged in the log itself. What was read before is processed already.
func (w *worker) corrupt(in *input, err *kafka.CorruptBatchError) {
	if w.inst.opts.CorruptBatch == CorruptSkip {
		w.inst.metrics.gap(in.tp, err.Next-err.Offset)
		w.log.Error("a batch of an input is damaged, reading continues after it", zap.Stringer("input", in.tp),
			zap.Int64("offset", err.Offset), zap.Int64("next", err.Next), zap.Error(err))
		w.moveTo(in, err.Next)
		return
	}
	if w.stand(in, atDamage, &waiting{
		attempt: 1, offset: err.Offset, err: err,
		remedy: "repair the log of " + in.tp.String() + " on its brokers, or start with on.corrupt.batch=skip to continue after the batch",
	}, damagedRetry) {
		w.log.Error("a batch of an input is damaged, its partition stops", zap.Stringer("input", in.tp),
			zap.Int64("offset", err.Offset), zap.Int64("next", err.Next), zap.Error(err))
	}
}
