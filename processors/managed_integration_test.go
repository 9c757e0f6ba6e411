//go:build integration

package processors

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// TestAStaticMemberIsPausedOnARealKafka: its group is empty at once and takes offsets, it starts paused, and goes on where it was. The topics are
// made as they must be.
func TestAStaticMemberIsPausedOnARealKafka(t *testing.T) {
	t.Parallel() // mostly it waits
	g := newRealRig(t, realCluster(t))
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: g.cluster.Addrs(),
		Group: kafka.GroupTuning{SessionTimeout: 5 * time.Minute}}, nil) // far longer than the group may take to be empty
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dir := t.TempDir()
	start := func() (m *Managed, stop func()) {
		t.Helper()
		m, err := NewManaged(g.plan(), Options{Wire: Kafka(client), Workers: 1, StateDir: dir, InstanceID: "named", Static: true, Announce: true,
			Create: &Creation{Partitions: 1, ReplicationFactor: 1}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		return m, func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the instance ended with %v", err)
			}
		}
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for range 1800 {
			if is() {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("it did not come: %s", what)
	}
	m, stop := start()
	until("it runs", func() bool { return len(m.Unready()) == 0 })
	g.send(3)
	until("three records are processed", func() bool { return m.Stats().Processed == 3 })
	tool := &desired.Tool{Client: client, Topology: g.name, Who: "ann"}
	if _, err := tool.Set(t.Context(), desired.Operator, true, "a bad hour"); err != nil {
		t.Fatal(err)
	}
	if err := tool.Empty(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	until("it waits", func() bool {
		return m.Stats().Phase == Paused && m.Live() && len(m.Unready()) == 0 && len(m.Health()) == 0
	})
	until("it says so", func() bool {
		list, _, err := announced.List(t.Context(), client, plan.Names{}, g.name)
		return err == nil && len(list) == 1 && list[0].State == announced.Paused && !list[0].Gone && list[0].Holds[0].Why == "a bad hour"
	})
	var back kadm.Offsets // Kafka takes offsets from outside of a group only while it has no members
	back.Add(kadm.Offset{Topic: g.input, Partition: 0, At: 3, LeaderEpoch: -1, Metadata: metadataOf(t, g)})
	if answer, err := g.admin.CommitOffsets(t.Context(), g.name, back); err != nil || answer.Error() != nil {
		t.Errorf("offsets cannot be set: %v, %v", err, answer.Error())
	}
	stop()
	g.send(2)
	m, stop = start()
	defer func() { stop() }()
	until("it starts paused", func() bool { return m.Stats().Phase == Paused })
	if n, err := client.Members(t.Context(), g.name); err != nil || n != 0 {
		t.Errorf("%d members, %v", n, err)
	}
	if _, err := tool.Set(t.Context(), desired.Operator, false, "it is over"); err != nil {
		t.Fatal(err)
	}
	until("it goes on where it was", func() bool { return m.Stats().Processed == 2 })
	infos, err := client.Topics(t.Context(), []string{system.Status.Name, system.Desired.Name})
	if err != nil || infos[system.Status.Name].Config["retention.ms"] != "86400000" || system.Status.Check(infos[system.Status.Name]) != nil || system.Desired.Check(infos[system.Desired.Name]) != nil {
		t.Errorf("topics %+v, %v", infos, err)
	}
}

// metadataOf is that of the group's offset.
func metadataOf(t *testing.T, g *realRig) string {
	t.Helper()
	answer, err := g.admin.FetchOffsets(t.Context(), g.name)
	if err != nil {
		t.Fatal(err)
	}
	at, _ := answer.Lookup(g.input, 0)
	return at.Metadata
}
