package processors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
)

func (e *engine) missingProblems(missing []plan.Topic) []string {
	var problems []string
	for _, t := range missing {
		problem := fmt.Sprintf("%s topic %s does not exist: create it, or start with --create-topics", t.Role, t.Name)
		if t.Role == plan.ChangelogTopic {
			problem = e.emptyStateProblem(t)
		}
		problems = append(problems, problem)
	}
	return problems
}

// emptyStateProblem is the refusal of a store that would begin empty although its inputs were processed before.
func (e *engine) emptyStateProblem(t plan.Topic) string {
	return fmt.Sprintf("changelog topic %s of store %s does not exist, but group %s has processed records of its inputs before: the store would begin empty. "+
		"If the store was renamed, give it its old name; otherwise stop all instances of the group, and choose: (1) %s; "+
		"(2) to begin with an empty store, which misses what was processed so far: start each instance once with --accept-empty-state",
		t.Name, t.Store, e.graph.plan.Topology, e.rebuild())
}

// planTopics says how missing topics are to be created, after it has checked that they may be, that they would fit the
// topics that exist, and that the cluster would take them.
//
// What belongs to the topology alone, its changelogs and dead letters, is created at its first start even where nobody
// asked for topics. Later a changelog that is missing may have been deleted, or its store was renamed: to begin with
// empty state takes somebody's word, AcceptEmptyState, whatever else is created.
func (e *engine) planTopics(ctx context.Context, missing []plan.Topic, infos map[string]kafka.TopicInfo, problems []string) ([]kafka.TopicSpec, error) {
	used, committed, err := e.used(ctx, infos)
	if err != nil {
		return nil, err
	}
	var allowed []plan.Topic
	own := func(t plan.Topic) bool {
		return t.Role == plan.ChangelogTopic || t.Role == plan.DeadLetterTopic || t.Role == plan.RetryTopic
	}
	others := slices.ContainsFunc(missing, func(t plan.Topic) bool { return !own(t) })
	for _, t := range missing {
		switch {
		case t.Role == plan.ChangelogTopic && used[e.graph.inputs[t.PartitionsOf]]:
			if !e.opts.AcceptEmptyState {
				problems = append(problems, e.emptyStateProblem(t))
				continue
			}
			e.log.Warn("a store begins empty although records of its inputs were processed before, as accept-empty-state allows",
				zap.String("store", t.Store), zap.String("changelog", t.Name))
		case e.opts.Create == nil && own(t) && others && (t.Role == plan.ChangelogTopic || len(used) == 0):
			continue // created by the start itself, once the others are there: nobody is to create it by hand
		case e.opts.Create == nil && (!own(t) || t.Role != plan.ChangelogTopic && len(used) > 0):
			problems = append(problems, fmt.Sprintf("%s topic %s does not exist: create it, or start with --create-topics", t.Role, t.Name))
			continue
		}
		allowed = append(allowed, t)
	}
	create := e.opts.Create
	if create == nil {
		create = &Creation{ReplicationFactor: -1}
		for name := range e.graph.inputs {
			create.Partitions = max(create.Partitions, infos[name].Partitions)
		}
	}
	specs := e.specs(*create, allowed, infos)
	planned := maps.Clone(infos)
	fresh := map[string]bool{}
	for _, s := range specs {
		planned[s.Name] = kafka.TopicInfo{Name: s.Name, Partitions: s.Partitions, ReplicationFactor: s.ReplicationFactor, Config: s.Config}
		fresh[s.Name] = true
	}
	problems = append(problems, e.mismatches(planned, fresh)...)
	if e.opts.OffsetReset == ResetNone {
		least := begunWith(committed, infos)
		for name, info := range planned {
			if _, input := e.graph.inputs[name]; !input {
				continue
			}
			for _, tp := range partitionsOf(info) {
				if n, begun := least[name]; begun && tp.Partition >= n {
					continue // it begins at its start
				}
				if o, ok := committed[tp]; !ok || o.Offset < 0 {
					problems = append(problems, fmt.Sprintf("group %s has no committed offset for %s and auto.offset.reset is none", e.graph.plan.Group(), tp))
				}
			}
		}
		slices.Sort(problems)
	}
	refused, err := e.opts.Wire.ValidateTopics(ctx, specs)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		problems = append(problems, fmt.Sprintf("the cluster would not create topic %s: %v", name, refused[name]))
	}
	if len(problems) > 0 {
		return nil, e.refuse(problems)
	}
	return specs, nil
}

// used says which sub-graphs have processed something: the group has committed offsets of their inputs, or one of their
// changelogs holds state.
func (e *engine) used(ctx context.Context, infos map[string]kafka.TopicInfo) (used map[*subgraph]bool, committed map[kafka.TopicPartition]kafka.CommittedOffset, err error) {
	used = map[*subgraph]bool{}
	var inputs, logs []kafka.TopicPartition
	owner := map[string]*subgraph{}
	for _, g := range e.graph.subgraphs {
		for _, s := range g.sources {
			owner[s.Topic] = g
			inputs = append(inputs, partitionsOf(infos[s.Topic])...)
		}
		for _, store := range g.stores {
			name := e.graph.changelogTopic(store)
			owner[name] = g
			logs = append(logs, partitionsOf(infos[name])...)
		}
	}
	committed, err = e.opts.Wire.CommittedNow(ctx, e.graph.plan.Group(), inputs)
	if err != nil {
		return nil, nil, err
	}
	for tp, o := range committed {
		if o.Offset >= 0 {
			used[owner[tp.Topic]] = true
		}
	}
	ends, err := e.opts.Wire.Ends(ctx, logs)
	if err != nil {
		return nil, nil, err
	}
	for tp, end := range ends {
		if end > 0 {
			used[owner[tp.Topic]] = true
		}
	}
	return used, committed, nil
}

func partitionsOf(info kafka.TopicInfo) (tps []kafka.TopicPartition) {
	for p := range info.Partitions {
		tps = append(tps, kafka.TopicPartition{Topic: info.Name, Partition: p})
	}
	return tps
}

// specs says how missing topics are to be made. Inputs and outputs have the count that is stated; a changelog, and an input that is
// processed together with others, takes over the count of the inputs that exist.
func (e *engine) specs(create Creation, missing []plan.Topic, infos map[string]kafka.TopicInfo) (specs []kafka.TopicSpec) {
	create.Partitions = max(create.Partitions, 1)
	for _, t := range missing {
		spec := kafka.TopicSpec{Name: t.Name, Partitions: create.Partitions, ReplicationFactor: create.ReplicationFactor, Config: topicSettings(t)}
		if t.Partitions > 0 {
			spec.Partitions = t.Partitions
		}
		if t.Partitions == 0 || t.Role == plan.ChangelogTopic || t.Role == plan.RetryTopic {
			for _, name := range e.boundTo(t) {
				if info, ok := infos[name]; ok {
					spec.Partitions = info.Partitions
					break
				}
			}
		}
		if create.ReplicationFactor >= 3 {
			spec.Config["min.insync.replicas"] = "2"
		}
		specs = append(specs, spec)
	}
	return specs
}

// boundTo lists the topics whose partition count a topic must share: the inputs of its sub-graph.
func (e *engine) boundTo(t plan.Topic) (names []string) {
	input := t.PartitionsOf
	if t.Role == plan.InputTopic {
		input = t.Name
	}
	if g, ok := e.graph.inputs[input]; ok {
		for _, s := range g.sources {
			names = append(names, s.Topic)
		}
	}
	return names
}

// mismatches lists what is wrong between topics that exist, or that are fresh: planned and not created yet. Topics that
// are neither are left out.
func (e *engine) mismatches(infos map[string]kafka.TopicInfo, fresh map[string]bool) (problems []string) {
	problems = e.otherCounts(infos)
	for _, g := range e.graph.subgraphs {
		first, known := infos[g.sources[0].Topic]
		if !known {
			continue
		}
		stated, others := e.statedCount(first.Name) > 0, g.sources[1:]
		if stated {
			others = nil // otherCounts compares each input with what is stated
		}
		for _, s := range others {
			if info, ok := infos[s.Topic]; ok && info.Partitions != first.Partitions {
				problems = append(problems, fmt.Sprintf("%s has %d partitions and %s has %d: inputs that are processed together "+
					"need the same number; recreate one of them with the other's count", first.Name, first.Partitions, info.Name, info.Partitions))
			}
		}
		for _, s := range g.redrives {
			if info, ok := infos[s.Topic]; ok && s.Delay > 0 {
				problems = append(problems, e.unfitForRetries(s, info, infos[s.Redrives.Topic])...)
			}
		}
		for _, store := range g.stores {
			log, ok := infos[e.graph.changelogTopic(store)]
			if !ok {
				continue
			}
			switch {
			case log.Partitions == first.Partitions:
			case fresh[first.Name] && stated:
				problems = append(problems, fmt.Sprintf("changelog %s has %d partitions, but %s would be created with the %d that its stream states: the state of store %s "+
					"lies by the old count and would be orphaned; state Partitions(%d)", log.Name, log.Partitions, first.Name, first.Partitions, store.Name, log.Partitions))
			case fresh[first.Name]:
				problems = append(problems, fmt.Sprintf("changelog %s has %d partitions, but %s would be created with %d: the state of store %s lies by the old count "+
					"and would be orphaned; give --partitions %d", log.Name, log.Partitions, first.Name, first.Partitions, store.Name, log.Partitions))
			default:
				problems = append(problems, fmt.Sprintf("changelog %s has %d partitions, but %s has %d: the state of store %s lies by the old count "+
					"and would be orphaned; see docs/adding-partitions.md for the ways on", log.Name, log.Partitions, first.Name, first.Partitions, store.Name))
			}
			if policy := log.Config[cleanupPolicy]; policy != "" && policy != "compact" {
				problems = append(problems, fmt.Sprintf("changelog %s has cleanup.policy=%s: state would be deleted with time; set it to compact", log.Name, policy))
			}
		}
	}
	return problems
}

// unfitForRetries says why a retry topic would not take all delayed records of its input, or lose them before their time.
func (e *engine) unfitForRetries(s *nodes.Source, topic, of kafka.TopicInfo) (problems []string) {
	if topic.Partitions != of.Partitions {
		do := "add partitions to " + topic.Name
		if topic.Partitions > of.Partitions {
			do = "recreate " + topic.Name + " with as many, when nothing waits there"
		}
		problems = append(problems, fmt.Sprintf("retry topic %s has %d partitions, but %s has %d: a delayed record waits in the partition of the same number; %s",
			topic.Name, topic.Partitions, of.Name, of.Partitions, do))
	}
	if policy := topic.Config[cleanupPolicy]; strings.Contains(policy, "compact") {
		problems = append(problems, fmt.Sprintf("retry topic %s has cleanup.policy=%s: of the delayed records of a key all but the last would be deleted; run %s",
			topic.Name, policy, e.alter(topic.Name, cleanupPolicy+"=delete")))
	}
	least := 2 * s.Delay.Milliseconds()
	if kept, err := strconv.ParseInt(topic.Config[retentionTime], 10, 64); err == nil && kept >= 0 && kept <= least {
		problems = append(problems, fmt.Sprintf("retry topic %s has retention.ms=%d, and records wait there for %v: they would be deleted before they are tried again, "+
			"or soon after a stop; run %s", topic.Name, kept, s.Delay, e.alter(topic.Name, fmt.Sprintf("%s=%d", retentionTime, plan.RetryRetention(s.Delay).Milliseconds()))))
	}
	return problems
}

// cluster is how the cluster is reached, for the lines of commands in messages.
func (e *engine) cluster() kafka.Config {
	if w, ok := e.opts.Wire.(interface{ Config() kafka.Config }); ok {
		return w.Config()
	}
	return kafka.Config{Brokers: []string{"BROKERS"}}
}

// brokers is what the client was given to start from.
func (e *engine) brokers() string { return strings.Join(e.cluster().Brokers, ",") }
