package processors

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/weirstream/weir/kafka"
	"github.com/weirstream/weir/topology"
)

// check compares the topics of the plan with those of the cluster, and makes missing ones where that was asked for. All
// problems are reported together, before anything is read or written.
func (i *Instance) check(ctx context.Context) error {
	names := i.topicNames()
	infos, err := i.opts.Wire.Topics(ctx, names)
	if err != nil {
		return err
	}
	if missing := i.missing(infos); len(missing) > 0 {
		create, err := i.mayCreate(ctx, missing, infos)
		if err != nil {
			return err
		}
		if create == nil {
			return i.refuse(i.missingProblems(missing))
		}
		specs := i.specs(*create, missing, infos)
		if err := i.opts.Wire.CreateTopics(ctx, specs); err != nil {
			return err
		}
		for _, s := range specs {
			i.log.Info("topic created", zap.String("topic", s.Name), zap.Int32("partitions", s.Partitions))
		}
		if infos, err = i.opts.Wire.Topics(ctx, names); err != nil {
			return err
		}
		if missing := i.missing(infos); len(missing) > 0 {
			return i.refuse(i.missingProblems(missing))
		}
	}
	if problems := i.mismatches(infos); len(problems) > 0 {
		return i.refuse(problems)
	}
	counts := i.keepCounts(infos)
	stores := int64(0)
	for _, g := range i.graph.subgraphs {
		g.partitions = counts[g.sources[0].stream.Name]
		stores += int64(g.partitions) * int64(len(g.stores))
	}
	i.cacheBytes = max(i.opts.CacheBytes/max(stores, 1), 64<<10)
	return nil
}

// keepCounts notes the partition counts of the plan's topics.
func (i *Instance) keepCounts(infos map[string]kafka.TopicInfo) map[string]int32 {
	counts := map[string]int32{}
	for name, info := range infos {
		counts[name] = info.Partitions
	}
	i.partitions.Store(&counts)
	return counts
}

// countPartitions asks for the partition counts anew.
func (i *Instance) countPartitions(ctx context.Context) (map[string]int32, error) {
	infos, err := i.opts.Wire.Topics(ctx, i.topicNames())
	if err != nil {
		return nil, err
	}
	return i.keepCounts(infos), nil
}

func (i *Instance) topicNames() (names []string) {
	for _, t := range i.graph.plan.Topics {
		names = append(names, t.Name)
	}
	return names
}

func (i *Instance) refuse(problems []string) error {
	return &RefusedTopologyError{Topology: i.graph.plan.Topology, Problems: problems}
}

// missing lists the topics of the plan that the cluster does not have.
func (i *Instance) missing(infos map[string]kafka.TopicInfo) []topology.Topic {
	return slices.DeleteFunc(slices.Clone(i.graph.plan.Topics), func(t topology.Topic) bool {
		_, ok := infos[t.Name]
		return ok
	})
}

func (i *Instance) missingProblems(missing []topology.Topic) []string {
	var problems []string
	for _, t := range missing {
		problem := fmt.Sprintf("%s topic %s does not exist: create it, or start with --create-topics", t.Role, t.Name)
		if t.Role == topology.Changelog {
			problem += "; its store would begin empty"
		}
		problems = append(problems, problem)
	}
	return problems
}

// mayCreate says how missing topics are to be made, or nil when they are not. What belongs to the topology alone, its
// changelogs and dead letters, is made at its first start even where nobody asked for topics. Later, a changelog that is
// missing may have been deleted: to begin with empty state behind committed offsets takes somebody's word.
func (i *Instance) mayCreate(ctx context.Context, missing []topology.Topic, infos map[string]kafka.TopicInfo) (*Creation, error) {
	if i.opts.Create != nil {
		return i.opts.Create, nil
	}
	first := &Creation{ReplicationFactor: -1}
	for _, t := range missing {
		if t.Role != topology.Changelog && t.Role != topology.DeadLetterTopic {
			return nil, nil
		}
	}
	var inputs []kafka.TopicPartition
	for name := range i.graph.inputs {
		n := infos[name].Partitions
		first.Partitions = max(first.Partitions, n)
		for p := range n {
			inputs = append(inputs, kafka.TopicPartition{Topic: name, Partition: p})
		}
	}
	committed, err := i.opts.Wire.Committed(ctx, i.graph.plan.Topology, inputs)
	if err != nil {
		return nil, err
	}
	for _, offset := range committed {
		if offset >= 0 {
			return nil, nil
		}
	}
	return first, nil
}

// specs says how missing topics are to be made. A changelog, or an input that is processed together with others, takes
// over the count of the inputs that exist.
func (i *Instance) specs(create Creation, missing []topology.Topic, infos map[string]kafka.TopicInfo) (specs []kafka.TopicSpec) {
	if create.Partitions <= 0 {
		create.Partitions = 1
	}
	if create.ReplicationFactor == 0 {
		create.ReplicationFactor = -1
	}
	for _, t := range missing {
		spec := kafka.TopicSpec{Name: t.Name, Partitions: create.Partitions, ReplicationFactor: create.ReplicationFactor, Config: map[string]string{}}
		for _, name := range i.boundTo(t) {
			if info, ok := infos[name]; ok {
				spec.Partitions = info.Partitions
				break
			}
		}
		if t.Cleanup != "" {
			spec.Config["cleanup.policy"] = t.Cleanup
		}
		switch {
		case t.Retention < 0:
			spec.Config["retention.ms"] = "-1"
		case t.Retention > 0:
			spec.Config["retention.ms"] = strconv.FormatInt(t.Retention.Milliseconds(), 10)
		}
		if t.MaxMessage > 0 {
			spec.Config["max.message.bytes"] = strconv.Itoa(t.MaxMessage)
		}
		if create.ReplicationFactor >= 3 {
			spec.Config["min.insync.replicas"] = "2"
		}
		specs = append(specs, spec)
	}
	return specs
}

// boundTo lists the topics whose partition count a topic must share: the inputs of its sub-graph.
func (i *Instance) boundTo(t topology.Topic) (names []string) {
	input := t.PartitionsOf
	if t.Role == topology.Input {
		input = t.Name
	}
	if g, ok := i.graph.inputs[input]; ok {
		for _, s := range g.sources {
			names = append(names, s.stream.Name)
		}
	}
	return names
}

// mismatches lists what is wrong with topics that exist.
func (i *Instance) mismatches(infos map[string]kafka.TopicInfo) (problems []string) {
	for _, g := range i.graph.subgraphs {
		first := infos[g.sources[0].stream.Name]
		for _, s := range g.sources[1:] {
			if info := infos[s.stream.Name]; info.Partitions != first.Partitions {
				problems = append(problems, fmt.Sprintf("%s has %d partitions and %s has %d: inputs that are processed together "+
					"need the same number; create one of them anew with the other's count", first.Name, first.Partitions, info.Name, info.Partitions))
			}
		}
		for _, store := range g.stores {
			log := infos[i.graph.changelogTopic(store)]
			if log.Partitions != first.Partitions {
				problems = append(problems, fmt.Sprintf("changelog %s has %d partitions, but %s has %d: the state of store %s lies by the old count "+
					"and would be orphaned; keep the input's partition count, or reset the topology with a new name", log.Name, log.Partitions, first.Name, first.Partitions, store.Name))
			}
			if policy := log.Config["cleanup.policy"]; policy != "" && policy != "compact" {
				problems = append(problems, fmt.Sprintf("changelog %s has cleanup.policy=%s: state would be deleted with time; set it to compact", log.Name, policy))
			}
		}
	}
	for _, t := range i.graph.plan.Topics {
		info := infos[t.Name]
		if isr, err := strconv.Atoi(info.Config["min.insync.replicas"]); err == nil && isr < 2 && info.ReplicationFactor >= 3 &&
			!strings.HasPrefix(t.Name, "__") && t.Role != topology.Input {
			i.log.Warn("an acknowledged record of this topic can be lost with one broker: set min.insync.replicas to 2",
				zap.String("topic", t.Name), zap.Int16("replication_factor", info.ReplicationFactor))
		}
	}
	return problems
}
