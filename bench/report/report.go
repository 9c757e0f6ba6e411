// Package report keeps the figures of a run and writes them as text, Markdown, JSON and SVG.
package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/weirstream/weir/bench/measure"
)

// Schema names the form of the JSON. A field may be added under the same name, never renamed or removed.
const Schema = "weir-bench/1"

// Report is everything that a run of the bench found.
type Report struct {
	Schema   string            `json:"schema"`
	Begun    time.Time         `json:"begun"`
	Seconds  float64           `json:"seconds"`
	Command  string            `json:"command"`
	Form     string            `json:"form"` // quick, full or long
	Machine  measure.Machine   `json:"machine"`
	Versions map[string]string `json:"versions"`
	Settings map[string]string `json:"settings"`
	Works    []Work            `json:"works"`
	Rows     []Row             `json:"rows"`
}

// Work says what the rows of a work mean.
type Work struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	About   string   `json:"about"`             // what was done, in a sentence or two
	Axis    string   `json:"axis"`              // what differs between cases
	Numeric bool     `json:"numeric"`           // whether Row.X is a number on that axis, so that a line may join the cases
	Metrics []string `json:"metrics"`           // keys of Row.Values, the first one is plotted
	Compare string   `json:"compare,omitempty"` // the metric by which engines are divided
}

// Row is one engine in one round, or the reason why it has no figure.
type Row struct {
	Work      string             `json:"work"`
	Case      string             `json:"case"`
	X         float64            `json:"x"`
	Engine    string             `json:"engine"`
	Title     string             `json:"title"`
	Reference string             `json:"reference,omitempty"` // the engine that this one is compared with
	Round     int                `json:"round"`
	Values    map[string]float64 `json:"values,omitempty"`
	Error     string             `json:"error,omitempty"`
}

// Metric is how a figure is shown.
type Metric struct {
	Title  string
	Digits int
	Scale  float64 // what is stored is divided by it
}

// Metrics are all figures that there are, with their units as they stand in JSON: records/s, us, bytes, ms, s, and per cent.
var Metrics = map[string]Metric{
	"rate":           {"records/s", 0, 1},
	"cpu_us":         {"CPU, us a record", 2, 1},
	"broker_us":      {"broker's CPU, us a record", 2, 1},
	"peak_bytes":     {"peak memory, MB", 0, 1 << 20},
	"startup_s":      {"to the first output, s", 1, 1},
	"stall_s":        {"longest stall, s", 2, 1},
	"p50_ms":         {"p50, ms", 1, 1},
	"p90_ms":         {"p90, ms", 1, 1},
	"p99_ms":         {"p99, ms", 1, 1},
	"p999_ms":        {"p99.9, ms", 1, 1},
	"max_ms":         {"max, ms", 1, 1},
	"restore_s":      {"restore to the first output, s", 1, 1},
	"restart_s":      {"restart with state, to the first output, s", 1, 1},
	"move_s":         {"longest silence of a partition after SIGTERM, s", 2, 1},
	"kill_s":         {"longest silence of a partition after SIGKILL, s", 2, 1},
	"copy_rate":      {"keys/s into copies", 0, 1},
	"restore_rate":   {"keys restored a second", 0, 1},
	"others_percent": {"others' part of the machine, %", 0, 1},
	"core_percent":   {"of a core, %", 2, 1},
}

// WriteJSON writes the report, indented.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
