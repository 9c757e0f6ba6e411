//go:build integration

package integration

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/oracle"
)

// Input that is read again, or written again, has no new effect: the job deduplicates.
func TestReplayedInputHasNoNewEffect(t *testing.T) {
	r := newRig(t, rigOptions{interval: 200 * time.Millisecond, perSecond: 3000})
	i := r.start()
	r.flow(10_000)
	r.settle()
	before := r.evidence
	r.again = true

	// The group's offsets go back, by another distance in each partition.
	var back kadm.Offsets
	var ranges []oracle.Range
	for p, committed := range before.Committed {
		from := committed * int64(p) / int64(len(before.Committed))
		back.Add(kadm.Offset{Topic: r.names.Input, Partition: int32(p), At: from, LeaderEpoch: -1})
		ranges = append(ranges, oracle.Range{Partition: int32(p), From: from, To: committed})
	}
	if err := r.admin.CommitAllOffsets(r.context(30*time.Second), r.names.Group, back); err != nil {
		t.Fatal(err)
	}
	// Set by another client than Weir's, that is a disagreement with the state: it takes a record of who wanted it.
	accept := exec.Command(plain(), "offsets", "accept", "--brokers", strings.Join(r.cluster.brokers(), ","), "--why", "a test reads again", "--execute")
	if out, err := accept.CombinedOutput(); err != nil {
		t.Fatalf("offsets accept: %v\n%s", err, out)
	}
	i.launch(t)
	r.drained()
	if err := i.stop(); err != nil {
		t.Error(err)
	}
	r.gather()
	if report := oracle.CheckReplay(before, r.evidence, ranges); !report.OK() {
		t.Errorf("after reading %v again:\n%s", ranges, report)
	} else {
		t.Logf("read again %v\n%s", ranges, report)
	}

	// And records of the input are written once more, as a producer does that lost its memory.
	i.launch(t)
	again := r.producer()
	var failed kgo.FirstErrPromise
	for p := range before.Inputs {
		records := before.Inputs[p].Records
		for _, rec := range records[len(records)/3 : len(records)/2] {
			again.Produce(t.Context(), &kgo.Record{Topic: r.names.Input, Partition: int32(p), Key: []byte(rec.Key), Value: rec.Value}, failed.Promise())
		}
	}
	if err := errors.Join(again.Flush(r.context(drainBound)), failed.Err()); err != nil {
		t.Fatal(err)
	}
	r.drained()
	if err := i.stop(); err != nil {
		t.Error(err)
	}
	r.gather()
	for p := range before.Outputs {
		was, is := slices.Collect(before.Outputs[p].Committed), slices.Collect(r.evidence.Outputs[p].Committed)
		if len(was) != len(is) {
			t.Errorf("output partition %d had %d records and has %d", p, len(was), len(is))
		}
	}
}

// producer writes to the partitions that it is told.
func (r *rig) producer(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(r.cluster.brokers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(client.Close)
	return client
}
