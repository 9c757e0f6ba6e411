package processors

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// everyHook hears of everything, and then does what it should not, or nothing.
type everyHook struct {
	then func()

	mu    sync.Mutex
	heard []any
}

func (h *everyHook) hear(e any) {
	h.mu.Lock()
	h.heard = append(h.heard, e)
	h.mu.Unlock()
	if h.then != nil {
		h.then()
	}
}

func (h *everyHook) OnRecordEnded(e RecordEnded)           { h.hear(e) }
func (h *everyHook) OnRecordRetried(e RecordRetried)       { h.hear(e) }
func (h *everyHook) OnDeadLettered(e DeadLettered)         { h.hear(e) }
func (h *everyHook) OnCommitted(e Committed)               { h.hear(e) }
func (h *everyHook) OnAborted(e Aborted)                   { h.hear(e) }
func (h *everyHook) OnRebalanced(e Rebalanced)             { h.hear(e) }
func (h *everyHook) OnRestoreProgress(e RestoreProgress)   { h.hear(e) }
func (h *everyHook) OnPartitionWaiting(e PartitionWaiting) { h.hear(e) }
func (h *everyHook) OnPartitionResumed(e PartitionResumed) { h.hear(e) }

// heardOf are the events of one kind, in order.
func heardOf[E any](h *everyHook) (all []E) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.heard {
		if e, ok := e.(E); ok {
			all = append(all, e)
		}
	}
	return all
}

// fates is a node by which a record ends as its value says. "again" fails at its first two tries.
func fates(j *job, ctx topology.Context, key, value string) error {
	time.Sleep(3 * time.Millisecond)
	switch {
	case value == "filtered":
		return ctx.Drop(topology.Filtered)
	case value == "duplicate":
		return ctx.Drop(topology.Duplicate)
	case value == "rejected", value == "failing":
		err := errors.New("no good")
		if value == "rejected" {
			err = topology.Reject(err)
		}
		return err
	case value == "again" && ctx.Record().Attempt < 3:
		return errors.New("not yet")
	}
	return remember(j, ctx, key, value)
}

// refused is a cluster that refuses two calls of a kind, after the first.
func refused(op simkafka.Op) simkafka.Config {
	n := 0
	return simkafka.Config{Faults: func(c simkafka.Call, _ *rand.Rand) (f simkafka.Fault) {
		if c.Op == op {
			if n++; n == 2 || n == 3 {
				f.Mode = simkafka.Refused
			}
		}
		return f
	}}
}

// TestHooksReportEachRecordOnceAsItEnded, whatever is aborted before.
//
// Mutations tried: records told before their commit; clear that keeps what was aborted; deadLetter without its report; attempts counted
// from 0; a Took that begins with the first record.
func TestHooksReportEachRecordOnceAsItEnded(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		fault := refused(simkafka.OpCommit)
		if guarantee == AtLeastOnce {
			fault = refused(simkafka.OpOffsets)
		}
		bubble(t, 1, fault, func(g *rig) {
			h := &everyHook{}
			g.opts.Guarantee, g.opts.Hooks = guarantee, []Hook{h}
			g.job.node = fates
			g.job.parts = []topology.Part{topology.Retry(topology.Backoff{First: 10 * time.Millisecond, Max: time.Second, Attempts: 3, Jitter: -1})}
			g.start()
			for _, v := range []string{"fine", "filtered", "duplicate", "rejected", "again", "failing"} {
				g.send(0, "k "+v)
			}
			time.Sleep(10 * time.Second)
			g.send(0, "k fine")
			time.Sleep(10 * time.Second)
			g.stop()
			var got []string
			for _, e := range heardOf[RecordEnded](h) {
				if e.Topology != jobGroup || e.Topic != jobIn || e.Records != 1 || !e.Time.Equal(time.UnixMilli(1000)) || e.Took < 3*time.Millisecond || e.Took > time.Second {
					t.Errorf("%+v", e)
				}
				got = append(got, fmt.Sprint(e.Partition, e.Offset, e.Outcome, e.Node, e.Attempts))
			}
			want := []string{"0 0processed1", "0 1filtered1", "0 2deduplicated1", "0 3dead_letterednode1", "0 4processed3", "0 5dead_letterednode3", "0 6processed1"}
			if !slices.Equal(got, want) {
				t.Errorf("%s: ended %q, want %q", guarantee, got, want)
			}
			got = nil
			for _, e := range heardOf[DeadLettered](h) {
				if e.Topology != jobGroup || e.Topic != jobIn || e.DeadLetterTopic != jobDead || e.Node != "node" || e.Records != 1 || e.Cut || !e.Time.Equal(time.UnixMilli(1000)) {
					t.Errorf("%+v", e)
				}
				got = append(got, fmt.Sprint(e.Offset, e.Reason, e.Err, e.Attempts))
			}
			if want := []string{"3rejectedrejected: no good1", "5errorno good3"}; !slices.Equal(got, want) {
				t.Errorf("dead letters %q, want %q", got, want)
			}
			records, s := int64(0), g.inst.Stats()
			for _, e := range heardOf[Committed](h) {
				records += e.Records
				if e.Records > 0 && (e.Bytes < 100*int(e.Records) || e.Took < 0) || e.Topology != jobGroup {
					t.Errorf("%+v", e)
				}
			}
			if records != s.Consumed || int64(len(heardOf[Committed](h))) != s.Commits {
				t.Errorf("%d records in %d commits, %+v", records, len(heardOf[Committed](h)), s)
			}
			aborts := heardOf[Aborted](h)
			if int64(len(aborts)) != s.Aborts || s.Aborts != 2 {
				t.Fatalf("%d aborts, %d counted, want 2: %+v", len(aborts), s.Aborts, aborts)
			}
			if a := aborts[0]; a.Reason != AbortAbortable || a.Records == 0 || a.Err == "" || a.Topology != jobGroup {
				t.Errorf("%+v", a)
			}
			retries := heardOf[RecordRetried](h)
			if int64(len(retries)) < s.Retried || s.Retried != 4 {
				t.Fatalf("%d retries, %d committed, want 4", len(retries), s.Retried)
			}
			last := retries[len(retries)-2:] // of the last record that failed
			want2 := RecordRetried{Topology: jobGroup, Topic: jobIn, Offset: 5, Node: "node", Reason: "error", Err: "no good", Attempt: 2, Took: last[1].Took, Wait: 20 * time.Millisecond}
			if last[1] != want2 || last[1].Took < 3*time.Millisecond || last[0].Attempt != 1 || last[0].Wait != 10*time.Millisecond {
				t.Errorf("%+v", last)
			}
		})
	}
}

// TestHooksKeepToTheCommitsUnderRandomFaults: with exactly-once no record is reported twice, or before its offset is committed, and
// as many as are counted; those of a partition in their order.
//
// Mutation tried: clear that keeps what was aborted.
func TestHooksKeepToTheCommitsUnderRandomFaults(t *testing.T) {
	reasons := map[AbortReason]int{}
	for seed := range uint64(10) {
		bubble(t, 2, simkafka.Config{Seed: seed, Faults: simkafka.Random(0.05)}, func(g *rig) {
			h := &everyHook{}
			g.opts.Hooks, g.job.node = []Hook{h}, fates
			g.start()
			rng := rand.New(rand.NewPCG(seed, 1))
			const n = 200
			for range n {
				g.send(rng.Int32N(2), "k "+[]string{"fine", "filtered", "rejected"}[rng.IntN(3)])
				time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
			}
			time.Sleep(2 * time.Minute)
			g.cancel()
			g.cancel = nil
			<-g.done
			next := map[int32]int64{}
			ended := heardOf[RecordEnded](h)
			for _, e := range ended {
				if e.Offset < next[e.Partition] {
					t.Fatalf("seed %d: partition %d: offset %d after %d", seed, e.Partition, e.Offset, next[e.Partition]-1)
				}
				next[e.Partition] = e.Offset + 1
			}
			for p, offset := range next {
				if c := g.cluster.Offset(jobGroup, at(jobIn, p)); c < offset {
					t.Errorf("seed %d: partition %d: reported up to %d, committed %d", seed, p, offset, c)
				}
			}
			records, aborts, s := int64(0), heardOf[Aborted](h), g.inst.Stats()
			for _, e := range heardOf[Committed](h) {
				records += e.Records
			}
			if n := int64(len(ended)); n != s.Consumed || n != records || s.Consumed < n/2 || int64(len(aborts)) != s.Aborts {
				t.Errorf("seed %d: %d records, in commits of %d, %d aborts; %+v", seed, n, records, len(aborts), s)
			}
			for _, a := range aborts {
				reasons[a.Reason]++
			}
		})
	}
	if reasons[AbortIndefinite] == 0 || reasons[AbortAbortable] == 0 || reasons[AbortFenced] == 0 {
		t.Errorf("aborts %v: too little is shown", reasons)
	}
}

// wildRide has every kind of event happen in one life, and returns with the instance stopped.
func wildRide(g *rig) {
	g.job.node = fates
	g.job.parts = []topology.Part{topology.Retry(topology.Backoff{First: 10 * time.Millisecond, Max: time.Second, Attempts: 3, Jitter: -1})}
	hooks := g.opts.Hooks
	g.opts.Hooks = nil
	g.start()
	g.send(0, "a kept", "b kept")
	time.Sleep(2 * time.Second)
	g.stop()
	g.dir += "/another" // it restores
	g.opts.Hooks = hooks
	g.start()
	for _, v := range []string{"fine", "rejected", "again"} {
		g.send(0, "k "+v)
	}
	time.Sleep(5 * time.Second)
	g.cluster.SetTrouble(jobOut, simkafka.Denied)
	g.send(0, "k held")
	time.Sleep(10 * time.Second)
	g.cluster.MendAll()
	time.Sleep(time.Minute)
	g.send(0, "k last")
	time.Sleep(5 * time.Second)
}

// TestHooksReportWhatHappensToPartitions: they come, their stores are restored, they wait with the remedy, go on, and go.
//
// Mutations tried: no look for waits; a look that forgets what was told; a restore reported as done at its
// beginning.
func TestHooksReportWhatHappensToPartitions(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		h := &everyHook{}
		g.opts.Hooks = []Hook{h}
		wildRide(g)
		g.cluster.SetTrouble(jobOut, simkafka.Denied)
		g.send(1, "k held")
		time.Sleep(10 * time.Second)
		g.stop()
		if got := heardOf[Rebalanced](h); len(got) != 2 || !reflect.DeepEqual(got[0], Rebalanced{Topology: jobGroup, Assigned: map[string][]int32{jobIn: {0, 1}}, Revoked: map[string][]int32{}}) ||
			!reflect.DeepEqual(got[1], Rebalanced{Topology: jobGroup, Assigned: map[string][]int32{}, Revoked: map[string][]int32{jobIn: {0, 1}}}) {
			t.Errorf("rebalances: %+v", got)
		}
		restores := heardOf[RestoreProgress](h)
		if len(restores) != 2 {
			t.Fatalf("restores: %+v", restores)
		}
		first, last := restores[0], restores[1]
		want := RestoreProgress{Topology: jobGroup, Store: "seen", Changelog: jobLog, To: first.To}
		if first != want || first.To == 0 {
			t.Errorf("the restore begins with %+v", first)
		}
		if want.Position, want.Done, want.Took = want.To, true, last.Took; last != want {
			t.Errorf("the restore ends with %+v", last)
		}
		waits, resumed := heardOf[PartitionWaiting](h), heardOf[PartitionResumed](h)
		if len(waits) != 2 || len(resumed) != 2 {
			t.Fatalf("waits %+v, resumed %+v", waits, resumed)
		}
		if w := waits[0]; w.Topology != jobGroup || w.Topic != jobIn || w.Partition != 0 || w.Offset != 5 || w.Kind != ProblemBlocked ||
			!strings.Contains(w.Cause, jobOut) || !strings.Contains(w.Remedy, "mend it") {
			t.Errorf("waits: %+v", w)
		}
		if r := resumed[0]; r.Topic != jobIn || r.Partition != 0 || r.Kind != ProblemBlocked || r.GivenUp || r.Waited < 9*time.Second || r.Waited > 45*time.Second {
			t.Errorf("resumed: %+v", r)
		}
		if w, r := waits[1], resumed[1]; w.Partition != 1 || r.Partition != 1 || !r.GivenUp || r.Waited < 8*time.Second || r.Waited > 12*time.Second {
			t.Errorf("given up: %+v, %+v", w, r)
		}
	})
}

// TestLostPartitionsAreReported with the transaction that is given up for them.
//
// Mutations tried: give without tellAborted; lost partitions reported as given up in order.
func TestLostPartitionsAreReported(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		h := &everyHook{}
		g.opts.Hooks, g.opts.CommitInterval = []Hook{h}, time.Minute
		g.start()
		g.send(0, "a 1")
		time.Sleep(2 * time.Second)
		(*membership)(g.inst).Lost([]kafka.TopicPartition{at(jobIn, 0)})
		time.Sleep(time.Second)
		if got := heardOf[Aborted](h); len(got) != 1 || got[0].Reason != AbortLost || got[0].Records != 1 {
			t.Errorf("aborts: %+v", got)
		}
		if got := heardOf[Rebalanced](h); len(got) != 2 || !got[1].Lost || len(got[1].Revoked[jobIn]) != 1 {
			t.Errorf("rebalances: %+v", got)
		}
		if got := heardOf[RecordEnded](h); len(got) != 0 {
			t.Errorf("ended: %+v", got)
		}
	})
}

// TestHooksThatBreakHarmNothing has hooks panic, or end their goroutine, at every event: the instance works as without
// them, other hooks hear of everything, and each kind is logged once.
//
// Mutations tried: call without recover; without next++ (it never ends); on the goroutine of the caller; without failed.
func TestHooksThatBreakHarmNothing(t *testing.T) {
	for how, do := range map[string]func(){"exit": runtime.Goexit, "panic": func() { panic("wicked hook") }, "nil": func() { var m map[string]int; m["x"]++ }} {
		t.Run(how, func(t *testing.T) {
			bubble(t, 2, simkafka.Config{}, func(g *rig) {
				bad, good := &everyHook{then: do}, &everyHook{}
				g.opts.Hooks = []Hook{bad, good, bad}
				wildRide(g)
				g.sees(at(jobOut, 0), "a kept", "b kept", "k fine", "k again", "k held", "k last")
				g.counted(4, 0, 0, 1)
				g.stop()
				kinds := map[string]int{}
				for _, e := range good.heard {
					kinds[fmt.Sprintf("%T", e)]++
				}
				if len(kinds) != 9 {
					t.Errorf("heard of %v: not every kind of event is shown", kinds)
				}
				if len(bad.heard) != 2*len(good.heard) {
					t.Errorf("%d events for a hook that is given twice, %d for another", len(bad.heard), len(good.heard))
				}
				if n := g.logged(zapcore.ErrorLevel, "a hook did not return"); n != 9 {
					t.Errorf("logged %d times, want once for each kind", n)
				}
			})
		})
	}
}

// TestAHookThatBlocksDoesNotHoldUpAStop: it is left behind, with a word.
//
// Mutation tried: await that waits for done only.
func TestAHookThatBlocksDoesNotHoldUpAStop(t *testing.T) {
	for name, blocks := range map[string]func(e any) bool{
		"record":    func(e any) bool { _, ok := e.(RecordEnded); return ok },
		"commit":    func(e any) bool { _, ok := e.(Committed); return ok },
		"retry":     func(e any) bool { _, ok := e.(RecordRetried); return ok },
		"rebalance": func(e any) bool { r, ok := e.(Rebalanced); return ok && len(r.Revoked) > 0 },
		"waiting":   func(e any) bool { _, ok := e.(PartitionWaiting); return ok },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				h, free := &everyHook{}, make(chan struct{})
				h.then = func() {
					h.mu.Lock()
					last := h.heard[len(h.heard)-1]
					h.mu.Unlock()
					if blocks(last) {
						<-free
					}
				}
				g.opts.Hooks, g.job.node = []Hook{h}, fates
				g.start()
				g.send(0, "k again", "k fine")
				time.Sleep(2 * time.Second)
				g.cluster.SetTrouble(jobOut, simkafka.Denied)
				g.send(0, "k held")
				time.Sleep(5 * time.Second)
				if took := g.stop(); took > 5*time.Second {
					t.Errorf("the stop took %s", took)
				}
				time.Sleep(time.Second)
				if n := g.logged(zapcore.ErrorLevel, "a hook blocks"); n == 0 {
					t.Error("nothing is said of it")
				}
				close(free)
			})
		})
	}
}

// TestAHookThatBlocksIsNamed, in the log once, with its stack, and in health as long as it blocks, also where partitions stand still for
// it; a hook that is called often, and takes long in all, is not.
//
// Mutations, each seen to fail it: a look that does not wait for hookBlocks; that logs each time; at, or since, not set; end that
// keeps what blocked; stalled without its look at hooks; the stack of the goroutine that waits.
func TestAHookThatBlocksIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		method string // "" where none blocks
		holds  bool   // a worker
		blocks func(e any) bool
	}{
		"record":    {"OnRecordEnded", true, func(e any) bool { r, ok := e.(RecordEnded); return ok && r.Offset == 2 }},
		"retry":     {"OnRecordRetried", true, func(e any) bool { _, ok := e.(RecordRetried); return ok }},
		"commit":    {"OnCommitted", true, func(e any) bool { c, ok := e.(Committed); return ok && c.Records > 0 }},
		"rebalance": {"OnRebalanced", false, func(e any) bool { _, ok := e.(Rebalanced); return ok }},
		"slow":      {"", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				h, free := &everyHook{}, make(chan struct{})
				release := sync.OnceFunc(func() { close(free) })
				defer release()
				h.then = func() {
					h.mu.Lock()
					last := h.heard[len(h.heard)-1]
					h.mu.Unlock()
					if c.blocks == nil {
						time.Sleep(4 * time.Second)
					} else if c.blocks(last) {
						<-free
					}
				}
				g.opts.Hooks, g.opts.StallAfter, g.job.node = []Hook{h}, 30*time.Second, fates
				g.start()
				g.send(0, "k fine", "k fine", "k fine", "k again")
				reports := func() (all []map[string]any) {
					for _, e := range g.logs.FilterMessage("a hook blocks: what it reports waits for it").All() {
						all = append(all, e.ContextMap())
					}
					return all
				}
				time.Sleep(5 * time.Second)
				if h := healthOf(g.inst); len(h) > 0 || len(reports()) > 0 {
					t.Errorf("at once: %q, %v", h, reports())
				}
				g.send(0, "k late")
				time.Sleep(15 * time.Second)
				named := func(kind string) (n int) {
					for _, p := range g.inst.Health() {
						if p.Kind == kind && strings.Contains(p.Cause, "the hook *processors.everyHook in "+c.method+" has not returned for ") &&
							strings.Contains(p.Cause, "all partitions of worker 0 wait for it") == c.holds && p.Remedy == hookRemedy {
							n++
						}
					}
					return n
				}
				if c.method == "" {
					time.Sleep(time.Minute)
					if h := healthOf(g.inst); len(h) > 0 || len(reports()) > 0 {
						t.Errorf("health says %q, logged %v", h, reports())
					}
					return
				}
				if n := named(ProblemHook); n != 1 {
					t.Errorf("health says %q", healthOf(g.inst))
				}
				time.Sleep(time.Minute)
				if n := named(ProblemStalled); c.holds && n != 1 {
					t.Errorf("of the partition health says %q", healthOf(g.inst))
				}
				all := reports()
				if len(all) != 1 || all[0]["hook"] != "*processors.everyHook in "+c.method || !strings.Contains(fmt.Sprint(all[0]["stack"]), "(*everyHook)."+c.method) {
					t.Errorf("logged %v", all)
				}
				release()
				time.Sleep(30 * time.Second)
				if h := healthOf(g.inst); len(h) > 0 {
					t.Errorf("after: %q", h)
				}
			})
		})
	}
}

// TestAHookThatBlocksAgainAndAgain is in the log once a minute, while it blocks.
//
// Mutation, seen to fail it: hookQuiet not looked at.
func TestAHookThatBlocksAgainAndAgain(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		h := &everyHook{}
		h.then = func() { time.Sleep(25 * time.Second) }
		g.opts.Hooks = []Hook{onlyCommits{h}}
		g.start()
		from := time.Now()
		for range 20 {
			g.send(0, "k 1")
			time.Sleep(10 * time.Second)
		}
		g.stop()
		time.Sleep(30 * time.Second) // the hook returns
		var at []int
		for _, e := range g.logs.FilterMessage("a hook blocks: what it reports waits for it").All() {
			at = append(at, int(e.Time.Sub(from).Seconds()))
		}
		if len(at) < 3 || len(at) > 4 {
			t.Errorf("logged after %v s", at)
		}
		for n := range at[1:] {
			if d := at[n+1] - at[n]; d < 60 || d > 76 {
				t.Errorf("logged after %v s", at)
			}
		}
	})
}

// onlyCommits hears of commits.
type onlyCommits struct{ h *everyHook }

func (o onlyCommits) OnCommitted(e Committed) { o.h.hear(e) }

// TestAHookThatWouldNeverBeCalledIsRefused, and an instance without hooks keeps nothing for them.
//
// Mutations tried: newHooks without the refusal; newReport that always makes one.
func TestAHookThatWouldNeverBeCalledIsRefused(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.new()
		w := newWorker(g.inst.engine, 0)
		if w.tx.report != nil {
			t.Error("a report without hooks")
		}
		for _, hook := range []Hook{nil, 7, everyHook{}, struct{}{}} {
			opts := g.inst.opts
			opts.Hooks = []Hook{&everyHook{}, hook}
			if _, err := New(g.inst.graph.plan, opts); err == nil || !strings.Contains(err.Error(), "hook 2") {
				t.Errorf("%T: %v", hook, err)
			}
		}
	})
}
