package processors

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestRecordsOfAFormerDelayAreTried: a record that was delayed by a build with another RetryLater is tried when its time has come, and those of its
// key that wait for it follow. The topic is left alone once it is worked off.
//
// Mutations, each seen to fail: a start that does not look for such topics; one that reads those that are worked off, too.
func TestRecordsOfAFormerDelayAreTried(t *testing.T) {
	parks(t, nil, func(g *rig, n *failing) {
		n.set("x", true)
		g.topic(jobRetry+"nonsense", 1, nil)
		g.start()
		g.send(0, "a x", "a 1", "b 1")
		time.Sleep(10 * time.Second)
		g.sees(at(jobOut, 0), "b 1")
		g.stop()
		n.set("x", false)
		g.topic(jobRetry+"2m", 1, nil)
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 2, First: time.Second, Jitter: -1}), topology.RetryLater(2 * time.Minute)}
		g.start()
		if lag := g.inst.Stats().Lag; lag == 0 {
			t.Error("a record that waits is no lag")
		}
		time.Sleep(2 * time.Minute)
		g.sees(at(jobOut, 0), "b 1", "a x", "a 1")
		const said = "records wait in the retry topic of a delay that the topology no longer has"
		if g.logged(zapcore.WarnLevel, said) != 1 {
			t.Errorf("what waits in a topic of a former delay was told %d times", g.logged(zapcore.WarnLevel, said))
		}
		g.stop()
		g.start()
		g.send(0, "a 2")
		settled()
		g.sees(at(jobOut, 0), "b 1", "a x", "a 1", "a 2")
		if g.logged(zapcore.WarnLevel, said) != 0 {
			t.Error("a topic that is worked off is read")
		}
	})
}

// TestRecordsOfAnotherTopologyArePassedOver: names are put together with hyphens, so that two topologies can come to one redrive or retry topic.
//
// Mutation: stranger that finds none.
func TestRecordsOfAnotherTopologyArePassedOver(t *testing.T) {
	parks(t, []topology.Part{topology.Parking(false)}, func(g *rig, n *failing) {
		g.topic(jobRetry+"1m", 1, nil)
		g.start()
		of := func(topology string) []kafka.Header {
			headers := deadletter.Headers(nil, deadletter.Cause{Topology: topology, Node: "n", Topic: jobIn, Offset: 7})
			return deadletter.Redriven(headers)
		}
		for _, topic := range []string{jobRedrive, jobRetry + "1m"} {
			for _, topology := range []string{"another", jobGroup} {
				g.cluster.Produce(at(topic, 0), kafka.Record{Key: []byte("a"), Value: []byte(topology), Headers: of(topology)})
			}
		}
		time.Sleep(10 * time.Second)
		g.sees(at(jobOut, 0), "a "+jobGroup, "a "+jobGroup)
		g.committed(at(jobRedrive, 0), 2)
		if said := g.logged(zapcore.WarnLevel, "another topology has a redrive or retry topic of the same name"); said != 2 {
			t.Errorf("told %d times", said)
		}
	})
}

// TestRetriesOfAPastLifeArePassedOver: when the offsets of a group have expired, or were deleted, what its retry topics hold was tried, or comes again
// with the input, as auto.offset.reset says.
//
// Mutation: ofPast that says no.
func TestRetriesOfAPastLifeArePassedOver(t *testing.T) {
	for reset, want := range map[OffsetReset][]string{
		ResetLatest:   {"a x", "a 1"},
		ResetEarliest: {"a x", "a x", "a 1"},
	} {
		t.Run(string(reset), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				var bad atomic.Bool
				bad.Store(true)
				g.opts.OffsetReset = ResetEarliest
				g.stateless()
				g.job.node = func(j *job, ctx topology.Context, key, value string) error {
					if value == "x" && bad.Load() {
						return errors.New("x is bad")
					}
					j.out.Emit(ctx, key, value)
					return nil
				}
				g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 1}), topology.RetryLater(time.Minute)}
				g.start()
				g.send(0, "a x")
				time.Sleep(30 * time.Second)
				bad.Store(false)
				time.Sleep(time.Minute)
				g.sees(at(jobOut, 0), "a x")
				g.stop()
				g.cluster.ExpireOffsets(jobGroup)
				g.opts.OffsetReset = reset
				g.start()
				settled()
				g.send(0, "a 1")
				time.Sleep(2 * time.Minute)
				g.sees(at(jobOut, 0), want...)
				if g.logged(zapcore.WarnLevel, "a retry topic holds records, and the group has no offset for their input") != 1 {
					t.Error("what is passed over is not told")
				}
				if waits := healthOf(g.inst); !slices.Equal(waits, nil) {
					t.Errorf("problems: %q", waits)
				}
			})
		})
	}
}

// TestParkedKeysAreNotForgotten: a build that parks nothing is refused while keys are parked, and starts when none is.
//
// Mutation: former that does not look for stores of parked records.
func TestParkedKeysAreNotForgotten(t *testing.T) {
	parks(t, nil, func(g *rig, n *failing) {
		parts := g.job.parts
		n.set("x", true)
		g.start()
		g.send(0, "a x", "a 1", "b 1")
		time.Sleep(10 * time.Second)
		g.stop()
		g.job.parts = nil
		g.refusedFor(g.run(), "1 keys are parked in "+jobParked)
		g.job.parts = parts
		n.set("x", false)
		g.start()
		time.Sleep(2 * time.Minute)
		g.sees(at(jobOut, 0), "b 1", "a x", "a 1")
		g.stop()
		g.job.parts = nil
		g.start()
		g.send(0, "a 2")
		settled()
		g.sees(at(jobOut, 0), "b 1", "a x", "a 1", "a 2")
	})
}
