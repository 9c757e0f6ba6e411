//go:build integration

package integration

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// Exit codes (docs/exit-codes.md).
const (
	exitFailed  = 1
	exitRefused = 3
)

// Records that retention took before they were processed cannot be brought back. The policy is auto.offset.reset:
// "none" stops the instance, "earliest" goes on after the gap, logs it and counts it.
func TestTruncatedInputIsNeverSilent(t *testing.T) {
	r := newRig(t, rigOptions{args: []string{"--auto.offset.reset", "none"}})
	r.setOffsetsToStart() // with none, a group must have offsets
	i := r.start()
	r.warm()
	i.kill()
	r.awaitBacklog(3000)
	before := r.read(r.names.Input)
	committed := r.committed()
	var cut kadm.Offsets
	var gone int64
	for p := range before {
		to := committed[p] + (before[p].HighWatermark-committed[p])/2
		gone += to - committed[p]
		cut.Add(kadm.Offset{Topic: r.names.Input, Partition: int32(p), At: to})
	}
	if _, err := r.admin.DeleteRecords(r.context(30*time.Second), cut); err != nil {
		t.Fatal(err)
	}

	i.launch(t)
	if !i.ended(drainBound) || i.Code == 0 || !strings.Contains(i.tail(3), "gone") {
		t.Fatalf("with auto.offset.reset=none the instance must stop and say why; exit code %d:\n%s", i.Code, i.tail(10))
	}
	i.args[slices.Index(i.args, "none")] = "earliest"
	r.strike("input truncated under the consumer", func() { i.launch(t) })
	r.flow(1000)
	r.awaitMetric(i, gone, "weir_input_gap_offsets_total") // each partition comes to its gap at its own time
	if !i.logged("reading goes on after the gap") {
		t.Error("the gap is not in the log")
	}

	// What was processed before, and what is left behind the gap, is the input that counts.
	r.amend = func(e *oracle.Evidence) {
		for p := range e.Inputs {
			old := before[p].Records
			old = old[:slices.IndexFunc(old, func(rec oracle.Record) bool { return rec.Offset >= committed[p] })]
			e.Inputs[p].Records = append(slices.Clone(old), e.Inputs[p].Records...)
		}
	}
	r.settle()
}

// With more partitions, keys belong elsewhere than their state lies. The instance must stop rather than start new totals.
func TestAddedPartitionsAreRefused(t *testing.T) {
	r := newRig(t, rigOptions{args: []string{"--metadata.max.age.ms", "2000"}})
	i := r.start()
	r.warm()
	if _, err := r.admin.UpdatePartitions(r.context(30*time.Second), r.opts.partitions+2, r.names.Input); err != nil {
		t.Fatal(err)
	}
	if !i.ended(drainBound) || i.Code != exitRefused || !strings.Contains(i.tail(3), "partition") {
		t.Fatalf("exit code %d, wanted %d:\n%s", i.Code, exitRefused, i.tail(10))
	}
	i.launch(t)
	if !i.ended(drainBound) || i.Code != exitRefused {
		t.Errorf("started again: exit code %d, wanted %d:\n%s", i.Code, exitRefused, i.tail(10))
	}
	if err := r.feed.Stop(); err != nil {
		t.Fatal(err)
	}
	r.feed = nil
	r.judge()
}

// impatient instances give a write up within seconds.
var impatient = []string{"--request.timeout.ms", "4000", "--delivery.timeout.ms", "8000"}

// A dead letter that cannot be written must hold its partition up, not vanish. The instance stays, says why, and goes on when
// the topic is there again.
//
// Mutation tried: a dead-letter topic that is missing is passed over.
func TestAMissingDeadLetterTopicLosesNothing(t *testing.T) {
	r := newRig(t, rigOptions{args: impatient})
	i := r.start()
	r.warm()
	r.pauseFeed()
	letters := r.readDecided(r.names.DeadLetter)
	r.deleteTopic(r.names.DeadLetter)
	r.resumeFeed()
	r.strike("the dead-letter topic is deleted", func() {
		r.awaitLog(i, "write to "+r.names.DeadLetter)
		r.createTopic(r.names.DeadLetter, nil)
		r.awaitTopics(r.names.DeadLetter)
	})
	r.amend = func(e *oracle.Evidence) { e.DeadLetters = append(letters, e.DeadLetters...) }
	r.settle()
}

// awaitLog waits until a running instance has said something in this life.
func (r *rig) awaitLog(i *instance, text string) {
	r.t.Helper()
	for deadline := time.Now().Add(drainBound); !strings.Contains(i.life(), text); time.Sleep(50 * time.Millisecond) {
		if !i.Running() || time.Now().After(deadline) {
			r.t.Fatalf("%s does not say %q; exit code %d:\n%s", i.name, text, i.Code, i.tail(10))
		}
	}
}

// awaitMetric waits until the samples of a metric add up to what they must. One that went past it fails.
func (r *rig) awaitMetric(i *instance, want int64, name string, words ...string) {
	r.t.Helper()
	for deadline := time.Now().Add(drainBound); ; time.Sleep(50 * time.Millisecond) {
		n, err := i.metric(r.t.Context(), name, words...)
		if err == nil && int64(n) == want {
			return
		}
		if int64(n) > want || !i.Running() || time.Now().After(deadline) {
			r.t.Fatalf("%s of %s is %v, want %d (%v)", name, i.name, n, want, err)
		}
	}
}

// Without its changelog a store has no truth to be restored from. Nothing may be committed without one: the instance waits.
// One that was made anew must not pass for the old one, neither under the running instance nor at a start, not even when it
// was filled again and the checkpoints lie within it: only its id tells. Where no store of the old one is left, the new one is
// what counts.
//
// Mutation tried: a database takes any topic id (the one that was filled again is not refused).
func TestADeletedChangelogIsNoticed(t *testing.T) {
	r := newRig(t, rigOptions{args: impatient})
	i := r.start()
	r.warm()
	r.pauseFeed()
	changelog := r.readDecided(r.names.Changelog)
	committed := r.committed()
	r.deleteTopic(r.names.Changelog)
	r.resumeFeed()
	r.awaitLog(i, "write to "+r.names.Changelog)
	for _, content := range []string{"empty", "as long as the old one"} {
		if content == "empty" {
			r.createTopic(r.names.Changelog, compacted(nil))
			r.awaitTopics(r.names.Changelog)
		} else {
			r.refill(r.names.Changelog, changelog)
			i.launch(t)
		}
		if !i.ended(drainBound) || i.Code != exitRefused || !strings.Contains(i.life(), "made again") {
			t.Fatalf("the new changelog, %s, must be refused; exit code %d, wanted %d:\n%s", content, i.Code, exitRefused, i.tail(10))
		}
	}
	if now := r.committed(); !maps.Equal(asMap(now), asMap(committed)) {
		t.Errorf("offsets were committed without a changelog: %v, then %v", committed, now)
	}
	r.strike("the changelog is a copy, and the operator says that it may be taken", func() { i.launch(t, "WEIR_ACCEPT_EMPTY_STATE=true") })
	r.settle()
}

// refill writes the committed records of old logs to a topic that was made in the place of theirs. Where markers and
// aborted records were, the last record is written again, so that the new logs are not shorter.
func (r *rig) refill(topic string, old []oracle.Log) {
	r.t.Helper()
	client := r.producer()
	var failed kgo.FirstErrPromise
	for p := range old {
		var rec *kgo.Record
		n := int64(0)
		write := func() {
			client.Produce(r.t.Context(), &kgo.Record{Topic: topic, Partition: int32(p), Key: rec.Key, Value: rec.Value}, failed.Promise())
			n++
		}
		for was := range old[p].Committed {
			rec = &kgo.Record{Key: []byte(was.Key), Value: was.Value}
			write()
		}
		for rec != nil && n < old[p].HighWatermark {
			write()
		}
	}
	if err := errors.Join(client.Flush(r.context(drainBound)), failed.Err()); err != nil {
		r.t.Fatal(err)
	}
}

func asMap(offsets []int64) map[int]int64 { return maps.Collect(slices.All(offsets)) }

// pauseFeed stops the feed and waits until everything is worked off.
func (r *rig) pauseFeed() {
	r.t.Helper()
	r.feed.Pause()
	r.drained()
}

func (r *rig) resumeFeed() { r.feed.Resume() }

func (r *rig) awaitBacklog(n int64) {
	r.t.Helper()
	r.awaitWithin(drainBound, "a backlog", func(p oracle.Progress) bool { return p.Left >= n })
}

func (r *rig) read(topic string) []oracle.Log {
	r.t.Helper()
	logs, err := oracle.ReadTopic(r.context(60*time.Second), r.cluster.brokers(), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	return logs
}

// readDecided reads a topic at rest. Offsets can be seen before the markers of their transaction are everywhere.
func (r *rig) readDecided(topic string) []oracle.Log {
	r.t.Helper()
	for deadline := time.Now().Add(drainBound / 2); ; time.Sleep(50 * time.Millisecond) {
		logs := r.read(topic)
		if !slices.ContainsFunc(logs, func(l oracle.Log) bool { return l.LastStable < l.HighWatermark }) {
			return logs
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("a transaction stays open in %s", topic)
		}
	}
}

func (r *rig) committed() []int64 {
	r.t.Helper()
	e, err := oracle.Collect(r.context(60*time.Second), r.cluster.brokers(), r.names)
	if err != nil {
		r.t.Fatal(err)
	}
	return e.Committed
}

func (r *rig) setOffsetsToStart() {
	r.t.Helper()
	var zero kadm.Offsets
	for p := range r.opts.partitions {
		zero.Add(kadm.Offset{Topic: r.names.Input, Partition: int32(p), LeaderEpoch: -1})
	}
	if err := r.admin.CommitAllOffsets(r.context(30*time.Second), r.names.Group, zero); err != nil {
		r.t.Fatal(err)
	}
}
