package plan

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Call is one call of a node's function: what a topology.Context is made of. The zero Call belongs to no node: through it
// reads are errors and writes are lost.
//
// It is a context.Context, which is made when it is asked for, since most calls need none.
type Call struct {
	scope  *Scope
	number uint64
}

// Runtime is what handles work with in this call. It is never nil: after the call its methods do nothing, and tell Scope's late.
func (c Call) Runtime() Runtime {
	switch {
	case c.scope == nil:
		return outside{}
	case c.Ended():
		return late{c.scope}
	}
	return c.scope.run
}

// Ended says whether the call has returned, from any goroutine. The zero Call has not begun.
func (c Call) Ended() bool { return c.scope != nil && c.scope.now.Load() != c.number }

// Scope is where the functions of one node are called: it makes the Call of each, and tells it from those that have returned.
// Within, Begin and End are for the goroutine that calls the node.
type Scope struct {
	run     Runtime
	timeout time.Duration
	late    func() error
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
	number uint64
}

// NewScope makes the Scope of a node. timeout is what a call may take, 0 for any time. late is asked at each use of a Call that has
// returned for the error of it, on the goroutine that does so.
func NewScope(run Runtime, timeout time.Duration, late func() error) *Scope {
	return &Scope{run: run, timeout: timeout, late: late, base: context.Background()}
}

// Within says what ends the calls to come besides their timeout. Default: nothing.
func (s *Scope) Within(base context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = base
}

// Begin is the call which begins. It is valid until End.
func (s *Scope) Begin() Call {
	if s.timeout > 0 {
		s.began.Store(time.Now().UnixNano())
	}
	return Call{s, s.now.Load()}
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

// Causes of a Call's end, for context.Cause. Engines give that of an instance or a task.
var (
	errReturned = fmt.Errorf("the node's function has returned: %w", context.Canceled)
	errTimeout  = fmt.Errorf("the node's timeout is over: %w", context.DeadlineExceeded)
)

// over is what a Call is as a context.Context after it has returned.
var over = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errReturned)
	return ctx
}()

// Deadline implements context.Context.
func (c Call) Deadline() (deadline time.Time, ok bool) { return c.open().Deadline() }

// Done implements context.Context.
func (c Call) Done() <-chan struct{} { return c.open().Done() }

// Err implements context.Context.
func (c Call) Err() error { return c.open().Err() }

// Value implements context.Context.
func (c Call) Value(key any) any { return c.open().Value(key) }

func (c Call) open() context.Context {
	s := c.scope
	if s == nil {
		return context.Background()
	}
	if w := s.wanted.Load(); w != nil && w.number == c.number {
		return w
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.wanted.Load(); w != nil && w.number == c.number {
		return w
	}
	began := s.began.Load()
	if c.Ended() {
		return over
	}
	w := &wanted{number: c.number}
	if s.timeout > 0 {
		w.Context, w.cancel = context.WithDeadlineCause(s.base, time.Unix(0, began).Add(s.timeout), errTimeout)
	} else {
		w.Context, w.cancel = context.WithCancel(s.base)
	}
	s.wanted.Store(w)
	if c.Ended() { // it may have returned before it could be seen that somebody wants one
		s.wanted.CompareAndSwap(w, nil)
		w.cancel()
	}
	return w
}
