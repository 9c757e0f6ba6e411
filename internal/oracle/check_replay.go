package oracle

import (
	"fmt"
	"maps"
)

// Range of input offsets of a partition, To not included.
type Range struct {
	Partition int32
	From, To  int64
}

func (r Range) has(at inputOffset) bool {
	return at.partition == r.Partition && at.offset >= r.From && at.offset < r.To
}

// CheckReplay judges that nothing new came of reading ranges of the input again: no output, no other state, and one more
// dead letter for each record of the ranges that is still one. (A rejected order whose number was used up since is a
// duplicate now.) Both moments must have the same input and pass Check, but for the dead letters of the second.
func CheckReplay(before, after *Evidence, ranges []Range) *Report {
	c := &checker{e: after, r: newReport()}
	c.expect()
	c.transactions()
	c.state()
	c.newOutputs(before)
	c.newState(before)
	c.newDeadLetters(before, ranges)
	c.summarise()
	c.r.sort()
	return c.r
}

func (c *checker) newOutputs(before *Evidence) {
	for p := range c.e.Outputs {
		var end int64
		if p < len(before.Outputs) {
			end = before.Outputs[p].HighWatermark
		}
		for r := range c.e.Outputs[p].Committed {
			if r.Offset >= end {
				c.r.add(Violation{ReplayOutput, c.e.Names.Output, int32(p), r.Offset, r.Key, string(r.Value)})
			}
		}
	}
}

func (c *checker) newState(before *Evidence) {
	for p := range c.e.Changelog {
		if p >= len(before.Changelog) {
			break
		}
		was := replayLog(&before.Changelog[p], 0, before.Changelog[p].HighWatermark, emptyReplay())
		now := replayLog(&c.e.Changelog[p], 0, c.e.Changelog[p].HighWatermark, emptyReplay())
		for key, value := range now.value {
			if was.value[key] != value {
				c.r.add(Violation{ReplayState, c.e.Names.Changelog, int32(p), now.offset(key), key,
					fmt.Sprintf("%q before, %q now", was.value[key], value)})
			}
		}
		for key, value := range was.value {
			if _, ok := now.value[key]; !ok {
				c.r.add(Violation{ReplayState, c.e.Names.Changelog, int32(p), now.offset(key), key,
					fmt.Sprintf("%q before, nothing now", value)})
			}
		}
	}
}

func (c *checker) newDeadLetters(before *Evidence, ranges []Range) {
	due := map[inputOffset]int{}
	for _, within := range ranges {
		again := Expected{State: maps.Clone(c.expected[within.Partition].State), Dead: map[int64]string{}}
		input := c.e.Inputs[within.Partition].Records
		for i := range input {
			at := inputOffset{within.Partition, input[i].Offset}
			if within.has(at) && again.Apply(&input[i]) == DeadLettered {
				due[at]++
			}
		}
	}
	for p := range c.e.DeadLetters {
		for r := range c.e.DeadLetters[p].Committed {
			if p < len(before.DeadLetters) && r.Offset < before.DeadLetters[p].HighWatermark {
				continue
			}
			_, at, err := origin(r)
			if due[at]--; err == nil && due[at] >= 0 {
				continue
			}
			c.r.add(Violation{ReplayDeadLetter, c.e.Names.DeadLetter, int32(p), r.Offset, r.Key,
				fmt.Sprintf("names input partition %d offset %d, which was not due", at.partition, at.offset)})
		}
	}
	for at, left := range due {
		if left > 0 {
			c.r.add(Violation{ReplayDeadLetter, c.e.Names.Input, at.partition, at.offset, "", "it led to no dead letter"})
		}
	}
}
