package oracle

import "fmt"

// Check judges a run. It needs the run's instances to be stopped or idle: the evidence must be of one moment.
//
// What it demands of a partition is computed from the input below the committed offset and from nothing else. A key must
// not be in more than one input partition.
func Check(e *Evidence) *Report {
	c := &checker{e: e, r: newReport()}
	c.expect()
	c.outputs()
	c.transactions()
	c.state()
	c.deadLetters()
	c.fates()
	c.counts()
	c.sightings()
	c.summarise()
	c.r.sort()
	return c.r
}

type checker struct {
	e *Evidence
	r *Report

	expected []*Expected           // by input partition, of the committed prefix
	wanted   map[identity]*wanted  // every output that the input can cause, those beyond the prefix included
	dead     map[inputOffset][]hit // dead letters by the input that they name
}

// identity of an output: a customer's numbers grow, so no two right outputs share it.
type identity struct {
	key string
	seq int64
}

type wanted struct {
	ExpectedOutput
	partition int32 // of the input
	ordinal   int   // in the partition
	beyond    bool  // the input is at or above the committed offset
	found     int
	firstAt   int64 // offset of the first one found
}

type inputOffset struct {
	partition int32
	offset    int64
}

type hit struct {
	partition int32
	record    *Record
}

// committed is the offset that bounds the input partition.
func (c *checker) committed(p int) int64 {
	if p >= len(c.e.Committed) || c.e.Committed[p] < 0 {
		return c.e.Inputs[p].Start
	}
	return c.e.Committed[p]
}

func (c *checker) expect() {
	c.wanted = map[identity]*wanted{}
	for p := range c.e.Inputs {
		in, below := &c.e.Inputs[p], c.committed(p)
		if below > in.HighWatermark {
			c.r.add(Violation{OffsetPastEnd, c.e.Names.Input, int32(p), below, "",
				fmt.Sprintf("group %s has committed %d, the partition ends at %d", c.e.Names.Group, below, in.HighWatermark)})
		}
		c.expected = append(c.expected, Fold(in.Records, below))
		for i, out := range Fold(in.Records, in.HighWatermark).Outputs {
			c.wanted[identity{out.Key, out.Total.LastSeq}] = &wanted{
				ExpectedOutput: out, partition: int32(p), ordinal: i, beyond: out.Input >= below, firstAt: -1,
			}
		}
	}
}

// transactions demands that everything written is decided: a transaction that stays open stops every reader at its
// first record.
func (c *checker) transactions() {
	look := func(topic string, logs []Log) {
		for p := range logs {
			log := &logs[p]
			c.r.Commits += log.Commits
			c.r.Aborts += log.Aborts
			open := Violation{Kind: OpenTransaction, Topic: topic, Partition: int32(p), Offset: -1}
			records := 0
			for i := range log.Records {
				r := &log.Records[i]
				if r.Fate == Aborted {
					c.r.Aborted++
				}
				if r.Fate != Open {
					continue
				}
				if records++; records == 1 {
					open.Offset, open.Key = r.Offset, r.Key
					open.Detail = fmt.Sprintf("no marker follows for producer %d", r.Producer)
				}
			}
			if records > 0 {
				open.Detail += fmt.Sprintf(", %d records wait", records)
			} else if log.LastStable != log.HighWatermark {
				open.Offset = log.LastStable
				open.Detail = fmt.Sprintf("last stable offset %d, high watermark %d", log.LastStable, log.HighWatermark)
			} else {
				continue
			}
			c.r.add(open)
		}
	}
	look(c.e.Names.Output, c.e.Outputs)
	look(c.e.Names.DeadLetter, c.e.DeadLetters)
	look(c.e.Names.Changelog, c.e.Changelog)
}

func (c *checker) summarise() {
	c.r.Seen = len(c.e.Seen)
	c.r.Stores = len(c.e.Stores)
	found := make([]int, len(c.e.Inputs))
	for _, w := range c.wanted {
		found[w.partition] += w.found
	}
	for p, want := range c.expected {
		c.r.Partitions = append(c.r.Partitions, PartitionSummary{
			Partition:     int32(p),
			Input:         len(c.e.Inputs[p].Records),
			Committed:     c.committed(p),
			Expected:      len(want.Outputs),
			Found:         found[p],
			Deduplicated:  want.Dropped,
			DeadLettered:  len(want.Dead),
			LeftToProcess: c.e.Inputs[p].HighWatermark - c.committed(p),
		})
	}
}
