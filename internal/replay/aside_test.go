package replay

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// TestAReplayRefusesWhatItWouldOvertake: records of parked keys, and those that were redriven and not read yet: for a state that is rebuilt all of them, else
// those of its range.
//
// Mutations: settled that does not ask for keys; unread that does not look at the ranges.
func TestAReplayRefusesWhatItWouldOvertake(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()[0]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	in := &plan.Stream{Name: "in.seen.v1"}
	sub := &plan.Subgraph{Inputs: []*plan.Stream{in}, Parked: &plan.Store{Name: "parked"}}
	sub.Stores = []*plan.Store{sub.Parked}
	p := plan.New("t", plan.Names{}, []*plan.Subgraph{sub})
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopics(t.Context(), 2, 1, nil, p.Changelog(sub.Parked), p.Redrive(in)); err != nil {
		t.Fatal(err)
	}
	c, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	tool := &Tool{Client: c}
	put := func(topic, key, value string) {
		t.Helper()
		r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
		if value == "" {
			r.Value = nil
		}
		if err := client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	says := func(reset bool, want string) {
		t.Helper()
		j := &Job{From: From{Topic: in.Name}}
		if reset {
			j.State.Mode = StateReset
		}
		err := tool.quiet(t.Context(), j, &Plan{graph: p, ranges: []Range{{Partition: 0, Start: 5, End: 8}}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("reset %v: %v, want %q", reset, err, want)
		}
	}
	says(true, "")
	put(p.Changelog(sub.Parked), "t", `{"keys":2,"records":5}`)
	says(false, "2 keys are parked in t-parked-changelog")
	put(p.Changelog(sub.Parked), "t", `{"keys":0,"records":0}`)
	says(true, "")
	put(p.Changelog(sub.Parked), "t", `{"keys":1}`)
	put(p.Changelog(sub.Parked), "t", "")
	says(true, "")
	redriven := func(offset int64) {
		t.Helper()
		r := &kgo.Record{Topic: p.Redrive(in), Key: []byte("k"), Value: []byte("v")}
		for _, h := range deadletter.Headers(nil, deadletter.Cause{Topology: "t", Topic: in.Name, Offset: offset, Err: errors.New("bad")}) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	redriven(8)
	says(false, "")
	says(true, "records wait in "+p.Redrive(in))
	redriven(5)
	says(false, "records of the range wait in "+p.Redrive(in))
	all := kadm.Offsets{}
	for n := range int32(2) {
		all.Add(kadm.Offset{Topic: p.Redrive(in), Partition: n, At: 2})
	}
	if _, err := admin.CommitOffsets(t.Context(), "t", all); err != nil {
		t.Fatal(err)
	}
	says(true, "")
}
