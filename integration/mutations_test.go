//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/integration/internal/proxy"
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/oracle"
	"github.com/weirstream/weir/state"
)

// An oracle that never finds anything proves nothing. Each mutation breaks one rule that a guarantee rests on, lets the
// fault come that the rule is for, and demands that the oracle names the damage.
func TestTheOracleFindsEveryBrokenRule(t *testing.T) {
	t.Parallel()
	for _, m := range []struct {
		rule    fault.Rule
		opts    rigOptions
		provoke func(r *rig, broken string) // with the environment that breaks the rule
		want    []oracle.Kind               // one of them must be found
	}{
		{fault.OffsetsInTransaction, rigOptions{static: true}, killBeforeEnd, []oracle.Kind{oracle.LostOutput}},
		{fault.OutputsInTransaction, rigOptions{static: true}, killBeforeEnd, []oracle.Kind{oracle.DuplicatedOutput}},
		{fault.DeadLettersInTransaction, rigOptions{static: true}, killBeforeEnd, []oracle.Kind{oracle.DuplicatedDeadLetter}},
		{fault.StoreAfterCommit, rigOptions{static: true, args: patient}, killInCommit, []oracle.Kind{oracle.LostOutput}},
		{fault.CheckpointWithData, rigOptions{static: true}, runInPeace, []oracle.Kind{oracle.StoreAhead, oracle.StoreDiffers}},
		{fault.FenceZombies, rigOptions{args: drowsy},
			func(r *rig, broken string) { wakeAZombie(r, broken, unjudged) }, []oracle.Kind{oracle.DuplicatedOutput}},
		{fault.CommitBelowUnfinished, rigOptions{static: true, atLeastOnce: true, interval: 10 * time.Millisecond, perSecond: 10_000},
			killWithABacklog, []oracle.Kind{oracle.LostOutput}},
	} {
		t.Run(string(m.rule), func(t *testing.T) {
			r := newRig(t, m.opts)
			// Positions kept with the state show at the next start what some of these rules keep. That is left out, so that
			// the oracle has to see it.
			m.provoke(r, "WEIR_FAULT_BREAK="+string(m.rule)+","+string(fault.JudgeOffsets))
			if r.feed != nil {
				if err := r.feed.Stop(); err != nil {
					t.Fatal(err)
				}
				r.feed = nil
				r.awaitWithin(drainBound, "the end of the input", func(p oracle.Progress) bool { return p.Left == 0 })
			}
			report := r.verdict()
			if !slices.ContainsFunc(m.want, func(kind oracle.Kind) bool { return report.Counts[kind] > 0 }) {
				t.Errorf("one of %v was to be found:\n%s", m.want, report)
			} else {
				t.Logf("found: %v; the first: %s", report.Counts, report.Violations[0])
			}
		})
	}
}

// The same without a broken rule: what the zombie is about to send is refused, and does not become visible.
func TestAZombieThatWakesUpInItsCommitIsFenced(t *testing.T) {
	r := newRig(t, rigOptions{args: drowsy})
	wakeAZombie(r, "WEIR_FAULT_BREAK=", "WEIR_FAULT_BREAK=")
	r.settle()
}

// A job that forgets which orders it has seen takes those that come again for new ones.
func TestTheOracleFindsAJobThatForgets(t *testing.T) {
	r := newRig(t, rigOptions{static: true, job: forgetful})
	r.start()
	r.warm()
	if err := r.feed.Stop(); err != nil {
		t.Fatal(err)
	}
	r.feed = nil
	r.awaitWithin(drainBound, "the end of the input", func(p oracle.Progress) bool { return p.Left == 0 })
	if report := r.verdict(); report.Counts[oracle.DuplicatedOutput] == 0 {
		t.Errorf("outputs written twice were to be found:\n%s", report)
	}
}

// A restore that ends at the last record waits for ever: after the last record there is a marker.
func TestARestoreThatDoesNotGoByPositionIsFound(t *testing.T) {
	r := newRig(t, rigOptions{static: true})
	i := r.start()
	r.warm()
	i.kill()
	r.removeState(i)
	i.launch(t, "WEIR_FAULT_BREAK="+string(fault.RestoreToPosition))
	before := r.await("the instance to join", func(p oracle.Progress) bool { return p.Members == 1 && p.Assignment != "" })
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if p, err := r.observer.Await(ctx, "progress", func(p oracle.Progress) bool { return p.Committed > before.Committed }); err == nil {
		t.Errorf("progress came back: %d committed, then %d", before.Committed, p.Committed)
	}
}

// The first commits of a process hold no records: each task commits where its inputs begin. So it is a later one that is hit.
func killBeforeEnd(r *rig, broken string) {
	i := r.start(broken, "WEIR_FAULT_AT="+string(fault.BeforeEnd)+":7")
	if !i.ended(drainBound) {
		r.t.Fatalf("%s did not come to its end:\n%s", i.name, i.tail(20))
	}
	i.launch(r.t, unjudged)
	r.flow(500)
}

// patient instances wait for an answer for as long as a test wants them to.
var patient = []string{"--request.timeout.ms", "120000", "--transaction.timeout.ms", "120000"}

// killInCommit kills a patient instance that has written its stores and waits for the answer to its offsets.
func killInCommit(r *rig, broken string) {
	r.cluster.NeedNodes(r.t)
	i := r.start(broken)
	r.warm()
	const workers = 2
	held := proxy.Strike{Key: proxy.AddOffsetsToTxn, Action: proxy.Delay}
	before := r.cluster.strikes()[held]
	r.cluster.inject(1, proxy.Rule{Action: proxy.Delay, Probability: 1, Keys: []proxy.Key{held.Key}, Min: 2 * time.Minute, Max: 2 * time.Minute})
	r.await("both workers to wait", func(oracle.Progress) bool { return r.cluster.strikes()[held]-before >= workers })
	was := r.storeFiles(i)
	r.await("the stores to reach their databases", func(oracle.Progress) bool { // which they do every few seconds
		for p, files := range r.storeFiles(i) {
			if files == was[p] {
				return false
			}
		}
		return true
	})
	i.kill()
	r.cluster.inject(0)
	i.launch(r.t, unjudged)
	r.flow(500)
}

// storeFiles is what the databases of an instance's stores look like on disk, by partition.
func (r *rig) storeFiles(i *instance) []string {
	r.t.Helper()
	all := make([]string, r.opts.partitions)
	for p := range all {
		files, err := os.ReadDir(state.StoreDir(i.dir, r.names.Group, r.names.Store, int32(p)))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, f := range files {
			if info, err := f.Info(); err == nil { // it may be gone by now
				all[p] += fmt.Sprintln(f.Name(), info.Size())
			}
		}
	}
	return all
}

// unjudged is a build that starts whatever the state and the committed offsets say of each other.
const unjudged = "WEIR_FAULT_BREAK=" + string(fault.JudgeOffsets)

func runInPeace(r *rig, broken string) {
	r.start(broken)
	r.warm()
}

// drowsy are flags of instances that are stopped before they have sent anything of a transaction. Batches are large, so that nothing is
// sent before: the heir would wait for its end. How long another takes to do the work depends on how busy the machine is, and the
// sleeper must not have given its transaction up when it wakes. More than 15 minutes brokers do not allow.
var drowsy = []string{"--batch.size", "1MiB", "--transaction.timeout.ms", "900000"}

// wakeAZombie stops a drowsy instance that is about to send a transaction, until another has done its work.
func wakeAZombie(r *rig, broken, heir string) {
	sleeper := r.start(broken, "WEIR_FAULT_STOP_AT="+string(fault.BeforeFlush)+":10")
	for !strings.Contains(sleeper.tail(50), "fault: stopped") {
		if !sleeper.Running() || time.Since(r.began) > drainBound {
			r.t.Fatalf("%s did not stop:\n%s", sleeper.name, sleeper.tail(20))
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.start(heir)
	r.flow(3000)
	sleeper.Signal(syscall.SIGCONT)
	r.await("the sleeper to come back", func(p oracle.Progress) bool { return p.Members == 2 && p.Assignment != "" })
}

func killWithABacklog(r *rig, broken string) {
	r.awaitWithin(drainBound, "a backlog", func(p oracle.Progress) bool { return p.Left > 40_000 })
	i := r.start(broken, "WEIR_FAULT_AT="+string(fault.AfterEnd)+":8")
	if !i.ended(drainBound) {
		r.t.Fatalf("%s did not come to its end:\n%s", i.name, i.tail(20))
	}
	i.launch(r.t, unjudged)
	r.flow(500)
}
