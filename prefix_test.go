package weir_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/topology"
)

// TestEnvironmentsShareACluster runs one topology for two environments and without a prefix, with the same handles, on one cluster and
// in one state folder. Each has topics, a group, transactional ids and state of its own, but for the stream that all share; its own dead
// letters are not in the shared stream's. Then the offsets of one are shown and set back, which leaves its recorded reset with it.
//
// Mutations, each seen to fail it: Names without the prefix for topics, dead letters, changelogs, the group, and the topic of jobs; a
// group without it in the state's folder; Unprefixed ignored.
func TestEnvironmentsShareACluster(t *testing.T) {
	c, dir := newCluster(t), t.TempDir()
	rates := topology.Stream("rate.changed.v1", codecs.Int64(), topology.Unprefixed(), topology.Partitions(1))
	sales := topology.Stream("sale.made.v1", codecs.Int64(), topology.Partitions(1))
	sums := topology.Stream("sale.summed.v1", codecs.Int64(), topology.Partitions(1))
	store := topology.Store("sums", codecs.Int64())
	graph := topology.Define("sums", topology.Node("sum", topology.On(sales, func(ctx topology.Context, key string, v int64) error {
		sum, err := store.Get(ctx, key)
		store.Set(ctx, key, sum+v)
		sums.Emit(ctx, key, sum+v)
		return err
	}), topology.Uses(store), topology.Emits(sums)), topology.Node("rate", topology.On(rates, func(ctx topology.Context, key string, v int64) error {
		sums.Emit(ctx, key, v)
		return nil
	}), topology.Emits(sums)))
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	environments := []string{"", "staging.", "test-"}
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		for _, prefix := range environments {
			go func() {
				ended <- weir.Run(ctx, graph, weir.Options{Brokers: []string{c.addr}, TopicPrefix: prefix, CreateTopics: true, StateDir: dir, Workers: 1,
					Settings: map[string]string{"replication-factor": "1"}})
			}()
		}
		return func() {
			cancel()
			for range environments {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
	}
	stop := start()
	shared := "rate.changed.v1"
	want := []string{shared}
	for _, prefix := range environments {
		for _, name := range []string{"sale.made.v1", "sale.summed.v1", "sale.made.v1.dlq", "rate.changed.v1.dlq", "sums-sums-changelog", "_weir.status"} {
			want = append(want, prefix+name)
		}
	}
	slices.Sort(want)
	c.until("all topics are there", func() bool {
		topics, err := admin.ListTopics(t.Context())
		return err == nil && slices.Equal(topics.Names(), want)
	})
	produce := func(topic, value string) {
		t.Helper()
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for i, prefix := range environments {
		produce(prefix+"sale.made.v1", fmt.Sprint(i+1))
		produce(prefix+"sale.made.v1", "poison")
	}
	produce(shared, "9")
	produce(shared, "poison")
	for i, prefix := range environments {
		got := c.read(prefix+"sale.summed.v1", 2)
		if slices.Sort(got); !slices.Equal(got, []string{fmt.Sprintf("k %d", i+1), "k 9"}) {
			t.Errorf("%q: %q", prefix, got)
		}
		c.read(prefix+"sale.made.v1.dlq", 1)
		c.read(prefix+"rate.changed.v1.dlq", 1)
	}
	groups, err := admin.ListGroups(t.Context())
	if err != nil || !slices.Equal(groups.Groups(), []string{"staging.sums", "sums", "test-sums"}) {
		t.Errorf("groups %v, %v", groups.Groups(), err)
	}
	txns, err := admin.ListTransactions(t.Context(), nil, nil)
	ids := strings.Join(txns.TransactionalIDs(), " ")
	for _, prefix := range environments {
		if err != nil || !strings.Contains(" "+ids, " "+prefix+"sums-") {
			t.Errorf("transactional ids %s, %v: none begins with %ssums-", ids, err, prefix)
		}
		if found, _ := filepath.Glob(filepath.Join(dir, prefix+"sums", "sums", "*", "CURRENT")); len(found) != 1 {
			t.Errorf("%q has the state %v", prefix, found)
		}
	}
	stop()

	offsets := func(args ...string) string {
		t.Helper()
		cmd := weir.Command(graph)
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(append(append([]string{"offsets"}, args...), "--brokers", c.addr, "--topic.prefix", "staging."))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out.String())
		}
		return out.String()
	}
	if out := offsets("show"); !strings.Contains(out, "staging.sale.made.v1") || strings.Contains(out, "test-") {
		t.Errorf("offsets show: %s", out)
	}
	offsets("reset", "--to", "earliest", "--why", "again", "--execute")
	jobs, err := c.wire.Topics(t.Context(), []string{"staging._weir.jobs", "_weir.jobs"})
	if _, own := jobs["staging._weir.jobs"]; err != nil || !own || len(jobs) != 1 {
		t.Errorf("topics of jobs %v, %v", jobs, err)
	}
	stop = start() // and the one that was set back does it again, as its recorded reset allows
	if got := c.read("staging.sale.summed.v1", 4); !slices.Contains(got, "k 4") {
		t.Errorf("after the reset: %q", got)
	}
	stop()
	for _, prefix := range []string{"", "test-"} {
		if got := c.read(prefix+"sale.summed.v1", 2); len(got) != 2 {
			t.Errorf("%q did it again, too: %q", prefix, got)
		}
	}
}
