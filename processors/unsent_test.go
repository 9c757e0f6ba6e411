package processors

import (
	"testing"
	"time"

	"github.com/weirstream/weir/internal/simkafka"
)

var guarantees = []Guarantee{ExactlyOnce, AtLeastOnce}

// An input that has moved over what is no record has no record that would try what refuses its offset: the offset tries by
// itself, and health says what it waits for.
//
// Mutations tried: forget without unsent; due without trySending; wait that does not look at unsent inputs.
func TestAnOffsetThatWasRefusedIsCommittedWithoutARecord(t *testing.T) {
	for _, guarantee := range guarantees {
		for _, trouble := range []simkafka.Trouble{simkafka.Denied, simkafka.Missing} {
			t.Run(string(guarantee), func(t *testing.T) {
				bubble(t, 2, simkafka.Config{}, func(g *rig) {
					g.opts.Guarantee = guarantee
					g.begun()
					g.start()
					g.cluster.SetTrouble(jobIn, trouble)
					end := g.cluster.ProduceTransaction(at(jobIn, 0), false, record("a", "0"))
					time.Sleep(5 * time.Second)
					g.committed(at(jobIn, 0), 3)
					if len(g.inst.Health()) == 0 {
						t.Error("health says nothing")
					}
					g.cluster.MendAll()
					time.Sleep(20 * time.Second)
					g.committed(at(jobIn, 0), end)
					if problems := healthOf(g.inst); len(problems) > 0 {
						t.Errorf("health says %q", problems)
					}
					g.send(0, "a 4")
					time.Sleep(time.Second)
					g.committed(at(jobIn, 0), end+1)
				})
			})
		}
	}
}

// The group is told of an input's place before its first record, however long it takes: without transactions state is written
// before offsets, and state without offsets is refused at the next start.
//
// Mutation tried: forget that forgets at the next commit what an earlier one has left out.
func TestNoRecordIsProcessedBeforeItsInputIsMarked(t *testing.T) {
	for _, guarantee := range guarantees {
		t.Run(string(guarantee), func(t *testing.T) {
			bubble(t, 3, simkafka.Config{}, func(g *rig) {
				g.opts.Guarantee = guarantee
				g.job.node = tally
				g.cluster.SetTrouble(jobIn, simkafka.Missing)
				for p := range int32(3) {
					g.send(p, "a 1")
				}
				g.start()
				g.cluster.DenyGroup(true)
				g.cluster.SetTrouble(jobIn, simkafka.Fine)
				time.Sleep(2 * time.Minute)
				g.crash()
				g.cluster.MendAll()
				time.Sleep(time.Minute)
				g.start()
				time.Sleep(time.Minute)
				for p := range int32(3) {
					g.committed(at(jobIn, p), 1)
				}
			})
		})
	}
}
