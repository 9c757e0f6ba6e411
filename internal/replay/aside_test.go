package replay

import (
	"context"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// TestAReplayRefusesWhatItWouldOvertake: records of parked keys, and, for a state that is rebuilt, those that were delayed or redriven.
//
// Mutation: settled that does not ask for keys.
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
		err := tool.settled(t.Context(), p, sub, reset)
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
	put(p.Redrive(in), "k", "v")
	says(false, "")
	says(true, "records wait in "+p.Redrive(in))
	all := kadm.Offsets{}
	for n := range int32(2) {
		all.Add(kadm.Offset{Topic: p.Redrive(in), Partition: n, At: 1})
	}
	if _, err := admin.CommitOffsets(t.Context(), "t", all); err != nil {
		t.Fatal(err)
	}
	says(true, "")
}
