package processors

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
)

// warnings logs what is not wrong enough to be refused: settings of existing topics under which records can be lost.
func (e *engine) warnings(ctx context.Context, infos map[string]kafka.TopicInfo) error {
	for _, t := range e.graph.plan.Topics {
		info, ok := infos[t.Name]
		if !ok {
			continue
		}
		e.warnOfOtherSettings(t, info)
		if isr, err := strconv.Atoi(info.Config["min.insync.replicas"]); err == nil && isr < 2 && info.ReplicationFactor >= 3 &&
			!strings.HasPrefix(t.Name, "__") && t.Role != plan.InputTopic {
			e.log.Warn("an acknowledged record of this topic can be lost with one broker: set min.insync.replicas to 2",
				zap.String("topic", t.Name), zap.Int16("replication_factor", info.ReplicationFactor))
		}
		if kind := info.Config[timestampType]; t.Role == plan.DeadLetterTopic && kind != "" && kind != logAppendTime {
			e.log.Warn("dead letters of old records vanish early, because the retention of this topic counts from the time of the original record: "+
				"set "+timestampType+" to "+logAppendTime,
				zap.String("topic", t.Name), zap.String("has", kind), zap.String("run", e.alter(t.Name, timestampType+"="+logAppendTime)))
		}
		if policy := info.Config[cleanupPolicy]; t.Role == plan.DeadLetterTopic && strings.Contains(policy, "compact") {
			e.log.Warn("dead letters vanish, because this topic is compacted: of each key the last one stays; set cleanup.policy to delete",
				zap.String("topic", t.Name), zap.String("has", policy), zap.String("run", e.alter(t.Name, cleanupPolicy+"=delete")))
		}
	}
	for _, g := range e.graph.subgraphs {
		e.warnOfManyStores(g)
		if err := e.warnOfOldInput(ctx, g, infos); err != nil {
			return err
		}
	}
	return nil
}

// warnOfManyStores names a sub-graph with so many stores that its committed offsets may not tell all their changelogs.
func (e *engine) warnOfManyStores(g *subgraph) {
	var names []string
	for _, s := range g.stores {
		names = append(names, s.Name)
	}
	if !offsets.Roomy(slices.Values(names)) {
		e.log.Warn("committed offsets have no room to tell the changelogs of so many stores that are updated together: where one of the last by name is deleted "+
			"and created again, an instance that has no copy of the store begins with an empty one, and says nothing",
			zap.String("input", g.sources[0].Topic), zap.Int("stores", len(g.stores)))
	}
}

// warnOfOldInput compares the age of what a sub-graph has still to read with the retention of what it writes. An output
// keeps the time of its input record, which later steps need: a result of a record that is older than the output's
// retention is deleted soon after it was written.
func (e *engine) warnOfOldInput(ctx context.Context, g *subgraph, infos map[string]kafka.TopicInfo) error {
	var inputs []kafka.TopicPartition
	for _, s := range g.sources {
		inputs = append(inputs, partitionsOf(infos[s.Topic])...)
	}
	var next, ends map[kafka.TopicPartition]int64
	told := map[string]bool{}
	for _, n := range g.plan.Nodes {
		for _, o := range n.Outputs {
			stream, ok := o.(*plan.Stream)
			if !ok {
				continue
			}
			topic := e.graph.plan.Topic(stream)
			if told[topic] {
				continue
			}
			told[topic] = true
			retention, counts := keeps(infos[topic])
			if !counts {
				continue
			}
			if next == nil {
				var err error
				if next, err = e.unread(ctx, inputs); err != nil {
					return err
				}
				if ends, err = e.opts.Wire.Ends(ctx, inputs); err != nil { // first: what comes later is not old
					return err
				}
			}
			young, err := e.opts.Wire.OffsetsFor(ctx, inputs, time.Now().Add(-retention))
			if err != nil {
				return err
			}
			for _, tp := range inputs {
				old := young[tp] - next[tp]
				if young[tp] < 0 { // every record is older
					old = ends[tp] - next[tp]
				}
				if old > 0 {
					e.log.Warn("the input still holds records that are older than the output's retention: their results are deleted soon after "+
						"it was written, because an output has the time of its input record; raise the output's retention for as long as the backlog lasts",
						zap.Stringer("input", tp), zap.Int64("old_records", old), zap.String("output", topic), zap.Duration("retention", retention),
						zap.String("run", e.alter(topic, retentionTime+"=-1")))
					break // one line for an output
				}
			}
		}
	}
	return nil
}

// keeps is how long a topic keeps a record, by the record's own time; counts is false where age deletes nothing.
func keeps(info kafka.TopicInfo) (retention time.Duration, counts bool) {
	ms, err := strconv.ParseInt(info.Config[retentionTime], 10, 64)
	if err != nil || ms < 0 || info.Config[timestampType] == logAppendTime || !strings.Contains(info.Config[cleanupPolicy], "delete") ||
		ms > (100*365*24*time.Hour).Milliseconds() {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

// unread is where the group would go on in each partition: at its committed offset, or at the start.
func (e *engine) unread(ctx context.Context, tps []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error) {
	starts, err := e.opts.Wire.Starts(ctx, tps)
	if err != nil {
		return nil, err
	}
	committed, err := e.opts.Wire.CommittedNow(ctx, e.graph.plan.Group(), tps)
	if err != nil {
		return nil, err
	}
	for tp, start := range starts {
		starts[tp] = max(start, committed[tp].Offset)
	}
	return starts, nil
}
