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

// maxLetters bounds the memory for dead letters that are there already.
const maxLetters = 2 << 20

// lettered are the records of a job that have dead letters: whether one of these is open.
type lettered struct{ at map[spot]bool }

type spot struct {
	partition int32
	offset    int64
}

func (k *lettered) has(tp kafka.TopicPartition, offset int64) bool {
	_, ok := k.at[spot{tp.Partition, offset}]
	return ok
}

// open says whether a record has an open letter.
func (k *lettered) open(tp kafka.TopicPartition, offset int64) bool {
	return k.at[spot{tp.Partition, offset}]
}

// within are the records of ranges of a topic.
func within(p *plan.Plan, topic, topicID string, ranges []Range) letters.Origins {
	return letters.Origins{Plan: p, Inputs: map[string]string{topic: topicID}, Has: func(tp kafka.TopicPartition, offset int64) bool {
		return has(ranges, tp.Partition, offset)
	}}
}

// letters finds the dead letters that the records of the job have already, so that one that fails again has no second one, and one whose letter
// is open is left out. Where the state is rebuilt those do not count that were redriven or discarded: what came of that is not in the new state.
func (r *running) letters(ctx context.Context, p *plan.Plan) (*lettered, error) {
	k := &lettered{map[spot]bool{}}
	err := r.tool.dlq().Find(ctx, within(p, r.File.From.Topic, r.TopicID, r.Ranges), func(_ letters.Standing, l *letters.Letter, open bool) error {
		if !open && r.File.State.Mode == StateReset {
			return nil
		}
		if len(k.at) >= maxLetters {
			if r.File.Into == IntoShadow { // it may have another one
				return nil
			}
			return fmt.Errorf("more than %d records of the range have dead letters, and which of these are open must be known: redrive or discard them first, or replay partition by partition", maxLetters)
		}
		at := spot{l.First.Partition, l.First.Offset}
		k.at[at] = k.at[at] || open
		return nil
	})
	return k, err
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
	return r.tool.unread(ctx, p, r.File, r.Ranges)
}

// withLetters says of a plan what it means for the open letters of its records.
func (t *Tool) withLetters(ctx context.Context, j *Job, p *Plan) error {
	err := t.dlq().Find(ctx, within(p.graph, j.From.Topic, p.info.ID, p.ranges), func(_ letters.Standing, _ *letters.Letter, open bool) error {
		if open {
			p.Letters++
		}
		return nil
	})
	switch {
	case err != nil || p.Letters == 0:
		return err
	case j.Outputs == "suppress":
		p.Refused = cmp.Or(p.Refused, fmt.Sprintf("outputs: %d dead letters of records of the range are open, and suppress would leave out what these records have never led to: redrive or discard them first, or give outputs: keep", p.Letters))
	case j.State.Mode == StateReset:
		p.Notes = append(p.Notes, fmt.Sprintf("%d open dead letters of the range are answered: their records are processed again, and those that fail again have new ones", p.Letters))
	default:
		p.Notes = append(p.Notes, fmt.Sprintf("%d dead letters of the range are open: their records are left out, and come with a redrive", p.Letters))
	}
	return nil
}
