package replay

import (
	"cmp"
	"context"
	"fmt"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/plan"
)

// A letter whose record is processed again would bring the record a second time when it is redriven. So a replay that keeps the state leaves out records whose
// letters are open: they have yet to be done, by a redrive. Where offsets are set back the letters are answered in the transaction that sets them back, since whoever
// reads on from there processes the record and writes a new letter where it fails again.
//
// A record whose letter was redriven into the record's own topic stands there twice. It never had an effect where it stands first, and the copy has all of it: each replay leaves
// the original out, whatever becomes of the state.

// maxLetters bounds the memory for dead letters that are there already.
const maxLetters = 2 << 20

// lettered are the records of a job that have dead letters, and what that means for each.
type lettered struct {
	at       map[spot]lettering
	answered map[int32][]int64 // the records whose letters the job has answered
}

type lettering uint8

const (
	letterOpen   lettering = 1 << iota // one of the letters is open
	letterCopied                       // one of them was redriven into the topic: see letters.Found
	letterKnown                        // one of them counts: another one is not written
)

type spot struct {
	partition int32
	offset    int64
}

func (k *lettered) has(tp kafka.TopicPartition, offset int64) bool {
	return k.at[spot{tp.Partition, offset}]&letterKnown != 0
}

// leavesOut says whether a replay passes a record over.
func (k *lettered) leavesOut(into Into, tp kafka.TopicPartition, offset int64) bool {
	l := k.at[spot{tp.Partition, offset}]
	return l&letterCopied != 0 || into == IntoTopology && l&letterOpen != 0
}

// within are the records of ranges of a topic.
func within(p *plan.Plan, topic, topicID string, ranges []Range) letters.Origins {
	return letters.Origins{Plan: p, Inputs: map[string]string{topic: topicID}, Has: func(tp kafka.TopicPartition, offset int64) bool {
		return has(ranges, tp.Partition, offset)
	}}
}

// letters finds the dead letters that the records of the job have already, so that one that fails again has no second one, and those are left out of which a redrive brings, or
// has brought, another record. Where the state is rebuilt other letters do not count that were redriven or discarded: what came of that is not in the new state. A shadow has
// letters of its own, and the copies are those of production.
func (r *running) letters(ctx context.Context, p *plan.Plan) (*lettered, error) {
	k := &lettered{map[spot]lettering{}, map[int32][]int64{}}
	note := func(of *plan.Plan, what func(f *letters.Found) lettering) error {
		return r.tool.dlq().Find(ctx, within(of, r.File.From.Topic, r.TopicID, r.Ranges), func(f *letters.Found) error {
			l := what(f)
			if l == 0 {
				return nil
			}
			if len(k.at) >= maxLetters {
				if r.File.Into == IntoShadow { // it may have another one
					return nil
				}
				return fmt.Errorf("more than %d records of the range have dead letters, and which of these are open must be known: redrive or discard them first, or replay partition by partition", maxLetters)
			}
			k.at[spot{f.First.Partition, f.First.Offset}] |= l
			return nil
		})
	}
	copied := func(f *letters.Found) lettering {
		if f.Copied {
			return letterCopied
		}
		return 0
	}
	err := note(p, func(f *letters.Found) lettering {
		l := copied(f)
		if r.answered(f) {
			k.answered[f.First.Partition] = append(k.answered[f.First.Partition], f.First.Offset)
		}
		if f.Open {
			l |= letterOpen
		}
		if f.Open || r.File.State.Mode != StateReset {
			l |= letterKnown
		}
		return l
	})
	if err != nil || r.File.Into != IntoShadow {
		return k, err
	}
	production, err := r.tool.Topology(r.File.Topology, r.tool.Names)
	if err != nil {
		return k, err
	}
	return k, note(production, copied)
}

// pass is what a replay that moves no offsets processes again.
func (r *running) pass(p *plan.Plan) letters.Pass {
	pass := letters.Pass{
		ID: r.Run + "." + r.Holder, Topology: p.Topology, By: "replay " + r.Job, Letters: letters.DeadLetters(p),
		Replay: r.Job + "/" + r.Run, Some: r.File.Where.any(),
	}
	for _, one := range r.Ranges {
		pass.Inputs = append(pass.Inputs, letters.PassedInput{Topic: r.File.From.Topic, TopicID: r.TopicID, Partition: one.Partition, From: one.Start, Until: &one.End})
	}
	return pass
}

func (t *Tool) dlq() *letters.Tool {
	return &letters.Tool{Client: t.Client, Names: t.Names, Who: t.Who}
}

// claim ends redrives of letters of the topology. From here on there are none, because the job stands as begun. What was redriven before is to be read.
func (r *running) claim(ctx context.Context, p *plan.Plan) error {
	c, err := r.tool.dlq().Claim(ctx, p)
	if err != nil {
		return err
	}
	if err := c.Close(); err != nil || r.Emptying || r.Reset {
		return err
	}
	left, err := r.left(ctx) // before that the replay itself may have delayed some
	if err != nil {
		return err
	}
	return r.tool.unread(ctx, p, r.File, left)
}

// left is what a job has yet to do.
func (r *running) left(ctx context.Context) (ranges []Range, err error) {
	at, _, err := r.tool.resumed(ctx, r.standing)
	for _, one := range r.Ranges {
		if p, ok := at[kafka.TopicPartition{Topic: r.File.From.Topic, Partition: one.Partition}]; ok {
			one.Start = max(one.Start, p.Position)
		}
		ranges = append(ranges, one)
	}
	return ranges, err
}

// withLetters says of a plan what it means for the open letters of its records, and for those that were redriven into the topic.
func (t *Tool) withLetters(ctx context.Context, j *Job, p *Plan) error {
	copied := map[spot]bool{}
	err := t.dlq().Find(ctx, within(p.graph, j.From.Topic, p.info.ID, p.ranges), func(f *letters.Found) error {
		if f.Open && j.Into == IntoTopology {
			p.Letters++
		}
		if f.Copied && len(copied) < maxLetters {
			copied[spot{f.First.Partition, f.First.Offset}] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if p.copied = int64(len(copied)); p.copied > 0 {
		p.Notes = append(p.Notes, leftOut(p.copied))
	}
	switch {
	case p.Letters == 0:
	case j.Outputs == "suppress":
		p.Refused = cmp.Or(p.Refused, fmt.Sprintf("outputs: %d dead letters of records of the range are open, and suppress would leave out what these records have never led to: redrive or discard them first, or give outputs: keep", p.Letters))
	case j.State.Mode == StateReset:
		p.Notes = append(p.Notes, fmt.Sprintf("%d open dead letters of the range are answered: their records are processed again, and those that fail again have new ones", p.Letters))
	default:
		p.Notes = append(p.Notes, fmt.Sprintf("%d dead letters of the range are open: their records are left out, and come with a redrive", p.Letters))
	}
	return nil
}

// leftOut says how many records a replay leaves out for their copies.
func leftOut(copied int64) string {
	return fmt.Sprintf("%d records whose letters were redriven into the topic itself (dlq redrive --to origin) are left out where they stand first, since their copies have their effect", copied)
}
