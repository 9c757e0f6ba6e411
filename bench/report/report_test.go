package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/bench/measure"
)

var update = flag.Bool("update", false, "write the golden files")

// sample has what reports differ by: spreads, a failed run among good ones, an engine that only failed, a disturbed run.
func sample() *Report {
	row := func(engine, title, reference string, round int, rate float64, failure string) Row {
		r := Row{Work: "totals", Case: "100 k", X: 100_000, Engine: engine, Title: title, Reference: reference, Round: round, Error: failure}
		r.Values = map[string]float64{"rate": rate, "cpu_us": 2.345, "peak_bytes": 100 << 20, "others_percent": 1}
		return r
	}
	r := &Report{
		Schema: Schema, Begun: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 12.5, Command: "bench -work totals", Form: "quick",
		Machine:  measure.Machine{CPU: "a processor", Cores: 2, Memory: 8 << 30, Kernel: "6.1", OS: "linux", Arch: "amd64"},
		Versions: map[string]string{"Kafka": "4.3.1"}, Settings: map[string]string{"rounds": "3"},
		Works: []Work{{Name: "totals", Title: "The reference job", About: "Orders in, totals out.", Axis: "keys", Numeric: true,
			Metrics: []string{"rate", "cpu_us", "peak_bytes"}, Compare: "rate"}},
		Rows: []Row{
			row("streams", "Kafka Streams", "weir", 1, 50_000, ""), row("weir", "Weir", "weir", 1, 400_000, ""),
			row("weir", "Weir", "weir", 2, 420_000, ""), row("streams", "Kafka Streams", "weir", 2, 0, "the output is wrong: 7 outputs, want 8"),
			row("streams", "Kafka Streams", "weir", 3, 60_000, ""), row("weir", "Weir", "weir", 3, 300_000, ""),
			row("goka", "goka | <sarama>", "weir-alo", 1, 0, "the engine's process ended: exit status 1"),
		},
	}
	r.Rows[1].Values["others_percent"] = 40
	return r
}

// TestReportsAreAsTheyWere compares all forms with files. Mutations: the figure of a failed run counts (values ignores Error); the
// ratio upside down; Disturbed at 50; a field of the JSON renamed; the line from the median instead of the lowest.
func TestReportsAreAsTheyWere(t *testing.T) {
	r := sample()
	for name, write := range map[string]func(io.Writer) error{
		"report.txt":  r.WriteText,
		"report.json": r.WriteJSON,
		"report.md":   func(w io.Writer) error { return r.WriteMarkdown(w, map[string]string{"totals": "totals.svg"}) },
		"totals.svg":  func(w io.Writer) error { _, err := io.WriteString(w, r.SVG(r.Works[0])); return err },
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is now\n%s\nand was (-update writes it)\n%s", name, got.Bytes(), want)
		}
	}
}

// Mutation: escape leaves <.
func TestPlotsAreXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(sample().SVG(sample().Works[0])))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Mutation: number counts its groups from the front.
func TestNumbersAreGrouped(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -1234: "-1 234"} {
		if got := number(v, 0); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
	if got := number(1234.567, 2); got != "1 234.57" {
		t.Errorf("with decimals: %q", got)
	}
}
