// Package topologytest runs a topology's nodes in a test, without Kafka: one record at a time, on real stores in a
// temporary folder.
//
// The rules are the engine's, and so is the code that runs the nodes: what a node did that then dropped or failed the
// record is taken back, edges are followed after the node has returned, a handle that the node did not declare is a fatal
// error, and a panic is a failure of the record. So is t.FailNow in a node, which runs on a goroutine of its own: the test
// has failed then, and goes on. A sink into a database writes what the record asks for before Send returns, and the same again for a
// Driver that is new: its records are others. There is no repetition after an error, and what is emitted to a stream is handed to the test, not to its
// readers. Topics have one partition, or as many as [Partitions] says; each has stores of its own, as a task has.
package topologytest

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/sandbox"
	"github.com/weirstream/weir/topology"
)

// Driver is a topology under test. It belongs to the test's goroutine.
type Driver struct {
	t     testing.TB
	plan  *plan.Plan
	box   *sandbox.Sandbox
	parts int32
	views map[*plan.Global]plan.View
	next  map[string]int64 // the next offset, by input and partition
	now   time.Time
	sinks map[sinkAt]plan.OutsideTask
	id    string // in the place of the ids of its topics
	// content is what a store begins with; nil for nothing.
	content func(store string, partition int32) ([]keyed.Entry, error)
	failure *nodes.Failure // of the last record, nil where it has none
}

// Option changes what a [Driver] is like.
type Option func(*Driver)

// Partitions is how many partitions every topic has. Default: 1. For what a node may emit to, a number that the stream states counts.
func Partitions(n int32) Option { return func(d *Driver) { d.parts = n } }

// New checks the topology and opens its stores, which live as long as the test.
func New(t testing.TB, graph *topology.Topology, opts ...Option) *Driver {
	t.Helper()
	p, err := graph.Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	d := &Driver{t: t, plan: p, parts: 1, views: map[*plan.Global]plan.View{}, next: map[string]int64{}, now: time.Now(),
		sinks: map[sinkAt]plan.OutsideTask{}, id: rand.Text()}
	for _, o := range opts {
		o(d)
	}
	if d.parts < 1 {
		t.Fatalf("Partitions(%d): a topic has one at least", d.parts)
	}
	d.box = sandbox.New(p, nodes.Env{Group: p.Topology, Cluster: "topologytest", Log: zaptest.NewLogger(t), Now: func() time.Time { return d.now },
		Partitions: d.partitionsOf, Outside: d.outside,
		Global: func(g *plan.Global) plan.View { return d.views[g] }})
	d.box.Outward = d.outward
	for _, g := range p.Globals {
		d.views[g] = g.View()
	}
	t.Cleanup(func() {
		if err := d.box.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, g := range p.Subgraphs {
		for _, s := range g.Stores {
			for n := range d.parts {
				d.open(s, n)
			}
		}
	}
	return d
}

// partitionsOf is how many partitions a topic has that is written to.
func (d *Driver) partitionsOf(topic string) int32 {
	for _, t := range d.plan.Topics {
		if t.Name == topic && t.Partitions > 0 {
			return t.Partitions
		}
	}
	return d.parts
}

func (d *Driver) open(store *plan.Store, partition int32) {
	d.t.Helper()
	err := d.box.Open(store, partition, d.t.TempDir(), func(put func([]keyed.Entry) error) error {
		if d.content == nil {
			return nil
		}
		entries, err := d.content(store.Name, partition)
		if err != nil || len(entries) == 0 {
			return err
		}
		return put(entries)
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// At sets the clock: the timestamp of the records to come, and what ctx.Now says. It stands still in between. Default: when the
// Driver was made.
func (d *Driver) At(now time.Time) { d.now = now }

// Advance moves the clock on.
func (d *Driver) Advance(by time.Duration) { d.now = d.now.Add(by) }

// Result is what became of a record.
type Result struct {
	// Err is nil when the record is processed. Otherwise topology.Dropped, IsRejected and IsFatal say what the engine
	// would do.
	Err     error
	Emitted []Emitted
}

// Emitted is a record for a stream.
type Emitted struct {
	Topic, Key string
	Value      []byte            // nil for a tombstone
	Headers    []topology.Header // those of the input that the node passes on, and its own
	Time       time.Time         // that of the input record, unless the node has set another
	Partition  int32             // that the node has set, -1 for where the key belongs
}

func (e Emitted) String() string {
	if e.Value == nil {
		return fmt.Sprintf("%s %s: tombstone", e.Topic, e.Key)
	}
	return fmt.Sprintf("%s %s: %s", e.Topic, e.Key, e.Value)
}

// Send processes a record of an input stream, on the partition that its key belongs to (murmur2, as Weir and Java's producer have it by
// default). A nil value is a tombstone.
func (d *Driver) Send(topic, key string, value []byte, headers ...topology.Header) Result {
	d.t.Helper()
	return d.SendTo(partitioner.Murmur2.Partition([]byte(key), d.parts), topic, key, value, headers...)
}

// SendTo is Send to a partition of your choice.
func (d *Driver) SendTo(partition int32, topic, key string, value []byte, headers ...topology.Header) Result {
	d.t.Helper()
	if partition < 0 || partition >= d.parts {
		d.t.Fatalf("%s has no partition %d of %d", topic, partition, d.parts)
	}
	for i, g := range d.plan.Subgraphs {
		for j, in := range g.Inputs {
			if in.Name == topic {
				at := fmt.Sprintf("%s/%d", topic, partition)
				r := plan.Record{Topic: topic, Partition: partition, Offset: d.next[at], Timestamp: time.UnixMilli(d.now.UnixMilli()), Headers: headers, Attempt: 1}
				d.next[at]++
				return d.run(i, d.box.Graph.Subgraphs[i].Sources[j], r, []byte(key), value)
			}
		}
	}
	var inputs []string
	for _, g := range d.plan.Subgraphs {
		for _, in := range g.Inputs {
			inputs = append(inputs, in.Name)
		}
	}
	d.t.Fatalf("%s is no input of topology %s: there is %s", topic, d.plan.Topology, listed(inputs))
	return Result{}
}

// Global puts a record into a global, as if it had been written to its topic. A nil value removes the key. A value that its codec does not
// decode is kept as one: look-ups of the key fail.
func (d *Driver) Global(topic, key string, value []byte) {
	d.t.Helper()
	for g, view := range d.views {
		if g.Name == topic {
			_ = view.Put(key, value)
			return
		}
	}
	var globals []string
	for _, g := range d.plan.Globals {
		globals = append(globals, g.Name)
	}
	d.t.Fatalf("%s is no global of topology %s: there is %s", topic, d.plan.Topology, listed(globals))
}

// listed is what there is, in words.
func listed(names []string) string { return cmp.Or(strings.Join(names, ", "), "none") }

// Store returns what a store holds on all partitions, as its codec encodes it.
func (d *Driver) Store(name string) map[string]string {
	d.t.Helper()
	content := map[string]string{}
	for p := range d.parts {
		maps.Copy(content, d.StoreAt(name, p))
	}
	return content
}

// StoreAt returns what a store holds at one partition, as its codec encodes it.
func (d *Driver) StoreAt(name string, partition int32) map[string]string {
	d.t.Helper()
	var stores []string
	for _, g := range d.plan.Subgraphs {
		for _, s := range g.Stores {
			stores = append(stores, s.Name)
			if s.Name != name || d.box.Store(s, partition) == nil {
				continue
			}
			content := map[string]string{}
			if err := d.box.Store(s, partition).Dump(func(key, value []byte) bool {
				content[string(key)] = string(value)
				return true
			}); err != nil {
				d.t.Fatalf("read store %s: %v", name, err)
			}
			return content
		}
	}
	if slices.Contains(stores, name) {
		d.t.Fatalf("store %s has no partition %d of %d", name, partition, d.parts)
	}
	d.t.Fatalf("topology %s has no store %s: there is %s", d.plan.Topology, name, listed(stores))
	return nil
}
