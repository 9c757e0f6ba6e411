package oracle

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
)

// honest makes the evidence of a run that broke no promise: tasks that work through the input in transactions, some of
// them aborted and done again, stores at checkpoints of different age, a reader that came half-way.
type honest struct {
	rng    *rand.Rand
	e      *Evidence
	state  []map[string]Total // by partition
	folded []*Expected        // of the whole input, by partition
}

func honestRun(seed uint64, n, partitions, outputPartitions int) *Evidence {
	h := &honest{rng: rand.New(rand.NewPCG(seed, 1)), e: &Evidence{
		Names:       ReferenceJob,
		Inputs:      make([]Log, partitions),
		Committed:   make([]int64, partitions),
		Outputs:     make([]Log, outputPartitions),
		DeadLetters: make([]Log, 2),
		Changelog:   make([]Log, partitions),
	}}
	h.input(seed, n)
	done := make([]int64, partitions)
	for p := range partitions {
		h.state = append(h.state, map[string]Total{})
		h.folded = append(h.folded, Fold(h.e.Inputs[p].Records, h.e.Inputs[p].HighWatermark))
		h.e.Committed[p] = h.e.Inputs[p].HighWatermark
		if h.rng.IntN(3) == 0 {
			h.e.Committed[p] = h.rng.Int64N(h.e.Inputs[p].HighWatermark + 1)
		}
	}
	for open := true; open; {
		open = false
		for p := range partitions {
			to := min(h.e.Committed[p], done[p]+1+h.rng.Int64N(12))
			if to == done[p] {
				continue
			}
			open = true
			for h.rng.IntN(4) == 0 {
				h.transaction(p, done[p], done[p]+1+h.rng.Int64N(to-done[p]), Aborted)
			}
			h.transaction(p, done[p], to, Committed)
			done[p] = to
		}
	}
	if h.rng.IntN(2) == 0 {
		h.compact()
	}
	h.look()
	h.count()
	return h.e
}

func (h *honest) input(seed uint64, n int) {
	g := NewGenerator(GeneratorOptions{Seed: seed, Keys: 12, Mix: Mix{Redelivered: 0.1, Late: 0.1, Poison: 0.1, Reject: 0.1}})
	for i, item := range g.Take(n) {
		log := &h.e.Inputs[PartitionOf(item.Key, len(h.e.Inputs))]
		h.append(log, Record{
			Timestamp: int64(1000 + i), Key: string(item.Key), Value: item.Value, Producer: -1,
			Headers: []Header{{"trace", fmt.Append(nil, i)}, {"trace", nil}},
		})
	}
}

func (h *honest) append(log *Log, r Record) {
	r.Offset = log.HighWatermark
	log.Records = append(log.Records, r)
	log.HighWatermark++
	log.LastStable, log.Whole = log.HighWatermark, true
}

func (h *honest) transaction(p int, from, to int64, fate Fate) {
	var touched []*Log
	write := func(log *Log, r Record) {
		if !contains(touched, log) {
			touched = append(touched, log)
		}
		r.Producer, r.Fate = int64(100+p), fate
		h.append(log, r)
	}
	state := maps.Clone(h.state[p])
	var changed []string
	for _, out := range h.folded[p].Outputs {
		if out.Input < from || out.Input >= to {
			continue
		}
		write(&h.e.Outputs[PartitionOf([]byte(out.Key), len(h.e.Outputs))], Record{Key: out.Key, Value: encodeTotal(out.Total)})
		state[out.Key] = out.Total
		changed = append(changed, out.Key)
	}
	for _, key := range changed {
		write(&h.e.Changelog[p], Record{Key: key, Value: encodeTotal(state[key])})
	}
	for offset := from; offset < to; offset++ {
		if h.folded[p].Outcomes[offset] != DeadLettered {
			continue
		}
		in := h.e.Inputs[p].Records[offset]
		in.Headers = append([]Header{
			{headerTopic, []byte(h.e.Names.Input)}, {headerPartition, fmt.Append(nil, p)}, {headerOffset, fmt.Append(nil, offset)},
		}, in.Headers...)
		write(&h.e.DeadLetters[PartitionOf([]byte(in.Key), len(h.e.DeadLetters))], in)
	}
	for _, log := range touched { // the marker takes an offset
		log.HighWatermark++
		log.LastStable = log.HighWatermark
		if fate == Committed {
			log.Commits++
		} else {
			log.Aborts++
		}
	}
	if fate != Committed {
		return
	}
	h.state[p] = state
	if h.rng.IntN(4) > 0 {
		return
	}
	dump := StoreDump{
		Instance: fmt.Sprint("instance ", len(h.e.Stores)), Partition: int32(p),
		Checkpoint: h.e.Changelog[p].HighWatermark - h.rng.Int64N(2), HasCheckpoint: true, Entries: map[string]string{},
	}
	if n := len(h.e.Changelog[p].Records); n > 0 && dump.Checkpoint <= h.e.Changelog[p].Records[n-1].Offset {
		dump.Checkpoint = h.e.Changelog[p].HighWatermark
	}
	for key, total := range state {
		dump.Entries[key] = string(encodeTotal(total))
	}
	h.e.Stores = append(h.e.Stores, dump)
}

// compact takes superseded records out of the changelogs, as the broker's cleaner does.
func (h *honest) compact() {
	for p := range h.e.Changelog {
		log := &h.e.Changelog[p]
		last := map[string]int64{}
		for r := range log.Committed {
			last[r.Key] = r.Offset
		}
		var kept []Record
		for _, r := range log.Records {
			if r.Fate == Committed && (r.Offset == last[r.Key] || h.rng.IntN(2) == 0) {
				kept = append(kept, r)
			}
		}
		log.Whole = log.Whole && len(kept) == len(log.Records)
		log.Records = kept
	}
}

func (h *honest) look() {
	next := make([]int, len(h.e.Outputs))
	for range 500 {
		p := h.rng.IntN(len(h.e.Outputs))
		for n := h.rng.IntN(5); n > 0 && next[p] < len(h.e.Outputs[p].Records); next[p]++ {
			if r := h.e.Outputs[p].Records[next[p]]; r.Fate == Committed {
				h.e.Seen = append(h.e.Seen, Sighting{int32(p), r.Offset, r.Key, string(r.Value)})
				n--
			}
		}
	}
}

func (h *honest) count() {
	h.e.Counts = &Counts{}
	for p := range h.e.Inputs {
		e := Fold(h.e.Inputs[p].Records, h.e.Committed[p])
		h.e.Counts.Processed += int64(len(e.Outputs))
		h.e.Counts.Deduplicated += int64(e.Dropped)
		h.e.Counts.DeadLettered += int64(len(e.Dead))
	}
}

func contains(logs []*Log, log *Log) bool {
	for _, l := range logs {
		if l == log {
			return true
		}
	}
	return false
}

func encodeTotal(t Total) []byte {
	b, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	return b
}
