//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/oracle"
)

// Tasks go on where their copies are: when their instance stops, and when it is killed. The copies are promoted with what they lack, and
// nothing is lost, done twice, or read from the beginning of a changelog. The simulation breaks the rules that this rests on
// (ReadWhatCopiesLack, CopyCommitted).
func TestCopiesTakeOver(t *testing.T) {
	r := newRig(t, rigOptions{perSecond: 2000, interval: 300 * time.Millisecond, args: []string{"--num.standby.replicas", "1"}})
	one, two := r.start(), r.start()
	r.warm()
	r.awaitCopies(one, two)
	r.strike("an instance with copies elsewhere stops", func() {
		if err := one.stop(); err != nil {
			t.Error(err)
		}
		r.await("the other one to have all tasks", func(p oracle.Progress) bool { return p.Members == 1 && p.Assignment != "" })
	})
	r.flow(2000)
	if !two.logged(`"from_copies": 2`) {
		t.Errorf("the tasks of the instance that stopped did not go on from copies:\n%s", two.tail(20))
	}
	one.launch(t)
	r.awaitCopies(one, two)
	r.strike("an instance with copies elsewhere is killed", func() {
		r.killInside(two)
		r.await("the other one to have all tasks", func(p oracle.Progress) bool { return p.Members == 1 && p.Assignment != "" })
	})
	r.flow(2000)
	if !one.logged(`"from_copies": 2`) {
		t.Errorf("the tasks of the instance that was killed did not go on from copies:\n%s", one.tail(20))
	}
	two.launch(t)
	r.awaitCopies(one, two)
	r.settle()
}

// awaitCopies waits until each of two instances runs half of the tasks, and has warm copies of the others. An instance that has just come has
// copies first, and its tasks after a while.
func (r *rig) awaitCopies(of ...*instance) {
	r.t.Helper()
	half := r.opts.partitions / len(of)
	r.awaitWithin(drainBound, fmt.Sprint(half, " tasks and warm copies each"), func(p oracle.Progress) bool {
		if p.Members != len(of) || p.Assignment == "" {
			return false
		}
		for _, i := range of {
			warm, err := i.metric(r.t.Context(), "weir_copies", `state="warm"`)
			running, err2 := i.metric(r.t.Context(), "weir_tasks", `state="running"`)
			if err != nil || err2 != nil || int(warm) != half || int(running) != half {
				return false
			}
		}
		return true
	})
	r.lap("each task has a warm copy")
}
