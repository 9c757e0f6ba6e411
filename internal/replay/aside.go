package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// asides says how the group stands in the topics in which records wait beside the inputs, as far as there are such.
func (t *Tool) asides(ctx context.Context, reader kafka.Reader, p *plan.Plan) (all []golden.Aside, err error) {
	there, err := t.Client.TopicNames(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, topic := range p.Asides(there) {
		names = append(names, topic.Name)
	}
	infos, err := t.Client.Topics(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		info, ok := infos[name]
		if !ok {
			continue
		}
		tps, starts, ends, err := t.partitions(ctx, name)
		if err != nil {
			return nil, err
		}
		committed, err := t.Client.Committed(ctx, p.Group(), tps)
		if err != nil {
			return nil, err
		}
		for _, tp := range tps {
			one := golden.Aside{Topic: name, TopicID: info.ID, Partition: tp.Partition, End: ends[tp]}
			if c, ok := committed[tp]; ok {
				one.Offset = max(c.Offset, 0)
			}
			if one.Waiting, err = kafka.Holds(ctx, reader, tp, max(one.Offset, starts[tp]), ends[tp]); err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// sameAside refuses to restore a snapshot after which records were delayed or redriven. The state would lack what came of those, and where
// they wait no offset tells them from those that the inputs bring again.
func (t *Tool) sameAside(ctx context.Context, p *plan.Plan, m *golden.Manifest) error {
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	now, err := t.asides(ctx, reader, p)
	if err != nil {
		return err
	}
	type place struct {
		topic, id string
		partition int32
	}
	was := map[place]golden.Aside{}
	for _, a := range m.Aside {
		was[place{a.Topic, a.TopicID, a.Partition}] = a
	}
	for _, a := range now {
		tp := kafka.TopicPartition{Topic: a.Topic, Partition: a.Partition}
		before := was[place{a.Topic, a.TopicID, a.Partition}]
		delete(was, place{a.Topic, a.TopicID, a.Partition})
		starts, err := t.Client.Starts(ctx, []kafka.TopicPartition{tp})
		if err != nil {
			return err
		}
		start := starts[tp]
		differs := start > before.End || before.Waiting && start > before.Offset
		for _, part := range [][2]int64{{before.End, a.End}, {min(before.Offset, a.Offset), max(before.Offset, a.Offset)}} {
			if !differs && max(part[0], start) < part[1] {
				if differs, err = kafka.Holds(ctx, reader, tp, max(part[0], start), part[1]); err != nil {
					return err
				}
			}
		}
		if differs {
			return fmt.Errorf("%s: records were redriven or delayed after the snapshot: the restored state would lack what came of them, or have it twice. "+
				"Take a newer snapshot, rebuild the state by a replay with state: reset, or delete the topic to leave these records out", tp)
		}
	}
	for _, a := range was {
		if a.Waiting {
			return fmt.Errorf("topic %s is gone, and had records that waited when the snapshot was taken: the restored state would never have them", a.Topic)
		}
	}
	return nil
}

// settled refuses a replay into a topology of which records wait for others that the replay knows nothing of: those of parked keys, which it
// would overtake or forget.
func (t *Tool) settled(ctx context.Context, p *plan.Plan, sub *plan.Subgraph) error {
	if sub.Parked == nil {
		return nil
	}
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	log := p.Changelog(sub.Parked)
	tps, starts, ends, err := t.partitions(ctx, log)
	if err != nil {
		return err
	}
	keys := int64(0)
	for _, tp := range tps {
		var totals struct {
			Keys int64 `json:"keys"`
		}
		err := kafka.Scan(ctx, reader, tp, starts[tp], ends[tp], func(r *kafka.Record) error {
			if r.Offset >= ends[tp] || string(r.Key) != "t" { // see processors/parking.go
				return nil
			}
			if totals.Keys = 0; r.Value == nil {
				return nil
			}
			return json.Unmarshal(r.Value, &totals)
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", tp, err)
		}
		keys += totals.Keys
	}
	if keys > 0 {
		return &RefusedError{fmt.Sprintf("%d keys are parked in %s, and a replay would overtake their records: redrive or discard their letters first (dlq list), "+
			"and start the instances until nothing is parked", keys, log)}
	}
	return nil
}

// unread refuses a replay into a topology of which records were redriven or delayed and wait to be read: those of its range would be processed twice. Where
// the state is rebuilt, each would be that waits.
func (t *Tool) unread(ctx context.Context, p *plan.Plan, j *Job, ranges []Range) error {
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	sub := inputOf(p, j.From.Topic)
	own := func(topic string) bool {
		return slices.ContainsFunc(sub.Inputs, func(in *plan.Stream) bool {
			_, retries := p.Names.RetryOf(p.Topology, in, topic)
			return retries || topic == p.Redrive(in)
		})
	}
	all, err := t.asides(ctx, reader, p)
	if err != nil {
		return err
	}
	for _, a := range all {
		if !own(a.Topic) || !a.Waiting {
			continue
		}
		if j.State.Mode == StateReset {
			return &RefusedError{fmt.Sprintf("records wait in %s, and a rebuilt state would have them twice: start the instances until the group's lag there is 0, then replay", a.Topic)}
		}
		found := errors.New("found")
		tp := kafka.TopicPartition{Topic: a.Topic, Partition: a.Partition}
		start, err := t.Client.Starts(ctx, []kafka.TopicPartition{tp})
		if err != nil {
			return err
		}
		err = kafka.Scan(ctx, reader, tp, max(a.Offset, start[tp]), a.End, func(r *kafka.Record) error {
			if l, err := deadletter.Read(r.Headers); err == nil && r.Offset < a.End && !l.Releases && l.First.Topic == j.From.Topic && has(ranges, l.First.Partition, l.First.Offset) {
				return found
			}
			return nil
		})
		if errors.Is(err, found) {
			return &RefusedError{fmt.Sprintf("records of the range wait in %s, where they were redriven or delayed, and the topology would have them twice: start the instances until the group's lag there is 0, then replay", a.Topic)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// has says whether a place is in one of ranges.
func has(ranges []Range, partition int32, offset int64) bool {
	return slices.ContainsFunc(ranges, func(r Range) bool { return r.Partition == partition && offset >= r.Start && offset < r.End })
}
