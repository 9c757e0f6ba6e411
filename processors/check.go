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
func (e *engine) check(ctx context.Context) error {
	names := e.topicNames()
	infos, err := e.look(ctx, names)
	if err != nil {
		return err
	}
	unfit := e.schemaProblems(ctx, false)
	if missing := e.missing(infos); len(missing) > 0 {
		specs, err := e.planTopics(ctx, missing, infos, unfit)
		if err != nil {
			return err
		}
		if err := e.opts.Wire.CreateTopics(ctx, specs); err != nil {
			return err
		}
		for _, s := range specs {
			e.log.Info("topic created", zap.String("topic", s.Name), zap.Int32("partitions", s.Partitions))
		}
		if infos, err = e.opts.Wire.Topics(ctx, names); err != nil {
			return err
		}
		if missing := e.missing(infos); len(missing) > 0 {
			return e.refuse(e.missingProblems(missing))
		}
	}
	former, err := e.former(ctx, infos)
	if err != nil {
		return err
	}
	if problems := slices.Concat(e.mismatches(infos, nil), unfit, former); len(problems) > 0 {
		return e.refuse(problems)
	}
	if problems := e.schemaProblems(ctx, true); len(problems) > 0 { // registers, now that nothing else is in the way
		return e.refuse(problems)
	}
	e.warn(ctx, infos)
	counts := e.keepCounts(infos)
	stores := int64(0)
	for _, g := range e.graph.subgraphs {
		g.partitions = counts[g.sources[0].Topic]
		stores += int64(g.partitions) * int64(len(g.stores))
	}
	e.cacheBytes = max(e.opts.CacheBytes/max(stores, 1), 64<<10)
	return nil
}

// A topic that was created a moment ago is not known to every broker yet.
const (
	missingLooks = 3
	missingWait  = 300 * time.Millisecond
)

// look describes the topics that exist, and asks again for those that seem not to.
func (e *engine) look(ctx context.Context, names []string) (infos map[string]kafka.TopicInfo, err error) {
	for looks := 1; ; looks++ {
		infos, err = e.opts.Wire.Topics(ctx, names)
		missing := slices.ContainsFunc(e.missing(infos), func(t plan.Topic) bool { return t.Stream != nil })
		if err != nil || !missing || looks == missingLooks {
			return infos, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(missingWait):
		}
	}
}

// warnWithin bounds what a start spends on warnings: a cluster that is slow to answer must not hold it up.
const warnWithin = 5 * time.Second

// warn logs what could go wrong with these topics.
func (e *engine) warn(ctx context.Context, infos map[string]kafka.TopicInfo) {
	ctx, cancel := context.WithTimeout(ctx, warnWithin)
	defer cancel()
	if err := e.warnings(ctx, infos); err != nil {
		e.log.Info("not every setting of the topics could be checked for warnings", zap.Error(err))
	}
}

// topicNames are the topics that a start needs. Redrive topics are not among them: they need neither exist nor be readable.
func (e *engine) topicNames() (names []string) {
	for _, t := range e.graph.plan.Topics {
		if t.Role != plan.RedriveTopic {
			names = append(names, t.Name)
		}
	}
	return names
}

func (e *engine) refuse(problems []string) error {
	return &RefusedTopologyError{Topology: e.graph.plan.Topology, Problems: problems}
}

// missing lists the topics of the plan that the cluster does not have.
func (e *engine) missing(infos map[string]kafka.TopicInfo) []plan.Topic {
	return slices.DeleteFunc(slices.Clone(e.graph.plan.Topics), func(t plan.Topic) bool {
		_, ok := infos[t.Name]
		return ok || t.Role == plan.RedriveTopic
	})
}
