package processors

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// former looks for what a build with other delays, or one that parked, has left in the cluster. Records that wait in a retry topic of a delay that the
// topology no longer has are worked off. Parked keys are a problem where nothing parks any more: their records would be passed over.
func (e *engine) former(ctx context.Context, infos map[string]kafka.TopicInfo) (problems []string, err error) {
	names, err := e.opts.Wire.TopicNames(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.drainFormer(ctx, names, infos); err != nil {
		return nil, err
	}
	for _, name := range e.graph.plan.FormerlyParked(names) {
		keys, err := e.parkedIn(ctx, name)
		if err != nil {
			return nil, err
		}
		switch {
		case keys > 0 && e.accepts.Load():
			e.log.Warn("keys are parked, and the topology parks none any more: the records that wait for them are passed over, as accept-empty-state allows",
				zap.String("changelog", name), zap.Int64("keys", keys))
		case keys > 0:
			problems = append(problems, fmt.Sprintf("%d keys are parked in %s, and the topology parks none any more: the records that wait for them would never be processed; "+
				"start it as before, with RetryLater or Parking(true), until dlq parked list shows none; or, "+
				"if they are not wanted, start each instance once with --accept-empty-state and delete the topic", keys, name))
		}
	}
	return problems, nil
}

// parkedIn is how many keys the changelog of a store of parked records has.
func (e *engine) parkedIn(ctx context.Context, name string) (keys int64, err error) {
	infos, err := e.opts.Wire.Topics(ctx, []string{name})
	if err != nil {
		return 0, err
	}
	tps := partitionsOf(infos[name])
	starts, err := e.opts.Wire.Starts(ctx, tps)
	if err != nil {
		return 0, err
	}
	ends, err := e.opts.Wire.Ends(ctx, tps)
	if err != nil {
		return 0, err
	}
	fetcher, err := e.opts.Wire.NewFetcher()
	if err != nil {
		return 0, err
	}
	defer fetcher.Close()
	for _, tp := range tps {
		var totals parkedTotals
		err := kafka.Scan(ctx, fetcher, tp, starts[tp], ends[tp], func(r *kafka.Record) error {
			if string(r.Key) != totalsName {
				return nil
			}
			totals = parkedTotals{}
			if r.Value == nil {
				return nil
			}
			return json.Unmarshal(r.Value, &totals)
		})
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", tp, err)
		}
		keys += totals.Keys
	}
	return keys, nil
}

// drainFormer has the retry topics of delays that the topology no longer has worked off, as far as records wait in them: nobody else would, and
// keys may wait for these records. No record is delayed there any more.
func (e *engine) drainFormer(ctx context.Context, names []string, infos map[string]kafka.TopicInfo) error {
	former := e.graph.plan.FormerRetries(names)
	if len(former) == 0 {
		return nil
	}
	names = nil
	for _, f := range former {
		names = append(names, f.Name)
	}
	found, err := e.opts.Wire.Topics(ctx, names)
	if err != nil {
		return err
	}
	for _, f := range former {
		info, ok := found[f.Name]
		if !ok {
			continue
		}
		waiting, err := e.waitingIn(ctx, info)
		if err != nil {
			return err
		}
		if waiting == 0 {
			continue
		}
		fields := []zap.Field{zap.String("topic", f.Name), zap.Duration("delay", f.Delay), zap.Int64("offsets", waiting)}
		if n := infos[f.PartitionsOf].Partitions; info.Partitions != n {
			e.log.Error("records wait in the retry topic of a delay that the topology no longer has, and are not tried: it does not have as many partitions as its input", append(fields,
				zap.Int32("partitions", info.Partitions), zap.Int32("partitions_of_input", n))...)
			continue
		}
		e.log.Warn("records wait in the retry topic of a delay that the topology no longer has: they are tried when their time comes, and the topic is not needed after that", fields...)
		e.graph.drain(f)
		e.letters[f.Name] = true
	}
	return nil
}

// waitingIn is how many offsets of a topic the group has not read.
func (e *engine) waitingIn(ctx context.Context, info kafka.TopicInfo) (n int64, err error) {
	tps := partitionsOf(info)
	committed, err := e.opts.Wire.CommittedNow(ctx, e.graph.plan.Group(), tps)
	if err != nil {
		return 0, err
	}
	starts, err := e.opts.Wire.Starts(ctx, tps)
	if err != nil {
		return 0, err
	}
	ends, err := e.opts.Wire.Ends(ctx, tps)
	if err != nil {
		return 0, err
	}
	for _, tp := range tps {
		from := starts[tp]
		if c, ok := committed[tp]; ok {
			from = max(from, c.Offset)
		}
		n += max(0, ends[tp]-from)
	}
	return n, nil
}

// drain adds a retry topic that is only read.
func (g *graph) drain(f plan.Former) {
	s := g.inputs[f.PartitionsOf]
	if g.redrives[f.Name] != nil {
		return
	}
	src := s.sources[slices.Index(s.plan.Inputs, f.Input)]
	s.redrives = append(s.redrives[:len(s.redrives):len(s.redrives)], s.nodes.Back(src, f.Name, f.Delay))
	g.redrives[f.Name] = s
}
