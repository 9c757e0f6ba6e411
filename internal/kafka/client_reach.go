package kafka

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// reach is what all sets of connections of one client know together about the cluster's brokers: their addresses, the
// controller, and which addresses did not answer. A dead address is found out once, not once by each sink, fetcher and
// member, which would cost each of them socket.connection.setup.timeout.ms.
type reach struct {
	seeds []string

	mu     sync.Mutex
	addrs  map[int32]string     // the cluster's brokers as last seen
	ctrl   int32                // its controller, -1 when not known
	failed map[string]time.Time // when an address last failed, or was slower than others; until it answers again
}

func newReach(seeds []string) *reach {
	return &reach{seeds: seeds, ctrl: -1, addrs: map[int32]string{}, failed: map[string]time.Time{}}
}

// setBrokers takes over what an answer says about the cluster's brokers.
func (r *reach) setBrokers(addrs map[int32]string, controller int32) {
	if len(addrs) == 0 {
		return // a broker that is still starting knows of none
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs, r.ctrl = addrs, controller
}

func (r *reach) addr(id int32) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	addr, ok := r.addrs[id]
	return addr, ok
}

// ids returns the brokers of the cluster as last seen.
func (r *reach) ids() []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.addrs))
}

func (r *reach) controllerID() int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctrl
}

func (r *reach) forgetController() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctrl = -1
}

func (r *reach) markReachable(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failed, addr)
}

func (r *reach) markUnreachable(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[addr] = time.Now()
}

// order lists all addresses, best first: those with an open connection, then the cluster's brokers, then the
// addresses to begin with, then those that did not answer last time, the one whose failure is longest ago first.
func (r *reach) order(open map[string]bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := map[string]bool{}
	all := slices.Clone(r.seeds)
	for _, addr := range r.addrs {
		known[addr] = true
		all = append(all, addr)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	rank := func(addr string) int {
		_, failed := r.failed[addr]
		switch {
		case open[addr]:
			return 0
		case failed:
			return 3
		case known[addr]:
			return 1
		}
		return 2
	}
	// In random order otherwise: a broker that lives but knows nothing new must not be asked for ever.
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), r.failed[a].Compare(r.failed[b]))
	})
	return all
}

// headStart is how long an address has before the next one is tried beside it. A connection within a region takes a few
// milliseconds, one around the world under 250.
const headStart = 250 * time.Millisecond

// toAny returns a connection to some broker. It tries the best address first, and each next one beside it when that takes
// long; the first that connects is taken. An address that was too slow is tried last from then on, until it answers.
func (l *links) toAny(ctx context.Context) (*link, error) {
	order := l.order(l.connected())
	type outcome struct {
		link *link
		addr string
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcomes := make(chan outcome, len(order))
	var pending []string
	next := func() {
		addr := order[0]
		order = order[1:]
		pending = append(pending, addr)
		if !l.spawn(func() {
			k, err := l.toAddress(ctx, addr)
			outcomes <- outcome{k, addr, err}
		}) {
			outcomes <- outcome{nil, addr, errClosed}
		}
	}
	next()
	var errs []error
	for {
		var late <-chan time.Time
		var timer *time.Timer
		if len(order) > 0 {
			timer = time.NewTimer(headStart)
			late = timer.C
		}
		select {
		case o := <-outcomes:
			if timer != nil {
				timer.Stop()
			}
			pending = slices.DeleteFunc(pending, func(addr string) bool { return addr == o.addr })
			switch {
			case o.err == nil:
				for _, addr := range pending {
					l.markUnreachable(addr)
				}
				return o.link, nil
			case ctx.Err() != nil || errors.Is(o.err, errClosed):
				return nil, o.err
			}
			errs = append(errs, o.err)
			switch {
			case len(order) > 0:
				next()
			case len(pending) == 0:
				return nil, errors.Join(errs...)
			}
		case <-late:
			next()
		}
	}
}

// connected returns the addresses with an open connection.
func (l *links) connected() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := map[string]bool{}
	for addr, k := range l.open {
		open[addr] = k.connected()
	}
	return open
}

// spawn runs f on a goroutine of the set, unless the set is closed.
func (l *links) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.tasks.Go(f)
	}
	return !l.closed
}
