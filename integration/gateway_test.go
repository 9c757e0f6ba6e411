//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/kafkatest"
)

// gatewayProcess is `weir gateway run` as a process of its own.
type gatewayProcess struct {
	t      *testing.T
	binary string
	args   []string
	addr   string
	cmd    *exec.Cmd
}

func buildWeir(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "weir")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/weirstream/weir/cmd/weir").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func startGateway(t *testing.T, binary string, brokers []string, args ...string) *gatewayProcess {
	t.Helper()
	g := &gatewayProcess{t: t, binary: binary, addr: kafkatest.FreeAddress(t)}
	g.args = append([]string{"gateway", "run", "--http", g.addr, "--brokers", strings.Join(brokers, ",")}, args...)
	g.start()
	t.Cleanup(func() { g.end(syscall.SIGKILL) })
	return g
}

func (g *gatewayProcess) start() {
	g.t.Helper()
	g.cmd = exec.Command(g.binary, g.args...)
	if testing.Verbose() {
		g.cmd.Stderr = os.Stderr
	}
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	for deadline := time.Now().Add(drainBound); ; time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get("http://" + g.addr + "/nothing"); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusNotFound {
				return
			}
		}
		if time.Now().After(deadline) {
			g.t.Fatal("the gateway does not answer")
		}
	}
}

// end signals the process and returns its exit code, -1 where the signal ended it.
func (g *gatewayProcess) end(sig syscall.Signal) int {
	_ = g.cmd.Process.Signal(sig)
	_ = g.cmd.Wait() // ProcessState tells
	return g.cmd.ProcessState.ExitCode()
}

// gatewayTopic makes a topic of events.
func gatewayTopic(t *testing.T, c *kafkatest.Cluster, name string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	replicas, config := int16(-1), map[string]*string{}
	if len(c.Brokers()) >= 3 {
		replicas, config["min.insync.replicas"] = 3, kadm.StringPtr("2")
	}
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), 4, replicas, config, name); err != nil {
		t.Fatal(err)
	}
	awaitTopics(t, c.Addrs(), name) // a gateway refuses events of a topic that its broker does not know
}

// readTopic is what who reads committed records finds, by partition and offset.
func readTopic(t *testing.T, c *kafkatest.Cluster, topic string) map[string]*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), drainBound)
	defer cancel()
	ends, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*kgo.Record{}
	at := map[int32]int64{} // a partition may end with markers: they count
	for {
		whole := true
		ends.Each(func(o kadm.ListedOffset) { whole = whole && at[o.Partition] >= o.Offset })
		if whole {
			return found
		}
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("the topic cannot be read to its end: at %v of %v", at, ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				found[fmt.Sprintf("%d/%d", r.Partition, r.Offset)] = r
			}
			at[r.Partition] = r.Offset + 1
		})
	}
}

type gatewayAnswer struct {
	Status    int
	Partition int32
	Offset    int64
}

// Producers send while the broker that leads is killed and comes back: every event that was answered with 200 is at the place that was
// answered, and the order of each producer's key is the order in which he was answered. At the end SIGTERM answers what is accepted.
func TestTheGatewayLosesNoAcceptedEventWithABroker(t *testing.T) {
	c := theCluster(t)
	topic := fmt.Sprintf("order.placed-%d.v1", time.Now().UnixNano())
	gatewayTopic(t, c.Cluster, topic)
	g := startGateway(t, buildWeir(t), c.Addrs())
	const producers = 4
	accepted := make([]map[string]string, producers) // place -> value
	order := make([][]string, producers)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for p := range producers {
		accepted[p] = map[string]string{}
		wg.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				value := fmt.Sprintf(`{"producer":%d,"n":%d}`, p, n)
				for { // until it is accepted: then the next
					res, err := client.Post(fmt.Sprintf("http://%s/topics/%s/events?key=p%d", g.addr, topic, p), "application/json", strings.NewReader(value))
					if err != nil {
						return // the gateway has ended
					}
					body, _ := io.ReadAll(res.Body)
					_ = res.Body.Close()
					var a gatewayAnswer
					if res.StatusCode == http.StatusOK && json.Unmarshal(body, &a) == nil {
						place := fmt.Sprintf("%d/%d", a.Partition, a.Offset)
						accepted[p][place] = value
						order[p] = append(order[p], place)
						mu.Lock()
						total++
						mu.Unlock()
						break
					}
					if res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusTooManyRequests {
						t.Errorf("%d %s", res.StatusCode, body)
						return
					}
					if bytes.Contains(body, []byte("stopping")) {
						return
					}
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	await := func(more int) {
		mu.Lock()
		until := total + more
		mu.Unlock()
		for deadline := time.Now().Add(drainBound); ; time.Sleep(10 * time.Millisecond) {
			mu.Lock()
			done := total >= until
			mu.Unlock()
			if done {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("the gateway accepts nothing more")
			}
		}
	}
	await(200)
	if !c.External() {
		leader, err := c.Leader(t.Context(), topic, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := leader.Kill(); err != nil {
			t.Fatal(err)
		}
		await(200)
		if err := leader.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	await(200)
	began := time.Now()
	code := g.end(syscall.SIGTERM)
	if took := time.Since(began); code != 0 || took > endBound {
		t.Errorf("SIGTERM ended it with %d after %v", code, took)
	}
	close(stop)
	wg.Wait()
	records := readTopic(t, c.Cluster, topic)
	for p := range producers {
		for place, value := range accepted[p] {
			if r := records[place]; r == nil || string(r.Value) != value {
				t.Errorf("at %s is not %s", place, value)
			}
		}
		last := int64(-1)
		for _, place := range order[p] {
			if r := records[place]; r != nil {
				if r.Offset <= last {
					t.Errorf("%s of key %s comes before what was answered earlier", place, r.Key)
				}
				last = r.Offset
			}
		}
	}
}
