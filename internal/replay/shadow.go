package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/processors"
)

// shadowNames are the names of a shadow's own topics, which stand beside the inputs and globals of production.
func (t *Tool) shadowNames(p *plan.Plan, job, run string) (plan.Names, error) {
	names := plan.Names{Prefix: t.Names.Prefix + "_weir.shadow." + job + "." + run + ".", Real: map[string]string{}, Schemas: map[string]string{}}
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			names.Real[in.Name] = p.Topic(in)
		}
	}
	for _, g := range p.Globals {
		names.Real[g.Name] = p.Topic(&g.Stream)
	}
	own := map[string]string{}
	for _, topic := range p.Topics {
		if topic.Stream == nil || !topic.Written {
			continue
		}
		if _, real := names.Real[topic.Stream.Name]; real {
			return names, fmt.Errorf("into: topology %s reads what it writes to %s: a shadow of it would write into production", p.Topology, topic.Name)
		}
		names.Schemas[topic.Stream.Name] = topic.Name
		own[topic.Stream.Name] = names.Prefix + topic.Stream.Name // also where it is Unprefixed
	}
	maps.Copy(names.Real, own)
	return names, nil
}

// ofShadow says what a shadow touches.
func (t *Tool) ofShadow(j *Job, p *Plan) error {
	if _, err := t.shadowNames(p.graph, j.Name, "run"); err != nil {
		return err
	}
	p.Touches = append(p.Touches, fmt.Sprintf("topics %s_weir.shadow.%s.*: made for the outputs and stores of the shadow; delete them when they are not needed any more", t.Names.Prefix, j.Name))
	p.Notes = append(p.Notes, "the topics, stores and offsets of production are not touched, and it may run meanwhile")
	_, note, err := j.stateAt(p)
	if note != "" {
		p.Notes = append(p.Notes, note)
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		p.Refused, err = cmp.Or(p.Refused, refused.Why), nil
	}
	return err
}

// stateAt is the snapshot that a shadow begins with, nil for an empty state, and what is to be known of that.
func (j *Job) stateAt(p *Plan) (*Snapshot, string, error) {
	beginning := true
	starts := map[int32]int64{}
	for _, one := range p.Partitions {
		beginning = beginning && one.Start == 0
		starts[one.Partition] = one.Start
	}
	if j.State.Mode == StateSnapshot {
		s, err := newestSnapshot(j.State.Snapshot, j.Topology, j.From.Topic, starts)
		if err != nil {
			return nil, "", fmt.Errorf("state: %w", err)
		}
		if s != nil {
			return s, fmt.Sprintf("the state at the start is that of snapshot %s, and of the records after it, whose outputs are not written", s.dir), nil
		}
	}
	switch {
	case beginning:
		return nil, "", nil
	case j.State.Exact:
		return nil, "", &RefusedError{"state: there is no snapshot at or before the start, and what the state was then is not known any more: give from: FOLDER with such a snapshot, begin at offset 0, or give state: empty"}
	}
	return nil, "the state at the start is empty: what depends on earlier records comes out otherwise than in production", nil
}

// intoShadow processes the records with outputs, dead letters and stores of their own, in no group, and compares the outputs.
func (r *running) intoShadow(ctx context.Context) (err error) {
	t := r.tool
	real, err := t.Topology(r.File.Topology, t.Names)
	if err != nil {
		return err
	}
	names, err := t.shadowNames(real, r.Job, r.Run)
	if err != nil {
		return err
	}
	p, err := t.Topology(r.File.Topology, names)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-shadow-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if r.resumed { // whoever runs it sees by now, or in a moment, that it does not any more
		select {
		case <-time.After(3 * watchEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := r.scratch(ctx, real, p); err != nil {
		return err
	}
	planned := &Plan{}
	for _, one := range r.Ranges {
		planned.Partitions = append(planned.Partitions, PlannedPartition{Range: one})
	}
	snapshot, note, err := r.File.stateAt(planned)
	if err != nil {
		return err
	}
	from := map[int32]int64{}
	if snapshot != nil {
		if from, err = r.fill(ctx, p, snapshot); err != nil {
			return err
		}
	}
	t.Options.StateDir, t.Options.InstanceID = dir, "shadow"
	if t.Options.Schemas == processors.SchemasRegister { // in production's subjects a trial registers nothing
		t.Options.Schemas = processors.SchemasCheck
	}
	t.Options.Create = &processors.Creation{Partitions: 1, ReplicationFactor: -1}
	err = r.engine(ctx, p, real.Group(), processors.RunRanges, from, false, func(one Range) int64 { return one.Start })
	if err != nil {
		return err
	}
	r.shadow = func(ctx context.Context, receipt *Receipt) error {
		if note != "" {
			receipt.Notes = append(receipt.Notes, note)
		}
		if err := r.compareShadow(ctx, real, p, receipt); err != nil {
			return err
		}
		twice, err := t.writtenAgain(ctx, r.standing)
		receipt.Notes = append(receipt.Notes, twice...)
		return err
	}
	return nil
}

// writtenAgain says which replays have written outputs of a shadow's range once more: production has these twice, and the shadow once.
func (t *Tool) writtenAgain(ctx context.Context, shadow *standing) (notes []string, err error) {
	k, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range k.list() {
		if s.File.Into != IntoTopology || s.File.Topology != shadow.File.Topology || s.TopicID != shadow.TopicID || s.File.Outputs == "suppress" || s.File.State.Mode != StateReset {
			continue
		}
		if slices.ContainsFunc(s.Ranges, func(r Range) bool {
			return slices.ContainsFunc(shadow.Ranges, func(o Range) bool { return r.Partition == o.Partition && max(r.Start, o.Start) < min(r.End, o.End) })
		}) {
			notes = append(notes, fmt.Sprintf("replay %s, which began at %s, rebuilt the state and wrote outputs of the range once more: production has them twice, and differences may be due to that (outputs: suppress writes none)", s.Job, s.Began.Format(time.RFC3339)))
		}
	}
	return notes, nil
}

// scratch makes the topics that a shadow writes, with as many partitions as production's have.
func (r *running) scratch(ctx context.Context, real, shadow *plan.Plan) error {
	t := r.tool
	var names, own []string
	for i, topic := range real.Topics {
		if shadow.Topics[i].Name != topic.Name && topic.Role != plan.RedriveTopic {
			names, own = append(names, topic.Name), append(own, shadow.Topics[i].Name)
		}
	}
	infos, err := t.Client.Topics(ctx, append(append([]string{r.File.From.Topic}, names...), own...))
	if err != nil {
		return err
	}
	var specs []kafka.TopicSpec
	for i, name := range own {
		if _, ok := infos[name]; ok {
			continue
		}
		partitions := infos[names[i]].Partitions
		if partitions == 0 {
			partitions = infos[r.File.From.Topic].Partitions
		}
		config := map[string]string{"cleanup.policy": "delete", "retention.ms": strconv.FormatInt(plan.DeadLetterRetention.Milliseconds(), 10)}
		for _, topic := range shadow.Topics {
			if topic.Name != name {
				continue
			}
			switch topic.Role {
			case plan.ChangelogTopic:
				config = map[string]string{"cleanup.policy": "compact"}
			case plan.DeadLetterTopic:
				config["message.timestamp.type"] = "LogAppendTime"
			default:
				config["retention.ms"] = "-1" // records keep the times of their inputs, which may be older
			}
		}
		specs = append(specs, kafka.TopicSpec{Name: name, Partitions: partitions, ReplicationFactor: -1, Config: config})
	}
	if len(specs) == 0 {
		return nil
	}
	return t.Client.CreateTopics(ctx, specs)
}
