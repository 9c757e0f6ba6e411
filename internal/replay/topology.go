package replay

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/processors"
)

// leftWithin is how long the member of a process that was killed may stay listed: until its session times out.
const leftWithin = time.Minute

// alone refuses while the group of a topology has members. patient waits for one that may be what a killed replay has left.
func (t *Tool) alone(ctx context.Context, p *plan.Plan, patient bool) error {
	until := time.Now()
	if patient {
		until = until.Add(leftWithin)
	}
	for {
		n, err := t.Client.Members(ctx, p.Group())
		if err != nil || n == 0 {
			return err
		}
		if time.Now().Before(until) {
			select {
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return &MembersError{p.Group(), p.Topology, n}
	}
}

// MembersError says that a group has members that are in the way.
type MembersError struct {
	Group, Topology string
	Members         int
}

func (e *MembersError) Error() string {
	return fmt.Sprintf("group %s has %d members: stop or pause all instances of topology %s first, and let them go on when it is done "+
		"(a static member stays listed until its session times out)", e.Group, e.Members, e.Topology)
}

// intoTopology processes the records again, on the state of the topology, as the only member of its group.
func (r *running) intoTopology(ctx context.Context) error {
	p, err := r.tool.Topology(r.File.Topology, r.tool.Names)
	if err != nil {
		return err
	}
	if err := r.tool.alone(ctx, p, r.resumed); err != nil {
		return err
	}
	if err := r.claim(ctx, p); err != nil {
		return err
	}
	if r.File.State.Mode == StateReset {
		if err := r.reset(ctx, p); err != nil {
			return err
		}
	} else if err := r.notePass(ctx, p); err != nil {
		return err
	}
	return r.engine(ctx, p, p.Group(), processors.RunReplay, nil, r.File.State.Mode != StateReset, func(one Range) int64 {
		if r.File.Outputs == "suppress" {
			return one.End
		}
		return 0
	})
}

// notePass has it known before the first record that a replay processes records again and moves no offsets.
func (r *running) notePass(ctx context.Context, p *plan.Plan) error {
	out, err := r.tool.dlq().Pass(r.pass(p))
	if err != nil {
		return err
	}
	if err := r.sink.Append(out); err != nil {
		return err
	}
	return r.sink.Commit(ctx)
}

// engine runs the job's ranges on an engine. group is the one of production, from is where a partition begins before its range, silently.
func (r *running) engine(ctx context.Context, p *plan.Plan, group string, on func(context.Context, *plan.Plan, processors.Options, processors.Replay) error, from map[int32]int64, keep bool, silent func(Range) int64) error {
	takes, err := r.File.predicate()
	if err != nil {
		return err
	}
	before, stood, err := r.tool.resumed(ctx, r.standing)
	if err != nil {
		return err
	}
	known, err := r.letters(ctx, p)
	if err != nil {
		return err
	}
	watching := watch(known.answered)
	var mu sync.Mutex
	places := map[int32]int64{}
	replay := processors.Replay{
		Rate: int(r.File.Rate), Keep: keep, Lettered: known.has, Causes: r.File.Into == IntoShadow, Group: group,
		Record: func(at processors.Progress) (*kafka.Outgoing, error) {
			w := watching[at.Partition]
			if w == nil {
				return r.tool.progressOf(r.standing, at, nil)
			}
			missed, err := w.upTo(at.Position)
			if err != nil {
				return nil, err
			}
			return r.tool.progressOf(r.standing, at, missed)
		},
		Resume: func(ctx context.Context) (map[kafka.TopicPartition]processors.Progress, error) {
			at, all, err := r.tool.resumed(ctx, r.standing)
			mu.Lock()
			defer mu.Unlock()
			stood = all
			return at, err
		},
		Begun: func(tp kafka.TopicPartition, position int64) {
			if w := watching[tp.Partition]; w != nil && tp.Topic == r.File.From.Topic {
				mu.Lock()
				defer mu.Unlock()
				w.begins(position, stood[tp.Partition].Missed)
			}
		},
		Moved: func(at processors.Progress) {
			if w := watching[at.Partition]; w != nil {
				w.passed(at.Position)
			}
			mu.Lock()
			defer mu.Unlock()
			places[at.Partition] = at.Position
			r.report(places)
		},
	}
	replay.Takes = func(tp kafka.TopicPartition, one *kafka.Record) bool {
		if w := watching[tp.Partition]; w != nil && tp.Topic == r.File.From.Topic {
			w.saw(one.Offset)
		}
		return !known.leavesOut(r.File.Into, tp, one.Offset) && (takes == nil || takes(tp, one))
	}
	left := false
	for _, one := range r.Ranges {
		tp := kafka.TopicPartition{Topic: r.File.From.Topic, Partition: one.Partition}
		start := one.Start
		if earlier, ok := from[one.Partition]; ok {
			start = earlier
		}
		at, begun := before[tp]
		if !begun {
			at.Position = start
		}
		places[one.Partition] = at.Position
		if one.End > one.Start {
			replay.Ranges = append(replay.Ranges, processors.Range{TopicPartition: tp, From: start, To: one.End, Silent: silent(one), Counted: one.Start})
		}
		left = left || at.Position < one.End
	}
	if !left {
		return nil
	}
	opts := r.tool.Options
	opts.Wire = processors.Kafka(r.tool.Client)
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	return on(ctx, p, opts, replay)
}

// partitions are those of a topic, with where each starts and ends.
func (t *Tool) partitions(ctx context.Context, topic string) (tps []kafka.TopicPartition, starts, ends map[kafka.TopicPartition]int64, err error) {
	infos, err := t.Client.Topics(ctx, []string{topic})
	if err != nil {
		return nil, nil, nil, err
	}
	for p := range infos[topic].Partitions {
		tps = append(tps, kafka.TopicPartition{Topic: topic, Partition: p})
	}
	if starts, err = t.Client.Starts(ctx, tps); err != nil {
		return nil, nil, nil, err
	}
	ends, err = t.Client.Ends(ctx, tps)
	return tps, starts, ends, err
}
