//go:build integration

package processors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// theCluster is one node of a real Kafka, for all tests that change nothing but topics and groups of their own.
var theCluster = sync.OnceValues(func() (*kafkatest.Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c, err := kafkatest.Run(ctx, kafkatest.Options{Config: map[string]string{"broker.session.timeout.ms": "60000"}}) // it is never killed, but may stand still
	if err == nil {
		atEnd = append(atEnd, func(failed bool) {
			if failed {
				c.KeepLogs()
				fmt.Fprintln(os.Stderr, "the node's log is in", c.Dir())
			}
			c.Close()
		})
	}
	return c, err
})

// realCluster is theCluster, or ends the test.
func realCluster(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	kafkatest.Require(t)
	c, err := theCluster()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// realRig runs instances of a topology of its own on a real Kafka.
type realRig struct {
	t         *testing.T
	cluster   *kafkatest.Cluster
	name      string // of the topology
	input     string
	changelog string
	feed      *kgo.Client
	admin     *kadm.Client
}

func newRealRig(t *testing.T, c *kafkatest.Cluster) *realRig {
	g := &realRig{t: t, cluster: c}
	g.name = fmt.Sprintf("health-%d", time.Now().UnixNano())
	g.input, g.changelog = g.name+".in.v1", g.name+"-seen-changelog"
	var err error
	if g.feed, err = kgo.NewClient(kgo.SeedBrokers(g.cluster.Addrs()...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.feed.Close)
	g.admin = kadm.NewClient(g.feed)
	return g
}

func (g *realRig) plan() *plan.Plan {
	in, out := topology.Stream(g.input, codecs.String()), topology.Stream(g.name+".out.v1", codecs.String())
	seen := topology.Store("seen", codecs.String())
	plan, err := topology.Define(g.name, topology.Node("node", topology.On(in, func(ctx topology.Context, key, value string) error {
		seen.Set(ctx, key, value)
		out.Emit(ctx, key, value)
		return nil
	}), topology.Uses(seen), topology.Emits(out))).Plan(plan.Names{})
	if err != nil {
		g.t.Fatal(err)
	}
	return plan
}

// start runs an instance until the function that it returns is called; its end is on the channel.
func (g *realRig) start(opts Options) (inst *Instance, ended chan error, stop func()) {
	g.t.Helper()
	client, err := kafka.Dial(g.t.Context(), kafka.Config{Brokers: g.cluster.Addrs()}, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	opts.Wire, opts.Workers = Kafka(client), 1
	opts.StallAfter = cmp.Or(opts.StallAfter, 5*time.Second)
	opts.Create = cmp.Or(opts.Create, &Creation{Partitions: 1, ReplicationFactor: 1})
	opts.StateDir = cmp.Or(opts.StateDir, g.t.TempDir())
	if testing.Verbose() {
		if opts.Log, err = zap.NewDevelopment(zap.IncreaseLevel(zap.InfoLevel)); err != nil {
			g.t.Fatal(err)
		}
	}
	if inst, err = New(g.plan(), opts); err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended = make(chan error, 1)
	go func() { ended <- inst.Run(ctx) }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		cancel()
		ended <- <-ended // for whoever asks again
		_ = client.Close()
	}
	g.t.Cleanup(stop)
	return inst, ended, stop
}

func (g *realRig) send(n int) {
	g.t.Helper()
	for i := range n {
		if err := g.feed.ProduceSync(g.t.Context(), &kgo.Record{Topic: g.input, Key: []byte("k"), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			g.t.Fatal(err)
		}
	}
}

// until waits for something, and says what health was when it does not come.
func (g *realRig) until(inst *Instance, what string, ok func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			g.t.Fatalf("waited in vain until %s; health is %q", what, healthOf(inst))
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-g.t.Context().Done():
		}
	}
}

// problem returns the first problem of a kind.
func problem(inst *Instance, kind string) (p Problem, ok bool) {
	for _, p := range inst.Health() {
		if p.Kind == kind {
			return p, true
		}
	}
	return Problem{}, false
}

// leaveOpen begins a transaction in a partition and leaves it open.
func (g *realRig) leaveOpen(topic string) (id string, end func()) {
	g.t.Helper()
	id = g.name + "-stranger"
	client, err := kgo.NewClient(kgo.SeedBrokers(g.cluster.Addrs()...), kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		g.t.Fatal(err)
	}
	if err := client.BeginTransaction(); err != nil {
		g.t.Fatal(err)
	}
	if err := client.ProduceSync(g.t.Context(), &kgo.Record{Topic: topic, Key: []byte("x"), Value: []byte("y")}).FirstErr(); err != nil {
		g.t.Fatal(err)
	}
	return id, func() {
		if err := client.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
			g.t.Error(err)
		}
		client.Close()
	}
}

func TestHealthNamesTheTransactionThatARestoreWaitsForOnARealKafka(t *testing.T) {
	t.Parallel() // mostly it waits
	g := newRealRig(t, realCluster(t))
	inst, _, stop := g.start(Options{})
	g.until(inst, "it runs", inst.Ready)
	g.send(10)
	g.until(inst, "the records are processed", func() bool { return inst.Stats().Processed == 10 })
	stop()
	id, end := g.leaveOpen(g.changelog)
	g.send(7)
	inst, _, _ = g.start(Options{}) // on an empty disk
	var p Problem
	g.until(inst, "the transaction is named", func() bool {
		p, _ = problem(inst, ProblemRestore)
		return strings.Contains(p.Cause, id)
	})
	for _, want := range []string{"the restore of store seen", g.changelog + "/0", "its inputs have lag 7", "producer id ", "since offset "} {
		if !strings.Contains(p.Cause, want) {
			t.Errorf("%q is missing in %s", want, p.Cause)
		}
	}
	if want := "kafka-transactions.sh --bootstrap-server " + strings.Join(g.cluster.Addrs(), ",") + " abort --topic " + g.changelog + " --partition 0 --start-offset "; !strings.Contains(p.Remedy, want) {
		t.Errorf("%q is missing in %s", want, p.Remedy)
	}
	if s := inst.Stats(); s.Lag != 7 || !inst.Live() || inst.Ready() {
		t.Errorf("lag %d, live %v, ready %v", s.Lag, inst.Live(), inst.Ready())
	}
	t.Log(p)
	end()
	g.until(inst, "it is well again", func() bool { return inst.Ready() && len(inst.Health()) == 0 && inst.Stats().Lag == 0 })
}

// The offsets of a group may be in somebody's transaction, too; then the restore does not even begin.
func TestHealthNamesTheTransactionThatAnInputWaitsForOnARealKafka(t *testing.T) {
	t.Parallel() // mostly it waits
	g := newRealRig(t, realCluster(t))
	inst, _, _ := g.start(Options{})
	g.until(inst, "it runs", inst.Ready)
	id, end := g.leaveOpen(g.input)
	g.send(3)
	g.until(inst, "the transaction is named", func() bool {
		p, _ := problem(inst, ProblemStalled)
		return strings.Contains(p.Cause, id) && strings.Contains(p.Remedy, "abort --topic "+g.input+" --partition 0 --start-offset 0")
	})
	end()
	g.until(inst, "it is well again", func() bool { return len(inst.Health()) == 0 && inst.Stats().Processed == 3 })
}

func TestHealthNamesAnInputTopicThatWasDeletedOnARealKafka(t *testing.T) {
	t.Parallel() // mostly it waits
	g := newRealRig(t, realCluster(t))
	inst, ended, _ := g.start(Options{})
	g.until(inst, "it runs", inst.Ready)
	if _, err := g.admin.DeleteTopics(t.Context(), g.input); err != nil {
		t.Fatal(err)
	}
	g.until(inst, "the topic is named", func() bool {
		p, ok := problem(inst, ProblemTopic)
		return ok && strings.Contains(p.Cause, g.input)
	})
	select {
	case err := <-ended:
		t.Errorf("the instance ended: %v", err)
		ended <- err
	default:
	}
}

func TestTheYoungerOfTwoProcessesWithOneInstanceIDStopsOnARealKafka(t *testing.T) {
	t.Parallel() // mostly it waits
	g := newRealRig(t, realCluster(t))
	older, olderEnded, _ := g.start(Options{InstanceID: "twin", Create: &Creation{Partitions: 4, ReplicationFactor: 1}})
	g.until(older, "it runs", older.Ready)
	younger, ended, _ := g.start(Options{InstanceID: "twin", Create: &Creation{Partitions: 4, ReplicationFactor: 1}})
	feed, halt := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; feed.Err() == nil; n++ {
			_ = g.feed.ProduceSync(feed, &kgo.Record{Topic: g.input, Key: fmt.Append(nil, "k", n), Value: []byte("v")}).FirstErr()
			select {
			case <-feed.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	defer func() { halt(); <-done }()
	var err error
	g.until(younger, "the younger one stops", func() bool {
		select {
		case err = <-ended:
			ended <- err
			return true
		default:
			return false
		}
	})
	var namesake *NamesakeError
	if !errors.As(err, &namesake) || !strings.Contains(err.Error(), `another process has instance id "twin"`) {
		t.Errorf("it ended with %v", err)
	}
	t.Log(err)
	halt()
	g.until(older, "the older one has done everything", func() bool { s := older.Stats(); return s.Processed > 0 && s.Lag == 0 && older.Ready() })
	select {
	case err := <-olderEnded:
		t.Errorf("the older one ended: %v", err)
		olderEnded <- err
	default:
	}
}

func TestHealthNamesABrokerThatIsSilentOnARealKafka(t *testing.T) {
	t.Parallel() // mostly it waits
	g := newRealRig(t, kafkatest.Start(t, kafkatest.Options{}))
	g.cluster.NeedNodes(t)
	inst, _, _ := g.start(Options{})
	g.until(inst, "it runs", inst.Ready)
	node := g.cluster.Brokers()[0]
	if err := node.Pause(); err != nil {
		t.Fatal(err)
	}
	g.until(inst, "the silence is named", func() bool {
		p, ok := problem(inst, ProblemBroker)
		return ok && strings.Contains(p.Cause, "the cluster has not answered for")
	})
	if !inst.Live() {
		t.Error("a restart would not help")
	}
	if err := node.Continue(); err != nil {
		t.Fatal(err)
	}
	g.until(inst, "it is well again", func() bool { return inst.Ready() && len(inst.Health()) == 0 })
}
