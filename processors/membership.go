package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// membership is the Instance as its group sees it, and the source of its engine's partitions.
type membership Instance

// Assigned makes a task of every sub-graph at every partition given, on the worker with the fewest tasks.
func (m *membership) Assigned(added []kafka.TopicPartition) {
	i := (*Instance)(m)
	i.metrics.rebalances.Add(1)
	ids := i.taskIDs(added)
	if i.again != nil {
		ids = i.again.of(i.engine, ids)
	}
	for _, id := range ids { // before the lock: it may ask the cluster
		if g := i.graph.subgraphs[id.subgraph]; id.partition >= g.partitions {
			if err := i.grow(g, id.partition, added); err != nil {
				i.fail(err)
				return
			}
		}
	}
	i.hooks.tellRebalanced(added, nil, false)
	i.redrive(added, true)
	i.take(i.placedOf(ids), true) // a redrive topic was made: they are opened again with one input more
	i.place(ids)
	i.gone.look()
	i.log.Info("tasks assigned", zap.Stringers("tasks", ids), zap.Int("from_copies", i.copies.taken(ids)))
}

// Revoked commits and closes the tasks of the partitions given before it returns.
func (m *membership) Revoked(removed []kafka.TopicPartition) {
	m.intruded(removed)
	(*Instance)(m).give(removed, true)
}

// Lost closes the tasks of the partitions given without a commit.
func (m *membership) Lost(lost []kafka.TopicPartition) {
	m.intruded(lost)
	(*Instance)(m).give(lost, false)
}

// intruded ends a replay that is not alone any more: an instance would go on from the committed offsets.
func (m *membership) intruded(tps []kafka.TopicPartition) {
	if m.again == nil || m.ending.Load() {
		return
	}
	if err := m.again.intruded(tps); err != nil {
		(*Instance)(m).fail(err)
	}
}

// Failed ends the instance.
func (m *membership) Failed(err error) { (*Instance)(m).fail(err) }

// give hands partitions back to the group.
func (i *Instance) give(tps []kafka.TopicPartition, clean bool) {
	ids := i.taskIDs(tps)
	i.redrive(tps, false)
	kept := i.placedOf(ids) // tasks of which only partitions of redrive topics are given back
	for _, tp := range tps {
		if g, ok := i.graph.inputs[tp.Topic]; ok {
			kept = slices.DeleteFunc(kept, func(id taskID) bool { return id == taskID{g.plan.Index, tp.Partition} })
		}
	}
	committed := i.take(ids, clean)
	i.place(kept)
	ids = slices.DeleteFunc(ids, func(id taskID) bool { return slices.Contains(kept, id) })
	i.copies.leave(ids)
	i.metrics.rebalances.Add(1)
	i.hooks.tellRebalanced(nil, tps, !clean)
	i.log.Info("tasks given up", zap.Stringers("tasks", ids), zap.Bool("committed", committed))
}

// committed implements source: what is committed, when no transaction that touches it is open.
func (m *membership) committed(ctx context.Context, inputs []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	return m.opts.Wire.Committed(ctx, m.graph.plan.Group(), inputs)
}

// begin implements source. Where that needs the recorded resets and their topic would forget them, it is a refusal.
//
// No task is refused by offsets that have moved since they were asked for: an instance that stood still, and does not know yet that its
// task is another's, may restore what that one has committed meanwhile.
func (m *membership) begin(ctx context.Context, t *task, committed map[kafka.TopicPartition]kafka.CommittedOffset, o *opened) error {
	err := m.beginnings(ctx, t, committed, o)
	if err == nil && m.again != nil {
		err = m.again.bound(ctx, committed, o)
	}
	if unfit, ok := errors.AsType[*system.UnfitError](err); ok {
		return m.refuse([]string{fmt.Sprintf("state and committed offsets of task %s disagree, and whether that was recorded is not known: %s",
			t.id, unfit.Problem(m.cluster()))})
	}
	if _, refused := errors.AsType[*RefusedTopologyError](err); refused {
		now, failed := m.committed(ctx, slices.Collect(maps.Keys(committed)))
		switch {
		case failed != nil:
			return failed
		case !maps.Equal(now, committed):
			return &kafka.Error{Class: kafka.Retriable, Op: "open task " + t.id.String(), Err: errors.New("its offsets were committed by somebody else meanwhile")}
		}
	}
	return err
}

// settled implements source: the group has the positions.
func (m *membership) settled(*transaction) {}

// gaveUp implements source: whether it was committed, the group knows.
func (m *membership) gaveUp(_ *transaction, err error) {
	if kafka.ClassOf(err) == kafka.Fenced {
		m.fences.note(time.Now())
	}
}

// commit implements source: the positions are the offsets of the group, in the name of its member.
//
// A rebalance may raise the generation at any moment. The partitions of this worker are still its own then: they are
// taken away only by Revoked, which waits for this goroutine. So the newer generation is waited for and used.
func (m *membership) commit(ctx context.Context, s Sink, positions map[kafka.TopicPartition]kafka.CommittedOffset) error {
	op, group := "commit offsets of "+m.graph.plan.Group(), m.group
	deadline := time.NewTimer(staleGenerationWait)
	defer deadline.Stop()
	for {
		changed := group.Changed()
		member, ok := group.Member()
		if !ok {
			return &kafka.Error{Class: kafka.Abortable, Op: op, Err: errors.New("this instance is not in the group at the moment")}
		}
		err := s.Offsets(ctx, member, positions)
		if !errors.Is(err, kafka.ErrStaleGeneration) {
			return err
		}
		if now, ok := group.Member(); ok && now == member {
			select {
			case <-changed:
			case <-time.After(staleGenerationRetry):
				// The generation may be the right one: until every member has its assignment, the coordinator refuses
				// offsets that are outside of a transaction, and nothing tells when that is over.
			case <-ctx.Done():
				return ctx.Err()
			case <-deadline.C:
				return &kafka.Error{Class: kafka.Abortable, Op: op, Err: err}
			}
		}
	}
}

// staleGenerationWait bounds how long a commit waits for the outcome of a rebalance, asking at intervals.
const (
	staleGenerationWait  = 20 * time.Second
	staleGenerationRetry = 50 * time.Millisecond
)
