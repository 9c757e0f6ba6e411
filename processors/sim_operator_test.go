package processors

import (
	"github.com/weirstream/weir/kafka"
)

// simOperator does something to topics behind the back of a topology that is at rest. The model knows what
// must happen: what was processed stays, and what is new is processed once.
type simOperator int

const (
	nobody     simOperator = iota
	recreates              // an input is deleted and created again, with other records at the same offsets
	losesInput             // an input loses its end in an unclean election and grows again
	simOperators
)

// meddle is an operator's deed, and the proof that the topology goes on as it must.
func (w *simWorld) meddle() {
	var inputs []kafka.TopicPartition
	for p := range w.partitions {
		tp := kafka.TopicPartition{Topic: simPlaced, Partition: p}
		inputs = append(inputs, tp)
	}
	old := map[int32][]kafka.Record{}
	for _, tp := range inputs {
		old[tp.Partition] = w.cluster.Committed(tp)
	}
	w.note("--- operator %d", w.operator)
	switch w.operator {
	case recreates:
		w.cluster.DeleteTopic(simPlaced)
		if w.rng.IntN(2) == 0 {
			w.cluster.ExpireOffsets(simGroup) // as Kafka does when a topic is deleted
		}
		if err := w.cluster.CreateTopic(kafka.TopicSpec{Name: simPlaced, Partitions: w.partitions}); err != nil {
			w.problem("create again: %v", err)
			return
		}
		w.before = old
		w.calls = newSimCalls()
		w.more(60)
	case losesInput:
		w.before = old
		for _, tp := range inputs {
			_, _, end := w.cluster.Bounds(tp)
			cut := end - min(end, 1+w.rng.Int64N(5))
			w.resume[tp.Partition] = cut
			var grown []kafka.Record
			for _, r := range simInput(w.rng, 30, 8, false) {
				r.Key = append([]byte("grown-"), r.Key...)
				if kafka.Murmur2.Partition(r.Key, w.partitions) == tp.Partition {
					grown = append(grown, r)
				}
			}
			w.cluster.Replace(tp, cut, grown...)
		}
		w.calls = newSimCalls()
	}
	w.mu.Lock()
	w.seen.meddled[w.operator]++
	w.mu.Unlock()
	w.workOff()
}

// more is further input, of customers that there were and of new ones.
func (w *simWorld) more(n int) {
	for _, r := range simInput(w.rng, n, 12, false) {
		p := kafka.Murmur2.Partition(r.Key, w.partitions)
		w.records[p] = append(w.records[p], r)
	}
}
