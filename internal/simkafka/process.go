package simkafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Process is the cluster as one operating system process sees it: its methods are those of processors.Wire, with
// concrete types.
type Process struct {
	c    *Cluster
	name string
	dead chan struct{}

	mu    sync.Mutex
	gate  chan struct{} // closed while the process runs, open while it is paused
	road  chan struct{} // closed while brokers are reached
	block bool          // Append blocks while brokers are not reached
	calls map[string]int
	sinks int
}

// Process makes a process's connection. The name must be new: what is random for a process depends on it.
func (c *Cluster) Process(name string) *Process {
	open := make(chan struct{})
	close(open)
	return &Process{c: c, name: name, dead: make(chan struct{}), gate: open, road: open, calls: map[string]int{}}
}

// Crash kills the process: none of its calls has an effect any more, and all of them fail. What it had sent is still
// under way; its open transactions and its membership stay until they time out or somebody takes them over.
func (p *Process) Crash() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if !p.crashed() {
		p.c.trace("%s crashes", p.name)
		close(p.dead)
	}
}

// Crashed says whether the process is dead. Its disk must not be written to any more.
func (p *Process) Crashed() bool { return p.crashed() }

func (p *Process) crashed() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// Pause stops the process at its next step on the wire, like SIGSTOP: nothing is sent, received or delivered, and no
// timeout of a call is noticed, until Resume.
func (p *Process) Pause() { p.shut(&p.gate, "is paused") }

// Resume continues after Pause.
func (p *Process) Resume() { p.open(&p.gate, "resumes") }

// CutOff makes every broker unreachable: calls wait for their context or CallTimeout and fail. Reconnect ends it.
func (p *Process) CutOff() { p.shut(&p.road, "is cut off") }

// Block makes Append send, and so wait, each time: as with a sink whose memory is used up by what is not acknowledged.
func (p *Process) Block() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.block = true
}

// Reconnect ends CutOff.
func (p *Process) Reconnect() { p.open(&p.road, "is connected") }

func (p *Process) shut(ch *chan struct{}, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-*ch:
		*ch = make(chan struct{})
		p.tell(what)
	default:
	}
}

func (p *Process) open(ch *chan struct{}, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-*ch:
	default:
		close(*ch)
		p.tell(what)
	}
}

func (p *Process) tell(what string) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.c.trace("%s %s", p.name, what)
}

// pass waits while the process is paused. It fails only when the process is dead.
func (p *Process) pass() error {
	_, err := p.awake()
	return err
}

// awake is pass, and says whether it had to wait.
func (p *Process) awake() (waited bool, err error) {
	for {
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		select {
		case <-gate:
		default:
			waited = true
		}
		select {
		case <-p.dead:
			return waited, errCrashed
		case <-gate:
		}
		p.mu.Lock()
		same := gate == p.gate
		p.mu.Unlock()
		if same {
			if p.crashed() {
				return waited, errCrashed
			}
			return waited, nil
		}
	}
}

// reconnect is how long it takes a process to get its connections back after it was paused, at most.
const reconnect = 300 * time.Millisecond

// sleep waits for d, and longer while the process is paused.
func (p *Process) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-p.dead:
	}
	if err := p.pass(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// reach waits until brokers can be reached, not longer than CallTimeout.
func (p *Process) reach(ctx context.Context, hang bool) error {
	p.mu.Lock()
	road := p.road
	p.mu.Unlock()
	if hang {
		road = nil
	} else {
		select {
		case <-road:
			return nil
		default:
		}
	}
	timer := time.NewTimer(p.c.cfg.CallTimeout)
	defer timer.Stop()
	select {
	case <-road:
		return p.pass()
	case <-timer.C:
		if err := p.pass(); err != nil {
			return err
		}
		return errNoAnswer
	case <-ctx.Done():
		if err := p.pass(); err != nil {
			return err
		}
		return context.Cause(ctx)
	case <-p.dead:
		return errCrashed
	}
}

// next draws what happens to the next request of an actor.
func (p *Process) next(actor string, op Op) (Call, Fault, *rand.Rand) {
	key := actor + " " + string(op)
	p.mu.Lock()
	n := p.calls[key]
	p.calls[key]++
	p.mu.Unlock()
	call := Call{p.name, actor, op, n}
	rng := p.c.seeded(p.name, actor, op, n)
	if p.c.cfg.Faults == nil {
		return call, Fault{}, rng
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return call, p.c.cfg.Faults(call, rng), rng
}

// request makes one request. effect runs under the cluster's lock, at most once; what it returns is the broker's answer.
// sent says whether effect has run or may still run.
func (p *Process) request(ctx context.Context, actor string, op Op, what string, effect func() error) (sent bool, err error) {
	call, fault, rng := p.next(actor, op)
	way := func() time.Duration {
		l := int64(p.c.cfg.Latency)
		return time.Duration(l/2 + rng.Int64N(l))
	}
	defer func() {
		p.c.mu.Lock()
		p.c.trace("%s %s: %s#%d %s: %s%s", p.name, actor, op, call.N, what, [...]string{"", "[before] ", "[torn] ", "[after] ", "[late] ", "[refused] ", "[hang] "}[fault.Mode], text(err))
		p.c.mu.Unlock()
	}()
	there := way()
	if fault.Mode != Late {
		there += fault.Delay
	}
	// A pause before the request has arrived costs the connection, each request its own time: which one the cluster hears
	// of first, a heartbeat or a commit, is left to chance.
	waited, err := p.awake()
	if err == nil && !waited {
		err = p.sleep(ctx, there)
	}
	if err == nil && waited {
		err = p.sleep(ctx, time.Duration(rng.Int64N(int64(reconnect))))
	}
	if err != nil {
		return false, err
	}
	if err := p.reach(ctx, fault.Mode == Hang); err != nil {
		return false, err
	}
	back := way()
	switch fault.Mode {
	case Before:
		return false, errCut
	case Torn:
		if err := p.sleep(ctx, back); err != nil {
			return true, err
		}
		return true, errCut
	case Late:
		// The request is in the network: it arrives even when its sender is dead.
		time.AfterFunc(fault.Delay, func() {
			p.c.mu.Lock()
			defer p.c.mu.Unlock()
			p.c.trace("%s %s: %s#%d arrives late: %s", p.name, actor, op, call.N, text(effect()))
		})
		if err := p.sleep(ctx, back); err != nil {
			return true, err
		}
		return true, errCut
	case Refused:
		if err := p.sleep(ctx, back); err != nil {
			return false, err
		}
		return false, errAbortable
	}
	p.c.mu.Lock()
	if p.crashed() {
		p.c.mu.Unlock()
		return false, errCrashed
	}
	answer := effect()
	p.c.mu.Unlock()
	if err := p.sleep(ctx, back); err != nil {
		return true, err
	}
	if fault.Mode == After {
		return true, errCut
	}
	return true, answer
}

func text(err error) string {
	if err == nil {
		return "ok"
	}
	return fmt.Sprint(err)
}
