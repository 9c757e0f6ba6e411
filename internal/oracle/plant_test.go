package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// remove takes a record out of a log and leaves its offset empty.
func (l *Log) remove(offset int64) {
	l.Records = slices.DeleteFunc(l.Records, func(r Record) bool { return r.Offset == offset })
}

// push appends a record that was committed without a transaction.
func push(log *Log, r Record) int64 {
	r.Offset, r.Fate, r.Producer = log.HighWatermark, Committed, -1
	log.Records = append(log.Records, r)
	log.HighWatermark++
	log.LastStable = log.HighWatermark
	return r.Offset
}

// pick chooses a committed record.
func pick(logs []Log, rng *rand.Rand) (int32, Record, bool) {
	for _, p := range rng.Perm(len(logs)) {
		var offsets []int
		for i, r := range logs[p].Records {
			if r.Fate == Committed {
				offsets = append(offsets, i)
			}
		}
		if len(offsets) > 0 {
			return int32(p), logs[p].Records[offsets[rng.IntN(len(offsets))]], true
		}
	}
	return 0, Record{}, false
}

// pickLast chooses a record that is the last one of its key.
func pickLast(logs []Log, rng *rand.Rand) (int32, Record, bool) {
	p, r, ok := pick(logs, rng)
	for later := range logs[p].Committed {
		if later.Key == r.Key {
			r = *later
		}
	}
	return p, r, ok
}

func lastOf(log *Log, r *Record) bool {
	for later := range log.Committed {
		if later.Key == r.Key && later.Offset > r.Offset {
			return false
		}
	}
	return true
}

// pickEntry chooses an entry of a store that no later record of a thinned-out changelog covers.
func pickEntry(e *Evidence, rng *rand.Rand) (*StoreDump, string, bool) {
	for _, i := range rng.Perm(len(e.Stores)) {
		s := &e.Stores[i]
		log := &e.Changelog[s.Partition]
		tail := replayLog(log, s.Checkpoint, log.HighWatermark, emptyReplay())
		for key := range s.Entries {
			if _, covered := tail.at[key]; log.Whole || !covered {
				return s, key, true
			}
		}
	}
	return nil, "", false
}

func anyOutput(e *Evidence, rng *rand.Rand) (string, []Log) {
	switch rng.IntN(3) {
	case 0:
		return e.Names.Output, e.Outputs
	case 1:
		return e.Names.DeadLetter, e.DeadLetters
	default:
		return e.Names.Changelog, e.Changelog
	}
}

// causedBy names the input offset behind an output, as reports do.
func causedBy(e *Evidence, r Record) string {
	total, _ := decodeTotal(r.Value)
	for p := range e.Inputs {
		for _, out := range Fold(e.Inputs[p].Records, 1<<60).Outputs {
			if out.Key == r.Key && out.Total == total {
				return fmt.Sprintf("offset %d", out.Input)
			}
		}
	}
	return ""
}

// swap exchanges two outputs of which one follows the other among those for which fits holds.
func swap(e *Evidence, rng *rand.Rand, fits func(a, b *Record) bool) (Violation, bool) {
	for _, p := range rng.Perm(len(e.Outputs)) {
		var committed []*Record
		for r := range e.Outputs[p].Committed {
			committed = append(committed, r)
		}
		for _, i := range rng.Perm(len(committed)) {
			a := committed[i]
			for _, b := range committed[i+1:] {
				if fits(a, b) {
					a.Key, b.Key, a.Value, b.Value = b.Key, a.Key, b.Value, a.Value
					e.Seen = nil
					return Violation{ReorderedOutput, e.Names.Output, int32(p), -1, "", "the model's order"}, true
				}
			}
		}
	}
	return Violation{}, false
}

// buried adds a dead letter for a record of another outcome.
func buried(e *Evidence, rng *rand.Rand, outcome Outcome, kind Kind) (Violation, bool) {
	for _, p := range rng.Perm(len(e.Inputs)) {
		folded := Fold(e.Inputs[p].Records, e.Committed[p])
		for _, in := range e.Inputs[p].Records {
			if got, ok := folded.Outcomes[in.Offset]; !ok || got != outcome {
				continue
			}
			letter := in
			letter.Headers = append([]Header{
				{headerTopic, []byte(e.Names.Input)}, {headerPartition, fmt.Append(nil, p)}, {headerOffset, fmt.Append(nil, in.Offset)},
			}, in.Headers...)
			at := push(&e.DeadLetters[0], letter)
			if kind == TwoFates {
				return Violation{TwoFates, e.Names.Input, int32(p), in.Offset, in.Key, "1 outputs and 1 dead letters"}, true
			}
			return Violation{PhantomDeadLetter, e.Names.DeadLetter, 0, at, in.Key, "to be"}, true
		}
	}
	return Violation{}, false
}

func (e *Evidence) seenBefore(i int) bool {
	for _, s := range e.Seen[:i] {
		if s.Key == e.Seen[i].Key {
			return true
		}
	}
	return false
}
