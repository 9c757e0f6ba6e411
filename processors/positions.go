package processors

import (
	"bytes"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
)

// place is the input's position as it is committed, with how the changelogs of its state are then.
func (in *input) place(logs map[string]offsets.Log) kafka.CommittedOffset {
	mark := offsets.Mark{TopicID: in.topicID, Partitions: in.among, Logs: logs}
	if in.position < in.ahead {
		mark.State = in.ahead
	}
	return kafka.CommittedOffset{Offset: in.position, LeaderEpoch: in.leader, Metadata: mark.String()}
}

// positions say how far the task's inputs are with the transaction that is about to be committed: where the group will have them. An
// input whose offset is left out may have moved over what is no record, and the next start would take that for offsets that went back.
func (tx *transaction) positions(t *task) []byte {
	p := offsets.Positions{}
	for _, in := range t.inputs {
		at := offsets.Position{TopicID: in.topicID, Offset: in.position, Epoch: in.leader, From: in.position, Reset: in.reset}
		switch {
		case tx.sends(in):
		case in.fresh:
			continue // nothing of it was read, and no offset of the group would agree
		case in.durable != in.position:
			at.Offset, at.Epoch, at.From = in.durable, -1, in.durable
		}
		if in.ahead > in.position { // the effects of what was read before the reset are still in it
			at.Offset, at.Epoch = in.ahead, -1
		}
		if tx.env.guarantee == AtLeastOnce {
			at.From = in.durable
		}
		p[in.tp.Topic] = at
	}
	return p.Encode(tx.env.owner)
}

// logs is how the task's changelogs are with what the sink has had acknowledged.
func (t *task) logs(s Sink) map[string]offsets.Log {
	if len(t.stores) == 0 {
		return nil
	}
	logs := make(map[string]offsets.Log, len(t.stores))
	for _, st := range t.stores {
		end, epoch := st.ends(s)
		logs[st.decl.Name] = offsets.Log{TopicID: st.topicID, Start: st.whole, End: end, Epoch: epoch}
	}
	return logs
}

// ends is the changelog offset after everything that the state has written, and the leader epoch of the record before it.
func (st *taskStore) ends(s Sink) (int64, int32) {
	if end := s.End(st.changelog); end > st.end {
		return end, s.LeaderEpoch(st.changelog)
	}
	return st.end, st.epoch
}

// touchStore has a store take up the positions of the task although it has not changed: a record that it has is written again.
// An empty store writes a deletion of a key that it does not have.
func (tx *transaction) touchStore(st *taskStore, now int64) error {
	tx.out = kafka.Outgoing{
		TopicPartition: st.changelog, Timestamp: now, Key: []byte{}, Origin: changelogOrigin,
		Headers: []kafka.Header{{Key: offsets.Header, Value: st.positions}},
	}
	err := st.Dump(func(key, value []byte) bool {
		tx.out.Key, tx.out.Value = bytes.Clone(key), bytes.Clone(value)
		return false
	})
	if err != nil {
		return err
	}
	return tx.sink.Append(&tx.out)
}

// drainStore appends the changes of one store to its changelog. The last record carries the positions of the task's
// inputs. It is no deletion where there is another: a changelog forgets deletions after a while, and the positions with
// them, but it keeps the last value of a key until a later transaction, with positions of its own, has replaced it.
func (tx *transaction) drainStore(st *taskStore, now int64) error {
	var last kafka.Outgoing
	held := false
	err := st.Drain(func(key, value []byte) error {
		next := kafka.Outgoing{TopicPartition: st.changelog, Timestamp: now, Key: key, Value: value, Origin: changelogOrigin}
		if held && last.Value != nil && value == nil {
			tx.out = next
			return tx.sink.Append(&tx.out)
		}
		if held {
			tx.out = last
			if err := tx.sink.Append(&tx.out); err != nil {
				return err
			}
		}
		last, held = next, true
		return nil
	})
	if err != nil || !held {
		return err
	}
	tx.out = last
	tx.out.Headers = []kafka.Header{{Key: offsets.Header, Value: st.positions}}
	return tx.sink.Append(&tx.out)
}

// note is what is kept with the checkpoint of a store.
func (st *taskStore) note() []byte {
	return offsets.Note{Epoch: st.epoch, Positions: st.positions}.Encode()
}
