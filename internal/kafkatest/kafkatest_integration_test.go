//go:build integration && unix

package kafkatest

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestOneNodeServesAndComesBackWithItsData(t *testing.T) {
	began := time.Now()
	c := Start(t, Options{})
	t.Logf("started in %v", time.Since(began).Round(100*time.Millisecond))
	c.NeedNodes(t)
	newTopic(t, c, "a", 1, 1)
	write(t, c, "a", "1")
	node := c.Brokers()[0]
	for _, down := range []func() error{node.Kill, node.Stop} {
		if err := down(); err != nil {
			t.Fatal(err)
		}
		if node.Running() {
			t.Error("it still runs")
		}
		if conn, err := net.Dial("tcp", node.Addr); err == nil {
			_ = conn.Close()
			t.Error("its port is still open")
		}
		if err := node.Start(within(t, 3*time.Minute)); err != nil {
			t.Fatal(err)
		}
		write(t, c, "a", "more")
	}
	if got := read(t, c, "a", 3); !slices.Equal(got, []string{"1", "more", "more"}) {
		t.Errorf("got %q", got)
	}
}

func TestThreeBrokersSurviveTheLossOfAnyNode(t *testing.T) {
	began := time.Now()
	c := Start(t, Options{Brokers: 3})
	t.Logf("started in %v", time.Since(began).Round(100*time.Millisecond))
	c.NeedNodes(t)
	if len(c.Brokers()) != 3 || len(c.Controllers()) != 3 {
		t.Fatalf("%d brokers, %d controllers", len(c.Brokers()), len(c.Controllers()))
	}
	newTopic(t, c, "a", 1, 3)
	write(t, c, "a", "1")

	lookups := []struct {
		what string
		find func(context.Context) (*Node, error)
	}{
		{"leader", func(ctx context.Context) (*Node, error) { return c.Leader(ctx, "a", 0) }},
		{"group coordinator", func(ctx context.Context) (*Node, error) { return c.Coordinator(ctx, "g") }},
		{"transaction coordinator", func(ctx context.Context) (*Node, error) { return c.TxnCoordinator(ctx, "tx") }},
		{"controller", c.Controller},
	}
	want := []string{"1"}
	for _, l := range lookups {
		node, err := l.find(within(t, 3*time.Minute))
		if err != nil || node == nil {
			t.Fatalf("%s: %v, %v", l.what, node, err)
		}
		if err := node.Kill(); err != nil {
			t.Fatal(err)
		}
		await(t, "another node is "+l.what, func(ctx context.Context) bool {
			other, err := l.find(ctx)
			return err == nil && other != node
		})
		write(t, c, "a", l.what)
		want = append(want, l.what)
		if err := node.Start(within(t, 3*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, c, "a", len(want)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}

	// A paused broker falls out of the in-sync replicas, and returns.
	leader, err := c.Leader(within(t, 3*time.Minute), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := leader.Pause(); err != nil {
		t.Fatal(err)
	}
	await(t, "the paused broker leaves the in-sync replicas", func(ctx context.Context) bool {
		isr, err := c.ISR(ctx, "a", 0)
		return err == nil && len(isr) == 2 && !slices.Contains(isr, leader.ID)
	})
	write(t, c, "a", "without it")
	if err := leader.Continue(); err != nil {
		t.Fatal(err)
	}
	await(t, "it returns to the in-sync replicas", func(ctx context.Context) bool {
		isr, err := c.ISR(ctx, "a", 0)
		return err == nil && len(isr) == 3
	})
}

// Mutation: child without Pdeathsig.
func TestNodesDieWithTheProcessThatStartedThem(t *testing.T) {
	Require(t)
	if existing() != nil {
		t.Skip("WEIR_KAFKA_BROKERS is set: nothing is started")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WEIR_TEST_HOST_OF_CLUSTER=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
	if !ok {
		t.Fatal(line)
	}
	defer os.RemoveAll(dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	await(t, "its node has ended too", func(context.Context) bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
}

func TestANodeThatCannotStartSaysWhy(t *testing.T) {
	Require(t)
	if existing() != nil {
		t.Skip("WEIR_KAFKA_BROKERS is set: nothing is started")
	}
	began := time.Now()
	_, err := Run(within(t, 5*time.Minute), Options{Config: map[string]string{"offsets.topic.num.partitions": "none"}})
	if err == nil || !strings.Contains(err.Error(), "offsets.topic.num.partitions") {
		t.Fatalf("got %v", err)
	}
	if time.Since(began) > 3*time.Minute {
		t.Error("it waited for a node that had ended")
	}
	// The folder is named, for its logs.
	i := strings.Index(err.Error(), os.TempDir())
	if i < 0 {
		t.Fatal(err)
	}
	dir, _, _ := strings.Cut(err.Error()[i:], ":")
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// await asks again until the answer is yes: a cluster offers nothing to wait on.
func await(t *testing.T, what string, ok func(context.Context) bool) {
	t.Helper()
	ctx := within(t, 3*time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func newTopic(t *testing.T, c *Cluster, topic string, partitions int32, replicas int16) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, partitions, replicas
	req.Topics, req.TimeoutMillis = append(req.Topics, rt), 10_000
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	res, err := req.RequestWith(within(t, 3*time.Minute), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(res.Topics[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, c *Cluster, topic, value string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.UnknownTopicRetries(100), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(within(t, 3*time.Minute), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *Cluster, topic string, n int) (values []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for len(values) < n {
		fetches := client.PollFetches(within(t, 3*time.Minute))
		if err := fetches.Err0(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}
