//go:build integration

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafkatest"
)

// long is a duration that the short form of the tests takes shorter.
func long(full, short time.Duration) time.Duration {
	if *longFlag > 0 {
		return full
	}
	return short
}

func TestKillsOfTheBrokersThatMatter(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.cluster.NeedNodes(t)
	i := r.start()
	r.start()
	r.warm()
	ctx := r.context(5 * time.Minute)
	for _, role := range []struct {
		name string
		node func() (*kafkatest.Node, error)
	}{
		{"the leader of an output partition", func() (*kafkatest.Node, error) { return r.cluster.Leader(ctx, r.names.Output, 1) }},
		{"the transaction coordinator", func() (*kafkatest.Node, error) {
			return r.cluster.TxnCoordinator(ctx, fmt.Sprintf("%s-%s-0", r.names.Group, i.id(r.names.Group)))
		}},
		{"the group coordinator", func() (*kafkatest.Node, error) { return r.cluster.Coordinator(ctx, r.names.Group) }},
		{"the controller", func() (*kafkatest.Node, error) { return r.cluster.Controller(ctx) }},
	} {
		r.strike("kill -9 of "+role.name, func() {
			node, err := role.node()
			if err == nil {
				err = node.Kill()
			}
			if err != nil {
				t.Fatal(err)
			}
			r.flowWithin(500, recoveryBound) // the others do
			if err := node.Start(ctx); err != nil {
				t.Fatal(err)
			}
		})
		r.awaitISR(3)
	}
	r.settle()
}

func TestARollingRestart(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.cluster.NeedNodes(t)
	r.start()
	r.warm()
	for _, node := range r.cluster.Brokers() {
		r.strike(fmt.Sprintf("restart of %s", node), func() {
			if err := node.Restart(r.context(2 * time.Minute)); err != nil {
				t.Fatal(err)
			}
		})
		r.awaitISR(3)
	}
	r.settle()
}

// One broker is away and two are enough: min.insync.replicas is 2.
func TestOneBrokerAway(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.cluster.NeedNodes(t)
	r.start()
	r.warm()
	node := r.cluster.Brokers()[0]
	r.strike("one broker away", func() {
		if err := node.Kill(); err != nil {
			t.Fatal(err)
		}
		r.awaitISR(2)
		for until := time.Now().Add(long(time.Minute, 5*time.Second)); time.Now().Before(until); {
			r.flowWithin(500, recoveryBound)
		}
		if err := node.Start(r.context(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		r.awaitISR(3)
	})
	r.settle()
}

func TestAllBrokersAway(t *testing.T) {
	r := newRig(t, rigOptions{})
	r.cluster.NeedNodes(t)
	one, two := r.start(), r.start()
	r.warm()
	r.strike("all brokers away", func() {
		if err := each(r.cluster.Brokers(), (*kafkatest.Node).Kill); err != nil {
			t.Fatal(err)
		}
		time.Sleep(long(30*time.Second, 10*time.Second))
		ctx := r.context(2 * time.Minute)
		if err := each(r.cluster.Brokers(), func(n *kafkatest.Node) error { return n.Start(ctx) }); err != nil {
			t.Fatal(err)
		}
	})
	for _, i := range []*instance{one, two} {
		if !i.Running() {
			t.Errorf("%s has ended:\n%s", i.name, i.tail(10))
		}
	}
	r.settle()
}

// awaitISR waits until every partition of the output has so many replicas in sync.
func (r *rig) awaitISR(n int) {
	r.t.Helper()
	ctx := r.context(drainBound)
	for {
		var sizes []int
		for p := range r.opts.partitions {
			isr, err := r.cluster.ISR(ctx, r.names.Output, int32(p))
			if err != nil {
				r.t.Fatal(err)
			}
			sizes = append(sizes, len(isr))
		}
		if slices.Max(sizes) == n && slices.Min(sizes) == n {
			r.lap(fmt.Sprintf("%d replicas in sync", n))
			return
		}
		select {
		case <-ctx.Done():
			r.t.Fatalf("in sync are %v replicas, wanted %d everywhere", sizes, n)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
