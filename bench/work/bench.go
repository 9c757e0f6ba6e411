package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/weirstream/weir/bench/cluster"
	"github.com/weirstream/weir/bench/engine"
	"github.com/weirstream/weir/bench/measure"
	"github.com/weirstream/weir/bench/report"
)

// Bench runs works on one cluster and gathers their rows.
type Bench struct {
	Cluster  *cluster.Cluster
	Settings Settings
	Report   *report.Report
	Progress *report.Progress
	Dir      string // temporary, the caller's to remove
	runs     int
}

// Plan counts the runs of some works, for the progress.
func (b *Bench) Plan(works []Work) (n int) {
	for _, w := range works {
		for _, c := range w.cases(b.Settings) {
			n += b.Settings.Rounds * len(b.contestants(w, c))
		}
	}
	return n
}

func (b *Bench) contestants(w Work, c Case) []string {
	if b.Settings.Engines != nil {
		return b.Settings.Engines
	}
	if c.Engines != nil {
		return c.Engines
	}
	return w.engines
}

// Do does a work: each case in rounds, in each of which every engine runs once, in an order that rotates. A run that fails,
// or whose output is not the truth, has the reason in its row and no figure.
func (b *Bench) Do(ctx context.Context, w Work) error {
	b.Report.Works = append(b.Report.Works, w.Work)
	for _, c := range w.cases(b.Settings) {
		remove := func() {}
		if w.prepare != nil {
			var err error
			if remove, err = w.prepare(ctx, b, &c); err != nil {
				return fmt.Errorf("%s, %s: %w", w.Name, c.Name, err)
			}
		}
		engines := b.contestants(w, c)
		for round := range b.Settings.Rounds {
			for _, i := range measure.Order(len(engines), round) {
				if err := b.once(ctx, w, c, engines[i], round); err != nil {
					remove()
					return err
				}
			}
		}
		remove()
	}
	return nil
}

func (b *Bench) once(ctx context.Context, w Work, c Case, name string, round int) error {
	row := report.Row{Work: w.Name, Case: c.Name, X: c.X, Engine: name, Title: name, Round: round + 1}
	if e, err := engine.Find(name); err == nil {
		row.Title = e.Title
		row.Reference = map[string]string{engine.ExactlyOnce: "weir", engine.AtLeastOnce: "weir-alo"}[e.Guarantee]
	}
	b.Progress.Begin(fmt.Sprintf("%s, %s, round %d of %d, %s", w.Name, c.Name, round+1, b.Settings.Rounds, row.Title))
	values, err := w.run(ctx, b, c, name, round)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	row.Values = values
	if err != nil {
		row.Values, row.Error = nil, err.Error()
	}
	b.Report.Rows = append(b.Report.Rows, row)
	b.Progress.End(row)
	return nil
}

// folder makes an empty folder for a run, and how to remove it.
func (b *Bench) folder() (string, func(), error) {
	b.runs++
	dir := filepath.Join(b.Dir, fmt.Sprint(b.runs))
	return dir, func() { _ = os.RemoveAll(dir) }, os.MkdirAll(dir, 0o700)
}

// subfolder makes a folder for one of several instances.
func subfolder(dir string, i int) (string, error) {
	dir = filepath.Join(dir, fmt.Sprint(i))
	return dir, os.MkdirAll(dir, 0o700)
}

// suffix names the topics of a run.
func (b *Bench) suffix(name string) string {
	b.runs++
	return fmt.Sprintf("-%d-%d-%s", b.Report.Begun.Unix(), b.runs, name)
}

// stopAll stops processes and says which would not.
func stopAll(processes []*engine.Process) error {
	var errs []error
	for _, p := range processes {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}

func micros(d time.Duration, records float64) float64 {
	return float64(d.Microseconds()) / records
}

// Warm makes the broker compile what it will run, with a small input whose figure nobody sees.
func (b *Bench) Warm(ctx context.Context) error {
	s := b.Settings
	records := pick(s, 300_000, 1_000_000, 1_000_000)
	if s.Records > 0 {
		records = min(records, s.Records)
	}
	s.Keys, s.Records = 0, 0
	c := s.base("totals", records, 10_000)
	c.Name = "warm-up"
	remove, err := feed(ctx, b, &c)
	if err != nil {
		return err
	}
	defer remove()
	b.Progress.Note("warming the broker")
	_, err = drain(ctx, b, c, "floor-franz", 0)
	return err
}

// Failed is an error when a run failed.
func (b *Bench) Failed() error {
	n := 0
	for _, row := range b.Report.Rows {
		if row.Error != "" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d runs failed or were wrong", n, len(b.Report.Rows))
}
