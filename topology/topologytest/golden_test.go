package topologytest_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/topology"
	"github.com/weirstream/weir/topology/topologytest"
)

// adder adds up the lengths of values, with a step, and passes the sums on.
func adder(step int64) *topology.Topology {
	in, out := topology.Stream("text.written.v1", codecs.String()), topology.Stream("text.sum.v1", codecs.Int64())
	sums := topology.Store("sums", codecs.Int64())
	return topology.Define("adder", topology.Node("add", topology.On(in, func(ctx topology.Context, key, value string) error {
		if value == "drop" {
			return ctx.Drop(topology.Filtered)
		}
		n, err := sums.Get(ctx, key)
		if err != nil {
			return err
		}
		sums.Set(ctx, key, n+int64(len(value))*step)
		out.Emit(ctx, key, n+int64(len(value))*step)
		return nil
	}), topology.Uses(sums), topology.Emits(out)))
}

// captured is a folder as state snapshot and capture leave it.
func captured(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	m := &golden.Manifest{Version: 1, Topology: "adder", Inputs: []golden.Input{{Stream: "text.written.v1", Topic: "x.text.written.v1", Partitions: 2, Offset: 5}}}
	encoded, err := codecs.Int64().Encode(int64(100))
	if err != nil {
		t.Fatal(err)
	}
	store, err := golden.Create(dir, "sums-1.jsonl", func(put func(any) error) error { return put(golden.Entry{Key: golden.Bytes("k"), Value: encoded}) })
	if err != nil {
		t.Fatal(err)
	}
	records, err := golden.Create(dir, "records.jsonl", func(put func(any) error) error {
		for i, value := range []string{"abc", "drop", "\xff\x00"} {
			if err := put(golden.Record{Stream: "text.written.v1", Partition: 1, Offset: int64(5 + i), Timestamp: time.Now().UnixMilli(), Key: golden.Bytes("k"), Value: golden.Bytes(value)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Stores, m.Records = []golden.Store{{Store: "sums", Partition: 1, File: store}}, &records
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// flipped notes that a test would fail.
type flipped struct {
	*testing.T
	said string
}

// Fatalf ends the goroutine that the test runs on, as that of a test does.
func (f *flipped) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *flipped) Errorf(format string, args ...any) { f.said = format; f.Logf(format, args...) }

// TestACapturedFolderIsATest: it is written at first, passes with the same topology, and fails with another one.
//
// Mutation: begin without the stores; compare that looks at the number of lines.
func TestACapturedFolderIsATest(t *testing.T) {
	dir := captured(t)
	topologytest.Golden(t, adder(1), dir)
	data, err := os.ReadFile(filepath.Join(dir, "golden.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(string(data)), "\n"); len(lines) != 4 || !strings.Contains(lines[0], `text.written.v1/1/5","outcome":"processed"`) || !strings.Contains(lines[0], `"value":"103"`) || !strings.Contains(lines[1], "filtered") || !strings.Contains(lines[3], `"store":"sums","partition":1`) {
		t.Fatalf("%s", data)
	}
	topologytest.Golden(t, adder(1), dir)
	f := &flipped{T: t}
	topologytest.Golden(f, adder(2), dir)
	if f.said == "" {
		t.Error("another topology passes")
	}
}

// TestWhatIsNotThereIsNotGolden: a record that fails of the world has no outcome. Recorded as one, the test would pass whatever the topology does.
//
// Mutations, each seen to fail it: Golden that looks at the error alone (a class that the node gives is missed); Golden that looks at nothing.
func TestWhatIsNotThereIsNotGolden(t *testing.T) {
	missing := errors.New("no such table: ledger")
	for name, c := range map[string]struct {
		err   error
		parts []topology.Part
		want  string
	}{
		"world":      {topology.World(missing), nil, "instances would wait"},
		"classified": {missing, []topology.Part{topology.Classify(func(error) topology.Class { return topology.ClassWorld })}, "instances would wait"},
		"fatal":      {topology.Fatal(missing), nil, "instances would stop"},
	} {
		t.Run(name, func(t *testing.T) {
			in := topology.Stream("text.written.v1", codecs.String())
			graph := topology.Define("adder", topology.Node("add", append([]topology.Part{topology.On(in, func(topology.Context, string, string) error { return c.err })}, c.parts...)...))
			dir := captured(t)
			f, done := &flipped{T: t}, make(chan struct{})
			go func() {
				defer close(done)
				topologytest.Golden(f, graph, dir)
			}()
			<-done
			if !strings.Contains(f.said, "text.written.v1/1/5 has no outcome") || !strings.Contains(f.said, c.want) || !strings.Contains(f.said, "no such table") {
				t.Errorf("it says %q", f.said)
			}
			if _, err := os.Stat(filepath.Join(dir, "golden.jsonl")); err == nil {
				t.Error("it was written down")
			}
		})
	}
}
