package processors

import (
	"context"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// waitingLook is how often hooks are told which partitions wait. The state of an input may change in between and back again:
// a worker that takes over its transactional id again, say, opens its tasks before it meets the same block. What hooks are
// told is what lasts.
const waitingLook = time.Second

// toldWait is a wait that hooks know of.
type toldWait struct {
	since  time.Time
	kind   string
	remedy string
}

// tellWaiting tells hooks of input partitions that wait and go on, until ctx ends.
func (i *Instance) tellWaiting(ctx context.Context) {
	if !i.hooks.waiting.any() && !i.hooks.resumed.any() {
		return
	}
	tick := time.NewTicker(waitingLook)
	defer tick.Stop()
	told := map[kafka.TopicPartition]toldWait{}
	for {
		select {
		case <-ctx.Done():
			for tp := range told {
				i.hooks.tellResumed(tp, told[tp], true)
			}
			return
		case <-tick.C:
			i.lookForWaits(time.Now(), told)
		}
	}
}

// lookForWaits compares what waits with what hooks were told.
func (i *Instance) lookForWaits(now time.Time, told map[kafka.TopicPartition]toldWait) {
	here := map[kafka.TopicPartition]bool{}
	for _, p := range i.placements() {
		for _, in := range p.task.inputs {
			here[in.tp] = true
			before, known := told[in.tp]
			problem, waits := i.waitsOn(p, in, now)
			switch {
			case waits && (!known || before.kind != problem.Kind || before.remedy != problem.Remedy):
				if !known {
					before.since = now
				}
				told[in.tp] = toldWait{before.since, problem.Kind, problem.Remedy}
				i.hooks.tellWaits(in, problem)
			case !waits && known && p.task.is(taskRunning):
				delete(told, in.tp)
				i.hooks.tellResumed(in.tp, before, false)
			}
		}
	}
	for tp, wait := range told {
		if !here[tp] {
			delete(told, tp)
			i.hooks.tellResumed(tp, wait, true)
		}
	}
}

// waitsOn says why an input makes no progress, whether its task runs or not.
func (i *Instance) waitsOn(p *placement, in *input, now time.Time) (problem Problem, waits bool) {
	if f := p.task.failure.Load(); f != nil && p.task.is(taskFailed) {
		return f.problem(p.task.id), true
	}
	return i.stalled(p, in, now)
}

func (h *hooks) tellWaits(in *input, problem Problem) {
	if !h.waiting.any() {
		return
	}
	e := PartitionWaiting{
		Topology: h.topology, Topic: in.tp.Topic, Partition: in.tp.Partition, Offset: in.next.Load(),
		Kind: problem.Kind, Cause: problem.Cause, Remedy: problem.Remedy,
	}
	call(h, &h.waiting, 1, func(hook HookPartitionWaiting, _ int) { hook.OnPartitionWaiting(e) })
}

func (h *hooks) tellResumed(tp kafka.TopicPartition, wait toldWait, givenUp bool) {
	if !h.resumed.any() {
		return
	}
	e := PartitionResumed{
		Topology: h.topology, Topic: tp.Topic, Partition: tp.Partition,
		Kind: wait.kind, Waited: time.Since(wait.since), GivenUp: givenUp,
	}
	call(h, &h.resumed, 1, func(hook HookPartitionResumed, _ int) { hook.OnPartitionResumed(e) })
}
