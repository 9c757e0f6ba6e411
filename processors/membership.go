package processors

import (
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// membership is the Instance as its group sees it.
type membership Instance

// Assigned makes a task of every sub-graph at every partition given, on the worker with the fewest tasks.
func (m *membership) Assigned(added []kafka.TopicPartition) {
	i := (*Instance)(m)
	i.metrics.rebalances.Add(1)
	ids := i.taskIDs(added)
	for _, id := range ids { // before the lock: it may ask the cluster
		if g := i.graph.subgraphs[id.subgraph]; id.partition >= g.partitions {
			if err := i.grow(g, id.partition, added); err != nil {
				i.fail(err)
				return
			}
		}
	}
	i.hooks.tellRebalanced(added, nil, false)
	i.place(ids)
	i.log.Info("tasks assigned", zap.Stringers("tasks", ids))
}

// place gives tasks to the workers that have the fewest.
func (i *Instance) place(ids []taskID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, id := range ids {
		if _, ok := i.placed[id]; ok {
			continue
		}
		counts := map[*worker]int{}
		for _, p := range i.placed {
			counts[p.worker]++
		}
		best := i.workers[0]
		for _, w := range i.workers[1:] {
			if counts[w] < counts[best] {
				best = w
			}
		}
		t := newTask(i.calls, id, i.graph.subgraphs[id.subgraph])
		i.placed[id] = &placement{t, best}
		best.inbox.put(func() { best.tasks.add(t) })
	}
}

// Revoked commits and closes the tasks of the partitions given before it returns.
func (m *membership) Revoked(removed []kafka.TopicPartition) { (*Instance)(m).give(removed, true) }

// Lost closes the tasks of the partitions given without a commit.
func (m *membership) Lost(lost []kafka.TopicPartition) { (*Instance)(m).give(lost, false) }

// Failed ends the instance.
func (m *membership) Failed(err error) { (*Instance)(m).fail(err) }

func (i *Instance) give(tps []kafka.TopicPartition, clean bool) {
	ids := i.taskIDs(tps)
	perWorker := map[*worker]map[taskID]bool{}
	i.mu.Lock()
	for _, id := range ids {
		if p, ok := i.placed[id]; ok {
			if perWorker[p.worker] == nil {
				perWorker[p.worker] = map[taskID]bool{}
			}
			perWorker[p.worker][id] = true
			p.task.leave(errGivenUp)
			delete(i.placed, id)
		}
	}
	i.mu.Unlock()
	var waits sync.WaitGroup
	var uncommitted atomic.Bool
	for w, ids := range perWorker {
		given := make(chan struct{})
		if !w.inbox.put(func() {
			if !w.give(i.ctx, ids, clean) {
				uncommitted.Store(true)
			}
			close(given)
		}) {
			continue
		}
		waits.Add(1)
		go func() {
			defer waits.Done()
			select {
			case <-given:
			case <-w.done:
			}
		}()
	}
	waits.Wait()
	i.metrics.rebalances.Add(1)
	i.hooks.tellRebalanced(nil, tps, !clean)
	i.log.Info("tasks given up", zap.Stringers("tasks", ids), zap.Bool("committed", !uncommitted.Load()))
}

// taskIDs turns input partitions into tasks, in order.
func (i *Instance) taskIDs(tps []kafka.TopicPartition) []taskID {
	seen := map[taskID]bool{}
	var ids []taskID
	for _, tp := range tps {
		g, ok := i.graph.inputs[tp.Topic]
		if !ok {
			continue
		}
		id := taskID{g.plan.Index, tp.Partition}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b taskID) int {
		if a.subgraph != b.subgraph {
			return a.subgraph - b.subgraph
		}
		return int(a.partition - b.partition)
	})
	return ids
}
