package processors

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// atEnd is what ends when all tests have.
var atEnd []func(failed bool)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range atEnd {
		end(code != 0)
	}
	// LevelDB drains its buffer pool for a second after it was closed.
	drain := goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")
	if err := goleak.Find(drain); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		code = 1
	}
	os.Exit(code)
}

// job is a topology with one node, to be given a function.
type job struct {
	in, other     *topology.StreamOf[string]
	out, hidden   *topology.StreamOf[string]
	store, secret *topology.StoreOf[string]
	parts         []topology.Part
	added         func(j *job) []topology.Part     // parts of the node that need the handles
	whole         func(j *job) []topology.Part     // in the place of all but parts
	more          func(j *job) []topology.NodeSpec // in the place of the node
	node          func(j *job, ctx topology.Context, key, value string) error
	define        func() *topology.Topology // another topology named jobGroup in the place of this one
}

const (
	jobIn, jobOther, jobOut, jobDead = "event.in.v1", "event.other.v1", "event.out.v1", "event.in.v1.dlq"
	jobGroup, jobLog                 = "job", "job-seen-changelog"
)

// remember emits every value, and keeps it.
func remember(j *job, ctx topology.Context, key, value string) error {
	j.store.Set(ctx, key, value)
	j.out.Emit(ctx, key, value)
	return nil
}

func (j *job) plan(t testing.TB) *plan.Plan {
	if j.define != nil {
		plan, err := j.define().Plan(plan.Names{})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	j.in, j.other = topology.Stream(jobIn, codecs.String()), topology.Stream(jobOther, codecs.String())
	j.out, j.hidden = topology.Stream(jobOut, codecs.String()), topology.Stream("event.hidden.v1", codecs.String())
	j.store, j.secret = topology.Store("seen", codecs.String()), topology.Store("secret", codecs.String())
	node := j.node
	if node == nil {
		node = remember
	}
	on := topology.On(j.in, func(ctx topology.Context, key, value string) error { return node(j, ctx, key, value) })
	parts := []topology.Part{on, topology.Uses(j.store), topology.Emits(j.out)}
	if j.whole != nil {
		parts = j.whole(j)
		if j.node != nil {
			parts = append(parts, on)
		}
	}
	if j.added != nil {
		parts = append(parts, j.added(j)...)
	}
	nodes := []topology.NodeSpec{topology.Node("node", append(parts, j.parts...)...)}
	if j.more != nil {
		nodes = j.more(j)
	}
	plan, err := topology.Define(jobGroup, nodes...).Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// rig is an instance of a job on a simulated cluster.
type rig struct {
	t       *testing.T
	dir     string
	cluster *simkafka.Cluster
	r       *recorder
	job     *job
	opts    Options         // what a test wants otherwise
	wrap    func(Wire) Wire // what a test puts around the wire, or nil
	lives   int

	process  *simkafka.Process
	inst     *Instance
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
	cancel   context.CancelFunc
	done     chan error
}

// bubble runs a test on its own clock, with a cluster that has the job's topics.
func bubble(t *testing.T, partitions int32, cfg simkafka.Config, f func(g *rig)) {
	t.Helper()
	dir := tempDir(t)
	synctest.Test(t, func(t *testing.T) {
		g := &rig{t: t, dir: dir, r: &recorder{}, job: &job{}, cluster: simkafka.New(cfg)}
		for _, name := range []string{jobIn, jobOut, jobDead} {
			g.topic(name, partitions, nil)
		}
		g.topic(jobLog, partitions, map[string]string{"cleanup.policy": "compact"})
		defer func() { // a bubble must not end before its goroutines, Fatal or not
			if g.cancel != nil {
				g.stop()
			}
			for _, v := range g.cluster.Violations() {
				t.Error(v)
			}
			time.Sleep(2 * time.Second) // LevelDB's buffers
		}()
		f(g)
	})
}

func (g *rig) topic(name string, partitions int32, config map[string]string) {
	g.t.Helper()
	if err := g.cluster.CreateTopic(kafka.TopicSpec{Name: name, Partitions: partitions, Config: config}); err != nil {
		g.t.Fatal(err)
	}
}

// new makes the next life of the instance.
func (g *rig) new() {
	g.t.Helper()
	g.lives++
	g.process = g.cluster.Process(fmt.Sprintf("i.%d", g.lives))
	opts := g.opts
	opts.Wire = recordedWire{simWire{g.process}, g.r}
	if g.wrap != nil {
		opts.Wire = g.wrap(opts.Wire)
	}
	opts.StateDir = g.dir
	opts.InstanceID = cmp.Or(opts.InstanceID, "m")
	opts.Workers = cmp.Or(opts.Workers, 1)
	core, logs := observer.New(zapcore.DebugLevel)
	opts.Log, g.logs = zap.New(core), logs
	g.registry = prometheus.NewRegistry()
	opts.Metrics = g.registry
	plan := g.job.plan(g.t)
	recordStores(plan, g.r)
	var err error
	if g.inst, err = New(plan, opts); err != nil {
		g.t.Fatal(err)
	}
}

// start begins a life and waits until its tasks run.
func (g *rig) start() {
	g.t.Helper()
	g.new()
	g.launch()
}

// launch runs the life that new has made.
func (g *rig) launch() {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel, g.done = cancel, make(chan error, 1)
	inst, done := g.inst, g.done
	go func() { done <- inst.Run(ctx) }()
	time.Sleep(2 * time.Second)
}

// second runs another instance of the same job, on a disk of its own, until the function that it returns is called.
func (g *rig) second() (inst *Instance, stop func()) {
	g.t.Helper()
	opts := g.opts
	opts.Wire, opts.StateDir, opts.InstanceID, opts.Workers = simWire{g.cluster.Process("second")}, g.dir+"/second", "second", 1
	inst, err := New((&job{node: g.job.node, parts: g.job.parts}).plan(g.t), opts)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- inst.Run(ctx) }()
	return inst, func() {
		cancel()
		if err := <-done; err != nil {
			g.t.Errorf("the second instance ended with: %v", err)
		}
	}
}

// run is a life that ends by itself, within a minute.
func (g *rig) run() error {
	g.t.Helper()
	g.new()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return g.inst.Run(ctx)
}

// metric adds up a metric over its labels.
func (g *rig) metric(name string) (sum float64) {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// stop ends a life in order and returns how long that took.
func (g *rig) stop() time.Duration {
	g.t.Helper()
	from := time.Now()
	g.cancel()
	g.cancel = nil
	if err := <-g.done; err != nil {
		g.t.Errorf("the instance ended with: %v", err)
	}
	return time.Since(from)
}

// ended waits for a life that ends by itself.
func (g *rig) ended() error {
	g.t.Helper()
	select {
	case err := <-g.done:
		g.cancel()
		g.cancel = nil
		return err
	case <-time.After(time.Minute):
		g.t.Fatal("the instance did not end")
		return nil
	}
}

// crash ends a life without a chance to do anything.
func (g *rig) crash() {
	g.process.Crash()
	g.cancel()
	g.cancel = nil
	<-g.done
}

func at(topic string, partition int32) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: topic, Partition: partition}
}

// send writes "key value" lines to a partition of the input.
func (g *rig) send(partition int32, lines ...string) {
	for _, line := range lines {
		key, value, _ := strings.Cut(line, " ")
		g.cluster.Produce(at(jobIn, partition), kafka.Record{Key: []byte(key), Value: []byte(value), Timestamp: 1000})
	}
}

// sees compares a topic's partition, as read-committed readers see it, with "key value" lines.
func (g *rig) sees(tp kafka.TopicPartition, want ...string) {
	g.t.Helper()
	var got []string
	for _, r := range g.cluster.Committed(tp) {
		got = append(got, strings.TrimSpace(string(r.Key)+" "+string(r.Value)))
	}
	if !slices.Equal(got, want) {
		g.t.Errorf("%s holds %q, want %q", tp, got, want)
	}
}

func (g *rig) committed(tp kafka.TopicPartition, want int64) {
	g.t.Helper()
	if got := g.cluster.Offset(jobGroup, tp); got != want {
		g.t.Errorf("committed offset of %s is %d, want %d", tp, got, want)
	}
}

// counted compares the four counts.
func (g *rig) counted(processed, filtered, deduplicated, deadLettered int64) {
	g.t.Helper()
	s := g.inst.Stats()
	if s.Processed != processed || s.Filtered != filtered || s.Deduplicated != deduplicated || s.DeadLettered != deadLettered ||
		s.Consumed != processed+filtered+deduplicated+deadLettered {
		g.t.Errorf("counted %d = %d processed, %d filtered, %d deduplicated, %d dead-lettered; want %d, %d, %d, %d",
			s.Consumed, s.Processed, s.Filtered, s.Deduplicated, s.DeadLettered, processed, filtered, deduplicated, deadLettered)
	}
}

func (g *rig) logged(level zapcore.Level, part string) int {
	n := 0
	for _, e := range g.logs.All() {
		if e.Level == level && strings.Contains(e.Message, part) {
			n++
		}
	}
	return n
}

// header is a dead letter's header, or "none".
func header(r kafka.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return "none"
}

// healthOf is an instance's health in words.
func healthOf(i *Instance) (all []string) {
	for _, p := range i.Health() {
		all = append(all, p.String())
	}
	return all
}

// waits is what inputs wait for that the cluster refuses, with what to do.
func (g *rig) waits() (all []string) {
	for _, p := range g.inst.placements() {
		for _, in := range p.task.inputs {
			if wait := in.waiting.Load(); wait != nil && wait.blocked {
				all = append(all, fmt.Sprintf("%s at %d since %s: %v: %s", in.tp, wait.offset, wait.since.Format(time.TimeOnly), wait.err, wait.remedy))
			}
		}
	}
	return all
}
