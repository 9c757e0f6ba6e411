package plan_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/plan"
)

// A Context ends with what ends its call, and says which; a call that has returned is one of them. Nobody is blamed for looking, and a
// context that was derived from it ends too.
//
// Mutations, each seen to fail it: open without the timeout, or with the base left out; End that does not cancel; Deadline of the base.
func TestAContextEndsWithItsCall(t *testing.T) {
	stop := errors.New("the instance stops")
	for name, c := range map[string]struct {
		timeout time.Duration
		end     func(s *plan.Scope, cancel context.CancelCauseFunc)
		err     error
		cause   string
	}{
		"the base ends":        {0, func(_ *plan.Scope, cancel context.CancelCauseFunc) { cancel(stop) }, context.Canceled, stop.Error()},
		"the base ends before": {time.Hour, func(_ *plan.Scope, cancel context.CancelCauseFunc) { cancel(stop) }, context.Canceled, stop.Error()},
		"it returns":           {0, func(s *plan.Scope, _ context.CancelCauseFunc) { s.End() }, context.Canceled, "canceled"},
		"its time is over":     {time.Second, func(*plan.Scope, context.CancelCauseFunc) { time.Sleep(time.Second) }, context.DeadlineExceeded, "timeout is over"},
		"it returns before":    {time.Hour, func(s *plan.Scope, _ context.CancelCauseFunc) { s.End() }, context.Canceled, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := plan.NewScope(nil, c.timeout, func() error { t.Error("a late call"); return nil })
				base, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				s.Within(base)
				before := s.Begin()
				s.End()
				ctx := s.Begin()
				derived, release := context.WithCancel(ctx)
				defer release()
				if deadline, ok := ctx.Deadline(); ok != (c.timeout > 0) || ok && !deadline.Equal(time.Now().Add(c.timeout)) {
					t.Errorf("deadline %v, %v", deadline, ok)
				}
				if ctx.Err() != nil || derived.Err() != nil || before.Err() == nil || ctx.Value("key") != nil {
					t.Errorf("%v, %v of a call in work, %v of the one before", ctx.Err(), derived.Err(), before.Err())
				}
				c.end(s, cancel)
				<-ctx.Done()
				<-derived.Done()
				late := ctx
				if !errors.Is(derived.Err(), c.err) || !strings.Contains(context.Cause(derived).Error(), c.cause) {
					t.Errorf("ended with %v because %v", derived.Err(), context.Cause(derived))
				}
				s.End()
				if <-late.Done(); late.Err() == nil || context.Cause(late) == nil {
					t.Error("it goes on after the call")
				}
				if now := s.Begin(); now.Err() == nil != (base.Err() == nil) {
					t.Errorf("the next call begins with %v", now.Err())
				}
				s.End()
			})
		})
	}
	if (plan.Call{}).Err() != nil {
		t.Error("the zero Context has ended")
	}
}

// Contexts are asked for from many goroutines while their calls end: each of them ends.
//
// Mutation seen to fail it: open without its second look at whether the call has ended.
func TestContextsThatAreAskedForAtTheEndOfTheirCallEndToo(t *testing.T) {
	s := plan.NewScope(nil, 0, nil)
	var asking sync.WaitGroup
	for range 20_000 {
		ctx := s.Begin()
		begun := make(chan struct{})
		asking.Go(func() {
			close(begun)
			<-ctx.Done()
		})
		<-begun
		s.End()
	}
	asking.Wait() // for ever, if one does not
}

// A call whose Context nobody uses as a context.Context costs nothing for it.
func TestAContextThatIsNotUsedCostsNothing(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Hour} {
		s := plan.NewScope(nil, timeout, nil)
		if n := testing.AllocsPerRun(1000, func() {
			if s.Begin() == (plan.Call{}) {
				t.Error("the zero Context")
			}
			s.End()
		}); n > 0 {
			t.Errorf("%v allocations a call with a timeout of %v", n, timeout)
		}
	}
}
