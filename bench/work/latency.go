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

var latency = Work{
	Work: report.Work{
		Name: "latency", Title: "End-to-end latency",
		About: "The reference job, exactly-once, with orders at a fixed rate, which is about half of what Kafka Streams can do here: from when an order was due to " +
			"when a read-committed consumer has its total.",
		Axis: "commit interval, rate", Metrics: []string{"p99_ms", "p50_ms", "p90_ms", "p999_ms", "max_ms", "cpu_us"}, Compare: "p99_ms",
	},
	engines: []string{"weir", "streams"},
	run:     openLoop,
	cases: func(s Settings) (cases []Case) {
		for _, d := range []time.Duration{100 * time.Millisecond, 10 * time.Millisecond} {
			for _, rate := range pick(s, []int{20_000}, []int{20_000, 35_000}, []int{20_000, 35_000}) {
				c := s.base(job.Totals, rate*pick(s, 20, 40, 60), 10_000)
				c.Rate, c.Job.Interval = rate, d
				c.Name, c.X = fmt.Sprintf("%v, %s/s", d, thousands(rate)), float64(rate)
				cases = append(cases, c)
			}
		}
		return cases
	},
}

// openLoop starts an engine on an empty input, waits until it is there, and offers records at a fixed rate.
func openLoop(ctx context.Context, b *Bench, c Case, name string, _ int) (values map[string]float64, err error) {
	r, err := b.alone(ctx, c, name)
	if err != nil {
		return nil, err
	}
	defer r.remove()
	e, j, d := r.engine, r.job, r.data
	p, err := e.Start(ctx, j)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	// The first part of the records warms the engine: it is offered at once, so its delays, the start included, do not count.
	begun := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	paced := make(chan error, 1)
	go func() {
		err := b.Cluster.Pace(ctx, j, d, begun, c.Rate)
		if err != nil {
			cancel()
		}
		paced <- err
	}()
	const warm = 0.5
	l, err := b.Cluster.Follow(ctx, j, begun, c.Rate, warm, b.part(j.Records))
	cancel()
	if pacing := <-paced; err != nil || pacing != nil && !errors.Is(pacing, context.Canceled) {
		return nil, errors.Join(err, pacing, p.Exited())
	}
	values = l.Values()
	values["cpu_us"] = micros(p.Usage().CPU, float64(j.Records))
	return values, b.verify(context.WithoutCancel(ctx), j, e, d)
}

// lone is a run with an input of its own, which nobody has written yet, and an empty folder for its state.
type lone struct {
	engine engine.Engine
	job    job.Job
	data   job.Data
	remove func() // the topics and the folder
}

func (b *Bench) alone(ctx context.Context, c Case, name string) (lone, error) {
	r := lone{job: c.Job}
	var err error
	if r.engine, err = engine.Find(name); err != nil {
		return r, err
	}
	if r.engine.Floor || !r.engine.Does(job.Totals) {
		return r, fmt.Errorf("%s has no totals to be timed by", name)
	}
	j := &r.job
	j.Brokers, j.Suffix = b.Cluster.Brokers, b.suffix(baseOf(name))
	j.Input = "order.placed" + j.Suffix + ".v1"
	if r.data, err = job.DataOf(*j); err != nil {
		return r, err
	}
	dir, removeDir, err := b.folder()
	if err != nil {
		return r, err
	}
	j.StateDir = dir
	topics := *j
	r.remove = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = errors.Join(b.Cluster.Remove(ctx, topics), b.Cluster.RemoveInput(ctx, topics))
		removeDir()
	}
	if err := errors.Join(b.Cluster.MakeInput(ctx, *j), b.Cluster.Prepare(ctx, *j)); err != nil {
		r.remove()
		return r, err
	}
	return r, nil
}

func (b *Bench) part(of int) func(int) {
	return func(n int) { b.Progress.Part(float64(n) / float64(of)) }
}
