package processors

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// check compares the topics of the plan with those of the cluster, and creates missing ones where that was asked for.
// Everything is checked first, with the topics as they would be created: a refused start creates nothing, because what
// it left would stand in the way of the next one. All problems are reported together.
func (i *Instance) check(ctx context.Context) error {
	names := i.topicNames()
	infos, err := i.opts.Wire.Topics(ctx, names)
	if err != nil {
		return err
	}
	if missing := i.missing(infos); len(missing) > 0 {
		specs, err := i.planTopics(ctx, missing, infos)
		if err != nil {
			return err
		}
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
	if problems := i.mismatches(infos, nil); len(problems) > 0 {
		return i.refuse(problems)
	}
	i.warn(ctx, infos)
	counts := i.keepCounts(infos)
	stores := int64(0)
	for _, g := range i.graph.subgraphs {
		g.partitions = counts[g.sources[0].Topic]
		stores += int64(g.partitions) * int64(len(g.stores))
	}
	i.cacheBytes = max(i.opts.CacheBytes/max(stores, 1), 64<<10)
	return nil
}

// warnWithin bounds what a start spends on warnings: a cluster that is slow to answer must not hold it up.
const warnWithin = 5 * time.Second

// warn logs what could go wrong with these topics.
func (i *Instance) warn(ctx context.Context, infos map[string]kafka.TopicInfo) {
	ctx, cancel := context.WithTimeout(ctx, warnWithin)
	defer cancel()
	if err := i.warnings(ctx, infos); err != nil {
		i.log.Info("not every setting of the topics could be checked for warnings", zap.Error(err))
	}
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
func (i *Instance) missing(infos map[string]kafka.TopicInfo) []plan.Topic {
	return slices.DeleteFunc(slices.Clone(i.graph.plan.Topics), func(t plan.Topic) bool {
		_, ok := infos[t.Name]
		return ok
	})
}
