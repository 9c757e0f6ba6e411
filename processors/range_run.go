package processors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// span is a part of an input partition: from an offset up to another one, which is the first that is not part of it.
type span struct {
	kafka.TopicPartition
	from, to int64
}

// rangeRun runs the tasks of given partitions between given offsets, and ends. It is in no group: it takes partitions from
// nobody, and the offsets of the topology's group stay as they are. Its transactions hold outputs, state changes and dead letters, and
// no offsets. How far they are is known here alone: run returns it.
//
// With ExactlyOnce every record of the ranges has its effect once, also over transactions that are done again, as long as the
// outcome of each is known. Where the answer to a commit is lost, no group could say afterwards what became of it: the run
// ends with an error then, and the position before that transaction. With AtLeastOnce such records are done again.
//
// Nothing is written outside of Kafka (plan.Outside): no group would refuse it to a run that should have ended.
//
// The state is what the changelogs hold at the start. Whether that fits the ranges is the caller's to know: it is not compared with any
// offsets. Two runs at a time, or a run and an instance, need an instance id of their own each, and stores of their own.
type rangeRun struct {
	*engine
	spans map[kafka.TopicPartition]span

	mu      sync.Mutex
	at      map[kafka.TopicPartition]int64 // positions whose effects are committed
	unknown error                          // the outcome of a transaction is not known: nothing is begun again
	reached chan struct{}                  // closed when all are at their ends
}

// newRangeRun makes a run of a plan. Options are those of an Instance; what is about the group has no effect.
func newRangeRun(p *plan.Plan, opts Options, spans []span) (*rangeRun, error) {
	e, err := newEngine(p, opts)
	if err != nil {
		return nil, err
	}
	r := &rangeRun{
		engine: e, spans: map[kafka.TopicPartition]span{}, reached: make(chan struct{}),
		at: map[kafka.TopicPartition]int64{},
	}
	e.source, e.inside = r, true
	var problems []string
	for _, s := range spans {
		_, twice := r.spans[s.TopicPartition]
		switch _, input := e.graph.inputs[s.Topic]; {
		case !input:
			problems = append(problems, fmt.Sprintf("%s is no input of topology %s", s.Topic, p.Topology))
		case twice:
			problems = append(problems, fmt.Sprintf("%s has two ranges", s.TopicPartition))
		case s.from < 0 || s.to < s.from:
			problems = append(problems, fmt.Sprintf("%s: there is no range from offset %d to %d", s.TopicPartition, s.from, s.to))
		}
		r.spans[s.TopicPartition], r.at[s.TopicPartition] = s, s.from
	}
	for _, id := range e.taskIDs(slices.Collect(maps.Keys(r.spans))) {
		for _, src := range e.graph.subgraphs[id.subgraph].sources {
			if tp := (kafka.TopicPartition{Topic: src.Topic, Partition: id.partition}); !r.has(tp) {
				problems = append(problems, fmt.Sprintf("%s has no range, and is processed together with another input that has one", tp))
			}
		}
	}
	if len(problems) > 0 {
		return nil, e.refuse(problems)
	}
	return r, nil
}

func (r *rangeRun) has(tp kafka.TopicPartition) bool { _, ok := r.spans[tp]; return ok }

// run processes until every input has reached its end, and returns nil, or until ctx ends, and returns its error, or until it cannot go on:
// with the errors of Instance.Run, or an *unknownOutcomeError. In each case the positions are where another run continues: everything
// before them has had its effect, and nothing after them, but for what the error says.
func (r *rangeRun) run(ctx context.Context) (positions map[kafka.TopicPartition]int64, err error) {
	end, err := r.prepare(ctx)
	if err != nil {
		return r.positions(), err
	}
	defer end()
	ids := r.taskIDs(slices.Collect(maps.Keys(r.spans)))
	for _, id := range ids {
		if n := r.graph.subgraphs[id.subgraph].partitions; id.partition >= n {
			return r.positions(), r.refuse([]string{fmt.Sprintf("task %s has a range, and its inputs have %d partitions", id, n)})
		}
	}
	if err := r.globals.await(ctx); err != nil {
		return r.positions(), err
	}
	r.start()
	r.settle()
	r.place(ids)
	r.log.Info("running ranges", zap.String("instance", r.id), zap.Stringers("tasks", ids))
	select {
	case <-r.reached:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case err = <-r.failed:
	}
	r.ending.Store(true)
	r.endCalls(errStopping)
	overdue, done := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer done()
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		r.take(ids, true)
	}()
	select {
	case <-taken:
	case <-overdue.Done():
	}
	stuck := r.stop(overdue)
	if stuck == nil {
		<-taken
	}
	if err == nil {
		err = stuck
	}
	select {
	case failure := <-r.failed: // the last commit may have failed for good
		if err == nil || ctx.Err() != nil {
			err = failure
		}
	default:
	}
	return r.positions(), err
}

func (r *rangeRun) positions() map[kafka.TopicPartition]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.at)
}

// committed implements source: no group has offsets of the inputs.
func (r *rangeRun) committed(context.Context, []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	return nil, nil
}

// begin implements source: at the start of the range, or where the last commit ended.
func (r *rangeRun) begin(ctx context.Context, t *task, _ map[kafka.TopicPartition]kafka.CommittedOffset, o *opened) error {
	r.mu.Lock()
	unknown := r.unknown
	r.mu.Unlock()
	if unknown != nil {
		return unknown
	}
	var names []string
	for _, in := range t.inputs {
		names = append(names, in.tp.Topic)
	}
	infos, err := r.opts.Wire.Topics(ctx, names)
	if err != nil {
		return err
	}
	at := r.positions()
	o.begins = map[kafka.TopicPartition]beginning{}
	for _, in := range t.inputs {
		info := infos[in.tp.Topic]
		o.begins[in.tp] = beginning{
			Position: kafka.Position{Offset: at[in.tp], LeaderEpoch: -1, TopicID: info.ID},
			among:    info.Partitions, bounded: true, until: r.spans[in.tp].to,
		}
	}
	return nil
}

// commit implements source: nobody is told of the positions.
func (r *rangeRun) commit(context.Context, Sink, map[kafka.TopicPartition]kafka.CommittedOffset) error {
	return nil
}

// settled implements source.
func (r *rangeRun) settled(tx *transaction) {
	r.mu.Lock()
	for tp, p := range tx.sent {
		r.at[tp] = p.Offset
	}
	r.mu.Unlock()
	r.settle()
}

// settle ends the run when all inputs are at their ends.
func (r *rangeRun) settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tp, s := range r.spans {
		if r.at[tp] < s.to {
			return
		}
	}
	select {
	case <-r.reached:
	default:
		close(r.reached)
	}
}

// gaveUp implements source.
func (r *rangeRun) gaveUp(tx *transaction, err error) {
	if tx.unknown {
		positions := map[kafka.TopicPartition]int64{}
		for tp, p := range tx.sent {
			positions[tp] = p.Offset
		}
		failure := &unknownOutcomeError{positions, err}
		r.mu.Lock()
		r.unknown = failure
		r.mu.Unlock()
		r.fail(failure)
	}
}

// unknownOutcomeError ends a run of ranges: the answer to a commit was lost. What the inputs hold up to these positions may have had its
// effect. Look at the outputs before the run is continued.
type unknownOutcomeError struct {
	Positions map[kafka.TopicPartition]int64
	Err       error
}

func (e *unknownOutcomeError) Error() string {
	tps := slices.SortedFunc(maps.Keys(e.Positions), kafka.TopicPartition.Compare)
	var at []string
	for _, tp := range tps {
		at = append(at, fmt.Sprintf("%s up to offset %d", tp, e.Positions[tp]))
	}
	return fmt.Sprintf("whether a transaction was committed is not known, with the effects of %v: %v", at, e.Err)
}

func (e *unknownOutcomeError) Unwrap() error { return e.Err }
