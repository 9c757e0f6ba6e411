package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// recall emits what the store holds of a key.
func recall(j *job, ctx topology.Context, key, value string) error {
	if value != "?" {
		return remember(j, ctx, key, value)
	}
	old, ok, err := j.store.Lookup(ctx, key)
	if err != nil {
		return err
	}
	if !ok {
		old = "nothing"
	}
	j.out.Emit(ctx, key, old)
	return nil
}

func record(key, value string) kafka.Record {
	r := kafka.Record{Key: []byte(key), Value: []byte(value)}
	if value == "" {
		r.Value = nil
	}
	return r
}

// TestRestoreEndsByPosition: the last offsets of a changelog may be markers, records of an aborted transaction, or gone
// by compaction. A restore ends all the same, and sees nothing of what was aborted.
//
// Mutation tried: in catchUp, position = the last record's offset + 1.
func TestRestoreEndsByPosition(t *testing.T) {
	for name, fill := range map[string]func(c *simkafka.Cluster){
		"markers": func(c *simkafka.Cluster) { c.ProduceTransaction(at(jobLog, 0), true) },
		"aborted tail": func(c *simkafka.Cluster) {
			c.ProduceTransaction(at(jobLog, 0), false, record("a", "aborted"), record("b", "aborted"))
		},
		"compacted tail": func(c *simkafka.Cluster) {
			c.Produce(at(jobLog, 0), record("c", "old"), record("c", ""))
			c.ProduceTransaction(at(jobLog, 0), false, record("a", "aborted"))
			c.Compact(jobLog)
		},
		"open, then aborted": func(c *simkafka.Cluster) {
			end := c.LeaveOpen(at(jobLog, 0), record("a", "open"))
			time.AfterFunc(5*time.Second, func() { end(false) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.job.node = recall
				g.cluster.SetOffset(jobGroup, at(jobIn, 0), 0)
				g.cluster.ProduceTransaction(at(jobLog, 0), true, record("a", "1"), record("b", "2"), record("b", ""))
				fill(g.cluster)
				g.start()
				g.send(0, "a ?", "b ?")
				time.Sleep(10 * time.Second)
				g.sees(at(jobOut, 0), "a 1", "b nothing")
			})
		})
	}
}

// TestStateIsNotRestoredFromWhatIsOverALimit: a changelog with such a batch, which only another program can have written, is
// refused with the limit to raise; other tasks go on.
//
// Mutation tried: catchUp takes what is over a limit for a record.
func TestStateIsNotRestoredFromWhatIsOverALimit(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.job.node = recall
		for p := range int32(2) {
			g.cluster.SetOffset(jobGroup, at(jobIn, p), 0)
			g.cluster.ProduceTransaction(at(jobLog, p), true, record("a", "1"))
		}
		g.cluster.Produce(at(jobLog, 0), kafka.Record{Timestamp: -1, Excess: &kafka.Excess{Limit: "max.answer.bytes", Size: 300 << 20, Max: 256 << 20, Last: 4, Records: 5}})
		g.start()
		g.send(0, "b ?")
		g.send(1, "a ?")
		time.Sleep(10 * time.Second)
		g.sees(at(jobOut, 0), "a 1") // where its key belongs
		g.committed(at(jobIn, 0), 0)
		if e := g.logs.FilterMessageSnippet("task stopped").All(); len(e) == 0 || !strings.Contains(fmt.Sprint(e[0].ContextMap()["error"]), "is over the limit max.answer.bytes, 314572800 of at most 268435456: raise it") {
			t.Errorf("logged %v", e)
		}
	})
}

// TestARestoreSeesTheCommitThatItWaitsFor: the task's former owner has committed before it gave it up, and the markers
// have not reached the changelog yet.
//
// Mutation tried: restore ends one offset early.
func TestARestoreSeesTheCommitThatItWaitsFor(t *testing.T) {
	bubble(t, 2, simkafka.Config{Markers: 4 * time.Second, Seed: 5}, func(g *rig) {
		g.job.node = recall
		g.opts.CommitInterval = time.Hour
		g.start()
		g.send(1, "gina 1")
		time.Sleep(time.Second)
		g.committed(at(jobIn, 1), -1)
		second, stop := g.second()
		time.Sleep(20 * time.Second)
		g.committed(at(jobIn, 1), 1)
		if tasks := second.Stats().Tasks; len(tasks) != 1 || tasks[0].Partition != 1 {
			t.Errorf("the second instance has %+v", tasks)
		}
		g.send(1, "gina ?")
		time.Sleep(time.Second)
		stop() // and commits
		time.Sleep(20 * time.Second)
		g.sees(at(jobOut, 1), "gina 1", "gina 1")
	})
}

// Mutations tried: the checks of from against end and against start, and of the time, in openStore.
func TestAStoreThatDoesNotFitItsChangelogIsBuiltAnew(t *testing.T) {
	for name, change := range map[string]func(c *simkafka.Cluster){
		"ahead": func(c *simkafka.Cluster) { c.LoseEnd(at(jobLog, 0), 2) },
		"too old": func(c *simkafka.Cluster) {
			c.Produce(at(jobLog, 0), record("a", ""), record("b", "new"))
			time.Sleep(13 * time.Hour) // more than half of delete.retention.ms, which is a day
			c.Compact(jobLog)
			c.Forget(jobLog)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.job.node = recall
				g.start()
				g.send(0, "b 1")
				time.Sleep(time.Second)
				g.send(0, "a 2")
				time.Sleep(time.Second)
				g.stop()
				change(g.cluster)
				g.start()
				if n := g.logged(zapcore.ErrorLevel, "does not fit its changelog"); n != 1 {
					t.Errorf("reported %d times", n)
				}
				g.send(0, "a ?", "b ?")
				time.Sleep(time.Second)
				want := map[string]string{"ahead": "b 1", "too old": "b new"}[name]
				g.sees(at(jobOut, 0), "b 1", "a 2", "a nothing", want)
				aside, _ := filepath.Glob(state.StoreDir(g.dir, jobGroup, "seen", 0) + ".unfit-*")
				if len(aside) == 0 {
					t.Error("the former database was not kept")
				}
			})
		})
	}
}

// Mutation tried: a damaged database is an error of the task like others, in state's open.
func TestACorruptStoreIsSetAsideAndRestored(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.node = recall
		g.start()
		g.send(0, "a 1", "b 2")
		time.Sleep(time.Second)
		g.stop()
		dir := state.StoreDir(g.dir, jobGroup, "seen", 0)
		manifests, _ := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
		for _, name := range manifests {
			if err := os.WriteFile(name, []byte("damaged"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		g.start()
		g.send(0, "a ?", "b ?")
		time.Sleep(3 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "b 2", "a 1", "b 2")
		if aside, _ := filepath.Glob(dir + ".damaged-*"); len(aside) == 0 {
			t.Error("the damaged database was not kept")
		}
	})
}

// TestAStoreThatIsFoundDamagedInTheWorkIsSetAside: the store itself says so when it is read.
//
// Mutation tried: suspect.add left out of failTask.
func TestAStoreThatIsFoundDamagedInTheWorkIsSetAside(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		dir := state.StoreDir(g.dir, jobGroup, "seen", 0)
		var damaged atomic.Bool
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "3" && damaged.Load() {
				return errors.New("a block does not fit its checksum")
			}
			return recall(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a 1")
		time.Sleep(time.Second)
		damaged.Store(true)
		g.r.step(func(call string) error {
			if call == "look at store" && damaged.Load() {
				return &state.CorruptError{Dir: dir, Err: errors.New("a block does not fit its checksum")}
			}
			return nil
		})
		g.send(0, "a 2", "a 3")
		time.Sleep(500 * time.Millisecond)
		damaged.Store(false)
		if h := strings.Join(healthOf(g.inst), "\n"); !strings.Contains(h, "is damaged") {
			t.Errorf("health is %q", h)
		}
		g.send(0, "a ?")
		time.Sleep(3 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "a 2", "a 3", "a 3")
		g.sees(at(jobDead, 0))
		if aside, _ := filepath.Glob(dir + ".damaged-*"); len(aside) == 0 {
			t.Error("the damaged database was not kept")
		}
	})
}

// Mutations tried: writeStores ignores the error of Commit; failTask leaves out to(taskFailed) (the task is never opened
// again); a failed write fails the instance.
func TestAFullDiskStopsItsTaskOnlyAndIsRecoveredFrom(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.job.node = recall
		g.start()
		g.r.step(func(call string) error {
			if call == "write store" {
				return errors.New("no space left on device")
			}
			return nil
		})
		g.send(0, "a 1")
		time.Sleep(500 * time.Millisecond)
		g.r.step(nil)
		if h := strings.Join(healthOf(g.inst), "\n"); !strings.Contains(h, "task 0_0 is stopped") || !strings.Contains(h, "no space left") {
			t.Errorf("health is %q", h)
		}
		if g.inst.Ready() {
			t.Error("ready with a stopped task")
		}
		g.send(1, "gina 2")
		time.Sleep(400 * time.Millisecond)
		g.sees(at(jobOut, 1), "gina 2")
		g.send(0, "a ?")
		time.Sleep(5 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "a 1")
		if h := healthOf(g.inst); len(h) != 0 || !g.inst.Ready() {
			t.Errorf("health is %q after the disk has room again", h)
		}
	})
}

// earlierWire answers the first question for committed offsets as if it had been asked before the last commit.
type earlierWire struct {
	Wire
	before map[kafka.TopicPartition]kafka.CommittedOffset
	asked  *atomic.Int32
}

func (w earlierWire) Committed(ctx context.Context, group string, tps []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	now, err := w.Wire.Committed(ctx, group, tps)
	if err == nil && w.asked.Add(1) == 1 {
		now = maps.Clone(w.before)
	}
	return now, err
}

// An instance that stood still between its questions restores what the next owner of its task has committed meanwhile: that is no
// disagreement of state and offsets, and nobody's state is to be repaired.
//
// Mutation tried: begin that does not ask again.
func TestOffsetsThatMoveWhileATaskIsOpenedRefuseNothing(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.node = tally
		g.start()
		g.send(0, "a 1")
		time.Sleep(time.Second)
		w := earlierWire{before: map[kafka.TopicPartition]kafka.CommittedOffset{at(jobIn, 0): g.cluster.OffsetOf(jobGroup, at(jobIn, 0))}, asked: &atomic.Int32{}}
		g.send(0, "a 2")
		time.Sleep(time.Second)
		g.stop()
		g.wrap = func(wire Wire) Wire { w.Wire = wire; return w }
		g.start()
		g.send(0, "a 3")
		time.Sleep(time.Minute)
		if w.asked.Load() < 2 {
			t.Error("the offsets were asked for once only")
		}
		g.committed(at(jobIn, 0), 3)
	})
}
