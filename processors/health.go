package processors

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Three questions are asked of an instance from outside, and they have different answers:
//
//   - Live: would a restart of the process help? A slow downstream service or a broker that is away is not cured by one.
//   - Ready: is it in its group with all its tasks running?
//   - Health: what should a person look at, why is it so, and what helps?

// Problem is something that a person should look at.
type Problem struct {
	Kind   string // a short name that stays the same, for alerts and metrics: Problem...
	Cause  string // what is wrong, with the names and numbers that are known
	Remedy string // what to do about it

	inCall  bool // a call of a node does not return
	overdue bool // nor has it ended with its timeout: logged as such
}

func (p Problem) String() string {
	if p.Remedy == "" {
		return p.Cause
	}
	return p.Cause + "; what to do: " + p.Remedy
}

// The kinds of problems.
const (
	ProblemBroker  = "broker"  // brokers do not answer
	ProblemStalled = "stalled" // a partition has lag and makes no progress
	ProblemBlocked = "blocked" // the cluster, or what a node depends on, refuses what a partition's records lead to
	ProblemParked  = "parked"  // a partition waits because too many records of parked keys do
	ProblemLine    = "line"    // a partition was stopped because most of its records fail in one way
	ProblemRestore = "restore" // a restore makes no progress
	ProblemTopic   = "topic"   // an input topic was deleted
	ProblemFenced  = "fenced"  // another process has this instance's id
	ProblemTask    = "task"    // a task is stopped on an error of its stores
	ProblemWorker  = "worker"  // a worker fails again and again
	ProblemGlobal  = "global"  // a global is not read
	ProblemHook    = "hook"    // a hook blocks
	ProblemCopy    = "copy"    // a copy of state is not kept up to date
	ProblemStatus  = "status"  // the instance cannot be announced
)

// Live says whether the process can go on as it is. It is false only where a restart helps: the engine's own goroutines
// do not move although they wait for nobody outside, a stop does not end, or the instance has ended with an error in a
// process that lives on. What the instance waits for outside, a broker or a node's own call, leaves it true.
func (i *Instance) Live() bool {
	now := time.Now()
	if i.phase.Load().(Phase) == Stopped {
		return false
	}
	if since := i.stopping.Load(); since != nil {
		return now.Sub(*since) < wedgedStop
	}
	if last := i.watched.Load(); last != nil && now.Sub(*last) > wedged {
		return false
	}
	if i.phase.Load().(Phase) != Running {
		return true
	}
	for _, w := range i.workers {
		if last := w.turned.Load(); last != nil && now.Sub(*last) > wedged && w.processing.Load() == 0 {
			return false
		}
	}
	return true
}

// Every call of the engine to the outside is bounded by minutes at most (default.api.timeout.ms, delivery.timeout.ms), so
// a loop that has not gone round for longer will not go on by itself.
const (
	wedged     = 15 * time.Minute
	wedgedStop = time.Minute
)

// Ready says whether the instance is in its group and all its tasks run.
func (i *Instance) Ready() bool { return len(i.Unready()) == 0 }

// Unready says why the instance is not ready, one reason a task that does not run. Empty means ready.
func (i *Instance) Unready() (why []string) {
	if phase := i.phase.Load().(Phase); phase != Running {
		return append([]string{"the instance is " + string(phase)}, i.globals.unready()...)
	}
	// Phase Running is set after the group is there. A member without tasks is ready too.
	if _, ok := i.group.Member(); !ok {
		why = append(why, "it is not a member of its group")
		if denied := i.group.Denied(); denied != nil {
			why[0] += ": " + denied.Error()
		}
	}
	for _, p := range i.placements() {
		if !p.task.is(taskRunning) {
			why = append(why, p.task.unready())
		}
	}
	return why
}

// unready says what a task that does not run waits for.
func (t *task) unready() string {
	what := fmt.Sprintf("task %s is %s", t.id, taskStateNames[t.state.Load()])
	switch f, r := t.failure.Load(), t.restored.Load(); {
	case t.is(taskFailed) && f != nil:
		return what + ": " + f.err.Error()
	case t.asking.Load() != nil:
		return what + ": it asks for the committed offsets of its inputs"
	case r != nil:
		return fmt.Sprintf("%s: store %s is at offset %d of %d of %s", what, r.Store, r.Position, r.To, r.changelog)
	}
	return what
}

// Health lists what is wrong, each with its cause and remedy. Empty means healthy.
func (i *Instance) Health() []Problem {
	now := time.Now()
	var problems []Problem
	for _, p := range i.placements() {
		if f := p.task.failure.Load(); f != nil && p.task.is(taskFailed) {
			problems = append(problems, f.problem(p.task.id))
		}
		for in := range p.task.everything() {
			if problem, ok := i.stalled(p, in, now); ok {
				problems = append(problems, problem)
			}
		}
	}
	for _, s := range i.copies.all() {
		if problem, ok := s.problem(); ok {
			problems = append(problems, problem)
		}
	}
	problems = append(problems, i.globals.problems(now)...)
	if i.opts.beside != nil {
		problems = append(problems, i.opts.beside()...)
	}
	if i.phase.Load().(Phase) != Running {
		return problems
	}
	problems = append(problems, i.hooks.problems(now, i.workers)...)
	if denied := i.group.Denied(); denied != nil {
		problems = append(problems, Problem{Kind: ProblemBlocked, Cause: denied.Error(), Remedy: denied.Remedy + "; it is tried again by itself"})
	}
	problems = append(problems, i.found(now)...)
	for _, w := range i.workers {
		if err := w.lastError.Load(); err != nil && w.tries.Load() >= unhealthyTries {
			problems = append(problems, Problem{
				Kind:   ProblemWorker,
				Cause:  fmt.Sprintf("worker %d failed %d times in a row: %v", w.id, w.tries.Load(), *err),
				Remedy: "it goes on trying; repair what the error names",
			})
		}
	}
	return problems
}

// problem says why a task is stopped.
func (f *failure) problem(id taskID) Problem {
	if denied, ok := errors.AsType[*kafka.BlockedError](f.err); ok {
		return Problem{Kind: ProblemBlocked, Cause: fmt.Sprintf("task %s waits: %v", id, f.err), Remedy: denied.Remedy + "; it is opened again by itself, at intervals"}
	}
	return Problem{
		Kind:   ProblemTask,
		Cause:  fmt.Sprintf("task %s is stopped: %v", id, f.err),
		Remedy: "it is opened again by itself, at intervals; repair what the error names (disk space, rights, the changelog)",
	}
}

// found lists what asking the cluster has shown.
func (i *Instance) found(now time.Time) []Problem {
	problems := i.patrol.problems(now)
	if p, ok := i.fences.problem(now); ok {
		problems = append(problems, p)
	}
	return problems
}

// unhealthyTries is how many failures in a row make a worker unhealthy: fewer happen in every broker restart.
const unhealthyTries = 8

// stalled says why an input makes no progress although it has lag. ok is false when it does not stand still.
func (i *Instance) stalled(p *placement, in *input, now time.Time) (problem Problem, ok bool) {
	if w := in.waiting.Load(); w != nil && w.blocked { // said at once: it does not pass by itself
		return Problem{
			Kind: cmp.Or(w.kind, ProblemBlocked),
			Cause: fmt.Sprintf("%s waits at offset %d since %s, through no fault of the record: %v",
				in.tp, w.offset, now.Sub(w.since).Round(time.Second), w.err),
			Remedy: w.remedy + "; it is tried again by itself",
		}, true
	}
	if w := in.waiting.Load(); w != nil && w.delayed {
		return Problem{}, false
	}
	if p.worker.at.Load() == in {
		if call, ok := p.worker.overdue(now); ok {
			return call.problem(p.worker), true
		}
	}
	since := in.since(now)
	if in.lag() == 0 || !p.task.is(taskRunning) || since < i.opts.StallAfter+i.opts.CommitInterval {
		return Problem{}, false
	}
	problem.Kind = ProblemStalled
	what := fmt.Sprintf("%s has made no progress for %s at offset %d with lag %d", in.tp, since.Round(time.Second), in.next.Load(), in.lag())
	if b := i.hooks.blockedFor(p.worker); b != nil {
		problem.Cause, problem.Remedy = what+": "+b.cause(now, i.workers), hookRemedy
		return problem, true
	}
	if w := in.waiting.Load(); w != nil {
		problem.Cause = fmt.Sprintf("%s: offset %d failed %d times, next try in %s: %v", what, w.offset, w.attempt, w.until.Sub(now).Round(time.Millisecond), w.err)
		problem.Remedy = "repair what the node's error names; the record is tried again by itself, and becomes a dead letter when its tries are used up"
		return problem, true
	}
	if at := p.worker.processing.Load(); at > 0 && now.Sub(time.Unix(0, at)) > i.opts.StallAfter {
		problem.Cause = fmt.Sprintf("%s: its worker %d has been in one call for %s", what, p.worker.id, now.Sub(time.Unix(0, at)).Round(time.Second))
		problem.inCall = true
		problem.Remedy = "the node waits for something: its stack in the log shows what that is; give that the node's Context, and the node a Timeout"
		if slow := p.worker.at.Load(); slow != nil && slow.task != p.task {
			problem.Cause += fmt.Sprintf(", with a record of %s; all partitions of a worker wait for it", slow.whereabouts())
			problem.Remedy += "; with as many workers as partitions (workers) the others go on"
		}
		return problem, true
	}
	if err := p.worker.lastError.Load(); err != nil && p.worker.tries.Load() > 0 {
		problem.Cause = fmt.Sprintf("%s: commits fail: %v", what, *err)
		problem.Remedy = "they are repeated by themselves; repair what the error names"
		return problem, true
	}
	problem.Cause = what
	problem.Remedy = "look at the log of this instance and at the partition's leader"
	if cause, remedy, ok := i.patrol.waitsFor(in.tp); ok {
		problem.Cause, problem.Remedy = what+": "+cause, remedy
	}
	return problem, true
}

// longestCall is how long the worker that has been at one piece of work for the longest has been there: a call of a node,
// after at most a commit interval of others. All partitions of that worker wait for it.
func (i *Instance) longestCall(now time.Time) (longest time.Duration) {
	for _, p := range i.placements() {
		if at := p.worker.processing.Load(); at > 0 {
			longest = max(longest, now.Sub(time.Unix(0, at)))
		}
	}
	return longest
}
