package processors

import (
	"context"
	"maps"
	"time"

	"go.uber.org/zap"
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
		for in := range p.task.everything() {
			if p, ok := i.stalled(p, in, now); ok {
				t.Stalled = append(t.Stalled, p.Cause)
			}
		}
		t.Lag, _ = p.task.lag()
		t.Restore = p.task.restored.Load()
		s.Lag += t.Lag
		s.Tasks = append(s.Tasks, t)
	}
	for _, c := range i.copies.all() {
		s.Copies = append(s.Copies, c.stats())
	}
	return s
}

// standstill is a reason for which an input stands still: what one would do about it tells them apart.
type standstill struct {
	*input
	remedy string
}

// watchLook is how often stalled partitions are looked for, at least: health says so at once, and points to the log.
const watchLook = time.Second

// watch reports stalled partitions, once for each standstill, and again when more is known of it: what readers wait for is
// asked at intervals.
func (i *Instance) watch(ctx context.Context) {
	tick := time.NewTicker(min(max(i.opts.StallAfter/4, 100*time.Millisecond), watchLook))
	defer tick.Stop()
	reported, logged := map[standstill]bool{}, map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		i.watched.Store(new(time.Now()))
		now, stalled := time.Now(), 0
		seen := map[*input]bool{}
		for _, p := range i.placements() {
			for in := range p.task.everything() {
				problem, ok := i.stalled(p, in, now)
				if !ok {
					continue
				}
				stalled++
				seen[in] = true
				if problem.overdue {
					continue // logOverdue has logged it
				}
				if this := (standstill{in, problem.Remedy}); !reported[this] {
					reported[this] = true
					stack := zap.Skip()
					if problem.inCall {
						stack = zap.String("stack", p.worker.stack())
					}
					i.log.Error("an input partition stands still", zap.Stringer("input", in.tp), zap.String("why", problem.Cause), zap.String("remedy", problem.Remedy), stack)
				}
			}
		}
		maps.DeleteFunc(reported, func(s standstill, _ bool) bool { return !seen[s.input] })
		logged = i.logProblems(now, logged)
		i.metrics.stalled.Store(int64(stalled))
	}
}

// logProblems logs what the patrol has found, each once while it lasts, and what has gone.
func (i *Instance) logProblems(now time.Time, logged map[string]bool) map[string]bool {
	present := map[string]bool{}
	for _, p := range i.found(now) {
		present[p.Kind] = true
		if !logged[p.Kind] {
			i.log.Error("unhealthy", zap.String("kind", p.Kind), zap.String("cause", p.Cause), zap.String("remedy", p.Remedy))
		}
	}
	for kind := range logged {
		if !present[kind] {
			i.log.Info("healthy again", zap.String("kind", kind))
		}
	}
	return present
}
