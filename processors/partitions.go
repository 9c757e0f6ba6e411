package processors

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// partitionFor is the partition of a topic that a key belongs to. Records without a key stay on their task's partition.
func (e *engine) partitionFor(topic string, key []byte, in *input) int32 {
	n := e.partitions.Load().of(topic)
	if n <= 1 {
		return 0
	}
	if key == nil {
		return in.tp.Partition % n
	}
	return e.partitioner.Partition(key, n)
}

// checkPartition reports the first record of a topic that is not where its key belongs: its producer uses another
// partitioner, and the state of a key would be spread over tasks without any error.
func (e *engine) checkPartition(c *cause) {
	in, r := c.in, c.record
	if in.redriven {
		return // it lies where its record was read first
	}
	if r.Key == nil {
		if !in.keyless && len(in.task.graph.stores) > 0 {
			in.keyless = true
			e.warnOfKeyless(c)
		}
		return
	}
	if in.reported {
		return
	}
	want := e.partitionFor(in.tp.Topic, r.Key, in)
	if want == in.tp.Partition {
		return
	}
	in.reported = true
	e.metrics.misplaced(in.tp.Topic)
	if _, known := e.misplaced.LoadOrStore(in.tp.Topic, true); !known {
		e.log.Warn("a record lies on a partition that its key does not hash to: its producer partitions differently "+
			"(set partitioner, or fix the producer); state of one key may be spread over several tasks",
			c.fields(zap.Int32("expected_partition", want), zap.String("partitioner", e.opts.Partitioner))...)
	}
}

// warnOfKeyless reports the first record without a key of a topic whose nodes have stores: to nodes its key is "", as that
// of a record with an empty key, and the state of "" is another one on each partition.
func (e *engine) warnOfKeyless(c *cause) {
	if _, known := e.misplaced.LoadOrStore("without a key: "+c.in.tp.Topic, true); !known {
		e.log.Warn("a record has no key, and its nodes keep state: to them its key is \"\", as that of an empty key, and what they store "+
			"under it differs from partition to partition; ctx.Record().Keyless tells the two apart", c.fields()...)
	}
}

// partitionCounts are how many partitions the topics of a plan have. There are few, so that a look at each is cheaper than a map.
type partitionCounts []struct {
	topic string
	count int32
}

// of is 0 for a topic that is not there.
func (p *partitionCounts) of(topic string) int32 {
	for i := range *p {
		if c := &(*p)[i]; c.topic == topic {
			return c.count
		}
	}
	return 0
}

// keepCounts notes the partition counts of the plan's topics.
func (e *engine) keepCounts(infos map[string]kafka.TopicInfo) map[string]int32 {
	counts := map[string]int32{}
	known := make(partitionCounts, 0, len(infos))
	for name, info := range infos {
		counts[name] = info.Partitions
		known = append(known, struct {
			topic string
			count int32
		}{name, info.Partitions})
	}
	e.partitions.Store(&known)
	return counts
}

// countPartitions asks for the partition counts again.
func (e *engine) countPartitions(ctx context.Context) (map[string]int32, error) {
	infos, err := e.opts.Wire.Topics(ctx, e.topicNames())
	if err != nil {
		return nil, err
	}
	return e.keepCounts(infos), nil
}

// grow takes notice of partitions that were added to the inputs of a sub-graph: to one of them, or to several.
func (e *engine) grow(g *subgraph, partition int32, assigned []kafka.TopicPartition) error {
	var grown []string
	for _, s := range g.sources {
		if slices.Contains(assigned, kafka.TopicPartition{Topic: s.Topic, Partition: partition}) {
			grown = append(grown, s.Topic)
		}
	}
	name := strings.Join(grown, " and ")
	if len(g.stores) > 0 {
		return e.refuse([]string{fmt.Sprintf("partition %d was added to %s, which had %d: its keys now belong to other partitions than "+
			"their state, which lies by the old count. How to go on is in docs/adding-partitions.md (https://github.com/weirstream/weir/blob/main/docs/adding-partitions.md)", partition, name, g.partitions)})
	}
	before := g.partitions
	g.partitions = partition + 1
	counts, err := e.countPartitions(e.ctx)
	if err != nil { // the world's: the assignment says enough
		e.log.Warn("partitions were added, and the cluster does not say how many", zap.String("topic", name), zap.Int32("before", before),
			zap.Int32("at_least", g.partitions), zap.Error(err))
		return nil
	}
	for _, topic := range grown {
		g.partitions = max(g.partitions, counts[topic])
	}
	e.log.Info("partitions were added", zap.String("topic", name), zap.Int32("before", before), zap.Int32("now", g.partitions))
	return nil
}
