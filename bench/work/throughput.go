package work

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/bench/engine"
	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/measure"
)

// feed writes the input that all engines of a case read.
func feed(ctx context.Context, b *Bench, c *Case) (remove func(), err error) {
	c.Job.Brokers = b.Cluster.Brokers
	c.Job.Input = "order.placed" + b.suffix(c.Job.Kind) + ".v1"
	if c.data, err = job.DataOf(c.Job); err != nil {
		return nil, err
	}
	b.Progress.Note(fmt.Sprintf("writing %d records", c.Job.Records))
	if err := b.Cluster.Feed(ctx, c.Job, c.data, func(n int) { b.Progress.Part(float64(n) / float64(c.Job.Records)) }); err != nil {
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = b.Cluster.RemoveInput(ctx, c.Job)
	}, nil
}

// drain lets an engine work the input off, and compares its output with the truth before the figure counts.
func drain(ctx context.Context, b *Bench, c Case, name string, _ int) (values map[string]float64, err error) {
	e, err := engine.Find(name)
	if err != nil {
		return nil, err
	}
	if !e.Does(c.Job.Kind) {
		return nil, fmt.Errorf("%s has no job %s", name, c.Job.Kind)
	}
	j := c.Job
	j.Suffix = b.suffix(baseOf(name))
	if err := b.Cluster.Prepare(ctx, j); err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = b.Cluster.Remove(ctx, j)
	}()
	dir, remove, err := b.folder()
	if err != nil {
		return nil, err
	}
	defer remove() // after the engines have ended, also on Ctrl-C: one whose files go away while it works ends with an error of its own
	var all instances
	defer func() { err = errors.Join(err, stopAll(all)) }()
	for i := range max(1, c.Instances) {
		if j.StateDir, err = subfolder(dir, i); err != nil {
			return nil, err
		}
		p, err := e.Start(ctx, j)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	d, err := b.Cluster.Drain(ctx, j, all, outputs(j), c.Warm, b.Progress.Part)
	if err != nil {
		return nil, err
	}
	if err := stopAll(all); err != nil {
		return nil, err
	}
	if err := b.verify(ctx, j, e, c.data); err != nil {
		return nil, err
	}
	values = map[string]float64{
		"rate":   d.Records / d.Took.Seconds(),
		"cpu_us": micros(d.Engine, d.Records), "broker_us": micros(d.Broker, d.Records),
		"peak_bytes": float64(d.Peak), "startup_s": d.Startup.Seconds(), "stall_s": d.Stall.Seconds(), "others_percent": 100 * d.Others,
	}
	if d.Cold {
		values["cold"] = 1
	}
	return values, nil
}

// verify compares an engine's whole output with the truth.
func (b *Bench) verify(ctx context.Context, j job.Job, e engine.Engine, d job.Data) error {
	check := d.Check()
	if e.Floor {
		check = job.FloorCheck(j, d)
	}
	if err := b.Cluster.Verify(ctx, j.Output(), check, e.Guarantee == engine.ExactlyOnce); err != nil {
		return fmt.Errorf("the output is wrong: %w", err)
	}
	return nil
}

// baseOf is an engine's name without its options.
func baseOf(name string) string {
	base, _, _ := strings.Cut(name, ":")
	return base
}

// outputs is about how many there will be.
func outputs(j job.Job) int {
	switch j.Kind {
	case job.Dedup:
		return min(j.Keys, j.Records)
	case job.Shuffle:
		return max(1, j.Records/5/10-j.Keys/2)
	}
	return j.Records
}

// instances are the processes of one engine.
type instances []*engine.Process

func (all instances) Exited() error {
	for _, p := range all {
		if err := p.Exited(); err != nil {
			return err
		}
	}
	return nil
}

func (all instances) Usage() (sum measure.Usage) {
	for _, p := range all {
		u := p.Usage()
		sum.CPU, sum.Peak = sum.CPU+u.CPU, sum.Peak+u.Peak
	}
	return sum
}
