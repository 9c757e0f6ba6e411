package processors

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// stage fills the outgoing record for an effect.
func (w *worker) stage(c *cause, e *nodes.Effect) {
	r := c.record
	w.out = kafka.Outgoing{Timestamp: r.Timestamp, Value: e.Value, Origin: c.origin(e.Node)}
	if e.As != nil && !e.As.At.IsZero() {
		w.out.Timestamp = e.As.At.UnixMilli()
	} else if r.Timestamp < 0 {
		w.out.Timestamp = time.Now().UnixMilli()
	}
	if e.Tombstone {
		w.out.Value = nil
	} else if e.Value == nil {
		w.out.Value = []byte{}
	}
	switch {
	case e.Key != w.call.RecordKey():
		w.out.Key = w.call.Bytes(e.Key)
	default:
		w.out.Key = r.Key // nil stays nil
	}
	w.out.TopicPartition = kafka.TopicPartition{Topic: e.Topic, Partition: w.inst.partitionFor(e.Topic, w.out.Key, c.in)}
	if e.As != nil && e.As.Partition >= 0 {
		w.out.Partition = e.As.Partition
	}
	if len(r.Headers) > 0 || e.As != nil {
		w.out.Headers = w.outHeaders(r, e)
	}
}

// outHeaders are the headers of an effect's record. The sink keeps them, so they are cut off one piece of memory after the other.
func (w *worker) outHeaders(r *kafka.Record, e *nodes.Effect) []kafka.Header {
	const piece = 256
	most := len(r.Headers)
	if e.As != nil {
		most += len(e.As.Headers)
	}
	if cap(w.sent)-len(w.sent) < most {
		w.sent = make([]kafka.Header, 0, max(piece, most))
	}
	from := len(w.sent)
	w.sent = w.call.Headers(w.sent, e)
	return w.sent[from:len(w.sent):len(w.sent)]
}

// nowhere is the failure of a record that is emitted to a partition which there is not, or nil.
func (w *worker) nowhere(effects []nodes.Effect) *nodes.Failure {
	for i := range effects {
		e := &effects[i]
		if e.As == nil || e.As.Partition < 0 {
			continue
		}
		if n := (*w.inst.partitions.Load())[e.Topic]; n > 0 && e.As.Partition >= n {
			err := fmt.Errorf("emit to stream %s: there is no partition %d of %d", e.Topic, e.As.Partition, n)
			return &nodes.Failure{Node: e.Node, Name: e.Node.Decl.Name, Reason: nodes.Error, Err: err, Text: err.Error()}
		}
	}
	return nil
}
