//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchComparesEnginesWhoseOutputsAreEqual runs the bench as users do, with an input of a second: Weir, a floor and Kafka Streams on
// one Kafka. Each must have a figure, and its whole output have been found right.
func TestBenchComparesEnginesWhoseOutputsAreEqual(t *testing.T) {
	cluster := theCluster(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "bench")
	build := exec.Command("go", "-C", "../bench", "build", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	engines := []string{"weir", "floor-weir", "streams"}
	bench := exec.CommandContext(t.Context(), program, "-brokers", strings.Join(cluster.brokers(), ","), "-work", "totals", "-quick",
		"-records", "50000", "-keys", "5000", "-engines", strings.Join(engines, ","), "-out", dir)
	out, err := bench.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Schema string
		Rows   []struct {
			Engine, Error string
			Values        map[string]float64
		}
	}
	if err := json.Unmarshal(text, &report); err != nil || report.Schema != "weir-bench/1" {
		t.Fatalf("the schema is %q (%v)", report.Schema, err)
	}
	for i, engine := range engines {
		if len(report.Rows) != len(engines) || report.Rows[i].Engine != engine || report.Rows[i].Error != "" || report.Rows[i].Values["rate"] <= 0 {
			t.Fatalf("no figure of %s:\n%s\n%s", engine, text, out)
		}
	}
	for _, name := range []string{"report.md", "totals.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is not written: %v", name, err)
		}
	}
}
