package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// summary is what the demo ends with.
type summary struct {
	counts
	Sum           int64    `json:"sum"`          // of the four counts
	Outputs       int64    `json:"outputs"`      // in the output topic, of earlier runs too
	Letters       int64    `json:"dead_letters"` // in the dead letter topic, of earlier runs too
	SentBack      int64    `json:"sent_back"`    // letters that somebody has sent into the input again, during this run
	Customers     int      `json:"customers"`
	Seconds       float64  `json:"seconds"`
	RatePerSecond float64  `json:"rate_per_second"`
	P50           int64    `json:"p50_ms"`
	P99           int64    `json:"p99_ms"`
	Correct       bool     `json:"correct"`
	Differences   []string `json:"differences"`
}

func (o *observer) summarise(job counts, fed *tally, took time.Duration) summary {
	o.mu.Lock()
	defer o.mu.Unlock()
	job.In = o.model.counts.In
	s := summary{
		counts: job, Sum: job.sum(), Outputs: o.reality.outputs, Letters: o.reality.dead, Customers: len(o.reality.totals),
		Seconds: took.Seconds(), RatePerSecond: math.Round(float64(job.sum()) / took.Seconds()),
		P50: o.latency.overall(0.5).Milliseconds(), P99: o.latency.overall(0.99).Milliseconds(),
		Differences: differences(o.model, o.reality, job),
	}
	missing, unfed, back := o.arrived.against(fed)
	if s.SentBack = back; missing > 0 || unfed > 0 {
		s.Differences = append(s.Differences, fmt.Sprintf("of %d records that were fed %d did not arrive in %s, and %d arrived there that nobody fed", fed.sum(), missing, inputTopic, unfed))
	}
	s.Correct = len(s.Differences) == 0
	return s
}

func (s summary) writeJSON(w io.Writer) error {
	if s.Differences == nil {
		s.Differences = []string{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(s)
}

func (s summary) write(w io.Writer) error {
	var b strings.Builder
	row := func(name string, n int64, note string) {
		fmt.Fprintf(&b, "  %-15s%12s   %s\n", name, thousands(n), note)
	}
	b.WriteString("\nsummary\n")
	row("processed", s.Processed, "")
	row("filtered", s.Filtered, "")
	row("deduplicated", s.Deduplicated, "")
	row("dead-lettered", s.DeadLettered, "")
	if s.Sum == s.In {
		row("sum", s.Sum, "= records in")
	} else {
		row("sum", s.Sum, fmt.Sprintf("but %s records in", thousands(s.In)))
	}
	if s.SentBack > 0 {
		fmt.Fprintf(&b, "  %s dead letters were sent back into %s, and are counted in\n", thousands(s.SentBack), inputTopic)
	}
	fmt.Fprintf(&b, "  %.0f records/s, latency %d ms p50, %d ms p99\n", s.RatePerSecond, s.P50, s.P99)
	if s.Correct {
		fmt.Fprintf(&b, "  %s: %s totals of %s customers, all as the input makes them\n", outputTopic, thousands(s.Outputs), thousands(int64(s.Customers)))
		fmt.Fprintf(&b, "  %s: %s dead letters, the bad records and nothing else\n", deadLetterTopic, thousands(s.Letters))
	}
	for _, d := range s.Differences {
		fmt.Fprintf(&b, "  WRONG: %s\n", d)
	}
	text := strings.ReplaceAll(b.String(), "   \n", "\n")
	_, err := io.WriteString(w, text)
	return err
}
