package gateway

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/weirstream/weir/internal/declared"
)

// admission bounds how many requests are worked on at once, by how fast they are answered. What exceeds the bound is refused at once, so
// that an overload costs its refusals and not the latency of everybody.
//
// The bound is the product of rate and latency that BBR keeps in flight on a network path (Cardwell et al., BBR: Congestion-Based Congestion
// Control, ACM Queue 14(5), 2016): the best rate of the last spans, times the least latency plus what a request may spend in queues. Three
// of BBR's rules make it stable:
//
//   - A span in which the bound was not used says nothing about the capacity, so it never lowers the bound.
//   - The least latency is the mean of a span. A single fast request would say too little about a cluster whose latency varies.
//   - Under a lasting overload every latency contains the queue. When the least one is old, a quarter of the bound holds for a moment, so that
//     the queue drains and the latency without it is seen again. A half would not do: it may be as long a queue as the bound allows for.
//
// Only requests with one event are measured, since the time that a batch takes depends on its size. Time is passed in by the caller.
type admission struct {
	mu    sync.Mutex
	most  int           // whatever was measured
	queue time.Duration // that a request may spend in queues
	bound int
	under int // requests that are worked on

	span    span
	rates   [spansKept]float64 // requests a second, of spans in which the bound was used
	next    int                // in rates
	least   time.Duration      // mean latency of the fastest span
	leastAt time.Time
	probing time.Time // until when a quarter of the bound holds

	refusals *rate.Limiter
}

// span is what was measured since the last change of the bound.
type span struct {
	began   time.Time
	n       int // requests that were answered
	refused bool
	latency time.Duration
}

const (
	leastBound   = 32
	firstBound   = 128 // until something was measured
	queueFor     = 15 * time.Millisecond
	onceQueueFor = 30 * time.Millisecond // of level once: what comes while a transaction is under way waits for its end, and all of it at once
	spanFor      = 100 * time.Millisecond
	spanRequests = 16 // fewer have no mean
	spansKept    = 20 // two seconds
	leastFor     = 5 * time.Second
	probeFor     = 2 * spanFor // in the first span the queue drains, the second one is measured
)

func newAdmission(most int, queue time.Duration) *admission {
	return &admission{most: most, queue: queue, bound: min(most, firstBound), refusals: rate.NewLimiter(leastRefusals, leastRefusals/10)}
}

// A refusal costs a part of the processor time of an event, so clients that do not wait before they ask again would take what those are served with that
// wait. So refusals come no faster than twice the best rate of what is answered; one beyond that is held back for a while.
const (
	leastRefusals = 2000 // a second
	refusalsEach  = 2    // request that is answered
	refusalWithin = 100 * time.Millisecond
)

// holdBack waits until a refusal may be answered.
func (a *admission) holdBack(ctx context.Context) {
	r := a.refusals.Reserve()
	wait := r.Delay()
	if wait > refusalWithin {
		r.Cancel()
		wait = refusalWithin
	}
	if wait <= 0 {
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// full says whether a request would be refused now.
func (a *admission) full(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.isFull(now)
}

// enter counts a request in, or refuses it.
func (a *admission) enter(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.isFull(now) {
		return false
	}
	a.under++
	return true
}

func (a *admission) isFull(now time.Time) bool {
	bound := a.bound
	if now.Before(a.probing) {
		bound = max(leastBound, bound) / 4
	}
	if a.under < bound {
		return false
	}
	a.span.refused = true
	return true
}

// leave counts a request out. Its latency is measured if it is above 0.
func (a *admission) leave(now time.Time, latency time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.under--
	if latency <= 0 {
		return
	}
	if a.span.began.IsZero() {
		a.span.began = now.Add(-latency)
	}
	a.span.n++
	a.span.latency += latency
	if a.span.n >= spanRequests && now.Sub(a.span.began) >= spanFor {
		a.measure(now)
		a.span = span{began: now}
	}
}

// allowed is the bound, for the metric.
func (a *admission) allowed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bound
}

// measure sets the bound when a span ends.
func (a *admission) measure(now time.Time) {
	took := now.Sub(a.span.began).Seconds()
	reached, mean := float64(a.span.n)/took, a.span.latency/time.Duration(a.span.n)
	probed := !a.probing.IsZero() && !now.Before(a.probing)
	used := reached*mean.Seconds() >= float64(a.bound)/2 // by Little's law: the requests that were under way, on average
	stale := now.Sub(a.leastAt) >= leastFor
	switch {
	case mean <= a.least || probed || stale && !a.span.refused:
		a.least, a.leastAt, a.probing = mean, now, time.Time{}
	case stale && a.probing.IsZero():
		a.probing = now.Add(probeFor)
	}
	if used || reached > a.best() {
		a.rates[a.next] = reached
		a.next = (a.next + 1) % len(a.rates)
	}
	a.refusals.SetLimitAt(now, rate.Limit(max(leastRefusals, refusalsEach*a.best())))
	bound := int(a.best() * (a.least + max(a.queue, a.least)).Seconds())
	if bound = min(a.most, max(leastBound, bound)); used || bound > a.bound {
		a.bound = bound
	}
}

func (a *admission) best() (best float64) {
	for _, r := range a.rates {
		best = max(best, r)
	}
	return best
}

// permit is the right of a request to be worked on.
type permit struct {
	g         *Gateway
	admission *admission // nil when the request no longer counts there
	began     time.Time
	latency   time.Duration // to be measured, 0 for none
}

// level is what bounds the requests for a topic: transactions take longer than plain writes.
func (g *Gateway) level(d *declared.Event) *admission {
	if d != nil && d.Idempotency == declared.Once {
		return g.onceRequests
	}
	return g.requests
}

// busy refuses a request, before its body is read, that could not be worked on.
func (g *Gateway) busy(ctx context.Context, q *request) *Problem {
	if a := g.level(q.declared); a.full(time.Now()) {
		a.holdBack(ctx)
		return busy()
	}
	return nil
}

func busy() *Problem { return overloaded.of("as many requests are under way as are answered quickly") }

// enter lets a request be worked on. It does not wait: who waits here would wait behind everybody else. The permit goes with the request, and
// must be given back by leave.
func (g *Gateway) enter(q *request) *Problem {
	select {
	case g.slots <- struct{}{}:
	default:
		return overloaded.of("%d requests are under way", cap(g.slots))
	}
	now, a := time.Now(), g.level(q.declared)
	if !a.enter(now) {
		<-g.slots
		return busy()
	}
	q.permit = &permit{g: g, admission: a, began: now}
	return nil
}

// several says that the request has not one event, so that how long it takes says nothing about others.
func (p *permit) several() {
	if p != nil && p.admission != nil {
		p.admission.leave(time.Now(), 0)
		p.admission = nil
	}
}

// accepted says that the event of the request was acknowledged.
func (p *permit) accepted() {
	if p != nil {
		p.latency = time.Since(p.began)
	}
}

func (p *permit) leave() {
	<-p.g.slots
	if p.admission != nil {
		p.admission.leave(time.Now(), p.latency)
	}
}
