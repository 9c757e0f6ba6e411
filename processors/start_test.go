package processors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// refusedFor says whether an instance is refused, with every one of the reasons, which the log says once at most.
//
// Mutation: failTask that speaks of a task that will be opened again while the instance ends.
func (g *rig) refusedFor(err error, reasons ...string) {
	g.t.Helper()
	var refused *RefusedTopologyError
	if !errors.As(err, &refused) {
		g.t.Fatalf("ended with %v", err)
	}
	for _, reason := range reasons {
		if !strings.Contains(err.Error(), reason) {
			g.t.Errorf("%q does not say %q", err, reason)
		}
	}
	if len(refused.Problems) != len(reasons) {
		g.t.Errorf("%d problems, want %d: %q", len(refused.Problems), len(reasons), refused.Problems)
	}
	// Its caller reports it, and the log at most once more, when it ends a running instance.
	said := 0
	for _, e := range g.logs.All() {
		if text, _ := e.ContextMap()["error"].(string); strings.Contains(text, reasons[0]) {
			said++
		}
	}
	if said > 1 {
		g.t.Errorf("the log says %q %d times", reasons[0], said)
	}
}

// What a first start makes by itself, changelogs and dead-letter topics, nobody is asked to create.
//
// Mutations tried: missing returns the first topic only; own topics listed with the others.
func TestMissingTopicsAreListedAllAtOnce(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		for _, name := range []string{jobIn, jobOut, jobLog} {
			g.cluster.DeleteTopic(name)
		}
		g.refusedFor(g.run(), "input topic "+jobIn, "output topic "+jobOut)
	})
}

// Mutations tried: Config left out of specs; the partitions of PartitionsOf ignored.
func TestMissingTopicsAreMadeWhenAskedFor(t *testing.T) {
	bubble(t, 3, simkafka.Config{}, func(g *rig) {
		g.cluster.DeleteTopic(jobLog)
		g.cluster.DeleteTopic(jobDead)
		g.opts.Create = &Creation{Partitions: 2, ReplicationFactor: 1}
		g.start()
		infos, err := simWire{g.process}.Topics(context.Background(), []string{jobLog, jobDead})
		if err != nil {
			t.Fatal(err)
		}
		if log := infos[jobLog]; log.Partitions != 3 || log.Config["cleanup.policy"] != "compact" {
			t.Errorf("the changelog is %+v", log)
		}
		if dead := infos[jobDead]; dead.Partitions != 2 || dead.Config["max.message.bytes"] != "8388608" {
			t.Errorf("the dead letter topic is %+v", dead)
		}
	})
}

// Changelogs and dead letters belong to the topology: its first start makes them. Behind committed offsets they may have
// been deleted, and are made only when that was asked for.
//
// Mutations tried: mayCreate without the committed offsets; without the roles.
func TestOwnTopicsAreMadeAtTheFirstStartOnly(t *testing.T) {
	bubble(t, 3, simkafka.Config{}, func(g *rig) {
		g.cluster.DeleteTopic(jobLog)
		g.cluster.DeleteTopic(jobDead)
		g.start()
		infos, err := simWire{g.process}.Topics(context.Background(), []string{jobLog, jobDead})
		if err != nil {
			t.Fatal(err)
		}
		if infos[jobLog].Partitions != 3 || infos[jobLog].Config["cleanup.policy"] != "compact" || infos[jobDead].Partitions != 3 {
			t.Errorf("made %+v", infos)
		}
		g.send(0, "a 1")
		time.Sleep(time.Second)
		g.committed(at(jobIn, 0), 1)
		g.stop()
		g.cluster.DeleteTopic(jobLog)
		g.refusedFor(g.run(), "changelog topic "+jobLog)
	})
}

// Mutation tried: the check of cleanup.policy.
func TestAChangelogThatForgetsIsRefused(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.cluster.DeleteTopic(jobLog)
		g.topic(jobLog, 1, map[string]string{"cleanup.policy": "delete"})
		g.refusedFor(g.run(), "cleanup.policy=delete")
	})
}

// Mutation tried: the check of the changelog's partition count.
func TestAChangelogWithAnotherPartitionCountIsRefused(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.cluster.DeleteTopic(jobLog)
		g.topic(jobLog, 3, map[string]string{"cleanup.policy": "compact"})
		g.refusedFor(g.run(), "has 3 partitions, but "+jobIn+" has 2")
	})
}

// Mutation tried: the check of the partition in Assigned.
func TestAPartitionThatIsAddedUnderStateIsRefused(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.start()
		g.send(0, "a 1")
		time.Sleep(time.Second)
		g.cluster.AddPartitions(jobIn, 3)
		g.refusedFor(g.ended(), "partition 2 was added to "+jobIn)
		time.Sleep(time.Second)
		g.committed(at(jobIn, 0), 1)
		g.refusedFor(g.run(), "has 2 partitions, but "+jobIn+" has 3")
	})
}

// It is the input that has grown which is named, where a node reads several.
//
// Mutation: grow names the first input.
func TestTheInputThatHasGrownIsNamed(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.topic(jobOther, 2, nil)
		g.topic(jobOther+".dlq", 1, nil)
		g.job.added = func(j *job) []topology.Part {
			return []topology.Part{topology.On(j.other, func(topology.Context, string, string) error { return nil })}
		}
		g.start()
		g.cluster.AddPartitions(jobOther, 3)
		g.refusedFor(g.ended(), "partition 2 was added to "+jobOther+", which had 2")
	})
}

// Mutations tried: the cases of startOffsets swapped; none handled as earliest.
func TestAnInputWithoutACommittedOffsetBeginsWhereThePolicySays(t *testing.T) {
	for policy, want := range map[OffsetReset][]string{ResetEarliest: {"a 1", "a 2"}, ResetLatest: {"a 2"}} {
		t.Run(string(policy), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.opts.OffsetReset = policy
				g.send(0, "a 1")
				g.start()
				g.send(0, "a 2")
				time.Sleep(time.Second)
				g.sees(at(jobOut, 0), want...)
			})
		})
	}
	t.Run("none", func(t *testing.T) {
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			g.opts.OffsetReset = ResetNone
			g.send(0, "a 1")
			g.refusedFor(g.run(), "auto.offset.reset is none")
			g.committed(at(jobIn, 0), -1)
			g.cluster.SetOffset(jobGroup, at(jobIn, 0), 0)
			g.start()
			time.Sleep(time.Second)
			g.sees(at(jobOut, 0), "a 1")
		})
	})
}

// TestAGapInTheInputIsNeverSilent: the committed offset is not in the partition any more.
//
// Mutations tried: recover without the log; to = gone.Start where the end was lost; none goes on.
func TestAGapInTheInputIsNeverSilent(t *testing.T) {
	for _, policy := range []OffsetReset{ResetEarliest, ResetLatest, ResetNone} {
		t.Run(string(policy), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.opts.OffsetReset = ResetEarliest
				g.send(0, "a 1")
				g.start()
				g.stop()
				g.send(0, "a 2", "a 3", "a 4")
				g.cluster.DeleteRecords(at(jobIn, 0), 3)
				g.opts.OffsetReset = policy
				if policy == ResetNone {
					err := g.run()
					var gone *kafka.OffsetOutOfRangeError
					if !errors.As(err, &gone) || gone.Offset != 1 || gone.Start != 3 {
						t.Errorf("ended with %v", err)
					}
					g.committed(at(jobIn, 0), 1)
					return
				}
				g.start()
				g.sees(at(jobOut, 0), "a 1", "a 4")
				g.committed(at(jobIn, 0), 4)
				if n := g.logged(zapcore.ErrorLevel, "are gone"); n != 1 {
					t.Errorf("reported %d times", n)
				}
			})
		})
	}
	t.Run("the end was lost", func(t *testing.T) {
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			g.send(0, "a 1", "a 2", "a 3")
			g.start()
			g.stop()
			g.cluster.LoseEnd(at(jobIn, 0), 1)
			g.start()
			g.send(0, "a 4")
			time.Sleep(time.Second)
			g.sees(at(jobOut, 0), "a 1", "a 2", "a 3", "a 4")
			g.committed(at(jobIn, 0), 2)
			if n := g.logged(zapcore.ErrorLevel, "lost records that were read"); n != 1 {
				t.Errorf("reported %d times", n)
			}
		})
	})
	t.Run("nothing came after the gap", func(t *testing.T) {
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			g.send(0, "a 1")
			g.start()
			g.stop()
			g.send(0, "a 2")
			g.cluster.DeleteRecords(at(jobIn, 0), 2)
			g.start()
			time.Sleep(time.Second)
			g.committed(at(jobIn, 0), 2)
		})
	})
}

// Mutation tried: Ready counts on tasks.
func TestAnInstanceWithoutTasksIsReady(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.start()
		second, stop := g.second()
		defer stop()
		if second.Ready() {
			t.Error("ready before it runs")
		}
		time.Sleep(10 * time.Second)
		if !second.Ready() || !g.inst.Ready() {
			t.Errorf("ready: the one without tasks %v, the one with %v", second.Ready(), g.inst.Ready())
		}
	})
}

// Mutation tried: the end of ctx in Run's start is an error.
func TestAnInstanceThatIsStoppedWhileItStartsEndsWithoutAnError(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.new()
		g.process.CutOff()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := g.inst.Run(ctx); err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}
