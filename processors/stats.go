package processors

import (
	"cmp"
	"context"
	"fmt"
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
			if why := i.stalled(p, in, now); why != "" {
				t.Stalled = append(t.Stalled, why)
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

// stalled says why an input makes no progress although it has lag, or nothing when it does not stand still.
func (i *Instance) stalled(p *placement, in *input, now time.Time) string {
	since := in.since(now)
	if in.lag() == 0 || !p.task.is(taskRunning) || since < i.opts.StallAfter+i.opts.CommitInterval {
		return ""
	}
	what := fmt.Sprintf("%s has made no progress for %s at offset %d with lag %d", in.tp, since.Round(time.Second), in.next.Load(), in.lag())
	if w := in.waiting.Load(); w != nil {
		return fmt.Sprintf("%s: offset %d failed %d times, next try in %s: %v", what, w.offset, w.attempt, w.until.Sub(now).Round(time.Millisecond), w.err)
	}
	if at := p.worker.processing.Load(); at > 0 && now.Sub(time.Unix(0, at)) > i.opts.StallAfter {
		return fmt.Sprintf("%s: its worker %d has been in one call for %s", what, p.worker.id, now.Sub(time.Unix(0, at)).Round(time.Second))
	}
	if err := p.worker.lastError.Load(); err != nil && p.worker.tries.Load() > 0 {
		return fmt.Sprintf("%s: commits fail: %v", what, *err)
	}
	return what
}

// Health lists what is wrong: stalled partitions, stopped tasks, commits that fail. Empty means healthy.
func (i *Instance) Health() []string {
	now := time.Now()
	var problems []string
	for _, p := range i.placements() {
		if f := p.task.failure.Load(); f != nil && p.task.is(taskFailed) {
			problems = append(problems, fmt.Sprintf("task %s is stopped: %v", p.task.id, f.err))
		}
		for _, in := range p.task.inputs {
			if why := i.stalled(p, in, now); why != "" {
				problems = append(problems, why)
			}
		}
	}
	if i.phase.Load().(Phase) != Running {
		return problems
	}
	for _, w := range i.workers {
		if err := w.lastError.Load(); err != nil && w.tries.Load() >= unhealthyTries {
			problems = append(problems, fmt.Sprintf("worker %d failed %d times in a row: %v", w.id, w.tries.Load(), *err))
		}
	}
	return problems
}

// unhealthyTries is how many failures in a row make a worker unhealthy: fewer happen in every broker restart.
const unhealthyTries = 8

// Ready says whether the instance is in its group and all its tasks run.
func (i *Instance) Ready() bool {
	if i.phase.Load().(Phase) != Running {
		return false
	}
	// Phase Running is set after the group is there. A member without tasks is ready too.
	if _, ok := i.group.Member(); !ok {
		return false
	}
	for _, p := range i.placements() {
		if !p.task.is(taskRunning) {
			return false
		}
	}
	return true
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
		i.refresh(ctx)
		now, stalled := time.Now(), 0
		seen := map[*input]bool{}
		for _, p := range i.placements() {
			for _, in := range p.task.inputs {
				why := i.stalled(p, in, now)
				if why == "" {
					continue
				}
				stalled++
				seen[in] = true
				if !reported[in] {
					i.log.Error("an input partition stands still", zap.Stringer("input", in.tp), zap.String("why", why))
				}
			}
		}
		reported = seen
		i.metrics.stalled.Store(int64(stalled))
	}
}
