package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/kafka"
)

// deadLetter writes a failed record to its dead-letter topic, in the same transaction as everything else, and passes
// it. It returns false when the transaction is gone or the record has to wait.
func (w *worker) deadLetter(ctx context.Context, in *input, r *kafka.Record, f *nodeError) bool {
	topic := f.node.decl.DeadLetterFor(in.tp.Topic)
	own := origin(in, r.Offset) | originDLQ
	for _, e := range w.envelopes(in, r, f) {
		w.out = kafka.Outgoing{
			TopicPartition: kafka.TopicPartition{Topic: topic, Partition: w.inst.partitionFor(topic, r.Key, in)},
			Timestamp:      e.timestamp, Key: r.Key, Value: r.Value, Headers: e.headers, Origin: own,
		}
		err := w.sinkUnder(fault.DeadLettersInTransaction).Append(&w.out)
		if err == nil {
			w.counts[deadLettered]++
			w.bytes += recordOverhead + len(r.Key) + len(r.Value)
			in.waiting.Store(nil)
			in.advance()
			w.log.Info("dead letter", zap.Stringer("input", in.tp), zap.Int64("offset", r.Offset),
				zap.String("topic", topic), zap.String("node", f.node.decl.Name), zap.NamedError("reason", f.err))
			return true
		}
		var refused *kafka.RefusedError
		if !errors.As(err, &refused) || refused.Origin != own {
			w.aborted(ctx, err)
			return false
		}
	}
	in.retryAt = time.Now().Add(time.Hour) // the instance stops; nothing more of this input
	w.inst.fail(fmt.Errorf("%s offset %d failed (%w), and %s does not take its dead letter: raise max.message.bytes of "+
		"that topic or max.request.size and start again; nothing is lost", in.tp, r.Offset, f.err, topic))
	return false
}

// envelope is what a dead letter has besides the key and value of its record.
type envelope struct {
	headers   []kafka.Header
	timestamp int64
}

// envelopes are those to try, in order. A topic may refuse the first for its size, because of the reason, or for the
// record's timestamp, when it lies ahead of the broker's clock (message.timestamp.after.max.ms): the second has neither.
func (w *worker) envelopes(in *input, r *kafka.Record, f *nodeError) []envelope {
	least := envelope{
		headers:   deadletter.Minimal(r.Headers, in.tp.Topic, in.tp.Partition, r.Offset),
		timestamp: min(r.Timestamp, time.Now().UnixMilli()),
	}
	if in.refused[r.Offset].letter {
		return []envelope{least}
	}
	return []envelope{{
		headers: deadletter.Headers(r.Headers, deadletter.Cause{
			Topology: w.inst.graph.plan.Topology,
			Node:     f.node.decl.Name,
			Topic:    in.tp.Topic, Partition: in.tp.Partition, Offset: r.Offset,
			Attempts: in.attempt + 1,
			Err:      f.err,
			Stack:    f.stack,
		}),
		timestamp: r.Timestamp,
	}, least}
}
