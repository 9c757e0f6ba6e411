package demo

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weirstream/weir/internal/termtext"
)

// display shows how the demo goes: in one place of a terminal, or a line each second.
type display struct {
	out    io.Writer // of the summary
	lines  io.Writer // of everything before, where there is no screen
	errors io.Writer
	screen *screen // nil without a terminal
	json   bool
	rate   *rate
}

func newDisplay(o options, to terminal) display {
	d := display{out: to.out, lines: to.out, errors: to.err, json: o.json, rate: &rate{}}
	if o.json {
		d.lines = to.err // standard output is for the document alone
	}
	if f, ok := termtext.Terminal(d.lines); ok && os.Getenv("TERM") != "dumb" {
		d.screen = newScreen(f, int(f.Fd()))
	}
	return d
}

// log is where logs go: above the frame, when there is one.
func (d display) log() io.Writer {
	if _, ok := termtext.Terminal(d.errors); ok && d.screen != nil {
		return d.screen
	}
	return d.errors
}

func (d display) every() time.Duration {
	if d.screen != nil {
		return 200 * time.Millisecond
	}
	return time.Second
}

// hello is the first output.
func (d display) hello(s snapshot) {
	d.rate.of(0, time.Now())
	if d.screen != nil {
		d.show(s)
		return
	}
	fmt.Fprintf(d.lines, "weir demo: customer-totals, %s, broker %s, http://%s/metrics /healthz /readyz\n", s.Guarantee, s.Broker, s.HTTP)
}

func (d display) show(s snapshot) {
	s.Rate = d.rate.of(s.Counts.sum(), time.Now())
	if d.screen != nil {
		d.screen.draw(frame(s))
		return
	}
	fmt.Fprintln(d.lines, line(s))
}

func (d display) end(s summary) error {
	if d.json {
		return s.writeJSON(d.out)
	}
	return s.write(d.out)
}

// rate is how fast a count grows, over the last two seconds or so.
type rate struct {
	times  []time.Time
	counts []int64
}

func (r *rate) of(count int64, now time.Time) float64 {
	r.times, r.counts = append(r.times, now), append(r.counts, count)
	for len(r.times) > 2 && now.Sub(r.times[1]) > 2*time.Second {
		r.times, r.counts = r.times[1:], r.counts[1:]
	}
	took := now.Sub(r.times[0]).Seconds()
	if took == 0 {
		return 0
	}
	return float64(count-r.counts[0]) / took
}
