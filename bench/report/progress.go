package report

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress tells on a terminal how far a run is and when it will end, and everywhere how each part of it ended.
type Progress struct {
	W        io.Writer
	Terminal bool // W can take a line back
	Runs     int  // planned
	mu       sync.Mutex
	begun    time.Time
	done     int
	now      string
	shown    time.Time
}

// Begin says which run begins.
func (p *Progress) Begin(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	p.now = what
	p.line(0)
}

// Note says what is done between runs.
func (p *Progress) Note(what string) { p.Begin(what) }

// Part says how much of a run is done, 0 to 1.
func (p *Progress) Part(done float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.shown) > 200*time.Millisecond {
		p.line(done)
	}
}

func (p *Progress) line(part float64) {
	if !p.Terminal {
		return
	}
	p.shown = time.Now()
	fmt.Fprintf(p.W, "\r\033[K[%d/%d] %s  %.0f%%%s", p.done+1, p.Runs, p.now, 100*min(1, max(0, part)), p.eta())
}

// eta takes the runs to come to be as long as those that were.
func (p *Progress) eta() string {
	if p.done == 0 || p.Runs <= p.done {
		return ""
	}
	left := time.Since(p.begun) / time.Duration(p.done) * time.Duration(p.Runs-p.done)
	return fmt.Sprintf("  about %v left", left.Round(time.Second))
}

// End says how a run ended.
func (p *Progress) End(row Row) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.Terminal {
		fmt.Fprint(p.W, "\r\033[K")
	}
	fmt.Fprintf(p.W, "%s\n", row.short())
	p.line(0)
}

func (r Row) short() string {
	text := fmt.Sprintf("%-9s %-8s round %d  %-40s", r.Work, r.Case, r.Round, r.Title)
	if r.Error != "" {
		return text + "  FAILED: " + r.Error
	}
	for _, m := range []string{"rate", "cpu_us", "broker_us", "peak_bytes", "stall_s", "p50_ms", "p99_ms", "p999_ms", "restore_s", "restart_s", "move_s", "kill_s", "copy_rate", "core_percent"} {
		if v, ok := r.Values[m]; ok {
			text += fmt.Sprintf("  %s %s", number(v/Metrics[m].Scale, Metrics[m].Digits), Metrics[m].Title)
		}
	}
	if remark := r.remark(); remark != "" {
		text += "  " + remark
	}
	return text
}
