//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weirstream/weir/integration/internal/proxy"
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/oracle"
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
				r.drained()
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
	r.drained()
	if report := r.verdict(); report.Counts[oracle.DuplicatedOutput] == 0 {
		t.Errorf("outputs written twice were to be found:\n%s", report)
	}
}

// A restore that ends at the last record waits for ever: after the last record there is a marker.
func TestARestoreThatDoesNotGoByPositionIsFound(t *testing.T) {
	r := newRig(t, rigOptions{static: true})
	i := r.start()
	r.warm()
	r.awaitWithin(drainBound, "a changelog for each task", func(oracle.Progress) bool { // an empty one is restored at once
		ends, err := r.admin.ListCommittedOffsets(r.context(drainBound), r.names.Changelog)
		empty := 0
		ends.Each(func(end kadm.ListedOffset) {
			if end.Err != nil || end.Offset == 0 {
				empty++
			}
		})
		return err == nil && len(ends[r.names.Changelog]) == r.opts.partitions && empty == 0
	})
	i.kill()
	r.removeState(i)
	i.launch(t, "WEIR_FAULT_BREAK="+string(fault.RestoreToPosition))
	const atOnce = 2 // a worker restores one task after the other
	r.awaitWithin(drainBound, "restores that stand still before their end", func(oracle.Progress) bool {
		if n, err := i.metric(r.context(drainBound), "weir_tasks", `state="running"`); err == nil && n > 0 {
			t.Fatalf("%v tasks run:\n%s", n, i.tail(10))
		}
		return r.standing(i) == atOnce
	})
}

// standing is of how many changelogs an instance has said that it has read something, and reads nothing more.
func (r *rig) standing(i *instance) int {
	r.t.Helper()
	still := map[string]bool{}
	for line := range strings.Lines(i.life()) {
		if !strings.Contains(line, "  restoring: no progress") || !strings.HasSuffix(line, "}\n") {
			continue
		}
		var restore struct {
			Changelog     string
			Position, End int64
		}
		if err := json.Unmarshal([]byte(line[strings.Index(line, "{"):]), &restore); err != nil {
			r.t.Fatalf("%v: %s", err, line)
		}
		still[restore.Changelog] = restore.Position > 0 && restore.Position < restore.End
	}
	n := 0
	for _, is := range still {
		if is {
			n++
		}
	}
	return n
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
	r.awaitWithin(drainBound, "both workers to wait", func(oracle.Progress) bool { return r.cluster.strikes()[held]-before >= workers })
	r.awaitWithin(drainBound, "a database with what is not committed", func(oracle.Progress) bool { return r.ahead(i) }) // stores are written every few seconds
	i.kill()
	r.cluster.inject(0)
	i.launch(r.t, unjudged)
	r.flow(500)
}

// ahead says whether one of the databases of a running instance's stores has, on disk, what a transaction that is still open has written to its
// changelog.
func (r *rig) ahead(i *instance) bool {
	r.t.Helper()
	now := filepath.Join(r.t.TempDir(), "now")
	if err := os.CopyFS(now, os.DirFS(i.dir)); err != nil {
		return false // LevelDB deletes files while they are copied
	}
	defer os.RemoveAll(now)
	stores, err := oracle.ReadStores(i.name, now, r.names)
	if err != nil {
		return false
	}
	stable, err := r.admin.ListCommittedOffsets(r.context(drainBound), r.names.Changelog)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(stores, func(s oracle.StoreDump) bool {
		end, ok := stable.Lookup(r.names.Changelog, s.Partition)
		return ok && end.Err == nil && s.HasCheckpoint && s.Checkpoint > end.Offset
	})
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
	r.awaitWithin(drainBound, "the sleeper to come back", func(p oracle.Progress) bool { return p.Members == 2 && p.Assignment != "" })
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
