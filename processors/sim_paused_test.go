package processors

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// In some worlds operators and jobs pause the topology and resume it, in _weir.desired, while instances live and die. What is promised of it all
// holds as without; and while it is paused nothing of it moves.

// letPause begins such a world.
func (w *simWorld) letPause() {
	if w.pausing {
		return
	}
	w.pausing = true
	if err := w.cluster.CreateTopic(system.Desired.Spec(system.Desired.Name)); err != nil {
		w.problem("create %s: %v", system.Desired.Name, err)
	}
}

// pausesIn says whether a seed's world is one of these.
func pausesIn(seed uint64) bool { return rand.New(rand.NewPCG(seed, 12)).IntN(4) == 0 }

// runPauses is run in a world with pauses, whatever its seed.
func (w *simWorld) runPauses() {
	w.letPause()
	w.run()
}

// holders are who may hold the topology.
var holders = []string{desired.Operator, "replay a"}

// wants writes that a holder wants the topology paused, or not any more.
func (w *simWorld) wants(owner string, paused bool) {
	r := kafka.Record{Key: []byte(desired.Key(simGroup, owner))}
	if paused {
		var err error
		if r.Value, err = json.Marshal(desired.Hold{Version: 1, Topology: simGroup, Owner: owner, Paused: true, Who: "drawn", At: time.Now()}); err != nil {
			w.problem("pause: %v", err)
		}
	}
	w.note("--- %s wants it paused: %v", owner, paused)
	w.cluster.Produce(system.Of(system.Desired.Name), r)
}

// interrupt has somebody pause the topology, or resume it, now and then.
func (w *simWorld) interrupt(rng *rand.Rand) {
	if !w.pausing || rng.IntN(3) > 0 {
		return
	}
	paused := rng.IntN(2) == 0
	w.wants(holders[rng.IntN(len(holders))], paused)
	if paused {
		w.mu.Lock()
		w.seen.held++
		w.mu.Unlock()
	}
}

// release ends what is left of the interruptions.
func (w *simWorld) release() {
	if !w.pausing {
		return
	}
	for _, owner := range holders {
		w.wants(owner, false)
	}
}

// standStill pauses the topology at rest, starts an instance and feeds it, and sees that nothing happens until the last holder resumes it.
func (w *simWorld) standStill() {
	time.Sleep(30 * time.Second) // see settle
	w.rest()
	for _, owner := range holders {
		w.wants(owner, true)
	}
	w.comes(w.inputs[0], simInput(w.rng, 30, 8, w.guarantee == AtLeastOnce))
	w.slots[0].start()
	w.feed(w.rng, 1<<20)
	before := w.progressed()
	for n, owner := range holders {
		time.Sleep(time.Minute)
		if after := w.progressed(); after != before {
			w.problem("not paused: %s, before: %s", after, before)
		}
		if n == len(holders)-1 {
			break
		}
		w.wants(owner, false)
	}
	w.seen.stoodStill++
	w.calls = newSimCalls()
	w.wants(holders[len(holders)-1], false)
	w.workOff()
}

// progressed is how far the topology is, in offsets and in what it writes.
func (w *simWorld) progressed() (all string) {
	for _, tp := range w.tps() {
		all += fmt.Sprintf("%s committed %d", tp, w.cluster.OffsetOf(simGroup, tp).Offset)
		for _, topic := range []string{simTotals, simDead, simTotalLog, simCountLog, simIDLog} {
			_, _, end := w.cluster.Bounds(kafka.TopicPartition{Topic: topic, Partition: tp.Partition})
			all += fmt.Sprintf(", %s ends at %d", topic, end)
		}
		all += "; "
	}
	return all
}
