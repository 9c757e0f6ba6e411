package topologytest

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/topology"
)

// goldenFile holds what a topology made of the records of a folder.
const goldenFile = "golden.jsonl"

// step is what became of a record.
type step struct {
	Record  string          `json:"record"` // STREAM/PARTITION/OFFSET
	Outcome string          `json:"outcome"`
	Emitted []goldenEmitted `json:"emitted,omitempty"`
}

type goldenEmitted struct {
	Topic string       `json:"topic"`
	Key   golden.Bytes `json:"key"`
	Value golden.Bytes `json:"value"`
}

// end is a key of a store after the last record.
type end struct {
	Store     string       `json:"store"`
	Partition int32        `json:"partition"`
	Key       golden.Bytes `json:"key"`
	Value     golden.Bytes `json:"value"`
}

// Golden runs a topology on what was captured of a real one, by "state snapshot" and "state capture": its stores begin as in the folder,
// the captured records are sent to it one by one, each at its own time, and what came of each, and what the stores hold then, is compared
// with the folder's golden.jsonl. A record that waits for something that is not there, such as the table of a database that a sink writes to, or a
// service, fails the test: nothing would be learnt of it. Make these before. That file is written where there is none, and anew where the test has a flag -update that is true
// (flag.Bool("update", ...)), or WEIR_UPDATE_GOLDEN is set; a change of it shows in review what a change of the topology does.
func Golden(t testing.TB, graph *topology.Topology, dir string) {
	t.Helper()
	m, err := golden.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.Topology != graph.Name() {
		t.Fatalf("%s is of topology %s, not of %s", dir, m.Topology, graph.Name())
	}
	if m.Records == nil {
		t.Fatalf("%s has no records: add some with \"state capture --folder %s\"", dir, dir)
	}
	parts := int32(1)
	for _, in := range m.Inputs {
		parts = max(parts, in.Partitions)
	}
	d := New(t, graph, Partitions(parts), begin(m, dir))
	var is strings.Builder
	say := func(line any) {
		data, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		is.Write(append(data, '\n'))
	}
	err = golden.Lines(dir, *m.Records, func(r *golden.Record) error {
		var headers []topology.Header
		for _, h := range r.Headers {
			headers = append(headers, topology.Header{Key: h.Key, Value: h.Value})
		}
		d.At(time.UnixMilli(r.Timestamp))
		d.next[fmt.Sprintf("%s/%d", r.Stream, r.Partition)] = r.Offset
		result := d.SendTo(r.Partition, r.Stream, string(r.Key), r.Value, headers...)
		s := step{Record: fmt.Sprintf("%s/%d/%d", r.Stream, r.Partition, r.Offset), Outcome: "processed"}
		if f := d.failure; f != nil && (f.Reason == nodes.World || f.Reason == nodes.Fatal) {
			t.Fatalf("record %s has no outcome, so there is nothing to compare: what it fails of is not its own (%s), and instances would %s: %v; "+
				"have the test provide it before Golden: the tables of a sink's database, a service that answers", s.Record, f.Reason, standstill[f.Reason], f)
		}
		if reason, ok := topology.Dropped(result.Err); ok {
			s.Outcome = reason.String()
		} else if result.Err != nil {
			s.Outcome = result.Err.Error()
		}
		for _, e := range result.Emitted {
			s.Emitted = append(s.Emitted, goldenEmitted{e.Topic, golden.Bytes(e.Key), e.Value})
		}
		say(s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range d.plan.Subgraphs {
		for _, store := range g.Stores {
			for n := range d.parts {
				err := d.box.Store(store, n).Dump(func(key, value []byte) bool {
					say(end{store.Name, n, append(golden.Bytes{}, key...), append(golden.Bytes{}, value...)})
					return true
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	path := filepath.Join(dir, goldenFile)
	was, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || updating() {
		if err := os.WriteFile(path, []byte(is.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s is written: look at it, and keep it with the folder", path)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	compare(t, path, string(was), is.String())
}

// standstill is what instances do at a record that fails of what is not its own.
var standstill = map[nodes.Reason]string{nodes.World: "wait", nodes.Fatal: "stop"}

// updating says whether the test was asked for a new golden file.
func updating() bool {
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		return true
	}
	return os.Getenv("WEIR_UPDATE_GOLDEN") != ""
}

// compare shows the first lines that differ.
func compare(t testing.TB, path, was, is string) {
	t.Helper()
	if was == is {
		return
	}
	a, b := strings.Split(was, "\n"), strings.Split(is, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "(nothing)", "(nothing)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("%s:%d: want\n  %s\ngot\n  %s", path, i+1, x, y)
			return
		}
	}
}

// begin has the stores hold what a folder says.
func begin(m *golden.Manifest, dir string) Option {
	return func(d *Driver) {
		d.content = func(store string, partition int32) (entries []keyed.Entry, err error) {
			for _, s := range m.Stores {
				if s.Store != store || s.Partition != partition {
					continue
				}
				err := golden.Lines(dir, s.File, func(e *golden.Entry) error {
					entries = append(entries, keyed.Entry{Key: e.Key, Value: e.Value})
					return nil
				})
				if err != nil {
					return nil, err
				}
			}
			return entries, nil
		}
	}
}
