package kafka

import (
	"context"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// patience is a connection timeout that no test can wait out: whoever waits for a dead address fails by its deadline.
const patience = 10 * time.Minute

// Mutations: newLinks makes a reach of its own (each set connects to the dead address); bootstrap does not report those
// that have not answered as missed.
func TestADeadAddressIsFoundOutOnceForAllConnections(t *testing.T) {
	cluster := fake(t)
	var seen atomic.Int64
	dead := listen(t, func(net.Conn) { seen.Add(1) })
	c := dial(t, Config{Brokers: []string{dead, cluster.ListenAddrs()[0]}, ConnectTimeout: patience})
	for range 20 {
		l := c.newLinks()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		k, err := l.toAny(ctx)
		cancel()
		if err != nil || k.addr == dead {
			t.Errorf("got %v, %v", k, err)
		}
		l.close()
	}
	if n := seen.Load(); n > 1 {
		t.Errorf("the dead address was tried %d times", n)
	}
}

// Mutations: any waits for one address after the other (the dead one is first in half of the rounds); any does not report
// the ones that were too slow as missed.
func TestAddressesAreTriedSideBySide(t *testing.T) {
	cluster := fake(t)
	dead := listen(t, func(net.Conn) {})
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), ConnectTimeout: patience})
	slow := 0
	for range 20 {
		c.reach = newReach([]string{dead, cluster.ListenAddrs()[0]}) // nothing is known
		l := c.newLinks()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if k, err := l.toAny(ctx); err != nil || k.addr == dead {
			t.Errorf("got %v, %v", k, err)
		}
		cancel()
		if _, ok := c.reach.failed[dead]; ok {
			slow++
		}
		l.close()
	}
	if slow == 0 {
		t.Error("the dead address was never first, or nobody noted that it is slow")
	}
}

// Mutations: a case of rank left out; failed addresses in the order of the last failure first.
func TestTheBestAddressComesFirst(t *testing.T) {
	r := newReach([]string{"seed", "failed-seed", "failed-before", "one"})
	r.setBrokers(map[int32]string{1: "one", 2: "two", 3: "three"}, 1)
	now := time.Now()
	r.failed = map[string]time.Time{"failed-seed": now, "failed-before": now.Add(-time.Second), "two": now.Add(-time.Hour)}
	for range 20 {
		got := r.order(map[string]bool{"three": true})
		if want := []string{"three", "one", "seed", "two", "failed-before", "failed-seed"}; !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	r.markReachable("two")
	if got := r.order(nil); slices.Index(got, "two") > 2 {
		t.Errorf("a broker that answers again is at %v", got)
	}
}

// Mutation: drop of a connection whose caller has left marks the address (a sink that is closed would make its broker the last choice).
func TestACallThatIsCancelledSaysNothingAboutItsBroker(t *testing.T) {
	cluster := fake(t)
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	held, release := hold(cluster)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.Topics(ctx, []string{"a"})
		done <- err
	}()
	<-held
	cancel()
	if err := <-done; err == nil {
		t.Error("answered")
	}
	if len(c.reach.failed) > 0 {
		t.Errorf("noted as failed: %v", c.reach.failed)
	}
}
