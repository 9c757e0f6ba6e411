package oracle

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/state"
)

func broker(t *testing.T, topics ...string) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func client(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func write(t *testing.T, cl *kgo.Client, topic string, partition int32, keys ...string) {
	t.Helper()
	for _, key := range keys {
		r := &kgo.Record{Topic: topic, Partition: partition, Key: []byte(key), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func fates(log *Log) (s []string) {
	for _, r := range log.Records {
		s = append(s, fmt.Sprintf("%d %s %s", r.Offset, r.Key, r.Fate))
	}
	return s
}

// Mutation: decide all open records by any producer's marker: "d" is committed then.
func TestMarkersDecideWhichRecordsAreCommitted(t *testing.T) {
	brokers := broker(t, "out")
	ctx := t.Context()
	one := client(t, brokers, kgo.TransactionalID("one"))
	two := client(t, brokers, kgo.TransactionalID("two"))
	begin := func(cl *kgo.Client) {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
	}
	end := func(cl *kgo.Client, how kgo.TransactionEndTry) {
		if err := cl.EndTransaction(ctx, how); err != nil {
			t.Fatal(err)
		}
	}
	begin(one)
	begin(two)
	write(t, one, "out", 0, "a", "b")
	write(t, two, "out", 0, "c")
	end(one, kgo.TryAbort)
	begin(one)
	write(t, one, "out", 0, "d")
	end(two, kgo.TryCommit)
	write(t, client(t, brokers), "out", 0, "e")

	logs, err := ReadTopic(ctx, brokers, "out")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"0 a aborted", "1 b aborted", "2 c committed", "4 d open", "6 e committed"}
	if got := fates(&logs[0]); !slices.Equal(got, want) {
		t.Errorf("%v, wanted %v", got, want)
	}
	log := logs[0]
	if log.Aborts != 1 || log.Commits != 1 || !log.Whole || log.HighWatermark != 7 || log.LastStable != 4 {
		t.Errorf("%d aborts, %d commits, whole %v, end %d, stable %d", log.Aborts, log.Commits, log.Whole, log.HighWatermark, log.LastStable)
	}
	if r := log.Records[0]; r.Headers[0].Key != "h" || string(r.Value) != "v" {
		t.Errorf("record %+v", r)
	}
	if len(logs[1].Records) != 0 || !logs[1].Whole {
		t.Errorf("empty partition: %+v", logs[1])
	}

	end(one, kgo.TryCommit)
	if logs, err = ReadTopic(ctx, brokers, "out"); err != nil {
		t.Fatal(err)
	}
	if log = logs[0]; log.LastStable != log.HighWatermark || log.Records[3].Fate != Committed {
		t.Errorf("after the end: %v, stable %d of %d", fates(&log), log.LastStable, log.HighWatermark)
	}
}

// Mutation: return the zero value for a partition without an offset.
func TestCollectReadsWhatAGroupHasCommitted(t *testing.T) {
	brokers := broker(t, ReferenceJob.Input, ReferenceJob.Output)
	cl := client(t, brokers)
	write(t, cl, ReferenceJob.Input, 1, "a", "b", "c")
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: ReferenceJob.Input, Partition: 1, At: 2, LeaderEpoch: -1})
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), ReferenceJob.Group, o); err != nil {
		t.Fatal(err)
	}
	e, err := Collect(t.Context(), brokers, ReferenceJob)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.Committed, []int64{-1, 2}) || len(e.Inputs[1].Records) != 3 || e.DeadLetters != nil {
		t.Errorf("committed %v, inputs %v, dead letters %v", e.Committed, fates(&e.Inputs[1]), e.DeadLetters)
	}
}

// Mutation: read uncommitted in the recorder.
func TestARecorderSeesCommittedRecordsAsTheyCome(t *testing.T) {
	brokers := broker(t, "out")
	r, err := StartRecorder(brokers, "out")
	if err != nil {
		t.Fatal(err)
	}
	tx := client(t, brokers, kgo.TransactionalID("tx"))
	for i, how := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		write(t, tx, "out", int32(i%2), fmt.Sprint("k", i))
		if err := tx.EndTransaction(t.Context(), how); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.CatchUp(ctx); err != nil {
		t.Error(err)
	}
	var got []string
	for _, s := range r.Stop() {
		got = append(got, fmt.Sprintf("%d/%d %s", s.Partition, s.Offset, s.Key))
	}
	if !slices.Equal(got, []string{"0/0 k0", "0/2 k2"}) {
		t.Errorf("saw %v", got)
	}
}

// Mutation: count committed offsets only of partitions that have any work left.
func TestAnObserverTellsProgressAndOpenTransactions(t *testing.T) {
	brokers := broker(t, ReferenceJob.Input)
	cl := client(t, brokers)
	write(t, cl, ReferenceJob.Input, 0, "a", "b", "c")
	write(t, cl, ReferenceJob.Input, 1, "d")
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: ReferenceJob.Input, Partition: 0, At: 2, LeaderEpoch: -1})
	offsets.Add(kadm.Offset{Topic: ReferenceJob.Input, Partition: 1, At: 1, LeaderEpoch: -1})
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), ReferenceJob.Group, offsets); err != nil {
		t.Fatal(err)
	}
	tx := client(t, brokers, kgo.TransactionalID("job-abc-0"))
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	write(t, tx, ReferenceJob.Input, 1, "e")

	o, err := Observe(brokers, ReferenceJob, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Stop()
	p, err := o.Await(t.Context(), "an answer", func(p Progress) bool { return p.Committed > 0 })
	if err != nil || p.Committed != 3 || p.Left != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if ids, err := o.OpenTransactions(t.Context(), "abc"); err != nil || !slices.Equal(ids, []string{"job-abc-0"}) {
		t.Errorf("open: %v, %v", ids, err)
	}
	if ids, _ := o.OpenTransactions(t.Context(), "xyz"); len(ids) != 0 {
		t.Errorf("open with another word: %v", ids)
	}
}

// Mutation: leave any one of the conditions out of Missing.
func TestARunThatShowsNothingIsVoid(t *testing.T) {
	full := func() *Vacuity {
		v := &Vacuity{}
		v.KilledInTransaction()
		v.Aborted(1)
		v.Rebalanced(1)
		v.Struck(Fault{Name: "kill", Left: 10, Before: 5, After: 15})
		return v
	}
	if missing := full().Missing(); len(missing) != 0 {
		t.Errorf("a full run lacks %v", missing)
	}
	for name, spoil := range map[string]func(*Vacuity){
		"no kill":             func(v *Vacuity) { v.KillsInTransaction = 0 },
		"no abort":            func(v *Vacuity) { v.AbortMarkers = 0 },
		"no rebalance":        func(v *Vacuity) { v.BusyRebalances = 0 },
		"no fault":            func(v *Vacuity) { v.Faults = nil },
		"no progress after":   func(v *Vacuity) { v.Struck(Fault{Name: "x", Left: 1, Before: 5, After: 5}) },
		"nothing left at end": func(v *Vacuity) { v.Struck(Fault{Name: "x", Left: 0, Before: 5, After: 6}) },
	} {
		v := full()
		spoil(v)
		if len(v.Missing()) != 1 {
			t.Errorf("%s: missing %v", name, v.Missing())
		}
	}
}

// Mutation: open the database itself instead of a copy: it is locked by its owner.
func TestStoresAreReadFromCopies(t *testing.T) {
	dir := t.TempDir()
	db, err := state.Open(state.Options{Dir: state.StoreDir(dir, ReferenceJob.Group, ReferenceJob.Store, 3)})
	if err != nil {
		t.Fatal(err)
	}
	store := keyed.Over(db, codecs.Bytes())
	defer store.Close()
	if err := store.Restore([]keyed.Entry{{Key: []byte("c-1"), Value: []byte("x")}}, 17); err != nil {
		t.Fatal(err)
	}
	dumps, err := ReadStores("i", dir, ReferenceJob)
	if err != nil || len(dumps) != 1 {
		t.Fatal(dumps, err)
	}
	if d := dumps[0]; d.Partition != 3 || d.Checkpoint != 17 || !d.HasCheckpoint || d.Entries["c-1"] != "x" || len(d.Entries) != 1 {
		t.Errorf("%+v", d)
	}
	if none, err := ReadStores("i", t.TempDir(), ReferenceJob); err != nil || none != nil {
		t.Errorf("no folder: %v, %v", none, err)
	}
}
