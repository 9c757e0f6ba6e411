package processors

import (
	"strconv"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// A redrive topic is an input of a task beside the one whose dead letters come back through it: the same nodes read it, in the same
// transactions. Its headers are facts. What differs is said here.

// redriven gives records of a redrive topic the time that they had: the topic keeps them by the time at which they were redriven.
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

// first is where a record of a redrive topic was read first, nil where it does not say. Its effects outside of Kafka are told by that.
func (c *cause) first() *nodes.First {
	if !c.in.redriven {
		return nil
	}
	l, err := deadletter.Read(c.record.Headers)
	if err != nil {
		return nil
	}
	f := &nodes.First{Topic: l.First.Topic, Partition: l.First.Partition, Offset: l.First.Offset}
	for _, in := range c.in.task.inputs {
		if in.tp.Topic == f.Topic {
			f.TopicID = in.topicID
		}
	}
	return f
}
