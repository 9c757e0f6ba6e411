package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/state"
)

// copies are the stores that an instance keeps up to date for tasks that run elsewhere, so that a task can go on here at once. The
// leader of the group says which (kafka.Standby).
//
// A copy is nothing but a database in the folder where the store's own would be, with a checkpoint. When the task comes here its restorer
// takes the database over, open as it is, and else proceeds as ever: what proves its state are the committed offsets and the ends of its
// changelogs, and what the copy lacks is read. Nothing is taken over because it was called warm. A copy that cannot go on is reported and
// tried again, and no task hears of it.
type copies struct {
	engine  *engine
	fetcher Fetcher       // of its own: restores do not wait for the read-ahead of copies
	member  atomic.Value  // the Group, once it is joined
	slots   chan struct{} // bounds how many are far behind and catch up

	mu       sync.Mutex
	kept     map[taskID]*standby
	left     map[taskID]bool // tasks that this instance had or kept a copy of, and does not any more
	promoted int             // tasks that went on from a copy
	ended    map[taskID]bool // by the last keep: their tasks may go on here
	moved    bool            // the rebalance for what is to move here was asked for
}

// catchingUp is how many copies that are far behind are read at a time.
const catchingUp = 2

func newCopies(e *engine) *copies {
	return &copies{engine: e, slots: make(chan struct{}, catchingUp), kept: map[taskID]*standby{}, left: map[taskID]bool{}}
}

// group is what the group is told of copies, nil where there are none.
func (c *copies) group() *kafka.Standby {
	if c.engine.opts.Standby == 0 || !c.engine.hasStores() {
		return nil
	}
	s := &kafka.Standby{Replicas: c.engine.opts.Standby, Held: c.held, Assigned: c.keep}
	for _, g := range c.engine.graph.subgraphs {
		if len(g.stores) > 0 {
			s.Stateful = append(s.Stateful, g.sources[0].Topic)
		}
	}
	return s
}

// open makes ready what copies need.
func (c *copies) open() (err error) {
	if c.group() == nil {
		return nil
	}
	c.fetcher, err = c.engine.opts.Wire.NewFetcher()
	return err
}

// close ends all copies.
func (c *copies) close() {
	c.keep(nil, nil)
	c.engine.closing.end(c.engine.log)
	if c.fetcher != nil {
		_ = c.fetcher.Close()
	}
}

// joined says which membership the copies are of.
func (c *copies) joined(g Group) { c.member.Store(memberOf{g}) }

type memberOf struct{ Group }

// keep is kafka.Standby.Assigned: it ends the copies that are not in the list, and waits until their folders are free, or their stores
// handed over to the tasks that come here.
func (c *copies) keep(list []kafka.Copy, added []kafka.TopicPartition) {
	wanted := map[taskID]bool{} // and whether the task is to move here
	for _, cp := range list {
		for _, id := range c.engine.taskIDs([]kafka.TopicPartition{cp.TopicPartition}) {
			if g := c.engine.graph.subgraphs[id.subgraph]; len(g.stores) > 0 && !c.engine.runs(id) {
				wanted[id] = cp.Moves
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved, c.ended = false, map[taskID]bool{}
	comes := c.engine.taskIDs(added)
	for id, s := range c.kept {
		if _, ok := wanted[id]; !ok {
			s.handsOver.Store(slices.Contains(comes, id))
			s.cancel()
		}
	}
	for id, s := range c.kept {
		if _, ok := wanted[id]; !ok {
			<-s.done
			delete(c.kept, id)
			c.left[id], c.ended[id] = true, true
		}
	}
	for id, moves := range wanted {
		s := c.kept[id]
		if s == nil {
			s = newStandby(c, id)
			c.kept[id] = s
			go s.run()
		}
		s.moves.Store(moves)
	}
	if len(c.kept) > 0 {
		c.engine.log.Info("copies of state are kept", zap.Stringers("tasks", slices.Collect(maps.Keys(c.kept))))
	}
}

// all are the copies, in order.
func (c *copies) all() []*standby {
	c.mu.Lock()
	list := slices.Collect(maps.Values(c.kept))
	c.mu.Unlock()
	slices.SortFunc(list, func(a, b *standby) int { return a.id.compare(b.id) })
	return list
}

// taken says how many of the tasks that the instance was given now it had a copy of.
func (c *copies) taken(ids []taskID) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if c.ended[id] {
			n++
		}
	}
	c.promoted += n
	return n
}

// leave notes tasks that the instance has given up: their stores are on its disk.
func (c *copies) leave(ids []taskID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.left[id] = true
		c.engine.closing.drop(id, c.engine.log, c.engine.closing.left(id))
	}
}

// Lags of what is only left on the disk: from before this life of the instance, and from this one.
const (
	lagOfOldFolder = 1 << 40
	lagOfFolder    = 2 * kafka.WarmLag
)

// held is kafka.Standby.Held.
func (c *copies) held() map[kafka.TopicPartition]kafka.Warmth {
	held := map[kafka.TopicPartition]kafka.Warmth{}
	e := c.engine
	note := func(id taskID, w kafka.Warmth) {
		held[kafka.TopicPartition{Topic: e.graph.subgraphs[id.subgraph].sources[0].Topic, Partition: id.partition}] = w
	}
	for _, g := range e.graph.subgraphs {
		if len(g.stores) == 0 {
			continue
		}
		for p := range g.partitions {
			id := taskID{g.plan.Index, p}
			c.mu.Lock()
			left := c.left[id]
			c.mu.Unlock()
			switch _, err := os.Stat(state.StoreDir(e.opts.StateDir, e.graph.plan.Group(), g.stores[0].Name, p)); {
			case err != nil:
			case left:
				note(id, kafka.Warmth{Lag: lagOfFolder})
			default:
				note(id, kafka.Warmth{Lag: lagOfOldFolder})
			}
		}
	}
	for _, p := range e.placements() {
		if t := p.task; len(t.graph.stores) > 0 {
			if t.is(taskRunning) {
				note(t.id, kafka.Warmth{Following: true})
			} else if r := t.restored.Load(); r != nil {
				note(t.id, kafka.Warmth{Lag: max(0, r.To-r.Position), Following: true})
			}
		}
	}
	for _, s := range c.all() {
		if lag, ok := s.behind(); ok && s.failure.Load() == nil {
			note(s.id, kafka.Warmth{Lag: lag, Following: true})
		}
	}
	return held
}

// warmed is called when a copy has become warm. When all are whose tasks are to move here, the group is asked to.
func (c *copies) warmed() {
	member, ok := c.member.Load().(memberOf)
	if !ok {
		return
	}
	c.mu.Lock()
	ask := !c.moved
	some := false
	for _, s := range c.kept {
		if s.moves.Load() {
			some = true
			ask = ask && s.warm()
		}
	}
	ask = ask && some
	c.moved = c.moved || ask
	c.mu.Unlock()
	if ask {
		member.Rebalance("copies of state are warm, and their tasks can move here")
	}
}

// runs says whether a task is this instance's.
func (e *engine) runs(id taskID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.placed[id] != nil
}

// standby is the copy of one task's stores.
type standby struct {
	copies *copies
	id     taskID
	graph  *subgraph
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	moves     atomic.Bool // the task is to move here
	handsOver atomic.Bool // it has come here: its stores stay open for it when the copy ends

	lag     atomic.Int64              // what is missing up to the high watermarks, -1 while that is not known
	recent  atomic.Pointer[time.Time] // the copy has everything that was written before
	failure atomic.Pointer[failure]   // why it waits, and until when
}

func newStandby(c *copies, id taskID) *standby {
	s := &standby{copies: c, id: id, graph: c.engine.graph.subgraphs[id.subgraph], done: make(chan struct{})}
	s.lag.Store(-1)
	s.ctx, s.cancel = context.WithCancel(c.engine.ctx)
	return s
}

// recentEnough is how old a warm copy may be where more than kafka.WarmLag offsets are written in that time.
const recentEnough = 5 * time.Second

// behind is the lag of the copy, as the group is told: where it is as new as it can be, that is what counts.
func (s *standby) behind() (lag int64, known bool) {
	lag = s.lag.Load()
	if at := s.recent.Load(); at != nil && time.Since(*at) < recentEnough {
		lag = min(lag, kafka.WarmLag)
	}
	return lag, lag >= 0
}

func (s *standby) warm() bool {
	lag, known := s.behind()
	return known && lag <= kafka.WarmLag && s.failure.Load() == nil
}

// run follows the changelogs until the copy is ended.
func (s *standby) run() {
	defer close(s.done)
	e := s.copies.engine
	for tries := 0; ; tries++ {
		began := time.Now()
		err := s.follow()
		s.lag.Store(-1)
		s.recent.Store(nil)
		if s.ctx.Err() != nil {
			return
		}
		if corrupt, ok := errors.AsType[*state.CorruptError](err); ok {
			e.suspect.add(corrupt.Dir)
		}
		if time.Since(began) > time.Minute {
			tries = 0
		}
		wait := blockWait.Wait(tries)
		s.failure.Store(&failure{err: err, until: time.Now().Add(wait)})
		if tries&(tries+1) == 0 { // the 1st, 2nd, 4th ... time
			e.log.Warn("a copy of state stopped, it is begun again; no task is concerned", zap.Stringer("task", s.id), zap.Duration("in", wait), zap.Error(err))
		}
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
			return
		}
	}
}

// stats is a snapshot of the copy.
func (s *standby) stats() CopyStats {
	st := CopyStats{Subgraph: s.id.subgraph, Partition: s.id.partition, Lag: s.lag.Load(), Warm: s.warm()}
	if f := s.failure.Load(); f != nil {
		st.Failure = f.err.Error()
	}
	return st
}

// problem says why a copy waits.
func (s *standby) problem() (Problem, bool) {
	f := s.failure.Load()
	if f == nil {
		return Problem{}, false
	}
	p := Problem{
		Kind:   ProblemCopy,
		Cause:  fmt.Sprintf("the copy of task %s is not kept up to date: %v", s.id, f.err),
		Remedy: "it is begun again by itself, at intervals; repair what the error names (disk space, rights, the changelog); no task waits for it",
	}
	if denied, ok := errors.AsType[*kafka.BlockedError](f.err); ok {
		p.Remedy = denied.Remedy + "; it is begun again by itself, at intervals"
	}
	return p, true
}
