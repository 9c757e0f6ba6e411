package processors

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
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

// State says of an input what the group has of it, also where the input has moved over what is no record and the group cannot be told:
// or the next start finds offsets that went back, and refuses. That holds while the topic is denied, when it has been mended and the
// offset is on its way, and for an input that the group has never been told of.
//
// Mutations tried: positions that are in.position whatever sends says; those of in.committed; forget without durable.
func TestStateIsNotAheadOfAnOffsetThatIsLeftOut(t *testing.T) {
	for _, guarantee := range guarantees {
		for _, fresh := range []bool{false, true} {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/fresh=%v/late=%v", guarantee, fresh, late), func(t *testing.T) {
					bubble(t, 1, simkafka.Config{}, func(g *rig) {
						g.opts.Guarantee = guarantee
						g.job.node = tally
						g.topic(jobOther, 1, nil)
						g.topic(jobOther+".dlq", 1, nil)
						g.job.added = func(j *job) []topology.Part {
							return []topology.Part{topology.On(j.other, func(ctx topology.Context, key, value string) error { return tally(j, ctx, key, value) })}
						}
						if fresh {
							g.cluster.ProduceTransaction(at(jobOther, 0), false, record("a", "0"))
							g.cluster.SetTrouble(jobOther, simkafka.Denied)
						}
						g.send(0, "a 1")
						g.start()
						time.Sleep(5 * time.Second)
						g.cluster.SetTrouble(jobOther, simkafka.Denied)
						end := g.cluster.ProduceTransaction(at(jobOther, 0), false, record("a", "0"))
						time.Sleep(5 * time.Second)
						if late { // the next commit comes with a record of the other input, when the gap has long been left out
							time.Sleep(time.Minute)
						}
						g.send(0, "a 2")
						time.Sleep(time.Second)
						g.crash()
						g.cluster.MendAll()
						time.Sleep(time.Minute)
						g.start()
						g.send(0, "a 3")
						g.cluster.Produce(at(jobOther, 0), record("a", "9"))
						time.Sleep(time.Minute)
						g.committed(at(jobIn, 0), 3)
						g.committed(at(jobOther, 0), end+1)
					})
				})
			}
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
