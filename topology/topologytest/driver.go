// Package topologytest runs a topology's nodes in a test, without Kafka: one record at a time, on real stores in a
// temporary folder.
//
// The rules are the engine's, and so is the code that runs the nodes: what a node did that then dropped or failed the
// record is taken back, edges are followed after the node has returned, a handle that the node did not declare is a fatal
// error, and a panic is a failure of the record. So is t.FailNow in a node, which runs on a goroutine of its own: the test
// has failed then, and goes on. There is one partition, no repetition after an error, and what is emitted to a stream is
// handed to the test, not to its readers.
package topologytest

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Driver is a topology under test. It belongs to the test's goroutine.
type Driver struct {
	t      testing.TB
	plan   *topology.Plan
	graph  *nodes.Graph
	call   *nodes.Call
	tables map[*topology.StoreDecl]state.Table
	offset int64
	now    time.Time
}

// New checks the topology and opens its stores, which live as long as the test.
func New(t testing.TB, graph *topology.Topology) *Driver {
	t.Helper()
	plan, err := graph.Plan()
	if err != nil {
		t.Fatal(err)
	}
	d := &Driver{t: t, plan: plan, graph: nodes.NewGraph(plan), tables: map[*topology.StoreDecl]state.Table{}, now: time.Now()}
	d.call = nodes.NewCall(d.graph, nodes.Env{Topology: plan.Topology, Cluster: "topologytest", Log: zaptest.NewLogger(t), Now: func() time.Time { return d.now }})
	for _, g := range plan.Subgraphs {
		for _, s := range g.Stores {
			table, err := s.Open(state.Options{Dir: t.TempDir()})
			if err != nil {
				t.Fatalf("open store %s: %v", s.Name, err)
			}
			t.Cleanup(func() {
				if err := table.Close(); err != nil {
					t.Errorf("close store %s: %v", s.Name, err)
				}
			})
			d.tables[s] = table
		}
	}
	return d
}

// At sets the clock: the timestamp of the records to come, and what ctx.Now says. It stands still in between. Default: when the
// Driver was made.
func (d *Driver) At(now time.Time) { d.now = now }

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

// Send processes a record of an input stream. A nil value is a tombstone.
func (d *Driver) Send(topic, key string, value []byte, headers ...topology.Header) Result {
	d.t.Helper()
	for i, g := range d.plan.Subgraphs {
		for j, in := range g.Inputs {
			if in.Name == topic {
				r := topology.Record{Topic: topic, Offset: d.offset, Time: time.UnixMilli(d.now.UnixMilli()), Headers: headers, Attempt: 1}
				d.offset++
				return d.run(g, d.graph.Subgraphs[i].Sources[j], r, []byte(key), value)
			}
		}
	}
	d.t.Fatalf("%s is no input of topology %s", topic, d.plan.Topology)
	return Result{}
}

// Store returns what a store holds, as its codec encodes it.
func (d *Driver) Store(name string) map[string]string {
	d.t.Helper()
	for s, table := range d.tables {
		if s.Name != name {
			continue
		}
		content := map[string]string{}
		if err := table.Dump(func(key, value []byte) bool {
			content[string(key)] = string(value)
			return true
		}); err != nil {
			d.t.Fatalf("read store %s: %v", name, err)
		}
		return content
	}
	d.t.Fatalf("topology %s has no store %s", d.plan.Topology, name)
	return nil
}

// commit makes the record's changes permanent, as if its transaction had ended.
func (d *Driver) commit(g *topology.Subgraph) {
	d.t.Helper()
	for _, s := range g.Stores {
		table := d.tables[s]
		table.Keep()
		if err := table.Drain(func(_, _ []byte) error { return nil }); err != nil {
			d.t.Fatalf("drain store %s: %v", s.Name, err)
		}
		if err := table.Commit(d.offset); err != nil {
			d.t.Fatalf("commit store %s: %v", s.Name, err)
		}
	}
}
