package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/bench/engine"
	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/report"
)

var restore = Work{
	Work: report.Work{
		Name: "restore", Title: "Restore", About: "The reference job has seen every key, and is stopped. How long until a new order has its total, when the engine starts " +
			"without its local state, and when it starts with it, as a static member in both. The process' own start is in both; the rate is of the keys by the difference.",
		Axis: "keys", Numeric: true, Metrics: []string{"restore_s", "restart_s", "restore_rate", "peak_bytes"}, Compare: "restore_s",
	},
	engines: []string{"weir", "streams"}, run: runRestore,
	cases: func(s Settings) (cases []Case) {
		for _, keys := range s.axis(pick(s, []int{300_000}, []int{1_000_000}, []int{1_000_000, 10_000_000})) {
			c := s.base(job.Totals, keys, keys)
			c.Name, c.X, c.Job.Static = thousands(keys), float64(keys), true
			cases = append(cases, c)
		}
		return cases
	},
}

var crash = Work{
	Work: report.Work{
		Name: "crash", Title: "kill -9 under load", About: "The reference job at a fixed rate, static membership, killed and started again at once with its state: from the kill " +
			"to the first new output that a read-committed consumer sees.",
		Axis: "rate", Metrics: []string{"restart_s"}, Compare: "restart_s",
	},
	engines: []string{"weir", "streams"}, run: runCrash,
	cases: func(s Settings) []Case {
		c := s.base(job.Totals, 20_000*pick(s, 30, 40, 60), 100_000)
		c.Rate, c.Name, c.Job.Static = 20_000, "20 k/s", true
		return []Case{c}
	},
}

func runRestore(ctx context.Context, b *Bench, c Case, name string, _ int) (map[string]float64, error) {
	const wakes = 2 // orders after those of the build-up wake the engine when it is back: one for each restart
	c.Job.Records += wakes
	r, err := b.alone(ctx, c, name)
	if err != nil {
		return nil, err
	}
	defer r.remove()
	e, j, d := r.engine, r.job, r.data
	j.Records -= wakes
	if err := b.Cluster.Write(ctx, j, d, 0, j.Records); err != nil {
		return nil, err
	}
	if err := b.engineFor(ctx, e, j, func(p *engine.Process) error {
		_, err := b.Cluster.Drain(ctx, j, p, j.Records, 0, b.Progress.Part)
		return err
	}); err != nil {
		return nil, fmt.Errorf("build the state: %w", err)
	}
	restart, _, err := b.wake(ctx, e, j, d, j.Records)
	if err != nil {
		return nil, fmt.Errorf("restart with state: %w", err)
	}
	empty, removeEmpty, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer removeEmpty()
	j.StateDir = empty
	restored, peak, err := b.wake(ctx, e, j, d, j.Records+1)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if err := b.verify(ctx, r.job, e, d); err != nil {
		return nil, err
	}
	values := map[string]float64{"restore_s": restored.Seconds(), "restart_s": restart.Seconds(), "peak_bytes": peak}
	if restored > restart {
		values["restore_rate"] = float64(j.Keys) / (restored - restart).Seconds()
	}
	return values, nil
}

// engineFor runs an engine while do works.
func (b *Bench) engineFor(ctx context.Context, e engine.Engine, j job.Job, do func(*engine.Process) error) error {
	p, err := e.Start(ctx, j)
	if err != nil {
		return err
	}
	return errors.Join(do(p), p.Stop())
}

// wake writes one order, starts the engine, and says how long its total took.
func (b *Bench) wake(ctx context.Context, e engine.Engine, j job.Job, d job.Data, order int) (took time.Duration, peak float64, err error) {
	before, err := b.Cluster.Committed(ctx, j)
	if err != nil {
		return 0, 0, err
	}
	if err := b.Cluster.Write(ctx, j, d, order, order+1); err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	err = b.engineFor(ctx, e, j, func(p *engine.Process) error {
		if err := b.Cluster.Await(ctx, j, p, before); err != nil {
			return err
		}
		took = time.Since(begun)
		peak = float64(p.Usage().Peak)
		return nil
	})
	return took, peak, err
}

func runCrash(ctx context.Context, b *Bench, c Case, name string, _ int) (values map[string]float64, err error) {
	r, err := b.alone(ctx, c, name)
	if err != nil {
		return nil, err
	}
	defer r.remove()
	e, j, d := r.engine, r.job, r.data
	first, err := e.Start(ctx, j)
	if err != nil {
		return nil, err
	}
	defer first.Kill()
	ctx, cancel := context.WithCancel(ctx)
	begun := time.Now()
	gaps := &gaps{enough: make(chan struct{}), third: j.Records / 3}
	ended := make(chan error, 2)
	go func() { ended <- b.Cluster.Pace(ctx, j, d, begun, c.Rate) }()
	go func() {
		_, err := b.Cluster.Follow(ctx, j, begun, c.Rate, 0, gaps.arrived)
		ended <- err
	}()
	waiting := 2
	defer func() {
		cancel()
		for range waiting {
			<-ended
		}
	}()
	select {
	case <-gaps.enough:
	case err := <-ended:
		waiting--
		return nil, errors.Join(err, errors.New("the engine was not yet killed"))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	killed := time.Now()
	first.Kill()
	if err := b.engineFor(ctx, e, j, func(*engine.Process) (err error) {
		for ; waiting > 0 && err == nil; waiting-- {
			err = <-ended
		}
		return err
	}); err != nil {
		return nil, err
	}
	took := gaps.end.Sub(killed)
	if took <= 0 {
		return nil, errors.New("the longest gap between outputs was not that of the kill")
	}
	return map[string]float64{"restart_s": took.Seconds()}, b.verify(ctx, j, e, d)
}

// gaps finds the longest time without an output, once a third of them are there.
type gaps struct {
	third   int
	enough  chan struct{} // closed at the third
	last    time.Time
	longest time.Duration
	end     time.Time // of the longest
}

func (g *gaps) arrived(seen int) {
	now := time.Now()
	if seen < g.third {
		return
	}
	if g.last.IsZero() {
		close(g.enough)
	} else if gap := now.Sub(g.last); gap > g.longest {
		g.longest, g.end = gap, now
	}
	g.last = now
}
