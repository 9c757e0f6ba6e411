package oracle

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Headers of a dead letter (KIP-1034) that say which record it was.
const (
	headerPrefix    = "__streams.errors."
	headerTopic     = headerPrefix + "topic"
	headerPartition = headerPrefix + "partition"
	headerOffset    = headerPrefix + "offset"
)

// origin reads which input record a dead letter stands for.
func origin(r *Record) (topic string, at inputOffset, err error) {
	var partition, offset string
	for _, h := range r.Headers {
		switch h.Key {
		case headerTopic:
			topic = string(h.Value)
		case headerPartition:
			partition = string(h.Value)
		case headerOffset:
			offset = string(h.Value)
		}
	}
	p, err := strconv.ParseInt(partition, 10, 32)
	if err != nil {
		return topic, at, fmt.Errorf("header %s: %w", headerPartition, err)
	}
	o, err := strconv.ParseInt(offset, 10, 64)
	if err != nil {
		return topic, at, fmt.Errorf("header %s: %w", headerOffset, err)
	}
	return topic, inputOffset{int32(p), o}, nil
}

// deadLetters demands one dead letter for each record that the model refuses, with its original bytes.
func (c *checker) deadLetters() {
	c.dead = map[inputOffset][]hit{}
	for p := range c.e.DeadLetters {
		for r := range c.e.DeadLetters[p].Committed {
			v := Violation{PhantomDeadLetter, c.e.Names.DeadLetter, int32(p), r.Offset, r.Key, ""}
			topic, at, err := origin(r)
			if err == nil && topic != c.e.Names.Input {
				err = fmt.Errorf("header %s is %q", headerTopic, topic)
			}
			if err != nil {
				v.Detail = err.Error()
				c.r.add(v)
				continue
			}
			c.dead[at] = append(c.dead[at], hit{int32(p), r})
			c.deadLetter(v, at, r)
		}
	}
	for p, expected := range c.expected {
		for i := range c.e.Inputs[p].Records {
			in := &c.e.Inputs[p].Records[i]
			reason, refused := expected.Dead[in.Offset]
			if refused && len(c.dead[inputOffset{int32(p), in.Offset}]) == 0 {
				c.r.add(Violation{LostDeadLetter, c.e.Names.DeadLetter, int32(p), -1, in.Key,
					fmt.Sprintf("none for input %s/%d offset %d (%s), below the committed offset %d",
						c.e.Names.Input, p, in.Offset, reason, c.committed(p))})
			}
		}
	}
}

func (c *checker) deadLetter(v Violation, at inputOffset, r *Record) {
	if int(at.partition) >= len(c.e.Inputs) {
		v.Detail = fmt.Sprintf("names input partition %d", at.partition)
		c.r.add(v)
		return
	}
	below := c.committed(int(at.partition))
	if at.offset >= below && !c.e.AtLeastOnce {
		v.Detail = fmt.Sprintf("names input %s/%d offset %d, which is not below the committed offset %d",
			c.e.Names.Input, at.partition, at.offset, below)
		c.r.add(v)
		return
	}
	outcome, known := c.expected[at.partition].Outcomes[at.offset]
	if at.offset < below && (!known || outcome != DeadLettered) {
		v.Detail = fmt.Sprintf("names input %s/%d offset %d, which is %s", c.e.Names.Input, at.partition, at.offset,
			map[bool]string{true: "to be " + outcome.String(), false: "no record"}[known])
		c.r.add(v)
		return
	}
	if before := c.dead[at]; len(before) > 1 && !c.e.AtLeastOnce {
		v.Kind = DuplicatedDeadLetter
		v.Detail = fmt.Sprintf("input %s/%d offset %d has one at partition %d offset %d already",
			c.e.Names.Input, at.partition, at.offset, before[0].partition, before[0].record.Offset)
		c.r.add(v)
	}
	if in := c.e.Inputs[at.partition].find(at.offset); in != nil {
		if what := altered(in, r); what != "" {
			v.Kind = AlteredDeadLetter
			v.Detail = fmt.Sprintf("%s, compared with input %s/%d offset %d", what, c.e.Names.Input, at.partition, at.offset)
			c.r.add(v)
		}
	}
}

// altered says in what a dead letter is not the original record. Headers about the error come on top.
func altered(in, dead *Record) string {
	switch {
	case in.Key != dead.Key:
		return fmt.Sprintf("key %q instead of %q", dead.Key, in.Key)
	case !bytes.Equal(in.Value, dead.Value) || (in.Value == nil) != (dead.Value == nil):
		return fmt.Sprintf("value %q instead of %q", dead.Value, in.Value)
	case in.Timestamp != dead.Timestamp:
		return fmt.Sprintf("timestamp %d instead of %d", dead.Timestamp, in.Timestamp)
	}
	rest := dead.Headers
	for _, h := range in.Headers {
		for len(rest) > 0 && strings.HasPrefix(rest[0].Key, headerPrefix) {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].Key != h.Key || !bytes.Equal(rest[0].Value, h.Value) {
			return fmt.Sprintf("header %q is missing or changed", h.Key)
		}
		rest = rest[1:]
	}
	return ""
}

// fates demands of every input record below the committed offset that exactly one thing became of it. Duplicates leave
// no trace, so for them it is the model that says that they are none of the others.
func (c *checker) fates() {
	outputs := map[inputOffset]int{}
	for _, w := range c.wanted {
		outputs[inputOffset{w.partition, w.Input}] = w.found
	}
	for p, expected := range c.expected {
		for i := range c.e.Inputs[p].Records {
			in := &c.e.Inputs[p].Records[i]
			outcome, below := expected.Outcomes[in.Offset]
			if !below {
				break
			}
			at := inputOffset{int32(p), in.Offset}
			v := Violation{Topic: c.e.Names.Input, Partition: int32(p), Offset: in.Offset, Key: in.Key}
			switch out, dead := outputs[at], len(c.dead[at]); {
			case out > 0 && dead > 0:
				v.Kind, v.Detail = TwoFates, fmt.Sprintf("%d outputs and %d dead letters", out, dead)
			case out+dead == 0 && outcome != Deduplicated:
				v.Kind, v.Detail = NoFate, "neither output nor dead letter nor duplicate, it was to be "+outcome.String()
			default:
				continue
			}
			c.r.add(v)
		}
	}
}

// counts compares the engine's own counts with the fates.
func (c *checker) counts() {
	if c.e.Counts == nil {
		return
	}
	c.r.Counted = true
	var want Counts
	for _, expected := range c.expected {
		want.Processed += int64(len(expected.Outputs))
		want.Deduplicated += int64(expected.Dropped)
		want.DeadLettered += int64(len(expected.Dead))
	}
	if *c.e.Counts != want {
		c.r.add(Violation{CountsDiffer, c.e.Names.Input, -1, -1, "",
			fmt.Sprintf("the instances counted %+v, the input below the committed offsets makes %+v", *c.e.Counts, want)})
	}
}
