package work

import (
	"context"
	"errors"
	"time"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/report"
)

var idle = Work{
	Work: report.Work{
		Name: "idle", Title: "Doing nothing", About: "The reference job with an input in which nothing arrives: processor time of the engine, after it has worked on one order and rested.",
		Axis: "partitions", Numeric: true, Metrics: []string{"core_percent", "peak_bytes"}, Compare: "core_percent",
	},
	engines: []string{"weir", "streams"}, run: runIdle,
	cases: func(s Settings) []Case {
		c := s.base(job.Totals, 1, 1)
		c.Job.Records, c.Job.Keys, c.Job.Partitions = 1, 1, 200
		c.Name, c.X = "200", 200
		return []Case{c}
	},
}

func runIdle(ctx context.Context, b *Bench, c Case, name string, _ int) (values map[string]float64, err error) {
	r, err := b.alone(ctx, c, name)
	if err != nil {
		return nil, err
	}
	defer r.remove()
	e, j, d := r.engine, r.job, r.data
	if err := b.Cluster.Write(ctx, j, d, 0, 1); err != nil {
		return nil, err
	}
	p, err := e.Start(ctx, j)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := b.Cluster.Await(ctx, j, p, 0); err != nil {
		return nil, err
	}
	rest, watched := pick(b.Settings, 5*time.Second, 15*time.Second, 15*time.Second), pick(b.Settings, 10*time.Second, 30*time.Second, time.Minute)
	if err := wait(ctx, rest); err != nil {
		return nil, err
	}
	before, begun := p.Usage(), time.Now()
	if err := wait(ctx, watched); err != nil {
		return nil, err
	}
	after := p.Usage()
	return map[string]float64{
		"core_percent": 100 * (after.CPU - before.CPU).Seconds() / time.Since(begun).Seconds(), "peak_bytes": float64(after.Peak),
	}, errors.Join(p.Exited(), b.verify(ctx, j, e, d))
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
