//go:build integration

package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/integration/internal/job"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/oracle"
)

// The bounds within which progress must return when faults have ended. A killed member is missed after its session
// timeout, a transaction without an owner is aborted after the transaction timeout, and a leader is elected in between.
const (
	sessionTimeout     = 6 * time.Second
	transactionTimeout = 10 * time.Second
	recoveryBound      = sessionTimeout + transactionTimeout + 14*time.Second
	drainBound         = 5 * time.Minute // on a machine that does much else; nothing is judged by it
)

// rigOptions of a scenario. The zero value is two workers, exactly-once, a commit every second.
type rigOptions struct {
	atLeastOnce bool
	interval    time.Duration // of commits; seconds, so that kills land inside of transactions
	perSecond   int           // of the feed
	keys        int           // of the feed
	partitions  int
	args        []string          // further flags of every instance
	job         func() string     // the program of every instance, nil for the reference job
	static      bool              // instances are static members: one that starts again need not wait for its former self's session
	changelog   map[string]string // further settings of the changelog
}

// rig is one scenario: topics that are its own for the time, a feed, instances, and those who watch.
type rig struct {
	t        *testing.T
	opts     rigOptions
	dir      string
	began    time.Time
	cluster  *cluster
	names    oracle.Names
	admin    *kadm.Client
	feed     *job.Feed
	observer *oracle.Observer
	recorder *oracle.Recorder

	instances []*instance
	faults    []oracle.Fault
	moves     int                    // rebalances under load, noted already
	inside    int                    // kills inside an open transaction
	evidence  *oracle.Evidence       // of the last gather
	again     bool                   // input was read again, so that counts exceed it
	amend     func(*oracle.Evidence) // adds to the evidence what a fault has removed from Kafka
}

func newRig(t *testing.T, opts rigOptions) *rig {
	t.Helper()
	if opts.interval == 0 {
		opts.interval = time.Second
	}
	if opts.perSecond == 0 {
		opts.perSecond = 1000
	}
	if opts.keys == 0 {
		opts.keys = 2000
	}
	if opts.partitions == 0 {
		opts.partitions = 4
	}
	// The folder first: what is created first is removed last, and failures quote logs from it.
	r := &rig{t: t, opts: opts, dir: t.TempDir(), cluster: theCluster(t), names: oracle.ReferenceJob}
	if err := build(); err != nil { // before the feed: a build takes its time
		t.Fatal(err)
	}
	r.began = time.Now()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.brokers()...), kgo.MetadataMinAge(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r.admin = kadm.NewClient(client)
	r.wipe()
	r.createTopics()
	if r.observer, err = oracle.Observe(r.cluster.brokers(), r.names, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.observer.Stop() })
	if r.recorder, err = oracle.StartRecorder(r.cluster.brokers(), r.names.Output); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.recorder != nil {
			r.recorder.Stop()
		}
	})
	t.Cleanup(func() {
		for _, i := range r.instances {
			i.kill()
			if t.Failed() {
				t.Logf("last lines of %s:\n%s", i.name, i.tail(25))
			}
		}
	})
	r.feed = startFeed(t, r.cluster.brokers(), r.names.Input, opts.partitions, *seedFlag, opts.perSecond, opts.keys)
	t.Cleanup(func() {
		if r.feed != nil {
			r.feed.Abandon()
		}
	})
	return r
}

func (r *rig) context(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	r.t.Cleanup(cancel)
	return ctx
}

// start adds an instance with a state folder of its own and starts it.
func (r *rig) start(env ...string) *instance {
	r.t.Helper()
	name := fmt.Sprint("instance ", len(r.instances))
	return r.startIn(filepath.Join(r.dir, fmt.Sprint("state-", len(r.instances))), name, env...)
}

func (r *rig) startIn(dir, name string, env ...string) *instance {
	r.t.Helper()
	guarantee := "exactly_once"
	if r.opts.atLeastOnce {
		guarantee = "at_least_once"
	}
	i := &instance{name: name, dir: dir, log: filepath.Join(r.dir, fmt.Sprint("log-", len(r.instances)))}
	if r.opts.job != nil {
		i.job = r.opts.job()
	}
	i.args = []string{
		"--guarantee", guarantee, "--commit-interval", r.opts.interval.String(), "--workers", "2", "--state-dir", dir,
		"--http", kafkatest.FreeAddress(r.t), "--log-format", "console",
		"--session.timeout.ms", millis(sessionTimeout), "--heartbeat.interval.ms", millis(sessionTimeout / 4),
		"--transaction.timeout.ms", millis(transactionTimeout), "--request.timeout.ms", "10000",
		// Small batches leave at once and hold the transaction open from its first record on; large ones would be sent
		// at the commit, and kills between two commits would meet no transaction.
		"--batch.size", "1KiB",
	}
	for _, b := range r.cluster.proxied() {
		i.args = append(i.args, "--brokers", b)
	}
	if r.opts.static {
		i.args = append(i.args, "--group.instance.id", fmt.Sprint("i", len(r.instances)))
	}
	i.args = append(i.args, r.opts.args...)
	r.instances = append(r.instances, i)
	i.launch(r.t, env...)
	return i
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// warm waits until records flow, in every partition: a task that has committed nothing has nothing to lose or to restore.
func (r *rig) warm() {
	r.t.Helper()
	r.awaitWithin(drainBound, "the first commits", func(p oracle.Progress) bool { return p.Committed > 500 && p.Untouched == 0 })
	r.lap("records flow")
}

// lap logs how far the scenario is.
func (r *rig) lap(what string) {
	r.t.Helper()
	r.t.Logf("%6.1fs: %s", time.Since(r.began).Seconds(), what)
}

// flow waits until n more records were committed, however long a busy machine takes for them.
func (r *rig) flow(n int64) {
	r.t.Helper()
	r.flowWithin(n, drainBound)
}

func (r *rig) flowWithin(n int64, within time.Duration) {
	r.t.Helper()
	var from int64 = -1
	r.awaitWithin(within, fmt.Sprintf("%d more records", n), func(p oracle.Progress) bool {
		if from < 0 {
			from = p.Committed
		}
		return p.Committed >= from+n
	})
}

// await waits for something that must come within the recovery bound, awaitWithin within another.
func (r *rig) await(what string, holds func(oracle.Progress) bool) oracle.Progress {
	r.t.Helper()
	return r.awaitWithin(recoveryBound, what, holds)
}

// leastLooks is how often a bound looks before it judges, half of what an idle machine allows in 30 s. Where even the brokers answer the
// oracle late, the machine has no time for anybody, and nothing is said about Weir.
const leastLooks = 300

func (r *rig) awaitWithin(within time.Duration, what string, holds func(oracle.Progress) bool) oracle.Progress {
	r.t.Helper()
	began, looks := time.Now(), 0
	p, err := r.observer.Await(r.context(max(within, drainBound)), what, func(p oracle.Progress) bool {
		for _, i := range r.instances {
			if !i.down && !i.Running() {
				r.t.Fatalf("await %s: %s has ended by itself with exit code %d:\n%s", what, i.name, i.Code, i.tail(20))
			}
		}
		if holds(p) {
			return true
		}
		if looks++; looks >= leastLooks && time.Since(began) > within {
			r.t.Fatalf("await %s: not within %s, in %d looks; %d committed, %d left, %d members", what, within, looks, p.Committed, p.Left, p.Members)
		}
		return false
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// drained waits until the input is worked off, for as long as that goes on: how much there is of it depends on how busy the machine was.
func (r *rig) drained() {
	r.t.Helper()
	for p := (oracle.Progress{Committed: -1}); ; {
		before := p.Committed
		p = r.awaitWithin(drainBound, "the end of the input", func(p oracle.Progress) bool { return p.Left == 0 || p.Committed > before })
		if p.Left == 0 {
			return
		}
	}
}

// strike lets a fault happen, with its end, and demands that progress returns within the bound afterwards.
func (r *rig) strike(name string, fault func()) {
	r.t.Helper()
	before := r.awaitWithin(drainBound, "work in progress", func(p oracle.Progress) bool { return p.Left > 0 })
	began := time.Now()
	fault()
	struck := time.Now()
	healed, _ := r.observer.Last()
	after := r.await("progress after "+name, func(p oracle.Progress) bool {
		return p.Committed > max(before.Committed, healed.Committed)
	})
	r.faults = append(r.faults, oracle.Fault{Name: name, Left: before.Left, Before: before.Committed, After: after.Committed})
	r.lap(fmt.Sprintf("%s: struck at %d committed and %d left, lasted %s, progress %s later", name, before.Committed, before.Left,
		struck.Sub(began).Round(time.Millisecond), time.Since(struck).Round(time.Millisecond)))
}

// killInside kills an instance and notes whether its transaction was open. It tells the transactions.
func (r *rig) killInside(i *instance) []string {
	r.t.Helper()
	id := i.id(r.names.Group)
	i.kill()
	return r.noteOpen(id)
}

// noteOpen looks for transactions that a dead instance has left open. What it had sent before it died may still
// arrive: an end that was under way closes the transaction within a moment, and does not count.
func (r *rig) noteOpen(id string) []string {
	r.t.Helper()
	time.Sleep(200 * time.Millisecond)
	open, err := r.observer.OpenTransactions(r.context(10*time.Second), id)
	if err != nil {
		r.t.Logf("transactions of %s: %v", id, err)
	}
	if len(open) > 0 && id != "" {
		r.inside++
		vacuity.KilledInTransaction()
	}
	return open
}

// settle ends the scenario: the feed stops, everything is worked off within the bound, the instances stop in order,
// and the oracle judges. It returns when there was no violation.
func (r *rig) settle() *oracle.Report {
	r.t.Helper()
	if err := r.feed.Stop(); err != nil {
		r.t.Fatal(err)
	}
	r.feed = nil
	r.drained()
	r.lap("the input is worked off")
	return r.judge()
}

// judge stops what runs, asks the oracle, and demands that it finds nothing.
func (r *rig) judge() *oracle.Report {
	r.t.Helper()
	report := r.verdict()
	vacuity.Aborted(report.Aborts)
	vacuity.Rebalanced(r.observer.Moves() - r.moves)
	r.moves = r.observer.Moves()
	for _, f := range r.faults {
		vacuity.Struck(f)
	}
	r.faults = nil
	if !report.OK() {
		r.t.Errorf("seed %d\n%s", *seedFlag, report)
	} else {
		r.t.Log(report)
	}
	return report
}

// verdict stops what runs, which must end in order, and asks the oracle.
func (r *rig) verdict() *oracle.Report {
	r.t.Helper()
	for _, i := range r.instances {
		if !i.Running() {
			continue
		}
		if err := i.stop(); err != nil {
			r.t.Error(err)
		}
	}
	r.lap("the instances have stopped")
	r.gather()
	r.lap("the evidence is gathered")
	return oracle.Check(r.evidence)
}

// gather collects the evidence of a scenario at rest.
func (r *rig) gather() {
	r.t.Helper()
	ctx := r.context(drainBound)
	if r.recorder != nil {
		if err := r.recorder.CatchUp(ctx); err != nil {
			r.t.Error(err)
		}
	}
	r.decided(ctx)
	e, err := oracle.Collect(ctx, r.cluster.brokers(), r.names)
	if err != nil {
		r.t.Fatal(err)
	}
	e.AtLeastOnce = r.opts.atLeastOnce
	for _, i := range r.instances {
		stores, err := oracle.ReadStores(i.name, i.dir, r.names)
		if err != nil {
			r.t.Error(err)
		}
		e.Stores = append(e.Stores, stores...)
	}
	counts, known := oracle.Counts{}, len(r.instances) > 0
	for _, i := range r.instances {
		c, ok := i.counts()
		known = known && ok
		counts.Processed += c.Processed
		counts.Filtered += c.Filtered
		counts.Deduplicated += c.Deduplicated
		counts.DeadLettered += c.DeadLettered
	}
	if known && !r.opts.atLeastOnce && !r.again {
		e.Counts = &counts
	}
	if r.recorder != nil {
		e.Seen = slices.Clone(r.recorder.Stop())
		r.recorder = nil
	}
	if r.amend != nil {
		r.amend(e)
	}
	r.evidence = e
}

// decided waits until no transaction is open in what the job writes: offsets can be seen before the markers of their
// transaction are everywhere. One that stays open is for the oracle to find.
func (r *rig) decided(ctx context.Context) {
	topics := []string{r.names.Output, r.names.DeadLetter, r.names.Changelog}
	for deadline := time.Now().Add(drainBound / 2); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ends, err := r.admin.ListEndOffsets(ctx, topics...)
		stable, err2 := r.admin.ListCommittedOffsets(ctx, topics...)
		if err != nil || err2 != nil {
			continue
		}
		open := false
		ends.Each(func(end kadm.ListedOffset) {
			s, ok := stable.Lookup(end.Topic, end.Partition)
			open = open || !ok || s.Offset < end.Offset
		})
		if !open {
			return
		}
	}
}
