package topology

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/fault"
)

// Context is what a node's function gets besides its record. It is valid until the function returns, and on the
// goroutine that called it only: so is a loop over a store, and what Record returns. A Context that is used later does
// nothing, and fails the record that is in work then, or the next one, with a [LateError]. The zero Context belongs to no
// record: through it reads are errors and writes are lost.
//
// It is a [context.Context], to be given to whatever the node waits for; Done, Err, Deadline and Value may be used on any
// goroutine and at any time. It is cancelled when the instance stops, when another instance takes the task over, after the node's
// [Timeout], and when the function returns; [context.Cause] says which. A call that returns an error because the instance stops or the
// task goes elsewhere has no effect, and does not count as a try: whoever has the task next processes the record.
type Context struct {
	scope *Scope
	call  uint64
}

// Record is the input record that led to this call. After an edge it is the record of the first node. It is valid until
// the node returns.
func (c Context) Record() *Record { return c.runtime().Record() }

// Key is the key that the function was called with.
func (c Context) Key() string { return c.runtime().Key() }

// Time is the timestamp of the input record, or Now where it has none.
func (c Context) Time() time.Time {
	run := c.runtime()
	if t := run.Record().Timestamp; !t.IsZero() {
		return t
	}
	return run.Now()
}

// Now is the time by the clock of whatever runs the node: the real one in an instance, the test's in topologytest.
func (c Context) Now() time.Time { return c.runtime().Now() }

// Log is the instance's log with the topology, the node, the partition and the offset of the record. A line a record is too much
// for production at the level info.
func (c Context) Log() *zap.Logger { return c.runtime().Log() }

// IdempotencyKey names what this node does for this record, for services that take such a key: 32 hexadecimal digits, of the cluster,
// the topology, the node and the topic, partition and offset of the input record. It is the same in each try, after restarts and
// in replays, on every instance. A node that calls a service several times for a record adds a number of its own.
func (c Context) IdempotencyKey() string { return c.runtime().IdempotencyKey() }

// Drop leaves the record out, and says why: return what it returns. What this call of the node has emitted and changed
// is taken back, and the record counts as dropped unless another node made something of it.
func (c Context) Drop(reason DropReason) error {
	if reason < 0 || int(reason) >= len(droppedFor) {
		return fmt.Errorf("dropped for an unknown reason: %d", reason)
	}
	return droppedFor[reason]
}

// Deadline is when the node's [Timeout] is over; ok is false where it has none. It implements context.Context.
func (c Context) Deadline() (deadline time.Time, ok bool) { return c.open().Deadline() }

// Done is closed when the call is to end. It implements context.Context.
func (c Context) Done() <-chan struct{} { return c.open().Done() }

// Err is nil until Done is closed. It implements context.Context.
func (c Context) Err() error { return c.open().Err() }

// Value implements context.Context.
func (c Context) Value(key any) any { return c.open().Value(key) }

// Scope is where the functions of one node are called: it makes the Context of each call, and tells it from those of
// calls that have returned. It is for engines. Within, Context and End are for the goroutine that calls the node.
type Scope struct {
	run     Runtime
	node    string
	timeout time.Duration
	late    func(*LateError)
	now     atomic.Uint64 // the call in work, or the next one
	began   atomic.Int64  // when the call in work began, in nanoseconds, where there is a timeout; 0 between calls
	wanted  atomic.Pointer[wanted]

	mu   sync.Mutex
	base context.Context
}

// wanted is the context.Context of a call whose Context was used as one. Most are not.
type wanted struct {
	context.Context
	cancel context.CancelFunc
	call   uint64
}

// NewScope makes the Scope of a node. timeout is what a call may take, 0 for any time. late is told of each use of a Context whose
// call has returned, on the goroutine that does so; nil: nobody is told.
func NewScope(run Runtime, node string, timeout time.Duration, late func(*LateError)) *Scope {
	return &Scope{run: run, node: node, timeout: timeout, late: late, base: context.Background()}
}

// Within says what ends the calls to come besides their timeout. Default: nothing.
func (s *Scope) Within(base context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = base
}

// Context is that of the call which begins. It is valid until End.
func (s *Scope) Context() Context {
	if s.timeout > 0 {
		s.began.Store(time.Now().UnixNano())
	}
	return Context{s, s.now.Load()}
}

// Overdue is how long the call in work has taken, where that is the timeout or more, else 0. It may be called from any goroutine.
func (s *Scope) Overdue(now time.Time) time.Duration {
	began := s.began.Load()
	if began == 0 {
		return 0
	}
	if took := now.Sub(time.Unix(0, began)); took >= s.timeout {
		return took
	}
	return 0
}

// End ends the call.
func (s *Scope) End() {
	s.now.Store(s.now.Load() + 1)
	if s.timeout > 0 {
		s.began.Store(0)
	}
	if w := s.wanted.Swap(nil); w != nil {
		w.cancel()
	}
}

// Causes of a Context's end, for context.Cause. Engines give that of an instance or a task.
var (
	errReturned = errors.New("the node's function has returned")
	errTimeout  = errors.New("the node's timeout is over")
)

// over is what a Context is as a context.Context after its call.
var over = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errReturned)
	return ctx
}()

// open is the context.Context of the call. It is made when it is asked for, since most calls need none.
func (c Context) open() context.Context {
	s := c.scope
	if s == nil {
		return context.Background()
	}
	if w := s.wanted.Load(); w != nil && w.call == c.call {
		return w
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.wanted.Load(); w != nil && w.call == c.call {
		return w
	}
	began := s.began.Load()
	if c.ended() {
		return over
	}
	w := &wanted{call: c.call}
	if s.timeout > 0 {
		w.Context, w.cancel = context.WithDeadlineCause(s.base, time.Unix(0, began).Add(s.timeout), errTimeout)
	} else {
		w.Context, w.cancel = context.WithCancel(s.base)
	}
	s.wanted.Store(w)
	if c.ended() { // it may have returned before it could be seen that somebody wants one
		s.wanted.CompareAndSwap(w, nil)
		w.cancel()
	}
	return w
}

// NewContext makes a Context of a Runtime that is valid for ever. It is for tests.
func NewContext(run Runtime) Context { return NewScope(run, "", 0, nil).Context() }

// LateError says that a node let its Context out, and somebody used it after the node had returned: in a goroutine that
// the node did not wait for, or from a variable. What was asked for was not done. The record that fails with it need not
// be the one that the Context belonged to.
type LateError struct{ Node string }

func (e *LateError) Error() string {
	return fmt.Sprintf("node %s used its Context after it returned: a Context, and a loop over a store, ends when the node returns; "+
		"wait for goroutines before, and keep values in their place", e.Node)
}

// runtime is never nil.
func (c Context) runtime() Runtime {
	switch {
	case c.scope == nil:
		return outside{}
	case c.ended() && !fault.Broken(fault.RefuseLateContexts):
		return late{c.scope}
	}
	return c.scope.run
}

// ended says whether the call that the Context was made for has returned.
func (c Context) ended() bool { return c.scope != nil && c.scope.now.Load() != c.call }
