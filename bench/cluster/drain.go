package cluster

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/measure"
)

// Subject is the engine that is watched.
type Subject interface {
	Exited() error
	Usage() measure.Usage
}

// Drained is how an engine worked its input off, counted from the moment when it was warm.
type Drained struct {
	Records float64       // processed since then
	Took    time.Duration // from then to the last output
	Engine  time.Duration // processor time of the engine
	Broker  time.Duration
	Others  float64       // the part of the machine, 0 to 1, that went to neither of them nor to the bench
	Peak    int64         // of the engine, bytes, since its start
	Startup time.Duration // from the call to the first output
	Cold    bool          // the input was worked off between two looks: the time of the start is in the figures
	Stall   time.Duration // the longest time without a new output, once warm
}

// sample is a look at the output: read-committed ends, added up. Markers of transactions are in them, so only their
// proportions count.
type sample struct {
	at             time.Time
	sum            int64
	engine, broker measure.Usage
	self, busy     time.Duration
}

const (
	look     = 20 * time.Millisecond
	patience = 90 * time.Second // without any progress
)

// Drain waits until the group has committed the whole input and the output is at rest. The engine counts as warm when warm
// of its outputs are there, 0 to 1 of want: a JVM compiles and connections are made before that.
func (c *Cluster) Drain(ctx context.Context, j job.Job, s Subject, want int, warm float64, progress func(done float64)) (d Drained, err error) {
	begun := time.Now()
	tick := time.NewTicker(look)
	defer tick.Stop()
	last, first := sample{at: begun}, sample{}
	asked, done := time.Time{}, false
	quiet := 300 * time.Millisecond
	if j.Kind == job.Shuffle {
		quiet = max(2*time.Second, 2*j.Interval) // its second half is not seen by the group's offsets of the first
	}
	for {
		select {
		case <-ctx.Done():
			return d, ctx.Err()
		case <-tick.C:
		}
		if err := s.Exited(); err != nil {
			return d, err
		}
		ends, err := c.admin.ListCommittedOffsets(ctx, j.Output())
		if err != nil {
			return d, err
		}
		now := time.Now()
		if sum := total(ends); sum > last.sum {
			if last.sum == 0 {
				d.Startup = now.Sub(begun)
			}
			if !first.at.IsZero() {
				d.Stall = max(d.Stall, now.Sub(last.at))
			}
			last = sample{now, sum, s.Usage(), c.Usage(), measure.UsageOf(os.Getpid()).CPU, measure.Busy()}
			if first.at.IsZero() && float64(sum) >= warm*float64(want) {
				first = last
			}
			progress(float64(sum) / float64(want))
			done = false
		}
		switch idle := now.Sub(last.at); {
		case done && idle > quiet && !first.at.IsZero():
			if d.Cold = first.at.Equal(last.at); d.Cold {
				first = sample{at: begun}
			}
			return d.between(first, last, j.Records), nil
		case idle > patience+2*j.Interval:
			return d, fmt.Errorf("%.0f%% of the outputs, and no new one for %v", 100*float64(last.sum)/float64(want), idle.Round(time.Second))
		case !done && now.Sub(asked) > 100*time.Millisecond && (idle > 100*time.Millisecond || last.sum >= int64(want)): // not while it is at work
			asked = now
			if done, err = c.committed(ctx, j); err != nil {
				return d, err
			}
		}
	}
}

func (d Drained) between(first, last sample, records int) Drained {
	d.Records = float64(records) * (1 - float64(first.sum)/float64(last.sum))
	d.Took = last.at.Sub(first.at)
	d.Engine, d.Broker = last.engine.CPU-first.engine.CPU, last.broker.CPU-first.broker.CPU
	others := last.busy - first.busy - d.Engine - d.Broker - (last.self - first.self)
	if d.Cold {
		others = 0 // what happened before is not known
	}
	d.Others = max(0, others.Seconds()/d.Took.Seconds()/float64(runtime.NumCPU()))
	d.Peak = last.engine.Peak
	return d
}

// committed says whether the group has committed the end of the input in every partition.
func (c *Cluster) committed(ctx context.Context, j job.Job) (bool, error) {
	ends, err := c.admin.ListEndOffsets(ctx, j.Input)
	if err != nil {
		return false, err
	}
	offsets, err := c.admin.FetchOffsets(ctx, j.Group())
	if err != nil {
		return false, nil // its coordinator may move or load
	}
	done := true
	ends.Each(func(end kadm.ListedOffset) {
		o, ok := offsets.Lookup(end.Topic, end.Partition)
		if end.Offset > 0 && (!ok || o.At < end.Offset) {
			done = false
		}
	})
	return done, nil
}
