package simkafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Group is a membership: a goroutine that joins and calls the handler, and one that sends heartbeats.
//
// As in package kafka the Member is published as soon as its generation is known, so that commits go on while the
// assignment is still being made. Unlike there it does not end by the clock of this side: a process that was paused goes
// on in the belief that it is a member until the cluster tells it otherwise, which is the worse case.
type Group struct {
	p       *Process
	cfg     kafka.GroupConfig
	handler kafka.GroupHandler
	actor   string

	mu      sync.Mutex
	member  kafka.Member
	ok      bool
	changed chan struct{}
	id      string // as which it joins
	known   bool   // the cluster has answered to id

	again  chan struct{} // a heartbeat says that the group rebalances
	lost   chan error    // a heartbeat says that the membership is gone
	leave  chan struct{}
	left   bool
	quit   bool            // also where the member is static
	ctx    context.Context // of what Leave has to send
	life   context.Context // ends with run
	done   chan struct{}
	beaten chan struct{}
	owned  []kafka.TopicPartition // of run
	ids    int
}

// Join implements processors.Wire.
func (p *Process) Join(cfg kafka.GroupConfig, handler kafka.GroupHandler) (*Group, error) {
	g := &Group{
		p: p, cfg: cfg, handler: handler, actor: "member", changed: make(chan struct{}),
		again: make(chan struct{}, 1), lost: make(chan error, 1), leave: make(chan struct{}),
		done: make(chan struct{}), beaten: make(chan struct{}),
	}
	g.ctx = context.Background()
	life, end := context.WithCancel(context.Background())
	g.life = life
	go func() {
		defer end()
		g.run()
	}()
	go g.beat()
	return g, nil
}

// Member implements processors.Group.
func (g *Group) Member() (kafka.Member, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.member, g.ok
}

// Denied implements processors.Group: the model denies no group to its members.
func (g *Group) Denied() *kafka.BlockedError { return nil }

// Rebalance implements processors.Group.
func (g *Group) Rebalance(string) {
	select {
	case g.again <- struct{}{}:
	default:
	}
}

// Changed implements processors.Group.
func (g *Group) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

func (g *Group) publish(m kafka.Member, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.announce(m, ok)
}

// announce is publish with g.mu held.
func (g *Group) announce(m kafka.Member, ok bool) {
	if g.member == m && g.ok == ok {
		return
	}
	g.member, g.ok = m, ok
	close(g.changed)
	g.changed = make(chan struct{})
}

// Leave implements processors.Group.
func (g *Group) Leave(ctx context.Context) error { return g.end(ctx, false) }

// Quit implements processors.Group.
func (g *Group) Quit(ctx context.Context) error { return g.end(ctx, true) }

func (g *Group) end(ctx context.Context, quit bool) error {
	g.mu.Lock()
	if !g.left {
		g.left, g.quit = true, quit
		g.ctx = ctx
		close(g.leave)
	}
	g.mu.Unlock()
	select {
	case <-g.done:
		<-g.beaten
		if g.p.crashed() {
			return errCrashed
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errLeft = errors.New("left")

func (g *Group) run() {
	defer close(g.done)
	for {
		assigned, copies, err := g.enter()
		switch {
		case errors.Is(err, errLeft):
			g.goodbye()
			return
		case errors.Is(err, errCrashed):
			return
		case errors.Is(err, errFencedInstance):
			g.fail(err)
			return
		case err != nil: // no member any more
			g.lose()
			continue
		}
		revoked := slices.DeleteFunc(slices.Clone(g.owned), func(tp kafka.TopicPartition) bool { return slices.Contains(assigned, tp) })
		added := slices.DeleteFunc(slices.Clone(assigned), func(tp kafka.TopicPartition) bool { return slices.Contains(g.owned, tp) })
		if len(revoked) > 0 {
			g.handler.Revoked(revoked)
		}
		if g.cfg.Standby != nil {
			g.cfg.Standby.Assigned(copies, added)
		}
		g.owned = assigned
		if len(added) > 0 {
			g.handler.Assigned(added)
		}
		if len(revoked) > 0 {
			continue // so that others get them
		}
		select {
		case <-g.again:
		case err := <-g.lost:
			if errors.Is(err, errFencedInstance) {
				g.fail(err)
				return
			}
			g.lose()
		case <-g.leave:
			g.goodbye()
			return
		case <-g.p.dead:
			return
		}
	}
}

// lose gives everything up that the member held. It has no identity until it has joined again.
func (g *Group) lose() {
	g.publish(kafka.Member{}, false)
	g.mu.Lock()
	old := g.id
	g.id, g.known = "", false
	g.mu.Unlock()
	if g.p.crashed() {
		return
	}
	g.p.tell("loses its membership " + old)
	if len(g.owned) > 0 {
		g.handler.Lost(g.owned)
	}
	g.owned = nil
	g.forget()
}

// fail ends the membership for good: another process has joined with this one's group.instance.id.
func (g *Group) fail(err error) {
	g.lose()
	g.handler.Failed(&kafka.Error{Class: kafka.Fatal, Op: "join " + g.cfg.Group, Err: err})
}

// forget drops what heartbeats said of a membership or a generation that is over.
func (g *Group) forget() {
	select {
	case <-g.lost:
	default:
	}
	select {
	case <-g.again:
	default:
	}
}

// goodbye hands everything back and leaves.
func (g *Group) goodbye() {
	if len(g.owned) > 0 && !g.p.crashed() {
		g.handler.Revoked(g.owned)
		g.owned = nil
	}
	g.mu.Lock()
	id, ctx, quit := g.id, g.ctx, g.quit
	g.id, g.known = "", false
	g.mu.Unlock()
	if id != "" && (g.cfg.InstanceID == "" || quit) {
		_, _ = g.p.request(ctx, g.actor, OpLeave, id, func() error { g.p.c.group(g.cfg.Group).leave(g.p.c, id); return nil })
	}
	g.publish(kafka.Member{}, false)
}

// enter joins and syncs until the member has an assignment.
func (g *Group) enter() (assigned []kafka.TopicPartition, copies []kafka.Copy, err error) {
	for {
		id, generation, err := g.join()
		if err == nil {
			if assigned, copies, err = g.sync(id, generation); err == nil {
				return assigned, copies, nil
			}
		}
		if errors.Is(err, errLeft) || errors.Is(err, errCrashed) || errors.Is(err, errUnknownMember) || errors.Is(err, errFencedInstance) {
			return nil, nil, err
		}
		if err := g.nap(20 * time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
}

func (g *Group) nap(d time.Duration) error {
	select {
	case <-g.leave:
		return errLeft
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.leave:
		return errLeft
	case <-g.p.dead:
		return errCrashed
	}
	return g.p.pass()
}

func (g *Group) join() (id string, generation int32, err error) {
	g.mu.Lock()
	if g.id == "" {
		g.ids++
		g.id = fmt.Sprintf("%s-%d", g.p.name, g.ids)
	}
	id = g.id
	isNew := !g.known // a repetition of a first join is one too (KIP-394)
	g.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-g.leave:
			cancel()
		case <-ctx.Done():
		}
	}()
	var ready chan int32
	owned, standby := slices.Clone(g.owned), 0
	if s := g.cfg.Standby; s != nil {
		standby = s.Replicas
		s.Held()
	}
	_, err = g.p.request(ctx, g.actor, OpJoin, fmt.Sprint(id, " owns ", owned), func() (err error) {
		grp := g.p.c.group(g.cfg.Group)
		ready, err = grp.join(g.p.c, id, g.cfg.InstanceID, isNew, g.cfg.Copartitioned, owned, standby)
		if m := grp.find(id); m != nil {
			m.process = g.cfg.Instance
		}
		if ready == nil && err == nil {
			generation = grp.generation
		}
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return "", 0, errLeft
		}
		return "", 0, err
	}
	if ready != nil {
		select {
		case gen, alive := <-ready:
			if !alive {
				return "", 0, errUnknownMember
			}
			generation = gen
		case <-g.leave:
			return "", 0, errLeft
		case <-g.p.dead:
			return "", 0, errCrashed
		}
		if err := g.p.pass(); err != nil {
			return "", 0, err
		}
	}
	g.forget()
	g.mu.Lock()
	g.known = true
	g.announce(kafka.Member{Group: g.cfg.Group, ID: id, InstanceID: g.cfg.InstanceID, Generation: generation}, true)
	g.mu.Unlock()
	return id, generation, nil
}

func (g *Group) sync(id string, generation int32) (assigned []kafka.TopicPartition, copies []kafka.Copy, err error) {
	for {
		_, err = g.p.request(context.Background(), g.actor, OpSync, fmt.Sprint(id, " generation ", generation), func() error {
			assigned, copies, err = g.p.c.group(g.cfg.Group).sync(g.p.c, id, generation)
			return err
		})
		if !errors.Is(err, errUnstableOffset) && !errors.Is(err, errCut) {
			return assigned, copies, err
		}
		if err := g.nap(3 * time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
}

// beat sends heartbeats and tells run what they bring.
func (g *Group) beat() {
	defer close(g.beaten)
	tick := time.NewTicker(g.p.c.cfg.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-g.done:
			return
		case <-g.p.dead:
			return
		}
		m, ok := g.Member()
		if !ok {
			continue
		}
		ctx, cancel := context.WithTimeout(g.life, g.p.c.cfg.SessionTimeout/3)
		_, err := g.p.request(ctx, g.actor, OpHeartbeat, fmt.Sprint(m.ID, " generation ", m.Generation), func() error {
			return g.p.c.group(g.cfg.Group).heartbeat(g.p.c, m.ID, m.Generation)
		})
		cancel()
		g.heard(m, err)
	}
}

// heard deals with the answer to a heartbeat. An old generation's refusal says nothing about the new one.
func (g *Group) heard(m kafka.Member, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.member != m {
		return
	}
	switch {
	case errors.Is(err, errRebalancing):
		select {
		case g.again <- struct{}{}:
		default:
		}
	case errors.Is(err, errUnknownMember), errors.Is(err, errFencedInstance), errors.Is(err, errIllegalGen):
		g.announce(kafka.Member{}, false)
		select {
		case g.lost <- err:
		default:
		}
	}
}
