package processors

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestACommitComesWhenItsSettingsSay: after the interval, not before and not much later, or as soon as so many bytes wait.
//
// Mutations: due compares with twice the interval, or ignores it; full ignores the bytes of inputs, those
// of changes, or those of dead letters.
func TestACommitComesWhenItsSettingsSay(t *testing.T) {
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second, 30 * time.Second} {
		bubble(t, 1, simkafka.Config{TransactionTimeout: 5 * time.Minute}, func(g *rig) {
			g.opts.CommitInterval = interval
			g.start()
			before := g.inst.Stats().Commits
			g.send(0, "a 1")
			time.Sleep(interval * 9 / 10)
			if n := g.inst.Stats().Commits; n != before {
				t.Errorf("%v: committed before its time", interval)
			}
			time.Sleep(interval/10 + 80*time.Millisecond)
			g.committed(at(jobIn, 0), 1)
			if n := g.inst.Stats().Commits; n != before+1 {
				t.Errorf("%v: %d commits", interval, n-before)
			}
		})
	}
	large := strings.Repeat("x", 1000)
	for what, c := range map[string]struct {
		value string
		node  func(j *job, ctx topology.Context, key, value string) error
	}{
		"inputs":       {large, func(j *job, ctx topology.Context, key, value string) error { return ctx.Drop(topology.Filtered) }},
		"dead letters": {large, func(j *job, ctx topology.Context, key, value string) error { return topology.Reject(errors.New("no")) }},
		"changes": {"x", func(j *job, ctx topology.Context, key, value string) error {
			j.store.Set(ctx, fmt.Sprint(key, ctx.Record().Offset), large)
			return nil
		}},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{TransactionTimeout: 5 * time.Minute}, func(g *rig) {
				g.opts.CommitInterval, g.opts.CommitBytes, g.job.node = 40*time.Second, 32<<10, c.node
				g.start()
				for range 20 {
					g.send(0, "a "+c.value)
				}
				time.Sleep(5 * time.Second)
				if at := g.cluster.Offset(jobGroup, at(jobIn, 0)); at > 0 {
					t.Errorf("committed up to %d with 20 KB of %s, and 32 KiB are the bound", at, what)
				}
				for range 30 {
					g.send(0, "a "+c.value)
				}
				time.Sleep(5 * time.Second)
				if at := g.cluster.Offset(jobGroup, at(jobIn, 0)); at < 20 {
					t.Errorf("committed up to %d with 50 KB of %s, and 32 KiB are the bound", at, what)
				}
			})
		})
	}
}

// TestTasksAreSpreadOverTheWorkersAndTakeTurns: as many workers as were asked for, each with its share of the tasks and a
// transactional id of its own, which bears the instance's id. On one worker no task waits for another's backlog.
//
// Mutations: all tasks on the first worker; one worker whatever was asked for; two workers with one id; next begins with the
// first task always.
func TestTasksAreSpreadOverTheWorkersAndTakeTurns(t *testing.T) {
	for workers := 1; workers <= 4; workers++ {
		bubble(t, 4, simkafka.Config{}, func(g *rig) {
			g.opts.Workers, g.opts.InstanceID = workers, "named"
			g.start()
			per := map[int]int{}
			for _, task := range g.inst.Stats().Tasks {
				per[task.Worker]++
			}
			if len(per) != workers {
				t.Errorf("%d workers have tasks, want %d: %v", len(per), workers, per)
			}
			for w, n := range per {
				if n < 4/workers || n > (4+workers-1)/workers {
					t.Errorf("worker %d of %d has %d of 4 tasks", w, workers, n)
				}
			}
			ids := map[string]bool{}
			for line := range strings.Lines(g.r.take()) {
				if id, ok := strings.CutPrefix(strings.TrimSpace(line), "new sink "); ok {
					ids[id] = true
					if !strings.Contains(id, "named") || !strings.Contains(id, jobGroup) {
						t.Errorf("transactional id %q", id)
					}
				}
			}
			if len(ids) != workers {
				t.Errorf("transactional ids %v, want %d", ids, workers)
			}
		})
	}
	bubble(t, 3, simkafka.Config{}, func(g *rig) {
		var mu sync.Mutex
		var order []int32
		g.job.define = func() *topology.Topology {
			in := topology.Stream(jobIn, codecs.String())
			return topology.Define(jobGroup, topology.Node("node", topology.On(in, func(ctx topology.Context, key, value string) error {
				time.Sleep(time.Millisecond) // of the bubble's clock
				mu.Lock()
				defer mu.Unlock()
				order = append(order, ctx.Record().Partition)
				return nil
			})))
		}
		const records = 3000
		for p := range int32(3) {
			for range records {
				g.cluster.Produce(at(jobIn, p), kafka.Record{Value: []byte("x"), Timestamp: 1000})
			}
		}
		g.start()
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		last, done := [3]int{}, [3]int{}
		for i, p := range order {
			for other := range last {
				if waited := i - last[other]; waited > 2*slice+2 && done[other] < records {
					t.Fatalf("after %d records partition %d has waited for %d of the others", i, other, waited)
				}
			}
			last[p] = i
			done[p]++
		}
		if len(order) < 3*records {
			t.Errorf("%d records", len(order))
		}
	})
}

// TestTheCacheIsSharedAmongTheStores: cache-bytes is for all stores of an instance together, so each partition of each store
// has its share, and one that is of use.
//
// Mutation: each store gets the whole.
func TestTheCacheIsSharedAmongTheStores(t *testing.T) {
	for cache, want := range map[int64]int64{0: 128 << 20 / 4, 8 << 20: 2 << 20, 1: 64 << 10} {
		bubble(t, 4, simkafka.Config{}, func(g *rig) {
			g.opts.CacheBytes = cache
			g.new()
			var mu sync.Mutex
			var given []int64
			for _, sub := range g.inst.graph.plan.Subgraphs {
				for _, store := range sub.Stores {
					over := store.Over
					store.Over = func(db keyed.Database) keyed.Any {
						cacheBytes, _ := db.Limits()
						mu.Lock()
						given = append(given, cacheBytes)
						mu.Unlock()
						return over(db)
					}
				}
			}
			g.launch()
			mu.Lock()
			defer mu.Unlock()
			if len(given) != 4 || slices.ContainsFunc(given, func(n int64) bool { return n != want }) {
				t.Errorf("cache-bytes %d: the stores have %v, want %d each", cache, given, want)
			}
		})
	}
}

// TestAnInstanceIsNotReadyWhileItRestores: it has its tasks, and none of them runs yet.
//
// Mutation: Ready looks for failed tasks only.
func TestAnInstanceIsNotReadyWhileItRestores(t *testing.T) {
	entry := metricsDriven(&gate{})["weir_tasks{restoring}"]
	bubble(t, 2, entry.cfg, func(g *rig) {
		entry.prepare(g)
		g.start()
		entry.up(g)
		if g.inst.Ready() {
			t.Error("ready while it restores")
		}
		if why := strings.Join(g.inst.Unready(), "; "); !strings.Contains(why, "task 0_0 is restoring: store seen is at offset") || !strings.Contains(why, jobLog+"/0") {
			t.Errorf("it is not ready because %q", why)
		}
		entry.down(g)
		if !g.inst.Ready() {
			t.Error("not ready when it has restored")
		}
	})
}
