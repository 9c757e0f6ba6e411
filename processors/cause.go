package processors

import (
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/provenance"
)

// cause is what nodes are called for, and what all that follows from the call is for: effects, a failure, a dead letter.
// Today it is always a record of an input. Whatever is to call nodes besides (a timer, an update of a table, the close of a
// window) differs from a record in what is asked of the cause here: where it stands, its name in what is appended, what
// nodes see of it, and its size.
//
// A worker has one cause and uses it for one try after the other; nothing keeps a pointer to it.
type cause struct {
	in       *input
	record   *kafka.Record
	attempt  int                // the try in work, from 1
	envelope *deadletter.Letter // of a record of a redrive or retry topic, nil where it has none
	copied   *nodes.First       // the record that it is a copy of, nil of others
	node     *nodes.Node        // the node that is called first: to blame for what no node has seen
}

// of makes c the cause of the next record of an input.
func (c *cause) of(in *input, r *kafka.Record) {
	*c = cause{in: in, record: r, attempt: in.attempt + 1, node: in.source.First()}
	if in.redriven {
		if l, err := deadletter.Read(r.Headers); err == nil {
			c.envelope = &l
		}
	}
	if in.source.Stream != nil && in.source.Stream.Replayed {
		if at, ok := provenance.ReplayedFrom(r.Headers); ok {
			c.copied = &nodes.First{Topic: at.Topic, TopicID: at.TopicID, Partition: at.Partition, Offset: at.Offset}
		}
	}
}

// origin names the cause, and the node that emits, in what is appended for it.
func (c *cause) origin(node *nodes.Node) int64 { return origin(c.in, c.record.Offset, node) }

// refusal is what brokers have refused of the cause so far.
func (c *cause) refusal() refusal { return c.in.refused[c.record.Offset] }

// size is what the cause adds to a transaction.
func (c *cause) size() int { return recordOverhead + len(c.record.Key) + len(c.record.Value) }

// recordOverhead is what a record takes in memory besides its key and value.
const recordOverhead = 100

// time is the timestamp, zero where there is none.
func (c *cause) time() time.Time { return timeOf(c.record.Timestamp) }

// describe is what nodes may know of the cause.
func (c *cause) describe() nodes.Record {
	r := nodes.Record{TopicID: c.in.topicID, Record: plan.Record{
		Topic: c.in.tp.Topic, Partition: c.in.tp.Partition, Offset: c.record.Offset, Timestamp: c.time(), Attempt: c.tries(), Headers: c.record.Headers,
	}}
	if c.envelope != nil || c.copied != nil {
		first := c.original()
		r.First = &first
	}
	return r
}

// fields name the cause in the log, together with others.
func (c *cause) fields(more ...zap.Field) []zap.Field {
	return append([]zap.Field{zap.Stringer("input", c.in.tp), zap.Int64("offset", c.record.Offset)}, more...)
}

// noTimestamp is the timestamp of a record that has none.
const noTimestamp = -1

// timeOf is a record's timestamp, zero where it has none.
func timeOf(millis int64) time.Time {
	if millis == noTimestamp {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// step is how a step of a worker has ended: the try of a record, a commit, or the way back after a failure.
type step int8

const (
	stepDone      step = iota // it did what it was for
	stepWait                  // its record has to wait; everything else goes on
	stepAborted               // the transaction is gone: its records are done again from memory
	stepAbandoned             // the transaction is gone, and the sink: the tasks are opened again, from what Kafka holds
	stepStopping              // the task is given up, or the instance stops: nothing more of it is begun
)
