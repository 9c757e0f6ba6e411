package topology

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/weirstream/weir/internal/plan"
)

// Breaker says when calls of a [Service] are no longer made.
type Breaker struct {
	// Failures is after how many failed calls in a row the service is taken to be down. Default 3, as many as the tries of [Retry]'s
	// default: a dependency that is down then makes no dead letter. A call fails with any error but one that [Reject] or Drop made.
	Failures int
	// Pause is how long no call is made then; the next one shows whether the service is back. Default 10s.
	Pause time.Duration
}

// ServiceHandle is a handle on something that nodes depend on outside of Kafka. [Service] makes it.
type ServiceHandle struct {
	decl    plan.Service
	bad     string // what is wrong with its Breaker
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	since   atomic.Int64 // when the breaker opened, UnixNano
}

// Service declares something that nodes depend on outside of Kafka, a database or an HTTP service, with a circuit breaker around calls to
// it. A node lists it in [Uses] and makes its calls through [ServiceHandle.Do]. The breaker is the process's: what all nodes, partitions
// and topologies that share the handle see of the service counts together.
func Service(name string, b Breaker) *ServiceHandle {
	s := &ServiceHandle{decl: plan.Service{Name: name}}
	switch {
	case b.Failures < 0 || b.Pause < 0:
		s.bad = "has a Breaker with a number below 0"
	case b.Pause > longestDelay:
		s.bad = fmt.Sprintf("has a Breaker that pauses for %v", b.Pause)
	}
	if b.Failures <= 0 {
		b.Failures = 3
	}
	if b.Pause <= 0 {
		b.Pause = 10 * time.Second
	}
	s.decl.Failures, s.decl.Pause = b.Failures, b.Pause
	s.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: b.Pause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= b.Failures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if from == gobreaker.StateClosed && to == gobreaker.StateOpen {
				s.since.Store(time.Now().UnixNano())
			}
		},
		IsSuccessful: answered,
		IsExcluded:   func(err error) bool { return errors.Is(err, errCallEnded) },
	})
	return s
}

// answered says whether a call shows that the service works.
func answered(err error) bool {
	_, dropped := Dropped(err)
	return err == nil || dropped || IsRejected(err)
}

// errCallEnded is the outcome of a call that says nothing of the service: its Context was ended from outside.
var errCallEnded = errors.New("the call was ended")

// Name is the service's name.
func (s *ServiceHandle) Name() string {
	if s == nil {
		return ""
	}
	return s.decl.Name
}

// Do makes a call to the service. Its error is call's own while the service works. When it is down, after Failures of its Breaker, no
// call is made, and the error is the world's ([World]), so that the record waits in its partition and no try of it is used up: so is that of
// the call that showed it. After the pause one call tries; others wait until it has succeeded. What is the record's own fault is to be
// rejected ([Reject]), or it would count against the service. A call that ends because the record's [Context] did, but for its
// [Timeout], counts neither way. A service that the node does not list in Uses fails the record.
func (s *ServiceHandle) Do(ctx Context, call func(context.Context) error) error {
	run := ctx.runtime()
	if s == nil {
		run.Fail(errNilService)
		return errNilService
	}
	if err := run.Service(&s.decl); err != nil {
		run.Fail(err)
		return err
	}
	done, err := s.breaker.Allow()
	if err != nil {
		return World(fmt.Errorf("service %s is down since %s, and is asked again after a pause: %w",
			s.decl.Name, time.Unix(0, s.since.Load()).UTC().Format(time.RFC3339), err))
	}
	outcome := errors.New("the call did not return") // a panic, or runtime.Goexit
	defer func() { done(outcome) }()
	err = call(ctx)
	if outcome = err; err != nil && ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		outcome = errCallEnded
	}
	done(outcome)
	done = func(error) {}
	if !answered(err) && s.breaker.State() != gobreaker.StateClosed {
		return World(fmt.Errorf("service %s is down: %w", s.decl.Name, err))
	}
	return err
}

func (s *ServiceHandle) usedBy(n *node) {
	if s == nil {
		n.mistake("uses a nil service", "declare the service before the node")
		return
	}
	if s.bad != "" {
		n.mistake("uses service "+s.decl.Name+", which "+s.bad, "use 0 for the defaults, and a pause of up to 7 days")
	}
	n.services = append(n.services, &s.decl)
}

var errNilService = Fatal(errors.New("use of a nil service: declare it before its nodes"))
