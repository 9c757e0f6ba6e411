package processors

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// fences finds out that another process has this instance's id. Both take over the same transactional ids, so each fences
// the other, again and again, and neither gets anything done.
//
// A fenced producer is not told by whom. The group knows: each member says in its subscription which instance it is and
// when its process began. Who finds a member with its own id that began earlier, while it is fenced again and again, and
// finds it again after a session, which a dead one does not outlive, is the younger of two, and stops. With static
// membership (group.instance.id) there are never two members: Kafka lets the newcomer in and fences the older one, which
// stops by that.
type fences struct {
	inst    *Instance
	started time.Time

	mu    sync.Mutex
	times []time.Time // of the fencings within the window, fenceOnce apart
	rival string      // a member with this instance's id, as seen last
	since time.Time   // when it was first seen
}

const (
	fenceWindow = time.Minute
	fenceLimit  = 4 // in the window; a restart of the brokers, or a record that takes too long, fences once or twice
	// One incident, such as a member that is removed from the group, fences each worker, and each again while it opens its
	// tasks: what comes within fenceOnce counts as one.
	fenceOnce = 2 * time.Second
)

// note takes down that a worker was fenced.
func (f *fences) note(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.times); n == 0 || now.Sub(f.times[n-1]) >= fenceOnce {
		f.times = append(f.times, now)
	}
	f.trim(now)
}

func (f *fences) trim(now time.Time) {
	f.times = slices.DeleteFunc(f.times, func(t time.Time) bool { return now.Sub(t) > fenceWindow })
}

func (f *fences) count(now time.Time) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trim(now)
	return len(f.times)
}

// namesaker is what a membership may know of others with its instance's id. The real one does.
type namesaker interface {
	Namesakes(ctx context.Context) ([]kafka.Namesake, error)
}

// settle looks who the other is, and ends the instance if it is the younger one.
func (f *fences) settle(ctx context.Context) {
	now := time.Now()
	group, ok := f.inst.group.(namesaker)
	if n := f.count(now); !ok || n < fenceLimit {
		f.mu.Lock()
		f.rival = ""
		f.mu.Unlock()
		return
	}
	others, err := group.Namesakes(ctx)
	if err != nil {
		f.inst.log.Debug("could not ask who else has this instance's id", zap.Error(err))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(others) == 0 {
		return // there is none, or the group rebalances
	}
	other := others[0]
	if other.Name != f.rival {
		f.rival, f.since = other.Name, now
		return
	}
	older := !other.Started.IsZero() && other.Started.Before(f.started)
	if older && now.Sub(f.since) > f.session() {
		f.inst.fail(&NamesakeError{Instance: f.inst.id, Other: other.Name, Started: other.Started})
	}
}

// session is how long a dead member stays listed.
func (f *fences) session() time.Duration {
	if w, ok := f.inst.opts.Wire.(interface{ Config() kafka.Config }); ok {
		return w.Config().Group.SessionTimeout
	}
	return 10 * time.Second
}

// problem is set while the instance is fenced again and again.
func (f *fences) problem(now time.Time) (Problem, bool) {
	n := f.count(now)
	if n < fenceLimit {
		return Problem{}, false
	}
	f.mu.Lock()
	rival := f.rival
	f.mu.Unlock()
	cause := fmt.Sprintf("this instance was fenced %d times within %s: another process has its instance id %q, or its transactions outlive transaction.timeout.ms",
		n, fenceWindow, f.inst.id)
	if rival != "" {
		cause = fmt.Sprintf("this instance was fenced %d times within %s: another process has instance id %q: %s", n, fenceWindow, f.inst.id, rival)
	}
	return Problem{Kind: ProblemFenced, Cause: cause, Remedy: sharedID}, true
}

const sharedID = "give each process an instance-id (or group.instance.id) and a state-dir of its own; the younger of two with one id stops by itself"

// NamesakeError ends the younger of two processes that have one instance id.
type NamesakeError struct {
	Instance string
	Other    string
	Started  time.Time
}

func (e *NamesakeError) Error() string {
	return fmt.Sprintf("another process has instance id %q: %s, running since %s; each of the two fences the other, and this one is the younger: %s",
		e.Instance, e.Other, e.Started.UTC().Format(time.RFC3339), sharedID)
}
