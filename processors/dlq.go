package processors

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// form is how much of a record its dead letter holds. The next one is tried when its topic has refused one.
type form int8

const (
	whole form = iota // the record, and why it failed
	// Without the stack trace and with the beginning of the message, which may be what is too much; from here on with a timestamp that the broker
	// does not refuse (see message.timestamp.after.max.ms and message.timestamp.before.max.ms).
	named
	unexplained // without the names of what failed, too: a record that is whole can be processed again
	cutShort    // with the reason again, and as much of the value as cutSize leaves
	bare        // the key, where the record stands, and the names of what failed
	last        // bare with the hash of the key in its place: some hundred bytes
)

// cutSize is the size of a dead letter that is cut: enough to see what it is, and taken by nearly every topic.
const cutSize = 256 << 10

// after is what to try when f was refused. Nothing is cut off for another reason than its size, until nothing else is left.
func (f form) after(err *kafka.RefusedError) (next form, ok bool) {
	switch {
	case f == last:
		return f, false
	case f > whole && len(err.Limits) == 0:
		return last, true
	}
	return f + 1, true
}

// deadLetter writes a failed record to its dead-letter topic, or to where it waits to be tried again, in the same transaction as
// everything else, and passes it.
func (w *worker) deadLetter(ctx context.Context, c *cause, f *nodes.Failure) step {
	in, r, p := c.in, c.record, c.in.task.parking
	own := c.origin(f.Node) | originDLQ
	if w.engine.again.unlettered(in.tp, r) {
		w.setAside(c)
		w.tx.took(c, deadLettered, records(r), recordOverhead, nil)
		w.resumed(c, false)
		in.waiting.Store(nil)
		in.advance()
		return stepDone
	}
	for {
		to, err := w.exitOf(c, f)
		if err != nil {
			w.failTask(in.task, err)
			return stepAborted
		}
		leads := []kafka.TopicPartition{to.at}
		if p != nil && (p.any || to.parks) {
			leads = append(leads, p.changelog)
		}
		if w.blocks.any() && w.held(c, leads...) {
			in.letter = f
			return stepWait
		}
		l := w.letter(c, f, to)
		w.out = kafka.Outgoing{
			TopicPartition: to.at,
			Timestamp:      l.timestamp, Key: l.key, Value: l.value, Headers: l.headers, Origin: own,
		}
		if err := w.tx.sink.Append(&w.out); err != nil {
			var refused *kafka.RefusedError
			if !errors.As(err, &refused) || refused.Origin != own {
				return w.aborted(ctx, err)
			}
			if !in.refuseLetter(r.Offset, refused) {
				// Nothing of the record is in the transaction yet.
				in.beginLetter(r.Offset)
				w.blocks.hold(to.at, unwritable(in.tp, r.Offset, refused))
				w.blocks.untried()
				w.held(c, to.at)
				in.letter = f
				return stepWait
			}
			continue
		}
		if p != nil {
			if err := p.failed(c, f, to.parks, to.delay > 0, time.Now().UnixMilli()); err != nil {
				w.failTask(in.task, err)
				return stepAborted
			}
		}
		if to.delay > 0 {
			w.delayed(c, f, to.delay)
			w.aside(c)
			return stepDone
		}
		in.task.keep()
		note := w.told(c, f, l)
		w.tx.took(c, deadLettered, records(r), recordOverhead+len(l.key)+len(l.value), &note)
		if w.tx.tally != nil {
			w.tx.tallyOf(in.tp).Effects++
		}
		w.resumed(c, false)
		in.waiting.Store(nil)
		w.setAside(c)
		in.advance()
		return stepDone
	}
}

// records is how many records of the input a record stands for.
func records(r *kafka.Record) int64 {
	if r.Excess != nil {
		return int64(max(1, r.Excess.Records))
	}
	return 1
}

// letter is a dead letter.
type letter struct {
	form       form
	key, value []byte
	headers    []kafka.Header
	timestamp  int64
}

// letter is the dead letter of a record in the form that has not been refused yet.
func (w *worker) letter(c *cause, f *nodes.Failure, to exit) letter {
	in, r, known := c.in, c.record, c.refusal()
	why := deadletter.Cause{
		Topology: w.engine.graph.plan.Topology,
		Group:    w.engine.graph.plan.Group(),
		At:       time.Now().UnixMilli(),
		Node:     f.Name,
		Topic:    in.tp.Topic, TopicID: in.topicID, Partition: in.tp.Partition, Offset: r.Offset,
		Attempts: c.tries(),
		Reason:   string(f.Reason),
		Err:      f.Err,
		Stack:    f.Stack,
		Excess:   r.Excess,
		Letters:  w.engine.letters[in.tp.Topic],
		Copies:   c.copied != nil,
	}
	if c.delays() > 0 { // it stood in the retry topic for nobody but us
		at := c.envelope.Position
		why.Topic, why.TopicID, why.Partition, why.Offset = at.Topic, c.envelope.TopicID, at.Partition, at.Offset
	}
	l := letter{form: known.letter, key: r.Key, value: r.Value, timestamp: r.Timestamp}
	switch now := time.Now().UnixMilli(); {
	case known.odd, to.delay > 0: // a retry topic keeps it from now on, whatever its timestamps are; its own time is in a header
		l.timestamp = now
	case l.form > whole:
		l.timestamp = min(r.Timestamp, now)
	}
	if l.form == cutShort {
		l.headers = deadletter.Cut(deadletter.Headers(r.Headers, why), len(r.Value))
		if room := max(0, cutSize-len(r.Key)-sizeOf(l.headers)); room < len(r.Value) {
			l.value = r.Value[:room]
		} else { // it is not the value that is too large
			l.form = bare
		}
	}
	switch l.form {
	case whole:
		l.headers = deadletter.Headers(r.Headers, why)
	case named:
		l.headers = deadletter.Named(r.Headers, why)
	case unexplained:
		l.headers = deadletter.Minimal(r.Headers, why)
	case bare:
		l.value, l.headers = r.Value[:0], deadletter.Cut(deadletter.Bare(r.Headers, why), len(r.Value))
	case last:
		l.key, l.value, l.headers = nil, r.Value[:0], deadletter.Cut(deadletter.Last(r.Headers, why, r.Key), len(r.Value))
	}
	if r.Timestamp >= 0 {
		l.headers = deadletter.Timed(l.headers, r.Timestamp)
	}
	switch {
	case to.delay > 0:
		l.headers = deadletter.Delayed(l.headers, c.delays()+1, time.Now().Add(to.delay).UnixMilli())
	case to.parks:
		l.headers = deadletter.Parks(l.headers, in.task.parking.changelog.Topic)
	}
	return l
}

// sizeOf is the size of headers in a record, or a little more.
func sizeOf(headers []kafka.Header) (n int) {
	for _, h := range headers {
		n += len(h.Key) + len(h.Value) + 10 // their lengths
	}
	return n
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
