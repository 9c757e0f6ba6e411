package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// OffsetsTopic is where the brokers keep what groups have committed.
const OffsetsTopic = "__consumer_offsets"

// Group is a membership in a consumer group, by the classic protocol, with cooperative rebalances: partitions that stay
// are never touched, and one that moves is given to its new owner only after the old one has handed it back.
//
// It is not built on sarama.ConsumerGroup, which decides itself when a revocation is answered, calls Setup and Cleanup
// once a membership and not once a rebalance, and hides the generation while a rebalance goes on, though commits need
// it then. What is used of sarama are the requests and their encoding.
//
// Member is true only as far as this process can know: it ends when session.timeout.ms have passed without an answer
// to a heartbeat, by the monotonic clock, so that a process that was stopped or cut off does not continue in the belief
// that it still owns something. Whoever acts on behalf of the group must still be fenced by the generation (KIP-447).
type Group struct {
	client  *Client
	cfg     GroupConfig
	tuning  GroupTuning
	topics  []string
	handler GroupHandler
	log     *zap.Logger
	links   *links // of run; a join is answered when everybody has joined, so they wait for that long
	beats   *links // of beat
	ctx     context.Context
	stop    context.CancelFunc
	done    chan struct{} // closed when nothing of the membership runs any more
	wake    chan struct{} // tells run that there is news

	joined atomic.Bool                  // it was a member once
	denied atomic.Pointer[BlockedError] // see deny

	mu          sync.Mutex
	member      Member
	valid       bool
	expires     time.Time   // when a valid member ends unless it hears from the coordinator
	expiry      *time.Timer // calls expire then
	changed     chan struct{}
	beating     bool
	coordinator string // its address, empty when it is to be found
	news        groupNews
	interrupt   context.CancelFunc // ends the request that run waits for

	// Of run.
	reason     string // why it joins
	owned      []TopicPartition
	generation int32 // in which owned was assigned
	counts     map[string]int32
	answer     joinAnswer
	assigned   []TopicPartition // to be taken over
	fresh      bool             // assigned has not been taken over yet
	incomplete bool             // the assignment leaves out partitions that somebody has to give up first
	overdue    int              // rebalances asked for because that did not happen
	asked      int              // rebalances asked for by Rebalance
	copies     []Copy           // to be kept
	failures   int
	surveyed   survey
	calls      sync.WaitGroup              // requests under way
	late       context.CancelFunc          // ends the one that leaving has left under way
	previous   map[string][]TopicPartition // by group.instance.id, what it was assigned last; known to the leader
}

// groupNews is what others have to tell run, most urgent first.
type groupNews struct {
	leave     bool
	quit      bool // leave, also where the member is static
	failed    error
	lost      string // why
	gone      bool   // lost, and the coordinator knows
	rebalance string // why
	asked     bool   // rebalance was asked for by Rebalance
}

// Join enters a consumer group. It returns at once; the handler is called with what happens, until Failed or until Leave has
// returned. Close the Client after that.
func (c *Client) Join(cfg GroupConfig, handler GroupHandler) (*Group, error) {
	topics, err := cfg.check()
	if err != nil {
		return nil, &Error{Fatal, "join group " + cfg.Group, err}
	}
	tuning := c.cfg.Group
	patient := *c
	patient.cfg.RequestTimeout = tuning.RebalanceTimeout + c.cfg.RequestTimeout
	g := &Group{
		client:   c,
		cfg:      cfg,
		tuning:   tuning,
		topics:   topics,
		handler:  handler,
		log:      c.log.Named("group").With(zap.String("group", cfg.Group)),
		links:    patient.newLinks(),
		beats:    c.newLinks(),
		done:     make(chan struct{}),
		wake:     make(chan struct{}, 1),
		changed:  make(chan struct{}),
		reason:   "first join",
		previous: map[string][]TopicPartition{},
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.expiry = time.AfterFunc(time.Hour, g.expire)
	g.expiry.Stop()
	go g.run()
	return g, nil
}

// check returns the topics, in order.
func (cfg GroupConfig) check() ([]string, error) {
	if cfg.Group == "" {
		return nil, errors.New("no group name given")
	}
	var topics []string
	for _, set := range cfg.Copartitioned {
		topics = append(topics, set...)
	}
	if len(topics) == 0 {
		return nil, errors.New("no topics given")
	}
	slices.Sort(topics)
	for i, topic := range topics {
		if i > 0 && topic == topics[i-1] {
			return nil, fmt.Errorf("topic %s is in two co-partitioned sets", topic)
		}
	}
	return topics, nil
}

// Member is the member in its present generation. ok is false between memberships.
func (g *Group) Member() (m Member, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// The clock is asked here too: after a pause of the whole process this may run before the timer does.
	return g.member, g.valid && time.Now().Before(g.expires)
}

// Changed is closed when Member changes next.
func (g *Group) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// Leave hands everything back through Revoked, leaves the group and ends the handler's goroutine. A static member does
// not tell the coordinator: it stays listed, and finds its partitions again when it is back within session.timeout.ms
// (KIP-345). When ctx ends first, a handler call that is still running is not waited for, and the coordinator is not
// told; no other call follows. Leave must not be called by the handler.
func (g *Group) Leave(ctx context.Context) error {
	return g.end(ctx, func(n *groupNews) { n.leave = true })
}

// Quit is Leave for good: a static member is not listed any more either, and its partitions go to others at once.
func (g *Group) Quit(ctx context.Context) error {
	return g.end(ctx, func(n *groupNews) { n.leave, n.quit = true, true })
}

func (g *Group) end(ctx context.Context, write func(*groupNews)) error {
	g.notify(write, true)
	select {
	case <-g.done:
		return nil
	case <-ctx.Done():
	}
	g.stop()
	// What remains ends at once, unless the handler is in the way.
	select {
	case <-g.done:
	case <-time.After(100 * time.Millisecond):
	}
	return fmt.Errorf("leave group %s: %w", g.cfg.Group, context.Cause(ctx))
}

// notify leaves news for run, and ends the request that it waits for if they change what it should do.
func (g *Group) notify(write func(*groupNews), urgent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	write(&g.news)
	if urgent && g.interrupt != nil {
		g.interrupt()
	}
	wake(g.wake)
}

// lose ends the validity of Member before anybody is notified, so that whoever asks afterwards knows.
func (g *Group) lose(reason string, gone bool) {
	g.mu.Lock()
	g.invalidate()
	g.mu.Unlock()
	g.notify(func(n *groupNews) { n.lost, n.gone = reason, gone }, true)
}

// invalidate ends the member. g.mu is held.
func (g *Group) invalidate() {
	g.expiry.Stop()
	g.beating = false
	if g.valid {
		g.valid = false
		g.announce()
	}
}

func (g *Group) announce() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// expire is called when nothing was heard for too long.
func (g *Group) expire() {
	g.mu.Lock()
	silent := g.valid && !time.Now().Before(g.expires)
	g.mu.Unlock()
	if silent {
		g.lose(fmt.Sprintf("nothing heard from the coordinator within session.timeout.ms, %v", g.tuning.SessionTimeout), false)
	}
}

// extend keeps a valid member for as long from now on. g.mu is held.
func (g *Group) extend(until time.Time) {
	if g.valid && until.After(g.expires) {
		g.expires = until
		g.expiry.Reset(time.Until(until))
	}
}

// request returns a context for a short request of run.
func (g *Group) request() (context.Context, context.CancelFunc) {
	ctx, stop := g.listen()
	ctx, cancel := context.WithTimeout(ctx, g.client.cfg.RequestTimeout)
	return ctx, func() { cancel(); stop() }
}

// listen returns a context of run that urgent news end.
func (g *Group) listen() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(g.ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.interrupt = cancel
	if g.news.urgent() {
		cancel()
	}
	return ctx, cancel
}

func (n *groupNews) urgent() bool { return n.leave || n.failed != nil || n.lost != "" }

// pending returns the event that the news make, or none.
func (g *Group) pending() groupEvent {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch n := &g.news; {
	case n.leave, g.ctx.Err() != nil:
		return leave
	case n.failed != nil:
		return failed
	case n.lost != "":
		return lost
	case n.rebalance != "":
		g.reason = n.rebalance
		if n.asked {
			g.asked++
		}
		n.rebalance, n.asked = "", false
		return rebalance
	}
	return none
}

// fail makes the membership end with an error.
func (g *Group) fail(op string, err error) groupEvent {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.news.failed = &Error{Fatal, op + " " + g.cfg.Group, err}
	return failed
}
