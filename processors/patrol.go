package processors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// patrol is what the instance asks the cluster at intervals, so that health and lag are right also where nothing is read
// or processed: a task that is being restored fetches nothing and yet has lag, and a broker that is silent says nothing of
// itself.
type patrol struct {
	inst *Instance

	mu      sync.Mutex
	heard   time.Time // when the cluster last answered all questions
	silence error     // what came instead since then
	missing map[string]int
	cut     []kafka.TopicPartition                         // those that begin later now
	shrunk  []kafka.TopicPartition                         // inputs of tasks here that their topics do not have any more
	open    map[kafka.TopicPartition]kafka.OpenTransaction // what readers of a partition wait for
}

// Intervals of the patrol: short while the lag of a task is not known.
const (
	patrolEvery   = 15 * time.Second
	patrolSoon    = 2 * time.Second
	patrolTimeout = 10 * time.Second
)

const (
	silentAfter  = 45 * time.Second // a broker that restarts is away for less
	missingTimes = 2                // a broker that has just started knows of no topics for a moment
)

// inspector is what a wire may know of transactions. The real one does.
type inspector interface {
	OpenTransactions(ctx context.Context, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.OpenTransaction, error)
}

func newPatrol(i *Instance) *patrol {
	return &patrol{inst: i, heard: time.Now(), missing: map[string]int{}}
}

// run goes round until ctx ends.
func (p *patrol) run(ctx context.Context) {
	timer := time.NewTimer(patrolSoon)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		p.round(ctx)
		next := patrolEvery
		if p.inst.fences.count(time.Now()) >= fenceLimit {
			next = patrolSoon
		}
		for _, pl := range p.inst.placements() {
			for _, in := range pl.task.inputs {
				if !pl.task.is(taskRunning) && in.away.Load() < 0 {
					next = patrolSoon
				}
			}
		}
		timer.Reset(next)
	}
}

// round asks everything once.
func (p *patrol) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patrolTimeout)
	defer cancel()
	here, err := p.topics(ctx)
	if err == nil {
		err = p.lags(ctx, here)
	}
	p.mu.Lock()
	if err == nil {
		p.heard, p.silence = time.Now(), nil
	} else {
		p.silence = err
	}
	p.mu.Unlock()
	if err == nil {
		p.transactions(ctx)
		p.changelogs(ctx)
	}
	p.inst.fences.settle(ctx)
}

// topics looks whether the inputs are still there, and returns those that are.
func (p *patrol) topics(ctx context.Context) (map[string]int32, error) {
	var names []string
	for _, g := range p.inst.graph.subgraphs {
		for _, s := range g.sources {
			names = append(names, s.Topic)
		}
	}
	for _, pl := range p.inst.placements() {
		for _, in := range pl.task.inputs {
			if in.redriven && !slices.Contains(names, in.tp.Topic) {
				names = append(names, in.tp.Topic)
			}
		}
	}
	infos, err := p.inst.opts.Wire.Topics(ctx, names)
	if err != nil {
		return nil, err
	}
	here := map[string]int32{}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		if info, ok := infos[name]; ok {
			here[name] = info.Partitions
			delete(p.missing, name)
			continue
		}
		if p.missing[name]++; p.missing[name] == missingTimes {
			p.inst.log.Error("an input topic does not exist any more", zap.String("topic", name), zap.String("remedy", gone))
		}
	}
	p.shrunk = p.shrunk[:0]
	for _, pl := range p.inst.placements() {
		for _, in := range pl.task.inputs {
			if n, ok := here[in.tp.Topic]; ok && in.tp.Partition >= n {
				p.shrunk = append(p.shrunk, in.tp)
			}
		}
	}
	return here, nil
}

const gone = "create it again, or take it out of the topology; offsets and state are kept, and a topic that is made again begins at offset 0"

// lags asks for the ends of all inputs: of those that run, because what is read ahead of one that stands still is bounded,
// and its lag would seem to have stopped growing; and of those that do not, together with what is committed.
func (p *patrol) lags(ctx context.Context, here map[string]int32) error {
	wire, group := p.inst.opts.Wire, p.inst.graph.plan.Group()
	var all, idle []kafka.TopicPartition // in the order of the tasks
	inputs := map[kafka.TopicPartition]*input{}
	for _, pl := range p.inst.placements() {
		for _, in := range pl.task.inputs {
			if in.tp.Partition >= here[in.tp.Topic] {
				continue
			}
			inputs[in.tp] = in
			all = append(all, in.tp)
			if !pl.task.is(taskRunning) {
				idle = append(idle, in.tp)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	ends, err := wire.Ends(ctx, all)
	if err != nil {
		return err
	}
	now := time.Now()
	for tp, end := range ends {
		if in := inputs[tp]; in.task.is(taskRunning) {
			in.observe(end, now)
		}
	}
	if len(idle) == 0 {
		return nil
	}
	committed, err := wire.CommittedNow(ctx, group, idle)
	if err != nil {
		return err
	}
	starts, err := wire.Starts(ctx, idle)
	if err != nil {
		return err
	}
	for _, tp := range idle {
		next := max(committed[tp].Offset, starts[tp])
		if c, ok := committed[tp]; (!ok || c.Offset < 0) && p.inst.opts.OffsetReset == ResetLatest {
			next = ends[tp]
		}
		inputs[tp].away.Store(max(0, ends[tp]-next))
	}
	return nil
}

// changelogs looks whether something was deleted from the beginning of a changelog, before or after the task here began: its store
// has that, and no other instance could restore it.
func (p *patrol) changelogs(ctx context.Context) {
	logs := wholeFrom{}
	for _, pl := range p.inst.placements() {
		if whole := pl.task.whole.Load(); whole != nil && pl.task.is(taskRunning) {
			maps.Copy(logs, *whole)
		}
	}
	if len(logs) == 0 {
		return
	}
	starts, err := p.inst.opts.Wire.Starts(ctx, slices.Collect(maps.Keys(logs)))
	if err != nil { // one may be gone: what is written to it says so
		p.inst.log.Debug("could not ask where changelogs begin", zap.Error(err))
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = p.cut[:0]
	for tp, whole := range logs {
		if starts[tp] > whole {
			p.cut = append(p.cut, tp)
		}
	}
	slices.SortFunc(p.cut, kafka.TopicPartition.Compare)
}

// transactions looks for what keeps readers waiting where something stands still.
func (p *patrol) transactions(ctx context.Context) {
	wire, ok := p.inst.opts.Wire.(inspector)
	if !ok {
		return
	}
	var tps []kafka.TopicPartition
	now := time.Now()
	for _, pl := range p.inst.placements() {
		if r := pl.task.restored.Load(); pl.task.is(taskRestoring) && r != nil && now.Sub(r.moved) > patrolSoon {
			tps = append(tps, r.changelog)
		}
		for _, in := range pl.task.inputs {
			if pl.task.is(taskRunning) && in.lag() > 0 && in.since(now) > min(p.inst.opts.StallAfter/2, patrolEvery) {
				tps = append(tps, in.tp)
			}
		}
	}
	if p.awaitsOffsets(now) {
		if tp, ok := p.offsetsPartition(ctx); ok {
			tps = append(tps, tp)
		}
	}
	open := map[kafka.TopicPartition]kafka.OpenTransaction{}
	if len(tps) > 0 {
		var err error
		if open, err = wire.OpenTransactions(ctx, tps); err != nil {
			p.inst.log.Debug("could not ask for open transactions", zap.Error(err))
		}
	}
	p.mu.Lock()
	p.open = open
	p.mu.Unlock()
}

// awaitsOffsets says whether a task waits for its committed offsets: the answer comes when no transaction is open that
// touches them.
func (p *patrol) awaitsOffsets(now time.Time) bool {
	for _, pl := range p.inst.placements() {
		if since := pl.task.asking.Load(); since != nil && now.Sub(*since) > patrolSoon {
			return true
		}
	}
	return false
}

// offsetsPartition is where the group's offsets are.
func (p *patrol) offsetsPartition(ctx context.Context) (kafka.TopicPartition, bool) {
	infos, err := p.inst.opts.Wire.Topics(ctx, []string{kafka.OffsetsTopic})
	n := infos[kafka.OffsetsTopic].Partitions
	if err != nil || n <= 0 {
		return kafka.TopicPartition{}, false
	}
	return kafka.TopicPartition{Topic: kafka.OffsetsTopic, Partition: groupPartition(p.inst.graph.plan.Group(), n)}, true
}

// groupPartition is where brokers keep a group: Java's String.hashCode without its sign, modulo the partitions.
func groupPartition(group string, partitions int32) int32 {
	var hash int32
	for _, r := range group { // names of groups that Weir makes are ASCII
		hash = 31*hash + r
	}
	return (hash & 0x7fffffff) % partitions
}

// waitsFor is the open transaction that readers of a partition wait for.
func (p *patrol) waitsFor(tp kafka.TopicPartition) (cause, remedy string, ok bool) {
	p.mu.Lock()
	t, ok := p.open[tp]
	p.mu.Unlock()
	if !ok {
		return "", "", false
	}
	cause, remedy = p.inst.awaited(t)
	return cause, remedy, true
}

// awaited says that readers wait for an open transaction, and what a person can do.
func (e *engine) awaited(t kafka.OpenTransaction) (cause, remedy string) {
	remedy = "end its producer, or abort it: " + t.AbortCommand(e.cluster())
	if t.Hanging {
		remedy = "abort it: " + t.AbortCommand(e.cluster())
	}
	return "readers wait for " + t.String(), remedy
}

// problems are what the patrol has found.
func (p *patrol) problems(now time.Time) (all []Problem) {
	p.mu.Lock()
	heard, silence := p.heard, p.silence
	var missing []string
	for name, times := range p.missing {
		if times >= missingTimes {
			missing = append(missing, name)
		}
	}
	shrunk, cut := slices.Clone(p.shrunk), slices.Clone(p.cut)
	p.mu.Unlock()
	if silence != nil && now.Sub(heard) > silentAfter {
		all = append(all, Problem{
			Kind:   ProblemBroker,
			Cause:  fmt.Sprintf("the cluster has not answered for %s: %v", now.Sub(heard).Round(time.Second), silence),
			Remedy: "look whether the brokers run and can be reached from here; the instance goes on by itself, do not restart it",
		})
	}
	if len(missing) > 0 {
		all = append(all, Problem{
			Kind:   ProblemTopic,
			Cause:  "input topics do not exist any more: " + strings.Join(slices.Sorted(slices.Values(missing)), ", "),
			Remedy: gone,
		})
	}
	if len(shrunk) > 0 {
		all = append(all, Problem{
			Kind:   ProblemTopic,
			Cause:  fmt.Sprintf("input partitions do not exist any more: %v: the topic was created again with fewer", shrunk),
			Remedy: "create it again with as many as before; where there is state, or another input of the same tasks, the next start is refused otherwise (docs/adding-partitions.md)",
		})
	}
	if len(cut) > 0 {
		all = append(all, Problem{
			Kind:  ProblemTopic,
			Cause: fmt.Sprintf("changelogs lost records at their beginning: %v: the stores here have them, another instance could not restore them", cut),
			Remedy: "find out who deletes from them (kafka-delete-records, or a cleanup.policy other than compact); keep the state folder of this instance, " +
				"and rebuild the state when it suits (docs/offsets.md)",
		})
	}
	return append(all, p.restores(now)...)
}

// restores lists the tasks whose restore does not move.
func (p *patrol) restores(now time.Time) (all []Problem) {
	limit := min(p.inst.opts.StallAfter, stuckRestore)
	for _, pl := range p.inst.placements() {
		t := pl.task
		if !t.is(taskRestoring) {
			continue
		}
		if since := t.asking.Load(); since != nil && now.Sub(*since) > limit {
			problem := Problem{
				Kind: ProblemRestore,
				Cause: fmt.Sprintf("task %s waits since %s for the committed offsets of its inputs (lag %s): an open transaction touches them",
					t.id, now.Sub(*since).Round(time.Second), lagOf(t)),
				Remedy: fmt.Sprintf("find and end the transaction: %[1]s list, and %[1]s find-hanging --broker-id ID", p.inst.cluster().Tool("kafka-transactions.sh")),
			}
			for tp := range p.offsetsOpen() {
				if cause, remedy, ok := p.waitsFor(tp); ok {
					problem.Cause, problem.Remedy = fmt.Sprintf("%s; %s", problem.Cause, cause), remedy
				}
			}
			all = append(all, problem)
		}
		r := t.restored.Load()
		if r == nil || now.Sub(r.moved) <= limit {
			continue
		}
		problem := Problem{
			Kind: ProblemRestore,
			Cause: fmt.Sprintf("the restore of store %s of task %s has stood still for %s at offset %d of %d of %s; its inputs have lag %s",
				r.Store, t.id, now.Sub(r.moved).Round(time.Second), r.Position, r.To, r.changelog, lagOf(t)),
			Remedy: "look at the leader of the changelog partition, and at the quotas of this client (consumer_byte_rate)",
		}
		if cause, remedy, ok := p.waitsFor(r.changelog); ok {
			problem.Cause, problem.Remedy = fmt.Sprintf("%s; %s", problem.Cause, cause), remedy
		}
		all = append(all, problem)
	}
	return all
}

// stuckRestore is when a restore that does not move is a problem: a former instance's transaction is over by then
// (transaction.timeout.ms is 10s where nobody sets it).
const stuckRestore = 30 * time.Second

func (p *patrol) offsetsOpen() map[kafka.TopicPartition]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := map[kafka.TopicPartition]bool{}
	for tp := range p.open {
		if tp.Topic == kafka.OffsetsTopic {
			found[tp] = true
		}
	}
	return found
}

// lagOf is the lag of a task in words.
func lagOf(t *task) string {
	lag, known := t.lag()
	if !known {
		return "not known yet"
	}
	return fmt.Sprint(lag)
}
