package processors

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/kafka"
)

// form is how much of a record its dead letter holds. The next one is tried when its topic has refused one.
type form int8

const (
	whole form = iota // the record, and why it failed
	// Without the reason, which may be what is too much; and with a timestamp that is not ahead of the broker's clock,
	// which it may refuse (message.timestamp.after.max.ms).
	unexplained
	cutShort // with the reason again, and as much of the value as cutSize leaves
	bare     // the key, and where the record stands
)

// cutSize is the size of a dead letter that is cut: enough to see what it is, and taken by nearly every topic.
const cutSize = 256 << 10

// after is what to try when f was refused. Nothing is cut off for another reason than its size.
func (f form) after(err *kafka.RefusedError) (next form, ok bool) {
	if f == bare || f >= unexplained && len(err.Limits) == 0 {
		return f, false
	}
	return f + 1, true
}

// deadLetter writes a failed record to its dead-letter topic, in the same transaction as everything else, and passes
// it. It returns false when the transaction is gone or the record has to wait.
func (w *worker) deadLetter(ctx context.Context, in *input, r *kafka.Record, f *nodes.Failure) bool {
	topic := f.Node.Decl.DeadLetterFor(in.tp.Topic)
	own := origin(in, r.Offset, f.Node) | originDLQ
	tp := kafka.TopicPartition{Topic: topic, Partition: w.inst.partitionFor(topic, r.Key, in)}
	if len(w.blocks) > 0 && w.held(in, r, &tp) {
		in.letter = f
		return false
	}
	for {
		l := w.letter(in, r, f)
		l.headers = deadletter.Timed(l.headers, r.Timestamp)
		w.out = kafka.Outgoing{
			TopicPartition: tp,
			Timestamp:      l.timestamp, Key: r.Key, Value: l.value, Headers: l.headers, Origin: own,
		}
		err := w.sinkUnder(fault.DeadLettersInTransaction).Append(&w.out)
		if err == nil {
			w.counts[deadLettered]++
			w.bytes += recordOverhead + len(r.Key) + len(l.value)
			if known := in.refused[r.Offset]; known.letter >= cutShort {
				in.cut = append(in.cut, cutLetter{r.Offset, topic, len(r.Value), len(l.value), known.limits})
			}
			in.waiting.Store(nil)
			in.advance()
			w.log.Info("dead letter", zap.Stringer("input", in.tp), zap.Int64("offset", r.Offset),
				zap.String("topic", topic), zap.String("node", f.Name), zap.NamedError("reason", f.Err))
			return true
		}
		var refused *kafka.RefusedError
		if !errors.As(err, &refused) || refused.Origin != own {
			w.aborted(ctx, err)
			return false
		}
		if !in.refuseLetter(r.Offset, refused) {
			// Nothing of the record is in the transaction yet.
			in.beginLetter(r.Offset)
			w.hold(tp, unwritable(in.tp, r.Offset, refused))
			w.untried()
			w.held(in, r, &tp)
			in.letter = f
			return false
		}
	}
}

// letter is what a dead letter has besides its record's key.
type letter struct {
	value     []byte
	headers   []kafka.Header
	timestamp int64
}

// letter is the dead letter of a record in the form that has not been refused yet.
func (w *worker) letter(in *input, r *kafka.Record, f *nodes.Failure) letter {
	explained := func() []kafka.Header {
		return deadletter.Headers(r.Headers, deadletter.Cause{
			Topology: w.inst.graph.plan.Topology,
			Node:     f.Name,
			Topic:    in.tp.Topic, Partition: in.tp.Partition, Offset: r.Offset,
			Attempts: in.attempt + 1,
			Err:      f.Err,
			Stack:    f.Stack,
		})
	}
	form := in.refused[r.Offset].letter
	if form == whole {
		return letter{r.Value, explained(), r.Timestamp}
	}
	timestamp := min(r.Timestamp, time.Now().UnixMilli())
	if form == unexplained {
		return letter{r.Value, deadletter.Minimal(r.Headers, in.tp.Topic, in.tp.Partition, r.Offset), timestamp}
	}
	if form == cutShort {
		headers := deadletter.Cut(explained(), len(r.Value))
		if room := max(0, cutSize-len(r.Key)-sizeOf(headers)); room < len(r.Value) {
			return letter{r.Value[:room], headers, timestamp}
		} // else it is not the value that is too large
	}
	headers := deadletter.Bare(r.Headers, in.tp.Topic, in.tp.Partition, r.Offset)
	return letter{r.Value[:0], deadletter.Cut(headers, len(r.Value)), timestamp}
}

// sizeOf is the size of headers in a record, or a little more.
func sizeOf(headers []kafka.Header) (n int) {
	for _, h := range headers {
		n += len(h.Key) + len(h.Value) + 10 // their lengths
	}
	return n
}

// cutLetter is a dead letter that does not hold the whole record.
type cutLetter struct {
	offset     int64
	topic      string
	size, kept int // bytes of the value
	limits     []string
}

// warnOfCut tells of a dead letter that is committed. Before that it may be done again.
func (w *worker) warnOfCut(in *input, c cutLetter) {
	w.log.Warn("a dead letter was cut, the whole record is only in the input, until its retention: raise "+settings(c.limits, c.topic),
		zap.Stringer("input", in.tp), zap.Int64("offset", c.offset),
		zap.String("topic", c.topic), zap.Int("value_bytes", c.size), zap.Int("kept_bytes", c.kept))
}

// settings names limits with what they are settings of.
func settings(limits []string, topic string) string {
	named := make([]string, len(limits))
	for i, limit := range limits {
		switch named[i] = limit; limit {
		case "max.message.bytes", "segment.bytes":
			named[i] += " of " + topic
		}
	}
	return strings.Join(named, " and ")
}
