package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// planResumed says what is left of a job that has begun: a run does that, and nothing of what the job has done.
func (t *Tool) planResumed(ctx context.Context, j *Job, s *standing, at map[int32]progress) (*Plan, error) {
	p := &Plan{Job: j.Name, State: s.State, Into: j.Into, Topology: j.Topology, From: j.From.Topic, To: j.Topic, Exact: true, Partial: s.Partial,
		Notes: []string{}, Touches: []string{}, Partitions: []PlannedPartition{}}
	infos, err := t.Client.Topics(ctx, []string{j.From.Topic})
	if err != nil {
		return nil, err
	}
	if p.info = infos[j.From.Topic]; p.info.ID != s.TopicID {
		p.Refused = goneTopic(j.From.Topic).Error()
		return p, nil
	}
	_, starts, ends, err := t.partitions(ctx, j.From.Topic)
	if err != nil {
		return nil, err
	}
	var done, of int64
	for _, one := range s.Ranges {
		tp := kafka.TopicPartition{Topic: j.From.Topic, Partition: one.Partition}
		of += one.End - one.Start
		left := one
		if p, ok := at[one.Partition]; ok {
			left.Start = min(max(one.Start, p.Position), one.End)
		}
		done += left.Start - one.Start
		planned := PlannedPartition{Range: left, Earliest: starts[tp], Latest: ends[tp], Removed: max(0, min(starts[tp], left.End)-left.Start)}
		if planned.Removed > 0 {
			p.Removed += planned.Removed
			p.Notes = append(p.Notes, fmt.Sprintf("%s: %d offsets that are not done yet were removed since the job began, by retention or by hand", tp, planned.Removed))
		}
		p.Partitions = append(p.Partitions, planned)
		p.ranges = append(p.ranges, left)
		p.Offsets += left.End - left.Start
	}
	p.Notes = append(p.Notes, fmt.Sprintf("the job began at %s, and %d of %d offsets are done: this is what is left of it", s.Began.Format(time.RFC3339), done, of))
	if p.Partial != "" {
		p.Notes = append(p.Notes, p.Partial)
	}
	p.Notes = append(p.Notes, s.Disorder...)
	if j.Into == IntoTopic {
		p.Touches = append(p.Touches, fmt.Sprintf("topic %s: records are written", j.Topic))
		return p, nil
	}
	if p.graph, err = t.Topology(j.Topology, t.Names); err != nil {
		return nil, err
	}
	sub := inputOf(p.graph, j.From.Topic)
	if sub == nil {
		return nil, fmt.Errorf("from.topic: %s is no input of topology %s any more", j.From.Topic, j.Topology)
	}
	p.Touches = append(p.Touches, called(p.graph, sub, j.From.Topic)...)
	if j.Into == IntoShadow {
		p.Touches = append(p.Touches, fmt.Sprintf("topics %s_weir.shadow.%s.*: more is written into them", t.Names.Prefix, j.Name))
		return p, nil
	}
	p.resumesTopology(j, s, sub)
	if s.Reset {
		return p, nil
	}
	return p, t.withLetters(ctx, j, p)
}

// resumesTopology says what is left of a job into a topology.
func (p *Plan) resumesTopology(j *Job, s *standing, sub *plan.Subgraph) {
	p.Touches = append(p.Touches, fmt.Sprintf("group %s: its instances are paused; the replay is its only member while it runs", p.graph.Group()))
	what := "records that are not dropped as duplicates change it again"
	switch {
	case j.State.Mode != StateReset:
		p.Notes = append(p.Notes, "the offsets of the group stay where they are")
	case s.Reset:
		what = "what the records say is written; its keys were deleted when the job began"
		p.Notes = append(p.Notes, fmt.Sprintf("the group was set back and the stores were emptied when the job began, which answered %d dead letters: none of that is done again, and letters that are open now stay open", s.Answered))
	default:
		what = "all its keys are deleted, and what the records say is written again"
		p.Touches = append(p.Touches, fmt.Sprintf("group %s: its offsets go back to the start", p.graph.Group()))
	}
	for _, store := range sub.Stores {
		p.Touches = append(p.Touches, fmt.Sprintf("store %s (topic %s): %s", store.Name, p.graph.Changelog(store), what))
	}
	for _, topic := range p.graph.Topics {
		if topic.Written && (topic.Stream != nil || topic.Role == plan.DeadLetterTopic) {
			what := "outputs of the records that are left are written"
			switch {
			case j.Outputs == "suppress":
				what = "nothing is written"
			case topic.Role == plan.DeadLetterTopic:
				what = "records that fail are written"
			}
			p.Touches = append(p.Touches, fmt.Sprintf("topic %s: %s", topic.Name, what))
		}
	}
}

// goneTopic refuses to go on with a job whose records are gone.
func goneTopic(topic string) error {
	return &RefusedError{fmt.Sprintf("topic %s was deleted, or made again, since the job began: its records are gone; begin another job", topic)}
}
