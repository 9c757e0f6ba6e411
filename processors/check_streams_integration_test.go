//go:build integration

package processors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// TestKafkaTakesWhatStreamsState creates topics as their streams state on a real broker, and starts again after one of them was changed.
// A broker that has no remote storage refuses a tiered topic before anything is created, in its own words.
//
// Mutation: the name remote.log.storage.enable.
func TestKafkaTakesWhatStreamsState(t *testing.T) {
	t.Parallel() // mostly it waits
	cluster := realCluster(t)
	name := fmt.Sprintf("states-%d", time.Now().UnixNano())
	in, out, tiered := name+".in.v1", name+".out.v1", name+".tiered.v1"
	seed, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(seed.Close)
	admin := kadm.NewClient(seed)

	// run starts an instance until it is ready, or until its start is refused.
	run := func(more ...topology.Target) (logs *observer.ObservedLogs, refused error) {
		t.Helper()
		from := topology.Stream(in, codecs.String(), topology.Partitions(3), topology.Retention(48*time.Hour))
		to := topology.Stream(out, codecs.String(), topology.Compacted(), topology.Retention(24*time.Hour))
		plan, err := topology.Define(name, topology.Node("n", topology.Emits(append(more, to)...),
			topology.On(from, func(topology.Context, string, string) error { return nil }))).Plan(plan.Names{})
		if err != nil {
			t.Fatal(err)
		}
		client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: cluster.Addrs()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		core, logs := observer.New(zapcore.InfoLevel)
		inst, err := New(plan, Options{Wire: Kafka(client), Workers: 1, Log: zap.New(core), Create: &Creation{Partitions: 1, ReplicationFactor: 1}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- inst.Run(ctx) }()
		for !inst.Ready() {
			select {
			case err := <-ended:
				return logs, err
			case <-time.After(50 * time.Millisecond):
			}
		}
		cancel()
		return logs, <-ended
	}

	_, refused := run(topology.Stream(tiered, codecs.String(), topology.Tiered()))
	if r, ok := errors.AsType[*RefusedTopologyError](refused); !ok || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "the cluster would not create topic "+tiered) ||
		!strings.Contains(r.Problems[0], "Tiered Storage functionality is disabled in the broker") {
		t.Fatalf("a tiered topic on a broker without remote storage: %v", refused)
	}
	topics, err := admin.ListTopics(t.Context(), in, out, tiered)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range topics {
		if d.Err == nil {
			t.Errorf("the refused start made %s", d.Topic)
		}
	}

	logs, err := run()
	if err != nil {
		t.Fatal(err)
	}
	if n := logs.FilterMessageSnippet("other settings").Len(); n != 0 {
		t.Errorf("%d warnings of topics that were just created", n)
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), in, out)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]string{}
	for _, topic := range configs {
		for _, c := range topic.Configs {
			has[topic.Name+" "+c.Key] = c.MaybeValue()
		}
	}
	for setting, want := range map[string]string{
		in + " cleanup.policy": "delete", in + " retention.ms": "172800000",
		out + " cleanup.policy": "compact,delete", out + " retention.ms": "86400000",
	} {
		if has[setting] != want {
			t.Errorf("%s is %q, want %q", setting, has[setting], want)
		}
	}

	short := "60000"
	if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: &short}}, out); err != nil {
		t.Fatal(err)
	}
	for value := ""; value != short; { // a broker learns of it in its own time
		configs, err := admin.DescribeTopicConfigs(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range configs[0].Configs {
			if c.Key == "retention.ms" {
				value = c.MaybeValue()
			}
		}
	}
	logs, err = run()
	if err != nil {
		t.Fatal(err)
	}
	warned := logs.FilterMessageSnippet("other settings").All()
	if len(warned) != 1 || fmt.Sprint(warned[0].ContextMap()["differs"]) != "[retention.ms is 60000, stated is 86400000]" {
		t.Errorf("warned: %v", warned)
	}

	if _, err := admin.UpdatePartitions(t.Context(), 4, in); err != nil {
		t.Fatal(err)
	}
	for { // and of these
		topics, err := admin.ListTopics(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if len(topics[in].Partitions) == 4 {
			break
		}
	}
	if _, refused := run(); refused == nil || !strings.Contains(refused.Error(), in+" has 4 partitions, but its stream states 3") {
		t.Errorf("another number of partitions: %v", refused)
	}
}
