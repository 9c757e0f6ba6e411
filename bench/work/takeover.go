package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/weirstream/weir/bench/engine"
	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/report"
)

var takeover = Work{
	Work: report.Work{
		Name: "takeover", Title: "Tasks go on from copies", About: "Two instances with a copy of each task's state on the other one; the reference job has seen every key, and " +
			"2,000 orders come each second. The longest time in which some partition had no committed output, when an instance is asked to stop, and when " +
			"another one is killed (its session lasts 10 s); and how fast an empty instance took up its copies.",
		Axis: "keys", Numeric: true, Metrics: []string{"move_s", "kill_s", "copy_rate", "peak_bytes"}, Compare: "move_s",
	},
	engines: []string{"weir"}, run: runTakeover,
	cases: func(s Settings) (cases []Case) {
		for _, keys := range s.axis(pick(s, []int{100_000}, []int{1_000_000}, []int{1_000_000, 10_000_000})) {
			c := s.base(job.Totals, keys, keys)
			c.Name, c.X, c.Job.Copies, c.Rate = thousands(keys), float64(keys), 1, 2000
			cases = append(cases, c)
		}
		return cases
	},
}

const (
	watchedStop = 6 * time.Second
	watchedKill = 20 * time.Second
)

func runTakeover(ctx context.Context, b *Bench, c Case, name string, _ int) (values map[string]float64, err error) {
	built := c.Job.Records
	paced := c.Rate * int((watchedStop + watchedKill + 30*time.Second).Seconds()) // the rest is for copies that are taken up again
	c.Job.Records += paced
	r, err := b.alone(ctx, c, name)
	if err != nil {
		return nil, err
	}
	defer r.remove()
	p := &pair{bench: b, engine: r.engine, job: r.job}
	defer p.kill()
	if err := b.Cluster.Write(ctx, r.job, r.data, 0, built); err != nil {
		return nil, err
	}
	if err := p.start(0); err != nil {
		return nil, err
	}
	working := r.job
	working.Records = built
	if _, err := b.Cluster.Drain(ctx, working, p.running(), built, 0, b.Progress.Part); err != nil {
		return nil, fmt.Errorf("build the state: %w", err)
	}
	empty := time.Now()
	if err := errors.Join(p.start(1), p.warm(ctx)); err != nil {
		return nil, err
	}
	values = map[string]float64{"copy_rate": float64(c.Job.Keys) / time.Since(empty).Seconds()}

	quiet := newSilence(r.job.Partitions)
	following, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- b.Cluster.Arrivals(following, r.job, quiet.arrived) }()
	go func() { ended <- b.trickle(following, r, built, c.Rate) }()
	if err := wait(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	moved, err := quiet.during(ctx, watchedStop, func() error { return p.stop(0) })
	if err = errors.Join(err, p.start(0), p.warm(ctx)); err != nil {
		return nil, err
	}
	killed, err := quiet.during(ctx, watchedKill, func() error { p.processes[1].Kill(); return nil })
	if err != nil {
		return nil, err
	}
	select {
	case err := <-ended:
		return nil, errors.Join(err, errors.New("the orders ended before the instances were watched to the end"))
	default:
	}
	if err := <-ended; err != nil { // all orders are written
		return nil, err
	}
	if _, err := b.Cluster.Drain(ctx, r.job, p.processes[0], r.job.Records, 0, b.Progress.Part); err != nil {
		return nil, err
	}
	values["move_s"], values["kill_s"], values["peak_bytes"] = moved.Seconds(), killed.Seconds(), float64(p.processes[0].Usage().Peak)
	return values, b.verify(ctx, r.job, r.engine, r.data)
}

// trickle writes the orders from a number on at a rate.
func (b *Bench) trickle(ctx context.Context, r lone, from, rate int) error {
	begun := time.Now()
	for at := from; at < r.job.Records; {
		due := min(from+int(time.Since(begun).Seconds()*float64(rate)), r.job.Records)
		if err := errors.Join(b.Cluster.Write(ctx, r.job, r.data, at, due), wait(ctx, 10*time.Millisecond)); err != nil {
			return err
		}
		at = due
	}
	return nil
}

// pair is two instances of an engine, each with a folder of its own.
type pair struct {
	bench     *Bench
	engine    engine.Engine
	job       job.Job
	processes [2]*engine.Process
}

func (p *pair) folder(i int) string { return filepath.Join(p.job.StateDir, fmt.Sprint(i)) }

func (p *pair) start(i int) (err error) {
	j := p.job
	if j.StateDir, err = subfolder(j.StateDir, i); err != nil {
		return err
	}
	p.processes[i], err = p.engine.Start(context.Background(), j)
	return err
}

// stop ends one in order.
func (p *pair) stop(i int) error { return p.processes[i].Stop() }

func (p *pair) kill() {
	for _, one := range p.processes {
		if one != nil {
			one.Kill()
		}
	}
}

func (p *pair) running() (all instances) {
	for _, one := range p.processes {
		if one != nil {
			all = append(all, one)
		}
	}
	return all
}

// warm waits until both say that each task which does not run there has a warm copy there.
func (p *pair) warm(ctx context.Context) error {
	for {
		ready := 0
		for i := range p.processes {
			if _, err := os.Stat(filepath.Join(p.folder(i), engine.Warm)); err == nil {
				ready++
			}
		}
		if ready == len(p.processes) {
			return nil
		}
		if err := errors.Join(p.running().Exited(), wait(ctx, 20*time.Millisecond)); err != nil {
			return fmt.Errorf("wait for warm copies: %w", err)
		}
	}
}

// silence finds how long some partition had no output.
type silence struct {
	mu      sync.Mutex
	last    []time.Time
	longest time.Duration
}

func newSilence(partitions int) *silence { return &silence{last: make([]time.Time, partitions)} }

func (s *silence) arrived(partition int32, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.longest = max(s.longest, now.Sub(s.last[partition]))
	s.last[partition] = now
}

// during does something and returns the longest silence from when it began for so long, also one that has not ended by then.
func (s *silence) during(ctx context.Context, watched time.Duration, do func() error) (time.Duration, error) {
	begun := time.Now()
	s.mu.Lock()
	for i := range s.last {
		s.last[i] = begun
	}
	s.longest = 0
	s.mu.Unlock()
	if err := errors.Join(do(), wait(ctx, watched-time.Since(begun))); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.longest, time.Since(slices.MinFunc(s.last, time.Time.Compare))), nil
}
