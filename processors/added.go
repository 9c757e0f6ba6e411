package processors

import (
	"context"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
)

// A partition that is added to an input is noticed after its first records were written: by an instance that runs when it
// looks at the metadata again, by others at their next start. With auto.offset.reset=latest these records would be lost.
// So it begins at its start, whatever the setting says, which is meant for what there was before the group.
//
// A partition without a committed offset may also be one that the group is about to begin with: tasks are opened one by
// one. The marks of its siblings tell: each says how many partitions there were when it was begun.

// begunWith is the least number of partitions that a topic had when one of its partitions was begun, by topic. Topics of
// which no mark tells are not in it.
func begunWith(committed map[kafka.TopicPartition]kafka.CommittedOffset, infos map[string]kafka.TopicInfo) map[string]int32 {
	least := map[string]int32{}
	for tp, o := range committed {
		m, marked := offsets.ParseMark(o.Metadata)
		if o.Offset < 0 || !marked || m.Partitions <= 0 || m.TopicID != infos[tp.Topic].ID {
			continue
		}
		if n, ok := least[tp.Topic]; !ok || m.Partitions < n {
			least[tp.Topic] = m.Partitions
		}
	}
	return least
}

// added finds, among partitions without a committed offset, those that were added after the group had begun with their
// topic.
func (e *engine) added(ctx context.Context, tps []kafka.TopicPartition, infos map[string]kafka.TopicInfo) (added []kafka.TopicPartition, err error) {
	var siblings []kafka.TopicPartition
	for _, tp := range tps {
		siblings = append(siblings, partitionsOf(infos[tp.Topic])...)
	}
	committed, err := e.opts.Wire.CommittedNow(ctx, e.graph.plan.Group(), siblings)
	if err != nil {
		return nil, err
	}
	least := begunWith(committed, infos)
	for _, tp := range tps {
		if n, ok := least[tp.Topic]; ok && tp.Partition >= n {
			e.log.Info("a partition was added to an input after the group had begun with it: it is read from its start, whatever auto.offset.reset says",
				zap.Stringer("input", tp), zap.Int32("partitions_before", n))
			added = append(added, tp)
		}
	}
	return added, nil
}

// atStart fills in where added partitions begin, and takes them out of what auto.offset.reset decides.
func (e *engine) atStart(ctx context.Context, begins map[kafka.TopicPartition]beginning, fresh map[kafka.TopicPartition]offsets.Answer, infos map[string]kafka.TopicInfo) error {
	var unknown []kafka.TopicPartition
	for tp, a := range fresh {
		if a.Kind == offsets.Begin && !a.Accepted {
			unknown = append(unknown, tp)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	added, err := e.added(ctx, unknown, infos)
	if err != nil || len(added) == 0 {
		return err
	}
	starts, err := e.opts.Wire.Starts(ctx, added)
	if err != nil {
		return err
	}
	for _, tp := range added {
		at := begins[tp]
		at.Offset = starts[tp]
		begins[tp] = at
		delete(fresh, tp)
	}
	return nil
}
