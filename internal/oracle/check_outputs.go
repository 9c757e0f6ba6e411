package oracle

import (
	"fmt"
	"slices"
	"sort"
)

// outputs compares multisets first, then order, then values.
//
// Where the output topic has as many partitions as the input, one task alone writes an output partition, and the
// partition as a whole must be in the model's order. Otherwise, and in at-least-once, only a key's records have an order.
func (c *checker) outputs() {
	type group struct {
		partition int32
		key       string
	}
	type place struct {
		want   *wanted
		record *Record
	}
	var groups []group
	order := map[group][]place{}
	whole := len(c.e.Outputs) == len(c.e.Inputs) && !c.e.AtLeastOnce

	for p := range c.e.Outputs {
		topic, p := c.e.Names.Output, int32(p)
		for r := range c.e.Outputs[p].Committed {
			total, err := decodeTotal(r.Value)
			w := c.wanted[identity{r.Key, total.LastSeq}]
			v := Violation{Topic: topic, Partition: p, Offset: r.Offset, Key: r.Key}
			switch {
			case err != nil:
				v.Kind, v.Detail = PhantomOutput, fmt.Sprintf("value %q is no total: %v", r.Value, err)
			case w == nil:
				v.Kind, v.Detail = PhantomOutput, fmt.Sprintf("%+v: no input has this number of this key", total)
			case w.beyond && !c.e.AtLeastOnce:
				v.Kind = PhantomOutput
				v.Detail = fmt.Sprintf("%+v comes from input %s/%d offset %d, which is not below the committed offset %d",
					total, c.e.Names.Input, w.partition, w.Input, c.committed(int(w.partition)))
			}
			if v.Kind != "" {
				c.r.add(v)
				continue
			}

			if total != w.Total {
				v.Kind = WrongOutput
				v.Detail = fmt.Sprintf("output %d of the partition: %+v, the model has %+v after input offset %d",
					w.ordinal, total, w.Total, w.Input)
				c.r.add(v)
			}
			misplaced := false
			if to := PartitionOf([]byte(r.Key), len(c.e.Outputs)); to != p {
				misplaced = true
				v.Kind, v.Detail = MisplacedOutput, fmt.Sprintf("the key belongs to partition %d", to)
				c.r.add(v)
			}
			if w.found++; w.found > 1 && !c.e.AtLeastOnce {
				v.Kind = DuplicatedOutput
				v.Detail = fmt.Sprintf("number %d was at offset %d already; input offset %d", total.LastSeq, w.firstAt, w.Input)
				c.r.add(v)
			}
			if w.found > 1 || misplaced {
				continue
			}
			w.firstAt = r.Offset
			g := group{partition: p}
			if !whole {
				g = group{key: r.Key}
			}
			if _, known := order[g]; !known {
				groups = append(groups, g)
			}
			order[g] = append(order[g], place{w, r})
		}
	}

	c.lostOutputs()
	for _, g := range groups {
		places := order[g]
		ordinals := make([]int, len(places))
		for i, at := range places {
			ordinals[i] = at.want.ordinal
		}
		for _, i := range outOfOrder(ordinals) {
			at := places[i]
			c.r.add(Violation{ReorderedOutput, c.e.Names.Output, c.outputPartition(at.record.Key), at.record.Offset, at.record.Key,
				fmt.Sprintf("number %d is output %d in the model's order and stands after or before its neighbours; input offset %d",
					at.want.Total.LastSeq, at.want.ordinal, at.want.Input)})
		}
	}
}

func (c *checker) lostOutputs() {
	for p, expected := range c.expected {
		for _, out := range expected.Outputs {
			w := c.wanted[identity{out.Key, out.Total.LastSeq}]
			if w.found > 0 {
				continue
			}
			c.r.add(Violation{LostOutput, c.e.Names.Output, c.outputPartition(out.Key), -1, out.Key,
				fmt.Sprintf("%+v is missing; input %s/%d offset %d is below the committed offset %d",
					out.Total, c.e.Names.Input, p, out.Input, c.committed(p))})
		}
	}
}

func (c *checker) outputPartition(key string) int32 {
	if len(c.e.Outputs) == 0 {
		return 0
	}
	return PartitionOf([]byte(key), len(c.e.Outputs))
}

// outOfOrder returns the fewest indices whose removal leaves a growing sequence: what is outside of a longest growing
// subsequence. So one record that moved far counts once, not once for each that it jumped over.
func outOfOrder(values []int) []int {
	if slices.IsSorted(values) {
		return nil
	}
	var tails []int                    // index of the smallest end of a growing run of each length
	before := make([]int, len(values)) // index of the element before, in the best run that ends here
	for i, v := range values {
		at := sort.Search(len(tails), func(n int) bool { return values[tails[n]] >= v })
		before[i] = -1
		if at > 0 {
			before[i] = tails[at-1]
		}
		if at == len(tails) {
			tails = append(tails, i)
		} else {
			tails[at] = i
		}
	}
	inOrder := make([]bool, len(values))
	for i := tails[len(tails)-1]; i >= 0; i = before[i] {
		inOrder[i] = true
	}
	var out []int
	for i, ok := range inOrder {
		if !ok {
			out = append(out, i)
		}
	}
	return out
}
