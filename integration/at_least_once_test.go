//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/fault"
)

// The weaker promise under the same faults: nothing lost, the state right, repetitions allowed.
func TestAtLeastOnceLosesNothing(t *testing.T) {
	r := newRig(t, rigOptions{atLeastOnce: true, static: true})
	r.cluster.NeedNodes(t)
	one, two := r.start(), r.start()
	r.warm()
	for _, point := range []fault.Point{fault.BeforeFlush, fault.BeforeOffsets, fault.AfterEnd} {
		r.strike("kill at "+string(point), func() {
			one.kill()
			one.launch(t, fmt.Sprintf("WEIR_FAULT_AT=%s:3", point))
			if !one.ended(drainBound) {
				t.Fatalf("%s did not come to %s:\n%s", one.name, point, one.tail(20))
			}
			one.launch(t)
		})
	}
	r.strike("kill -9 of "+two.name, func() {
		two.kill()
		two.launch(t)
	})
	r.strike("kill -9 of the leader of an output partition", func() {
		ctx := r.context(2 * time.Minute)
		node, err := r.cluster.Leader(ctx, r.names.Output, 0)
		if err == nil {
			err = node.Kill()
		}
		if err != nil {
			t.Fatal(err)
		}
		r.flowWithin(500, recoveryBound)
		if err := node.Start(ctx); err != nil {
			t.Fatal(err)
		}
	})
	r.strike("requests cut, answers lost and late", func() {
		r.badWeather(long(time.Minute, 10*time.Second))
	})
	r.settle()
}
