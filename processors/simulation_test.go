package processors

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var (
	simSeeds = flag.Int("sim.seeds", defaultSeeds, "how many seeds TestSimulation runs")
	simSeed  = flag.Uint64("sim.seed", 0, "run this seed only, or this one first with -sim.seeds")
)

func simTrace() bool { return *simSeed != 0 && *simSeeds == 1 }

// tempDir is in memory where the system offers that: a database that is opened is synced a few times.
func tempDir(t testing.TB) string {
	for _, base := range []string{"/dev/shm", ""} {
		if dir, err := os.MkdirTemp(base, "weir-sim-"); err == nil {
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			return dir
		}
	}
	t.Fatal("no folder for temporary files")
	return ""
}

// TestSimulation runs instances of a job that has every kind of trouble of its own (nodes that exit, Contexts that are used late, records over a limit, ...) through crashes, pauses, rebalances and
// faults of the wire, one seed after the other, and holds what they leave behind against a model.
//
//	go test ./processors -run TestSimulation -sim.seeds=5000 -sim.seed=1      seeds 1 to 5000
//	go test ./processors -run TestSimulation -sim.seeds=1 -sim.seed=42 -v     one seed, with a trace when it fails
//
// A seed settles the scenario, every fault and every moment of the clock. What happens at the very same moment is up to
// Go's scheduler, so a seed that failed may need a few runs (-count=20) to do so again.
func TestSimulation(t *testing.T) {
	simulateAll(t, seedsFrom(*simSeeds))
}

// TestSeedsThatFailedOnce runs the seeds in testdata again that have found an error, each with what it was.
func TestSeedsThatFailedOnce(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "seeds.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var seeds []uint64
	for line := range strings.Lines(string(data)) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word != "" && word != "#" {
			n, err := strconv.ParseUint(word, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			seeds = append(seeds, n)
		}
	}
	simulateAll(t, seeds)
}

// seedsFrom are so many seeds.
func seedsFrom(n int) (seeds []uint64) {
	for i := range uint64(n) {
		seeds = append(seeds, max(*simSeed, 1)+i)
	}
	return seeds
}

// eachSeed runs seeds, several at a time, reports what is wrong with them, and calls take with what is left of each, one after the other.
func eachSeed(t *testing.T, seeds []uint64, run func(*simWorld), take func(*simWorld)) {
	root := tempDir(t)
	var mu sync.Mutex
	t.Run("seeds", func(t *testing.T) {
		for _, seed := range seeds {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				w := simulate(t, seed, filepath.Join(root, strconv.FormatUint(seed, 10)), sound, run)
				mu.Lock()
				defer mu.Unlock()
				take(w)
				for _, p := range w.problems {
					t.Error(p)
				}
			})
		}
	})
}

func simulateAll(t *testing.T, seeds []uint64) {
	var seen simEvidence
	var failed int
	eachSeed(t, seeds, (*simWorld).run, func(w *simWorld) {
		seen.add(w.seen)
		if len(w.problems) > 0 {
			failed++
		}
	})
	t.Logf("%d seeds, %d failed: %+v", len(seeds), failed, seen)
	if len(seeds) >= 100 && seen.vacuous() {
		t.Errorf("a run without every kind of trouble proves nothing: %+v", seen)
	}
}

// vacuous says that a run had no trouble of some kind.
func (e *simEvidence) vacuous() bool {
	all := []int{e.crashes, e.crashedInTransaction, e.pauses, e.aborts, e.rebalances, e.commits, e.torn, e.older, e.deleted, e.retried, e.blocked, e.refusals, e.accepted, e.two, e.promoted, e.held, e.stoodStill}
	all = append(all, e.meddled[nobody+1:]...)
	for _, n := range e.counts {
		all = append(all, int(n))
	}
	return slices.Contains(all, 0)
}

func (e *simEvidence) add(o simEvidence) {
	e.crashes += o.crashes
	e.crashedInTransaction += o.crashedInTransaction
	e.pauses += o.pauses
	e.aborts += o.aborts
	e.rebalances += o.rebalances
	e.commits += o.commits
	e.torn += o.torn
	e.older += o.older
	e.deleted += o.deleted
	e.retried += o.retried
	e.delayed += o.delayed
	e.redriven += o.redriven
	e.held += o.held
	e.stoodStill += o.stoodStill
	e.discarded += o.discarded
	e.blocked += o.blocked
	e.refusals += o.refusals
	e.accepted += o.accepted
	e.two += o.two
	e.promoted += o.promoted
	for i := range e.meddled {
		e.meddled[i] += o.meddled[i]
	}
	for i := range e.counts {
		e.counts[i] += o.counts[i]
	}
}
