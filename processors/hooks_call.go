package processors

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// hooks are the hooks of an instance by the event that they are called for, found once at its start.
type hooks struct {
	topology string
	log      *zap.Logger
	ending   <-chan struct{} // closed when the instance waits for nobody any more: see call
	left     atomic.Bool     // a call was left behind then
	blocked  blockedHooks

	ended      hookList[HookRecordEnded]
	retried    hookList[HookRecordRetried]
	letters    hookList[HookDeadLettered]
	committed  hookList[HookCommitted]
	aborted    hookList[HookAborted]
	rebalanced hookList[HookRebalanced]
	restores   hookList[HookRestoreProgress]
	waiting    hookList[HookPartitionWaiting]
	resumed    hookList[HookPartitionResumed]
}

// hookList are the hooks of one kind.
type hookList[H any] struct {
	list   []H
	failed atomic.Bool // that one did not return was logged
}

func newHooks(given []Hook, topology string, log *zap.Logger) (*hooks, error) {
	h := &hooks{topology: topology, log: log}
	for n, hook := range given {
		if found := []bool{
			h.ended.add(hook), h.retried.add(hook), h.letters.add(hook), h.committed.add(hook), h.aborted.add(hook),
			h.rebalanced.add(hook), h.restores.add(hook), h.waiting.add(hook), h.resumed.add(hook),
		}; !slices.Contains(found, true) {
			return nil, fmt.Errorf("hook %d, a %T, has none of the methods of hooks, such as OnRecordEnded(processors.RecordEnded): "+
				"it would never be called (a method of a pointer needs the pointer)", n+1, hook)
		}
	}
	return h, nil
}

func (l *hookList[H]) add(hook Hook) bool {
	one, ok := hook.(H)
	if ok {
		l.list = append(l.list, one)
	}
	return ok
}

// any says whether there is one. What is only needed for hooks is not done without.
func (l *hookList[H]) any() bool { return l.list != nil }

// hookGrace is how long hooks may still take when the instance has given up everything else.
const hookGrace = 250 * time.Millisecond

// call has n events reported to each hook of a list, and returns when that is done. A hook may do anything that a node may, so it
// has a goroutine that it may end: one for all events, and another after each call that did not return.
//
// A hook that blocks holds up what it reports, but not the end of the instance: then it is left behind, and call returns false.
// What report refers to must not be used again after that.
func call[H any](h *hooks, l *hookList[H], n int, report func(hook H, event int)) bool {
	all, hookOf := int64(n*len(l.list)), func(call int64) H { return l.list[call%int64(len(l.list))] }
	calls := &hookCalls{name: func(call int64) string { return hookName(hookOf(call)) }}
	for !h.left.Load() && calls.next.Load() < all {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() {
				failed := calls.next.Load()
				if failed == all {
					return
				}
				hook, thrown := hookOf(failed), recover()
				calls.next.Add(1)
				if l.failed.CompareAndSwap(false, true) {
					h.log.Error("a hook did not return: it panicked, or ended its goroutine; the instance goes on, and logs no more of this kind",
						zap.String("hook", fmt.Sprintf("%T", hook)), zap.String("how", howItEnded(thrown)), zap.ByteString("stack", debug.Stack()))
				}
			}()
			calls.goroutine.Store(goroutineID())
			for next := calls.next.Load(); next < all; next = calls.next.Add(1) {
				report(hookOf(next), int(next)/len(l.list))
			}
		}()
		if !h.await(done, calls) {
			h.log.Error("a hook blocks, and the instance ends without it", zap.String("hook", calls.name(calls.next.Load())))
		}
	}
	return !h.left.Load()
}

// await waits for calls, or until they have to be left behind.
func (h *hooks) await(done <-chan struct{}, calls *hookCalls) bool {
	watch := hookWatch{hooks: h, calls: calls, at: calls.next.Load(), since: time.Now()}
	defer watch.end()
	look := time.NewTicker(hookLook)
	defer look.Stop()
	for ending := false; !ending; {
		select {
		case <-done:
			return true
		case <-look.C:
			watch.look(time.Now())
		case <-h.ending:
			ending = true
		}
	}
	grace := time.NewTimer(hookGrace)
	defer grace.Stop()
	select {
	case <-done:
		return true
	case <-grace.C:
		h.left.Store(true)
		return false
	}
}

// howItEnded describes a call that did not return, by what it panicked with.
func howItEnded(thrown any) string {
	if thrown == nil {
		return "runtime.Goexit"
	}
	return "panic: " + nodes.Short(fmt.Sprint(thrown))
}

// report is what a worker keeps for hooks of its records until their transaction is committed. There is none without such hooks.
type report struct {
	hooks   *hooks
	began   time.Time // the try in work
	ended   []endedRecord
	letters []DeadLettered
}

// endedRecord is what a RecordEnded is made of.
type endedRecord struct {
	in        *input
	offset    int64
	timestamp int64
	records   int64
	took      time.Duration
	node      string
	attempts  int32
	outcome   outcome
}

func newReport(h *hooks) *report {
	if !h.ended.any() && !h.letters.any() && !h.retried.any() {
		return nil
	}
	return &report{hooks: h}
}

// begin notes that a try of a record begins.
func (p *report) begin() {
	if p != nil {
		p.began = time.Now()
	}
}

// end notes how a record ended. note is given for a dead letter.
func (p *report) end(c *cause, o outcome, note *letterNote) {
	in, r := c.in, c.record
	if p.hooks.ended.any() {
		e := endedRecord{in: in, offset: r.Offset, timestamp: r.Timestamp, records: 1, took: time.Since(p.began), attempts: int32(c.attempt), outcome: o}
		if note != nil {
			e.node, e.records = note.node, note.records
		}
		p.ended = append(p.ended, e)
	}
	if note != nil && p.hooks.letters.any() {
		p.letters = append(p.letters, DeadLettered{
			Topology: p.hooks.topology, Topic: in.tp.Topic, Partition: in.tp.Partition, Offset: r.Offset, Time: c.time(),
			DeadLetterTopic: note.topic, Node: note.node, Reason: string(note.reason), Limit: note.limit, Err: note.text,
			Attempts: c.attempt, Records: note.records, Cut: note.form >= cutShort,
		})
	}
}

// tell reports what is committed.
func (p *report) tell() {
	if p == nil {
		return
	}
	h, ended, letters := p.hooks, p.ended, p.letters
	if len(ended) > 0 && !call(h, &h.ended, len(ended), func(hook HookRecordEnded, n int) {
		e := &ended[n]
		hook.OnRecordEnded(RecordEnded{
			Topology: h.topology, Topic: e.in.tp.Topic, Partition: e.in.tp.Partition, Offset: e.offset, Time: timeOf(e.timestamp),
			Outcome: outcomeNames[e.outcome], Node: e.node, Records: e.records, Attempts: int(e.attempts), Took: e.took,
		})
	}) {
		p.ended = nil
	}
	if len(letters) > 0 && !call(h, &h.letters, len(letters), func(hook HookDeadLettered, n int) { hook.OnDeadLettered(letters[n]) }) {
		p.letters = nil
	}
}

// clear forgets what is told, or is done again.
func (p *report) clear() {
	if p == nil {
		return
	}
	clear(p.ended)
	clear(p.letters)
	p.ended, p.letters = p.ended[:0], p.letters[:0]
}

// retried reports a try that failed.
func (p *report) retried(c *cause, f *nodes.Failure, wait time.Duration) {
	if p == nil || !p.hooks.retried.any() {
		return
	}
	e := RecordRetried{
		Topology: p.hooks.topology, Topic: c.in.tp.Topic, Partition: c.in.tp.Partition, Offset: c.record.Offset,
		Node: f.Name, Reason: string(f.Reason), Err: nodes.Short(f.Text), Attempt: c.attempt, Took: time.Since(p.began), Wait: wait,
	}
	call(p.hooks, &p.hooks.retried, 1, func(hook HookRecordRetried, _ int) { hook.OnRecordRetried(e) })
}

// committed counts and reports a commit.
func (w *worker) committed(s commitStats) {
	w.engine.metrics.committed(s.took)
	h := w.engine.hooks
	if !h.committed.any() {
		return
	}
	e := Committed{Topology: h.topology, Worker: w.id, Records: s.records, Bytes: s.bytes, Took: s.took}
	call(h, &h.committed, 1, func(hook HookCommitted, _ int) { hook.OnCommitted(e) })
}

// tellAborted reports that the open transaction is about to be given up.
func (w *worker) tellAborted(reason AbortReason, err error) {
	h := w.engine.hooks
	if !h.aborted.any() {
		return
	}
	e := Aborted{Topology: h.topology, Worker: w.id, Records: w.tx.records(), Reason: reason, Err: nodes.Short(err.Error())}
	call(h, &h.aborted, 1, func(hook HookAborted, _ int) { hook.OnAborted(e) })
}

// tellRebalanced reports partitions that were assigned, or given up.
func (h *hooks) tellRebalanced(assigned, revoked []kafka.TopicPartition, lost bool) {
	if !h.rebalanced.any() || len(assigned)+len(revoked) == 0 {
		return
	}
	call(h, &h.rebalanced, 1, func(hook HookRebalanced, _ int) { // maps of its own for each
		hook.OnRebalanced(Rebalanced{Topology: h.topology, Assigned: byTopic(assigned), Revoked: byTopic(revoked), Lost: lost})
	})
}

// tellRestore reports how far a restore is.
func (h *hooks) tellRestore(st *taskStore, from, position, to int64, began time.Time, done bool) {
	if !h.restores.any() {
		return
	}
	e := RestoreProgress{
		Topology: h.topology, Store: st.decl.Name, Partition: st.changelog.Partition, Changelog: st.changelog.Topic,
		From: from, To: to, Position: position, Took: time.Since(began), Done: done,
	}
	call(h, &h.restores, 1, func(hook HookRestoreProgress, _ int) { hook.OnRestoreProgress(e) })
}

// byTopic are partitions by their topic, in order.
func byTopic(tps []kafka.TopicPartition) map[string][]int32 {
	topics := map[string][]int32{}
	for _, tp := range slices.SortedFunc(slices.Values(tps), kafka.TopicPartition.Compare) {
		topics[tp.Topic] = append(topics[tp.Topic], tp.Partition)
	}
	return topics
}
