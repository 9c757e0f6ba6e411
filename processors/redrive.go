package processors

import (
	"strconv"

	"go.uber.org/zap"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// A redrive topic is an input of a task beside the one whose dead letters come back through it, and so is a retry topic, where they wait: the
// same nodes read it, in the same transactions. Its headers are facts. What differs is said here.

// redriven gives records of such a topic the time that they had: the topic keeps them by the time at which they were written.
func redriven(records []kafka.Record) {
	for i := range records {
		for _, h := range records[i].Headers {
			if h.Key != deadletter.HeaderTimestamp {
				continue
			}
			if at, err := strconv.ParseInt(string(h.Value), 10, 64); err == nil {
				records[i].Timestamp = at
			}
		}
	}
}

// stranger says that a record of a redrive or retry topic is another topology's. Names are put together with hyphens, so that two topologies can come to
// one topic: orders with the input eu-payment.made.v1, and orders-eu with payment.made.v1. Each works off its own records there.
func (w *worker) stranger(c *cause) bool {
	if c.envelope == nil || c.envelope.Topology == "" || c.envelope.Topology == w.engine.graph.plan.Topology {
		return false
	}
	if in := c.in; !in.reported {
		in.reported = true
		w.engine.log.Warn("another topology has a redrive or retry topic of the same name: its records there are passed over; rename one of the topologies or streams",
			c.fields(zap.String("other", c.envelope.Topology))...)
	}
	return true
}

// original is the record by which effects outside of Kafka are known.
func (c *cause) original() nodes.First {
	if c.copied != nil {
		return *c.copied
	}
	return c.first()
}

// first is where the record was read first: the others of its key are told by that.
func (c *cause) first() nodes.First {
	if c.envelope == nil {
		return nodes.First{Topic: c.in.tp.Topic, TopicID: c.in.topicID, Partition: c.in.tp.Partition, Offset: c.record.Offset}
	}
	l := c.envelope
	f := nodes.First{Topic: l.First.Topic, TopicID: l.FirstTopicID, Partition: l.First.Partition, Offset: l.First.Offset}
	if f.TopicID != "" {
		return f
	}
	for _, in := range c.in.task.inputs {
		if in.tp.Topic == f.Topic {
			f.TopicID = in.topicID
		}
	}
	return f
}

// delays is how often the record was delayed since it was read, or redriven.
func (c *cause) delays() int {
	if c.envelope == nil || c.in.source.Delay == 0 {
		return 0
	}
	return c.envelope.Delays
}

// tries is how often the record was tried since it was read, or redriven, with the try in work.
func (c *cause) tries() int {
	if c.delays() == 0 {
		return c.in.here.tries + c.attempt
	}
	return c.envelope.Attempts + c.attempt
}
