package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/weirstream/weir/internal/termtext"
)

// The phases of a demo.
const (
	phaseStarting  = "starting"
	phaseRunning   = "running"
	phaseFinishing = "finishing"
	phaseFinished  = "finished"
)

// snapshot is what the display shows of one moment.
type snapshot struct {
	Phase     string
	Elapsed   time.Duration
	Guarantee string
	Broker    string
	HTTP      string
	Counts    counts
	Rate      float64 // records/s
	Lag       int64
	P50, P99  time.Duration
	Last      []change
	Problems  []string // of /healthz
}

// frame is the display on a terminal.
func frame(s snapshot) []string {
	lines := []string{
		fmt.Sprintf("weir demo   customer-totals, %s   %s   %s", s.Guarantee, clock(s.Elapsed), s.Phase),
		fmt.Sprintf("broker %s   http://%s/metrics /healthz /readyz", s.Broker, s.HTTP),
		"",
		fmt.Sprintf("  records in     %12s   %10s /s", thousands(s.Counts.In), thousands(int64(s.Rate))),
		fmt.Sprintf("  processed      %12s", thousands(s.Counts.Processed)),
		fmt.Sprintf("  filtered       %12s", thousands(s.Counts.Filtered)),
		fmt.Sprintf("  deduplicated   %12s", thousands(s.Counts.Deduplicated)),
		fmt.Sprintf("  dead-lettered  %12s", thousands(s.Counts.DeadLettered)),
		fmt.Sprintf("  lag            %12s", thousands(s.Lag)),
		fmt.Sprintf("  latency        %9d ms p50   %d ms p99, from an order to its visible total", s.P50.Milliseconds(), s.P99.Milliseconds()),
		"",
		"  last totals",
	}
	for _, c := range s.Last {
		lines = append(lines, fmt.Sprintf("    %-16s %6s orders %15s", c.customer, thousands(c.total.Count), cents(c.total.SumCents)))
	}
	for range shownChanges - len(s.Last) {
		lines = append(lines, "")
	}
	for _, p := range s.Problems {
		lines = append(lines, "  problem: "+p)
	}
	if s.Phase == phaseRunning {
		lines = append(lines, "", "Ctrl-C ends it and checks every total")
	}
	return lines
}

// line is the display where there is no terminal.
func line(s snapshot) string {
	return fmt.Sprintf("%s %s: in %d, processed %d, filtered %d, deduplicated %d, dead-lettered %d, %.0f/s, lag %d, p50 %d ms, p99 %d ms",
		clock(s.Elapsed), s.Phase, s.Counts.In, s.Counts.Processed, s.Counts.Filtered, s.Counts.Deduplicated, s.Counts.DeadLettered,
		s.Rate, s.Lag, s.P50.Milliseconds(), s.P99.Milliseconds())
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

func cents(n int64) string { return fmt.Sprintf("%s.%02d", thousands(n/100), n%100) }

// screen shows frames in one place of a terminal. Between frames the cursor stands below the last one and nothing about
// the terminal is changed, so there is nothing to restore, however the program ends.
type screen struct {
	out  io.Writer
	size func() (width, height int)

	mu    sync.Mutex
	drawn int // lines on the terminal
	width int // with which they were drawn
}

func newScreen(out io.Writer, fd int) *screen {
	return &screen{out: out, size: func() (int, int) { return usable(term.GetSize(fd)) }}
}

// usable is the size of a terminal, or the usual one where nobody has set it: a pseudo terminal begins with 0 by 0.
func usable(width, height int, err error) (int, int) {
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// draw puts a frame in the place of the last one, in one write, so that it does not flicker.
func (s *screen) draw(frame []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	width, height := s.size()
	var b strings.Builder
	b.WriteString(s.back(width))
	if n := max(1, height-1); len(frame) > n {
		frame = frame[:n]
	}
	for _, text := range frame {
		b.WriteString(clip(termtext.Text(text), width-1))
		b.WriteString("\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	_, _ = io.WriteString(s.out, b.String()) // a terminal that is gone ends the program by SIGHUP
	s.drawn, s.width = len(frame), width
}

// back moves the cursor to where the last frame begins. After a change of width that place is not known: terminals wrap
// old lines again, each in its own way.
func (s *screen) back(width int) string {
	switch {
	case s.drawn == 0:
		return ""
	case width != s.width:
		return "\x1b[2J\x1b[H"
	}
	return fmt.Sprintf("\x1b[%dA\r", s.drawn)
}

// Write puts a line of the log above the frame.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.ReplaceAll(termtext.Lines(string(p)), "\n", "\r\n")
	if _, err := io.WriteString(s.out, s.back(s.width)+"\x1b[J"+text); err != nil {
		return 0, err
	}
	s.drawn = 0
	return len(p), nil
}

func clip(text string, width int) string {
	if runes := []rune(text); len(runes) > max(width, 0) {
		return string(runes[:max(width, 0)])
	}
	return text
}
