package processors

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/kafka"
)

// Stats is a snapshot of the instance. It may be called at any time from any goroutine.
func (i *Instance) Stats() Stats {
	m := i.metrics
	s := Stats{
		Phase:        i.phase.Load().(Phase),
		Processed:    m.records[processed].Load(),
		Filtered:     m.records[filtered].Load(),
		Deduplicated: m.records[deduplicated].Load(),
		DeadLettered: m.records[deadLettered].Load(),
		Retried:      m.retries.Load(),
		Commits:      m.commits.Load(),
		Aborts:       m.aborts.Load(),
		Rebalances:   m.rebalances.Load(),
	}
	s.Consumed = s.Processed + s.Filtered + s.Deduplicated + s.DeadLettered
	now := time.Now()
	for _, p := range i.placements() {
		t := TaskStats{
			Topology: i.graph.plan.Topology, Subgraph: p.task.id.subgraph, Partition: p.task.id.partition,
			Worker: p.worker.id, State: taskState(p.task.state.Load()).String(),
		}
		for _, in := range p.task.inputs {
			t.Lag += in.lag()
			if p, ok := i.stalled(p, in, now); ok {
				t.Stalled = append(t.Stalled, p.Cause)
			}
		}
		t.Restore = p.task.restored.Load()
		s.Lag += t.Lag
		s.Tasks = append(s.Tasks, t)
	}
	return s
}

// placements lists the tasks in order.
func (i *Instance) placements() []*placement {
	i.mu.Lock()
	all := make([]*placement, 0, len(i.placed))
	for _, p := range i.placed {
		all = append(all, p)
	}
	i.mu.Unlock()
	slices.SortFunc(all, func(a, b *placement) int {
		return cmp.Or(a.task.id.subgraph-b.task.id.subgraph, int(a.task.id.partition-b.task.id.partition))
	})
	return all
}

// refresh asks for the ends of inputs that stand still: what is read ahead of them is bounded, so that their lag would
// seem to have stopped growing.
func (i *Instance) refresh(ctx context.Context) {
	now := time.Now()
	var tps []kafka.TopicPartition // in the order of the tasks
	still := map[kafka.TopicPartition]*input{}
	for _, p := range i.placements() {
		for _, in := range p.task.inputs {
			if in.lag() > 0 && p.task.is(taskRunning) && in.since(now) > i.opts.StallAfter/2 {
				tps = append(tps, in.tp)
				still[in.tp] = in
			}
		}
	}
	if len(tps) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, i.opts.StallAfter/4)
	defer cancel()
	ends, err := i.opts.Wire.Ends(ctx, tps)
	if err != nil {
		return // the cluster's troubles are reported where it is needed
	}
	for tp, end := range ends {
		still[tp].observe(end, now)
	}
}

// watch reports stalled partitions, once for each standstill.
func (i *Instance) watch(ctx context.Context) {
	tick := time.NewTicker(max(i.opts.StallAfter/4, 100*time.Millisecond))
	defer tick.Stop()
	reported := map[*input]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		i.watched.Store(new(time.Now()))
		i.refresh(ctx)
		now, stalled := time.Now(), 0
		seen := map[*input]bool{}
		for _, p := range i.placements() {
			for _, in := range p.task.inputs {
				problem, ok := i.stalled(p, in, now)
				if !ok {
					continue
				}
				stalled++
				seen[in] = true
				if !reported[in] {
					i.log.Error("an input partition stands still", zap.Stringer("input", in.tp), zap.String("why", problem.Cause), zap.String("remedy", problem.Remedy))
				}
			}
		}
		reported = seen
		i.metrics.stalled.Store(int64(stalled))
	}
}
