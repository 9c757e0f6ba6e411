package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// A defect is planted in the evidence of an honest run. It returns what the report must name: kind, topic, partition,
// offset and key, and a piece of the detail; ok is false where the run has no place for it. Side names the kinds that
// follow from the defect by themselves.
type defect struct {
	name  string
	side  []Kind
	plant func(e *Evidence, rng *rand.Rand) (v Violation, ok bool)
}

// Each case is the mutation test of one rule: without the rule, its case finds nothing.
var defects = []defect{
	{"an output is missing", []Kind{NoFate}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.Outputs, rng)
		if !ok {
			return Violation{}, false
		}
		e.Outputs[p].remove(r.Offset)
		e.Seen = nil
		return Violation{LostOutput, e.Names.Output, p, -1, r.Key, causedBy(e, r)}, true
	}},
	{"an output stands there again", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.Outputs, rng)
		at := push(&e.Outputs[p], r)
		return Violation{DuplicatedOutput, e.Names.Output, p, at, r.Key, causedBy(e, r)}, ok
	}},
	{"an output is of no input", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.Outputs, rng)
		r.Value = encodeTotal(Total{LastSeq: 1 << 40, Count: 1, SumCents: 1})
		return Violation{PhantomOutput, e.Names.Output, p, push(&e.Outputs[p], r), r.Key, "no input"}, ok
	}},
	{"an output is no total", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.Outputs, rng)
		r.Value = []byte("?")
		return Violation{PhantomOutput, e.Names.Output, p, push(&e.Outputs[p], r), r.Key, "no total"}, ok
	}},
	{"an output is of input that is not committed", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		for in := range e.Inputs {
			for _, out := range Fold(e.Inputs[in].Records, 1<<60).Outputs {
				if out.Input < e.Committed[in] {
					continue
				}
				p := PartitionOf([]byte(out.Key), len(e.Outputs))
				at := push(&e.Outputs[p], Record{Key: out.Key, Value: encodeTotal(out.Total)})
				return Violation{PhantomOutput, e.Names.Output, p, at, out.Key, fmt.Sprintf("offset %d,", out.Input)}, true
			}
		}
		return Violation{}, false
	}},
	{"two outputs of a key change places", []Kind{WrongOutput}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		return swap(e, rng, func(a, b *Record) bool { return a.Key == b.Key })
	}},
	{"two outputs of a partition change places", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		if len(e.Outputs) != len(e.Inputs) {
			return Violation{}, false // only a key has an order then
		}
		return swap(e, rng, func(a, b *Record) bool { return a.Key != b.Key && a.Offset+1 == b.Offset })
	}},
	{"a total is wrong", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.Outputs, rng)
		if !ok {
			return Violation{}, false
		}
		total, _ := decodeTotal(r.Value)
		if rng.IntN(2) == 0 {
			total.SumCents--
		} else {
			total.Count++
		}
		e.Outputs[p].find(r.Offset).Value = encodeTotal(total)
		e.Seen = nil
		return Violation{WrongOutput, e.Names.Output, p, r.Offset, r.Key, "the model has"}, true
	}},
	{"an output is in another partition", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.Outputs, rng)
		if !ok || len(e.Outputs) == 1 {
			return Violation{}, false
		}
		e.Outputs[p].remove(r.Offset)
		e.Seen = nil
		to := (p + 1) % int32(len(e.Outputs))
		return Violation{MisplacedOutput, e.Names.Output, to, push(&e.Outputs[to], r), r.Key, "belongs to"}, true
	}},
	{"an offset is committed past the end", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p := rng.IntN(len(e.Inputs))
		if e.Committed[p] != e.Inputs[p].HighWatermark {
			return Violation{}, false
		}
		e.Committed[p]++
		return Violation{OffsetPastEnd, e.Names.Input, int32(p), e.Committed[p], "", ""}, true
	}},
	{"an offset is committed without its outputs", []Kind{NoFate, LostDeadLetter, ChangelogDiffers, CountsDiffer},
		func(e *Evidence, rng *rand.Rand) (Violation, bool) {
			for p := range e.Inputs {
				for _, out := range Fold(e.Inputs[p].Records, 1<<60).Outputs {
					if out.Input < e.Committed[p] {
						continue
					}
					e.Committed[p] = out.Input + 1
					to := PartitionOf([]byte(out.Key), len(e.Outputs))
					return Violation{LostOutput, e.Names.Output, to, -1, out.Key, fmt.Sprintf("offset %d ", out.Input)}, true
				}
			}
			return Violation{}, false
		}},
	{"an offset is committed too early", []Kind{TwoFates, PhantomDeadLetter, ChangelogDiffers, CountsDiffer},
		func(e *Evidence, rng *rand.Rand) (Violation, bool) {
			_, r, ok := pick(e.Outputs, rng)
			if !ok {
				return Violation{}, false
			}
			in := PartitionOf([]byte(r.Key), len(e.Inputs))
			for _, out := range Fold(e.Inputs[in].Records, 1<<60).Outputs {
				if total, _ := decodeTotal(r.Value); out.Key == r.Key && out.Total == total {
					e.Committed[in] = out.Input
				}
			}
			return Violation{PhantomOutput, e.Names.Output, -1, -1, "", "not below the committed offset"}, true
		}},
	{"a transaction is left open", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		topic, logs := anyOutput(e, rng)
		p := rng.IntN(len(logs))
		log := &logs[p]
		at := log.HighWatermark
		log.Records = append(log.Records, Record{Offset: at, Key: "c-000001", Value: []byte("{}"), Producer: 9, Fate: Open})
		log.HighWatermark++
		return Violation{OpenTransaction, topic, int32(p), at, "c-000001", "producer 9"}, true
	}},
	{"readers stop before the end", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		topic, logs := anyOutput(e, rng)
		p := rng.IntN(len(logs))
		logs[p].HighWatermark++
		return Violation{OpenTransaction, topic, int32(p), logs[p].LastStable, "", "last stable offset"}, true
	}},
	{"a changelog has another value", []Kind{StoreDiffers}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pickLast(e.Changelog, rng)
		if !ok {
			return Violation{}, false
		}
		total, _ := decodeTotal(r.Value)
		total.SumCents++
		e.Changelog[p].find(r.Offset).Value = encodeTotal(total)
		return Violation{ChangelogDiffers, e.Names.Changelog, p, r.Offset, r.Key, "the model has"}, true
	}},
	{"a changelog lacks a key", []Kind{StoreDiffers}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pickLast(e.Changelog, rng)
		if !ok {
			return Violation{}, false
		}
		push(&e.Changelog[p], Record{Key: r.Key})
		return Violation{ChangelogDiffers, e.Names.Changelog, p, -1, r.Key, "nothing"}, true
	}},
	{"a changelog has a key too many", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p := rng.IntN(len(e.Changelog))
		at := push(&e.Changelog[p], Record{Key: "stranger", Value: encodeTotal(Total{1, 1, 1})})
		return Violation{ChangelogDiffers, e.Names.Changelog, int32(p), at, "stranger", ""}, true
	}},
	{"a store has another value", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		s, key, ok := pickEntry(e, rng)
		if !ok {
			return Violation{}, false
		}
		s.Entries[key] += " "
		return Violation{StoreDiffers, e.Names.Changelog, s.Partition, -1, key, s.Instance}, true
	}},
	{"a store lacks a key", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		s, key, ok := pickEntry(e, rng)
		if !ok {
			return Violation{}, false
		}
		delete(s.Entries, key)
		return Violation{StoreDiffers, e.Names.Changelog, s.Partition, -1, key, s.Instance}, true
	}},
	{"a store holds what was never committed", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		if len(e.Stores) == 0 {
			return Violation{}, false
		}
		s := &e.Stores[rng.IntN(len(e.Stores))]
		s.Entries["stranger"] = "{}"
		return Violation{StoreDiffers, e.Names.Changelog, s.Partition, -1, "stranger", s.Instance}, true
	}},
	{"a checkpoint is ahead of the data", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		for _, i := range rng.Perm(len(e.Stores)) {
			s := &e.Stores[i]
			for r := range e.Changelog[s.Partition].Committed {
				if r.Offset >= s.Checkpoint && s.Entries[r.Key] != string(r.Value) && lastOf(&e.Changelog[s.Partition], r) {
					s.Checkpoint = r.Offset + 1
					return Violation{StoreDiffers, e.Names.Changelog, s.Partition, -1, "", s.Instance}, true
				}
			}
		}
		return Violation{}, false
	}},
	{"a checkpoint is past the changelog", []Kind{StoreDiffers}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		if len(e.Stores) == 0 {
			return Violation{}, false
		}
		s := &e.Stores[rng.IntN(len(e.Stores))]
		s.Checkpoint = e.Changelog[s.Partition].LastStable + 1
		return Violation{StoreAhead, e.Names.Changelog, s.Partition, s.Checkpoint, "", s.Instance}, true
	}},
	{"a dead letter is missing", []Kind{NoFate}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.DeadLetters, rng)
		if !ok {
			return Violation{}, false
		}
		e.DeadLetters[p].remove(r.Offset)
		_, at, _ := origin(&r)
		return Violation{LostDeadLetter, e.Names.DeadLetter, at.partition, -1, r.Key, fmt.Sprintf("offset %d ", at.offset)}, true
	}},
	{"an input leaves no trace", []Kind{LostDeadLetter}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.DeadLetters, rng)
		if !ok {
			return Violation{}, false
		}
		e.DeadLetters[p].remove(r.Offset)
		_, at, _ := origin(&r)
		return Violation{NoFate, e.Names.Input, at.partition, at.offset, r.Key, "dead-lettered"}, true
	}},
	{"a dead letter stands there again", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.DeadLetters, rng)
		return Violation{DuplicatedDeadLetter, e.Names.DeadLetter, p, push(&e.DeadLetters[p], r), r.Key, "already"}, ok
	}},
	{"a dead letter names no record", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.DeadLetters, rng)
		r.Headers = r.Headers[:min(rng.IntN(3), len(r.Headers))]
		return Violation{PhantomDeadLetter, e.Names.DeadLetter, p, push(&e.DeadLetters[p], r), r.Key, "header"}, ok
	}},
	{"a dropped record is dead-lettered", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		return buried(e, rng, Deduplicated, PhantomDeadLetter)
	}},
	{"a processed record is dead-lettered", []Kind{TwoFates}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		return buried(e, rng, Processed, PhantomDeadLetter)
	}},
	{"a record has two fates", []Kind{PhantomDeadLetter}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		return buried(e, rng, Processed, TwoFates)
	}},
	{"a dead letter is altered", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		p, r, ok := pick(e.DeadLetters, rng)
		if !ok {
			return Violation{}, false
		}
		r = *e.DeadLetters[p].find(r.Offset)
		switch rng.IntN(4) {
		case 0:
			r.Key += "?"
		case 1:
			r.Value = append(slices.Clone(r.Value), '?')
		case 2:
			r.Timestamp++
		default:
			r.Headers = r.Headers[:len(r.Headers)-1]
		}
		*e.DeadLetters[p].find(r.Offset) = r
		return Violation{AlteredDeadLetter, e.Names.DeadLetter, p, r.Offset, r.Key, "compared with"}, true
	}},
	{"a count is off", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		*[]*int64{&e.Counts.Processed, &e.Counts.Filtered, &e.Counts.Deduplicated, &e.Counts.DeadLettered}[rng.IntN(4)]++
		return Violation{CountsDiffer, e.Names.Input, -1, -1, "", ""}, true
	}},
	{"a reader is given a record again", nil, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		if len(e.Seen) == 0 {
			return Violation{}, false
		}
		s := e.Seen[rng.IntN(len(e.Seen))]
		e.Seen = append(e.Seen, s)
		return Violation{SeenTwice, e.Names.Output, s.Partition, s.Offset, s.Key, ""}, true
	}},
	{"a reader is given a key's old number", []Kind{SeenVanished}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		for i := len(e.Seen) - 1; i >= 0; i-- {
			s := e.Seen[i]
			if total, _ := decodeTotal([]byte(s.Value)); total.LastSeq > 1 && e.seenBefore(i) {
				e.Seen[i].Value = string(encodeTotal(Total{}))
				return Violation{SeenOutOfOrder, e.Names.Output, s.Partition, s.Offset, s.Key, "after"}, true
			}
		}
		return Violation{}, false
	}},
	{"a reader was given a record that is gone", []Kind{LostOutput, NoFate}, func(e *Evidence, rng *rand.Rand) (Violation, bool) {
		if len(e.Seen) == 0 {
			return Violation{}, false
		}
		s := e.Seen[rng.IntN(len(e.Seen))]
		if rng.IntN(2) == 0 {
			e.Outputs[s.Partition].remove(s.Offset)
		} else {
			e.Outputs[s.Partition].find(s.Offset).Fate = Aborted
		}
		return Violation{SeenVanished, e.Names.Output, s.Partition, s.Offset, s.Key, "the topic has"}, true
	}},
}
