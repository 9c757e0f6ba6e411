package processors

import (
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/kafka"
)

// place is the input's position as it is committed.
func (in *input) place() kafka.CommittedOffset {
	mark := offsets.Mark{TopicID: in.topicID, Partitions: in.among}
	if in.position < in.ahead {
		mark.State = in.ahead
	}
	return kafka.CommittedOffset{Offset: in.position, LeaderEpoch: in.leader, Metadata: mark.String()}
}

// positions say how far the task's inputs are with the transaction that is about to be committed.
func (t *task) positions(g Guarantee) []byte {
	p := offsets.Positions{}
	for _, in := range t.inputs {
		at := offsets.Position{TopicID: in.topicID, Offset: in.position, Epoch: in.leader, From: in.position}
		if g == AtLeastOnce {
			at.From = in.durable
		}
		p[in.tp.Topic] = at
	}
	return p.Encode()
}

// drainTable appends the changes of one store to its changelog. The last record carries the positions of the task's
// inputs. It is no deletion where there is another: a changelog forgets deletions after a while, and the positions with
// them, but it keeps the last value of a key until a later transaction, with positions of its own, has replaced it.
func (w *worker) drainTable(tb *table, now int64) error {
	var last kafka.Outgoing
	held := false
	err := tb.Drain(func(key, value []byte) error {
		next := kafka.Outgoing{TopicPartition: tb.changelog, Timestamp: now, Key: key, Value: value, Origin: changelogOrigin}
		if held && last.Value != nil && value == nil {
			w.out = next
			return w.sink.Append(&w.out)
		}
		if held {
			w.out = last
			if err := w.sink.Append(&w.out); err != nil {
				return err
			}
		}
		last, held = next, true
		return nil
	})
	if err != nil || !held {
		return err
	}
	w.out = last
	if !fault.Broken(fault.PositionsWithState) {
		w.out.Headers = []kafka.Header{{Key: offsets.Header, Value: tb.positions}}
	}
	return w.sink.Append(&w.out)
}

// note is what is kept with the checkpoint of a store.
func (tb *table) note() []byte {
	return offsets.Note{Epoch: tb.epoch, Positions: tb.positions}.Encode()
}
