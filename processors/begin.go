package processors

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/system"
)

// beginning is where an input is read from.
type beginning struct {
	kafka.Position
	ahead    int64  // how far the state has read it, where that is further and known to be so
	among    int32  // how many partitions its topic had when it was begun
	unmarked bool   // the offset must be committed, with Weir's mark, before the first record
	reset    string // the name of the recorded reset that the state last followed, "" for none
	fresh    bool   // the group has no offset of it
	bounded  bool   // it is read up to the offset until
	until    int64
}

// beginnings says where each input of a task goes on: at its committed offset, or where auto.offset.reset says. It
// refuses a task whose state and committed offsets do not belong together. o has the restored stores of the task.
func (e *engine) beginnings(ctx context.Context, t *task, committed map[kafka.TopicPartition]kafka.CommittedOffset, o *opened) error {
	var names []string
	for _, in := range t.inputs {
		names = append(names, in.tp.Topic)
	}
	infos, err := e.opts.Wire.Topics(ctx, names)
	if err != nil {
		return err
	}
	state, err := positionsOf(o.stores)
	if err != nil {
		return err
	}
	questions := make([]offsets.Question, len(t.inputs))
	for n, in := range t.inputs {
		info, ok := infos[in.tp.Topic]
		if !ok {
			return &kafka.Error{Class: kafka.Retriable, Op: "look for the inputs of task " + t.id.String(), Err: fmt.Errorf("topic %s does not exist", in.tp.Topic)}
		}
		at, ok := committed[in.tp]
		if !ok {
			at = kafka.NoOffset
		}
		q := offsets.Question{TopicPartition: in.tp, TopicID: info.ID, Was: in.topicID, Committed: at}
		for _, p := range state {
			if at, ok := p[in.tp.Topic]; ok {
				q.State = append(q.State, at)
			}
		}
		for tp, other := range committed {
			q.Known = q.Known || tp != in.tp && other.Offset >= 0
		}
		q.Known = q.Known || len(state) > 0
		if !q.Known && at.Offset < 0 {
			if q.Filled, err = filled(o.stores); err != nil {
				return err
			}
		}
		questions[n] = q
	}
	return e.judge(ctx, o, questions, infos)
}

// positionsOf are the positions that the stores say, of each store that says some.
func positionsOf(stores []*taskStore) (list []offsets.Positions, err error) {
	for _, st := range stores {
		if st.positions == nil {
			continue
		}
		p, err := offsets.ParsePositions(st.positions)
		if err != nil {
			return nil, &RefusedTopologyError{Problems: []string{fmt.Sprintf("changelog %s: %v", st.changelog, err)}}
		}
		list = append(list, p)
	}
	return list, nil
}

// filled says whether a store holds anything.
func filled(stores []*taskStore) (some bool, err error) {
	for _, st := range stores {
		if err := st.Dump(func(_, _ []byte) bool { some = true; return false }); err != nil {
			return false, err
		}
	}
	return some, nil
}

// judge turns the verdicts into beginnings.
func (e *engine) judge(ctx context.Context, o *opened, questions []offsets.Question, infos map[string]kafka.TopicInfo) error {
	var resets map[string]offsets.Reset
	var problems []string
	o.begins = map[kafka.TopicPartition]beginning{}
	marked := !slices.ContainsFunc(o.stores, func(st *taskStore) bool { return !st.marked })
	fresh := map[kafka.TopicPartition]offsets.Answer{}
	redriven := map[kafka.TopicPartition]offsets.Answer{} // of redrive and retry topics: all that is in them was wanted
	past := map[kafka.TopicPartition]offsets.Answer{}     // of retry topics of inputs of which the group knows nothing
	for n, q := range questions {
		a := offsets.Judge(q)
		if a.Kind == offsets.Refused {
			if resets == nil {
				var err error
				if resets, err = e.resets(ctx); err != nil {
					return err
				}
			}
			key := offsets.Reset{Topology: e.graph.plan.Topology, Topic: q.Topic, Partition: q.Partition}
			if r, ok := resets[key.Key()]; ok {
				q.Reset = &r
				if a = offsets.Judge(q); a.Accepted {
					e.log.Warn("state and committed offset of an input disagree, as was recorded", zap.Stringer("input", q.TopicPartition),
						zap.Int64("state", q.Top()), zap.Int64("offset", q.Committed.Offset), zap.String("who", r.Who), zap.String("why", r.Why), zap.Time("at", r.At))
				}
			}
		}
		at := beginning{
			Position: kafka.Position{Offset: q.Committed.Offset, LeaderEpoch: q.Committed.LeaderEpoch, TopicID: q.TopicID},
			ahead:    a.State, among: cmp.Or(a.Partitions, infos[q.Topic].Partitions), unmarked: !a.Marked || !marked, reset: q.Used(),
		}
		if a.Accepted {
			at.reset, o.touch = q.Reset.Name(), true
		}
		switch a.Kind {
		case offsets.Refused:
			problems = append(problems, e.disagreement(&q, a.Why))
		case offsets.Begin, offsets.Recreated:
			at.LeaderEpoch, at.fresh = -1, true
			switch {
			case e.graph.redrives[q.Topic] == nil:
				fresh[q.TopicPartition] = a
			case a.Kind == offsets.Begin && !a.Accepted && e.ofPast(&q, questions):
				past[q.TopicPartition] = a
			default:
				redriven[q.TopicPartition] = a
			}
		}
		if !a.Accepted {
			e.reportOrigin(&q, a.Foreign)
		}
		o.begins[q.TopicPartition] = at
		questions[n] = q
	}
	if len(problems) > 0 {
		return &RefusedTopologyError{Topology: e.graph.plan.Topology, Problems: problems}
	}
	if e.opts.OffsetReset != ResetEarliest {
		if err := e.atStart(ctx, o.begins, fresh, infos); err != nil {
			return err
		}
	}
	if err := e.byPolicy(ctx, o.begins, redriven, ResetEarliest); err != nil {
		return err
	}
	if err := e.passOver(ctx, o.begins, past); err != nil {
		return err
	}
	return e.byPolicy(ctx, o.begins, fresh, e.opts.OffsetReset)
}

// ofPast says that what a retry topic holds is of a past life of the group, whose offsets have expired or were deleted: a record is delayed in the transaction that
// commits the offset after it, so that there is one of its input.
func (e *engine) ofPast(q *offsets.Question, all []offsets.Question) bool {
	for _, src := range e.graph.redrives[q.Topic].redrives {
		if src.Topic == q.Topic && src.Delay > 0 {
			return slices.ContainsFunc(all, func(in offsets.Question) bool {
				return in.TopicPartition == kafka.TopicPartition{Topic: src.Redrives.Topic, Partition: q.Partition} && in.Committed.Offset < 0
			})
		}
	}
	return false
}

// passOver has retry topics begin at their ends: the records there were tried, or come again with their inputs.
func (e *engine) passOver(ctx context.Context, begins map[kafka.TopicPartition]beginning, past map[kafka.TopicPartition]offsets.Answer) error {
	if err := e.byPolicy(ctx, begins, past, ResetLatest); err != nil {
		return err
	}
	starts, err := e.opts.Wire.Starts(ctx, slices.Collect(maps.Keys(past)))
	if err != nil {
		return err
	}
	for tp, start := range starts {
		if n := begins[tp].Offset - start; n > 0 {
			e.log.Warn("a retry topic holds records, and the group has no offset for their input, as when its offsets have expired or were deleted: they are passed over, "+
				"and not tried again beside what auto.offset.reset has read", zap.Stringer("input", tp), zap.Int64("offsets", n))
		}
	}
	return nil
}

// reportOrigin says where a committed offset comes from that no instance has committed.
func (e *engine) reportOrigin(q *offsets.Question, foreign bool) {
	set, ok := offsets.ParseSet(q.Committed.Metadata)
	switch {
	case q.Committed.Offset < 0:
	case ok:
		e.log.Info("an offset was set by weir offsets reset", zap.Stringer("input", q.TopicPartition),
			zap.Int64("offset", q.Committed.Offset), zap.String("who", set.Who), zap.String("why", set.Why))
	case foreign:
		e.log.Warn("an offset was committed by another program than this version of Weir, and no state says how far the input was read: "+
			"if somebody set it back, outputs and dead letters are written again; if forward, records are left out", zap.Stringer("input", q.TopicPartition),
			zap.Int64("offset", q.Committed.Offset), zap.String("metadata", q.Committed.Metadata))
	}
}

// byPolicy fills in where inputs begin that have no offset to go on at.
func (e *engine) byPolicy(ctx context.Context, begins map[kafka.TopicPartition]beginning, fresh map[kafka.TopicPartition]offsets.Answer, policy OffsetReset) error {
	if len(fresh) == 0 {
		return nil
	}
	var tps []kafka.TopicPartition
	for tp, a := range fresh {
		tps = append(tps, tp)
		if policy != ResetNone {
			continue
		}
		if a.Kind == offsets.Recreated {
			return e.refuse([]string{recreatedProblem(&kafka.TopicRecreatedError{TopicPartition: tp, Offset: begins[tp].Offset, Was: a.Was, Is: begins[tp].TopicID})})
		}
		return e.refuse([]string{fmt.Sprintf("group %s has no committed offset for %s and auto.offset.reset is none", e.graph.plan.Group(), tp)})
	}
	where := e.opts.Wire.Starts
	if policy == ResetLatest {
		where = e.opts.Wire.Ends
	}
	found, err := where(ctx, tps)
	if err != nil {
		return err
	}
	for tp, a := range fresh {
		at := begins[tp]
		if a.Kind == offsets.Recreated {
			e.recreated(&kafka.TopicRecreatedError{TopicPartition: tp, Offset: at.Offset, Was: a.Was, Is: at.TopicID}, found[tp])
		}
		at.Offset = found[tp]
		if at.ahead <= at.Offset {
			at.ahead = 0
		}
		begins[tp] = at
	}
	return nil
}

// recreated reports an input that was deleted and created again.
func (e *engine) recreated(topic *kafka.TopicRecreatedError, from int64) {
	e.metrics.recreated(topic.TopicPartition)
	old := zap.Skip() // with a topic Kafka deletes its committed offsets
	if topic.Offset >= 0 {
		old = zap.Int64("old_offset", topic.Offset)
	}
	e.log.Error("an input topic was deleted and created again: its new records are read as auto.offset.reset says, "+
		"the state keeps the effects of the old ones", zap.Stringer("input", topic.TopicPartition), old,
		zap.String("old_topic_id", topic.Was), zap.String("topic_id", topic.Is), zap.String("auto.offset.reset", string(e.opts.OffsetReset)), zap.Int64("from", from))
}

func recreatedProblem(e *kafka.TopicRecreatedError) string {
	return fmt.Sprintf("%v, and auto.offset.reset is none: start with auto.offset.reset=earliest to read the new topic from its start, or with latest to skip what it holds", e)
}

// resetsWithin bounds how long recorded resets are read. They may not come to an end while another program has a
// transaction open there; the task then fails with that reason, and is opened again.
const resetsWithin = 30 * time.Second

// resets reads what was recorded. One task at a time reads that partition; who waits for its turn, which may be long, can be
// stopped, or a task could not be given up while another one reads.
func (e *engine) resets(ctx context.Context) (map[string]offsets.Reset, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, resetsWithin, fmt.Errorf("topic %s was not read to its end within %s: "+
		"a transaction may be open there, or its leader is away", e.jobs(), resetsWithin))
	defer cancel()
	select {
	case e.readingJobs <- struct{}{}:
		defer func() { <-e.readingJobs }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return offsets.Resets(ctx, e.opts.Wire, e.changelogs, e.jobs())
}

// jobs is the topic where resets are recorded.
func (e *engine) jobs() string { return e.graph.plan.Names.System(system.Jobs.Name) }

// disagreement is the refusal, with the ways out as lines to run. The task that is restored first ends the instance, so the lines are
// for all partitions: an operator should not have to come back for each.
func (e *engine) disagreement(q *offsets.Question, why string) string {
	ways := ""
	if q.Top() >= 0 {
		ways = fmt.Sprintf(" (1) to read on where the state stands: %s;", e.command("offsets reset", "--to state --why TEXT --execute"))
	}
	return fmt.Sprintf("%s: %s. Nothing of it was read. Stop all instances of the group, look at \"%s\", and choose:%s"+
		" (2) to accept the offsets as they are, knowing what that does to the state: %s; (3) %s",
		q.TopicPartition, why, e.command("offsets show", ""), ways, e.command("offsets accept", "--why TEXT --execute"), e.rebuild())
}
