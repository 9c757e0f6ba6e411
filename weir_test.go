package weir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// cluster is an embedded broker with a client for the test's own questions.
type cluster struct {
	*embedded.Broker
	t    *testing.T
	wire processors.Wire
	addr string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return clusterOn(t, embedded.Options{})
}

func clusterOn(t *testing.T, opts embedded.Options) *cluster {
	t.Helper()
	broker, err := embedded.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Broker: broker, t: t, addr: broker.Addrs()[0]}
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.wire = processors.Kafka(client)
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), broker.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// feed writes order number seq of customers 0 to n-1, and an undecodable record for every tenth.
func (c *cluster) feed(n int, seq int) {
	c.t.Helper()
	sink, err := c.wire.NewSink(c.t.Context(), "")
	if err != nil {
		c.t.Fatal(err)
	}
	defer sink.Close()
	for i := range n {
		key := fmt.Appendf(nil, "customer-%d", i)
		values := [][]byte{fmt.Appendf(nil, `{"event_id":"%d-%d","seq":%d,"customer":"customer-%d","amount_cents":%d}`, i, seq, seq, i, i)}
		if i%10 == 0 {
			values = append(values, []byte("poison"))
		}
		for _, value := range values {
			err = errors.Join(err, sink.Append(&kafka.Outgoing{
				TopicPartition: kafka.TopicPartition{Topic: "order.placed.v1", Partition: partitioner.Murmur2.Partition(key, 4)},
				Timestamp:      time.Now().UnixMilli(), Key: key, Value: value,
			}))
		}
	}
	if err := errors.Join(err, sink.Flush(c.t.Context())); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the values of the first n records of a topic, read-committed.
func (c *cluster) read(topic string, n int) []string {
	c.t.Helper()
	fetcher, err := c.wire.NewFetcher()
	if err != nil {
		c.t.Fatal(err)
	}
	defer fetcher.Close()
	records := make(chan string, 10*n+100)
	for p := range int32(4) {
		fetcher.Start(kafka.TopicPartition{Topic: topic, Partition: p}, kafka.At(0), func(b kafka.Batch) {
			for _, r := range b.Records {
				records <- string(r.Key) + " " + string(r.Value)
			}
			fetcher.Release(b.TopicPartition, b.Bytes)
		})
	}
	var values []string
	deadline := time.After(time.Minute)
	for len(values) < n {
		select {
		case v := <-records:
			values = append(values, v)
		case <-deadline:
			c.t.Fatalf("%s: %d records after a minute, want %d", topic, len(values), n)
		}
	}
	return values
}

// left is how many input records the group has not committed.
func (c *cluster) left() int64 {
	c.t.Helper()
	var inputs []kafka.TopicPartition
	for p := range int32(4) {
		inputs = append(inputs, kafka.TopicPartition{Topic: "order.placed.v1", Partition: p})
	}
	ends, err1 := c.wire.Ends(c.t.Context(), inputs)
	committed, err2 := c.wire.Committed(c.t.Context(), "customer-totals", inputs)
	if err := errors.Join(err1, err2); err != nil {
		c.t.Fatal(err)
	}
	left := int64(0)
	for _, tp := range inputs {
		left += ends[tp] - max(committed[tp].Offset, 0)
	}
	return left
}

func (c *cluster) runArgs(dir string) []string {
	return []string{"run", "--brokers", c.addr, "--state-dir", dir, "--create-topics", "--log-level", "error"}
}

// Mutation seen to fail this test: Command without its topologies.
func TestRunProcessesUntilItsContextEndsAndGoesOnTheNextTime(t *testing.T) {
	c, dir := newCluster(t), t.TempDir()
	for round := 1; round <= 2; round++ {
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		var err error
		done.Go(func() { err = weir.Execute(ctx, c.runArgs(dir), orders.Totals) })
		c.awaitTopics()
		c.feed(100, round)
		outputs := c.read("customer.total.v1", 100*round)
		c.read("order.placed.v1.dlq", 10*round)
		cancel()
		done.Wait()
		if err != nil || weir.ExitCode(err) != 0 {
			t.Fatalf("round %d: %v", round, err)
		}
		if left := c.left(); left != 0 {
			t.Errorf("round %d: %d records are not committed", round, left)
		}
		want := fmt.Sprintf(`customer-7 {"last_seq":%d,"count":%d,"sum_cents":%d}`, round, round, 7*round)
		if !strings.Contains(strings.Join(outputs, "\n")+"\n", want+"\n") {
			t.Errorf("round %d: no %s", round, want)
		}
	}
}

// awaitTopics returns when the job has made its topics.
func (c *cluster) awaitTopics() {
	c.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		infos, err := c.wire.Topics(c.t.Context(), []string{"order.placed.v1", "customer.total.v1", "order.placed.v1.dlq"})
		if err == nil && len(infos) == 3 {
			return
		}
		<-tick.C
	}
	c.t.Fatal("the topics were not made")
}

// What a first start makes itself, changelogs and dead letters, is not for the user to make.
//
// Mutation seen to fail this test: missingProblems lists every missing topic.
func TestMissingTopicsAreNamedWithTheWayOut(t *testing.T) {
	c := newCluster(t)
	err := weir.Execute(t.Context(), []string{"run", "--brokers", c.addr, "--state-dir", t.TempDir()}, orders.Totals)
	if weir.ExitCode(err) != 3 {
		t.Fatalf("exit code %d: %v", weir.ExitCode(err), err)
	}
	for name, wanted := range map[string]bool{
		"order.placed.v1 ": true, "customer.total.v1 ": true, "--create-topics": true,
		"order.placed.v1.dlq": false, "customer-totals-totals-changelog": false,
	} {
		if strings.Contains(err.Error(), name) != wanted {
			t.Errorf("%q is named: %v, want %v, in: %v", name, !wanted, wanted, err)
		}
	}
}

func TestAFatalErrorOfANodeIsExitCode4(t *testing.T) {
	c := newCluster(t)
	placed := topology.Stream("order.placed.v1", codecs.Bytes())
	stopping := topology.Define("stopping", topology.Node("stop", topology.On(placed, func(topology.Context, string, []byte) error {
		return topology.Fatal(errors.New("the licence has run out"))
	})))
	if err := c.wire.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: "order.placed.v1", Partitions: 4, ReplicationFactor: 1}}); err != nil {
		t.Fatal(err)
	}
	c.feed(1, 1)
	err := weir.Execute(t.Context(), c.runArgs(t.TempDir()), stopping)
	if weir.ExitCode(err) != 4 || !strings.Contains(err.Error(), "the licence has run out") {
		t.Errorf("exit code %d: %v", weir.ExitCode(err), err)
	}
}

func TestAFailedStartLeavesNothingBehind(t *testing.T) {
	c := newCluster(t)
	for name, args := range map[string][]string{
		"no broker": {"run", "--brokers", "127.0.0.1:1", "--startup-timeout", "1s"},
		"http":      append(c.runArgs(t.TempDir()), "--http", c.addr),
		"state":     c.runArgs(filepath.Join("/dev/null", "state")),
	} {
		err := weir.Execute(t.Context(), args, orders.Totals)
		if weir.ExitCode(err) != 1 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: exit code %d: %v", name, weir.ExitCode(err), err)
		}
	}
}

func TestACommandLineOfItsOwnAddsCommands(t *testing.T) {
	root := weir.Command(orders.Totals)
	var out strings.Builder
	root.SetOut(&out)
	root.SetArgs([]string{"topology", "check"})
	if err := root.ExecuteContext(t.Context()); err != nil || out.String() != "customer-totals: sound\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func (c *cluster) until(what string, ok func() bool) {
	c.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			c.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
