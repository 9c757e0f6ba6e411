package processors

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// problemsOf are the kinds of an instance's problems.
func problemsOf(i *Instance) (kinds []string) {
	for _, p := range i.Health() {
		kinds = append(kinds, p.Kind)
	}
	return kinds
}

// emitted compares what the job has emitted to the two partitions of its output, in any order, with "key value" lines.
func (g *rig) emitted(want ...string) {
	g.t.Helper()
	var got []string
	for p := range int32(2) {
		for _, r := range g.cluster.Committed(at(jobOut, p)) {
			got = append(got, string(r.Key)+" "+string(r.Value))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		g.t.Errorf("emitted %q, want %q", got, want)
	}
}

// calls are those of a node, by value. A test's goroutine reads them while the worker's adds more: that a test slept orders nothing.
type calls struct {
	mu    sync.Mutex
	times map[string][]time.Time
}

func (c *calls) add(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times[value] = append(c.times[value], time.Now())
}

func (c *calls) of(value string) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.times[value])
}

var errDown = errors.New("connection refused")

// TestADependencyThatIsDownIsWaitedFor: a record that fails of the world waits for as long as that lasts, its partition with it, and uses
// up no try; others pass. It does so whoever says that it is the world: the node, or its classifier, also of a Timeout.
func TestADependencyThatIsDownIsWaitedFor(t *testing.T) {
	says := map[string]struct {
		err   func(ctx topology.Context) error
		parts []topology.Part
	}{
		"node":       {func(topology.Context) error { return topology.World(errDown) }, nil},
		"wrapped":    {func(topology.Context) error { return fmt.Errorf("look up: %w", topology.World(errDown)) }, nil},
		"classifier": {func(topology.Context) error { return errDown }, nil},
		"timeout": {func(ctx topology.Context) error { <-ctx.Done(); return ctx.Err() },
			[]topology.Part{topology.Timeout(100 * time.Millisecond)}},
	}
	for name, c := range says {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, simkafka.Config{}, func(g *rig) {
				var down atomic.Bool
				var calls atomic.Int64
				down.Store(true)
				g.job.parts = append(c.parts, topology.Retry(topology.Backoff{Attempts: 2, Jitter: -1}), topology.Classify(func(err error) topology.Class {
					var slow interface{ Timeout() bool }
					if errors.Is(err, errDown) || errors.As(err, &slow) || name == "timeout" {
						return topology.ClassWorld
					}
					return topology.ClassUnknown
				}))
				g.job.node = func(j *job, ctx topology.Context, key, value string) error {
					if value == "asks" {
						if n := calls.Add(1); ctx.Record().Attempt != 1 {
							t.Errorf("call %d is attempt %d", n, ctx.Record().Attempt)
						}
						if down.Load() {
							return c.err(ctx)
						}
					}
					return remember(j, ctx, key, value)
				}
				g.start()
				g.send(0, "a 1", "a asks", "a 2")
				time.Sleep(time.Hour)
				g.send(1, "b 1")
				time.Sleep(10 * time.Second)
				g.emitted("a 1", "b 1")
				g.sees(at(jobDead, 0))
				g.committed(at(jobIn, 0), 1)
				if n := calls.Load(); n < 100 || n > 150 { // 1 s, 2, 4, ... 30, 30
					t.Errorf("%d calls in an hour", n)
				}
				if kinds := problemsOf(g.inst); !slices.Equal(kinds, []string{ProblemBlocked}) {
					t.Errorf("problems %q: %q", kinds, healthOf(g.inst))
				}
				down.Store(false)
				time.Sleep(31 * time.Second)
				g.emitted("a 1", "b 1", "a asks", "a 2")
				if p := healthOf(g.inst); len(p) > 0 {
					t.Errorf("problems that are over: %q", p)
				}
				if n := g.logged(zapcore.ErrorLevel, "a partition waits"); n != 1 {
					t.Errorf("logged %d times", n)
				}
				g.counted(4, 0, 0, 0)
			})
		})
	}
}

// TestErrorsAreClassified: a classifier decides where the error does not, and nowhere else.
func TestErrorsAreClassified(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.parts = []topology.Part{
			topology.Retry(topology.Backoff{Attempts: 3}),
			topology.Classify(func(err error) topology.Class {
				switch err.Error() {
				case "bad request":
					return topology.ClassRejected
				case "ask again":
					return topology.ClassRetriable
				case "panic":
					panic("the classifier does not know")
				case "rejected: by itself":
					t.Error("asked about an error that says what it is")
					return topology.ClassFatal
				}
				return topology.ClassUnknown
			})}
		calls := calls{times: map[string][]time.Time{}}
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			calls.add(value)
			if value == "rejected" {
				return topology.Reject(errors.New("by itself"))
			}
			return errors.New(value)
		}
		g.start()
		g.send(0, "a bad request", "a ask again", "a anything", "a rejected", "a panic")
		time.Sleep(time.Minute)
		for i, want := range []struct {
			value, reason string
			tries         int
		}{{"bad request", "rejected", 1}, {"ask again", "error", 3}, {"anything", "error", 3}, {"rejected", "rejected", 1}, {"panic", "panic", 3}} {
			letters := g.cluster.Committed(at(jobDead, 0))
			switch {
			case i >= len(letters):
				t.Errorf("no letter of %q", want.value)
			case header(letters[i], deadletter.HeaderReason) != want.reason, len(calls.of(want.value)) != want.tries:
				t.Errorf("%q became a letter for %q after %d tries", want.value, header(letters[i], deadletter.HeaderReason), len(calls.of(want.value)))
			}
		}
	})
}

// TestTriesEndInTime: with Within no try begins later than that after the first failure, whatever Attempts says; and a wait is shortened
// by its Jitter at most.
func TestTriesEndInTime(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 10_000, First: time.Second, Max: 2 * time.Second, Within: time.Minute, Jitter: 0.5})}
		calls := calls{times: map[string][]time.Time{}}
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "fails" {
				calls.add(value)
				return errors.New("told to")
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a fails", "a 1")
		time.Sleep(2 * time.Minute)
		g.sees(at(jobOut, 0), "a 1")
		g.sees(at(jobDead, 0), "a fails")
		times := calls.of("fails")
		if span := times[len(times)-1].Sub(times[0]); span > time.Minute+time.Second || span < 55*time.Second {
			t.Errorf("tried for %v", span)
		}
		even := true
		for i := 2; i < len(times); i++ {
			wait := times[i].Sub(times[i-1])
			if wait < time.Second || wait > 2100*time.Millisecond {
				t.Errorf("try %d came after %v", i+1, wait)
			}
			even = even && wait > 1900*time.Millisecond
		}
		if even {
			t.Error("nothing is left to chance")
		}
	})
}

// TestTheLineIsStopped: where most records of a partition fail in one way, the partition waits after so many, one record alone is tried,
// and all go on when it passes. Records that are rejected or undecodable stop nothing, however many; nor do failures that are few
// among the records, or that come over a long time.
func TestTheLineIsStopped(t *testing.T) {
	const after = 20
	line := func(t *testing.T, f func(g *rig, down *atomic.Bool, calls *atomic.Int64)) {
		bubble(t, 2, simkafka.Config{}, func(g *rig) {
			var down atomic.Bool
			var calls atomic.Int64
			g.opts.StopLineAfter, g.opts.StopLineWindow = after, time.Minute
			g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 2, First: time.Millisecond, Max: time.Millisecond})}
			g.job.node = func(j *job, ctx topology.Context, key, value string) error {
				switch {
				case value == "reject":
					return topology.Reject(errors.New("told to"))
				case value != "fine" && down.Load():
					return fmt.Errorf("database %d is down", calls.Add(1))
				}
				return remember(j, ctx, key, value)
			}
			g.start()
			f(g, &down, &calls)
		})
	}
	letters := func(g *rig) int { return len(g.cluster.Committed(at(jobDead, 0))) }
	many := func(g *rig, n int, value string) {
		for range n {
			g.send(0, "a "+value)
		}
	}
	t.Run("most fail", func(t *testing.T) {
		line(t, func(g *rig, down *atomic.Bool, calls *atomic.Int64) {
			down.Store(true)
			many(g, 100, "v")
			g.send(1, "b fine")
			time.Sleep(10 * time.Second)
			if n := letters(g); n != after {
				t.Errorf("%d letters, and the line is to stop after %d", n, after)
			}
			g.emitted("b fine")
			if kinds := problemsOf(g.inst); !slices.Equal(kinds, []string{ProblemLine}) {
				t.Errorf("problems %q", kinds)
			}
			before := calls.Load()
			time.Sleep(time.Hour)
			if n := letters(g); n != after {
				t.Errorf("%d letters after an hour", n)
			}
			if n := calls.Load() - before; n < 100 || n > 130 {
				t.Errorf("%d calls in an hour", n)
			}
			down.Store(false)
			time.Sleep(31 * time.Second)
			g.counted(81, 0, 0, after)
			if p := healthOf(g.inst); len(p) > 0 {
				t.Errorf("problems that are over: %q", p)
			}
		})
	})
	t.Run("rejected", func(t *testing.T) {
		line(t, func(g *rig, _ *atomic.Bool, _ *atomic.Int64) {
			many(g, 500, "reject")
			time.Sleep(10 * time.Second)
			g.counted(0, 0, 0, 500)
		})
	})
	t.Run("few fail", func(t *testing.T) {
		line(t, func(g *rig, down *atomic.Bool, _ *atomic.Int64) {
			down.Store(true)
			for range 100 {
				g.send(0, "a fine", "a v", "a fine")
			}
			time.Sleep(10 * time.Second)
			g.counted(200, 0, 0, 100)
		})
	})
	t.Run("over a long time", func(t *testing.T) {
		line(t, func(g *rig, down *atomic.Bool, _ *atomic.Int64) {
			down.Store(true)
			for range 100 {
				g.send(0, "a v")
				time.Sleep(4 * time.Second)
			}
			g.counted(0, 0, 0, 100)
		})
	})
}

// TestParkedRecordsHaveNotEnded: what waits for another record of its key does not count as a record that went well when the line is
// to be stopped.
//
// Mutation: a record that is parked counts as ended.
func TestParkedRecordsHaveNotEnded(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.opts.StopLineAfter, g.opts.StopLineWindow = 20, time.Minute
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 1}), topology.Parking(true)}
		g.job.node = func(*job, topology.Context, string, string) error { return errDown }
		g.start()
		for n := range 100 {
			key := fmt.Sprint("k", n)
			g.send(0, key+" 1", key+" 2", key+" 3")
		}
		time.Sleep(10 * time.Second)
		if n := len(g.cluster.Committed(at(jobDead, 0))); n != 20 {
			t.Errorf("%d letters, and the line is to stop after 20", n)
		}
		if kinds := problemsOf(g.inst); !slices.Equal(kinds, []string{ProblemLine}) {
			t.Errorf("problems %q", kinds)
		}
	})
}

// TestALineIsForgottenWithTheOutage: a line that goes on with a letter, since its record is bad for another reason, is counted anew when a
// record has passed: one failure of the old kind stops nothing.
//
// Mutation: the line is forgotten only by the record that waited.
func TestALineIsForgottenWithTheOutage(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.opts.StopLineAfter, g.opts.StopLineWindow = 20, time.Minute
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 1})}
		var rejects atomic.Bool
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			switch {
			case value != "fails":
				return remember(j, ctx, key, value)
			case rejects.Load():
				return topology.Reject(errors.New("told to"))
			}
			return errDown
		}
		g.start()
		for range 21 {
			g.send(0, "a fails")
		}
		time.Sleep(10 * time.Second)
		g.counted(0, 0, 0, 20)
		rejects.Store(true)
		time.Sleep(31 * time.Second)
		g.send(0, "a 1")
		time.Sleep(time.Second)
		rejects.Store(false)
		g.send(0, "a fails", "a 2")
		time.Sleep(time.Second)
		g.counted(2, 0, 0, 22)
		if p := healthOf(g.inst); len(p) > 0 {
			t.Errorf("problems: %q", p)
		}
	})
}

var poison = flag.Int("poison", 5000, "how many records TestPoisonFillsNothing rejects; a million takes minutes and gigabytes, since the simulated cluster keeps the letters")

// TestPoisonFillsNothing: a topic of nothing but records that are rejected or undecodable goes through, each into the dead letters once,
// between few lines in the log, and nothing grows with them.
func TestPoisonFillsNothing(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.opts.StopLineAfter = 100
		g.job.parts = []topology.Part{topology.RetryLater(time.Minute)}
		g.job.node = func(*job, topology.Context, string, string) error { return topology.Reject(errors.New("told to")) }
		g.start()
		for range *poison {
			g.send(0, "a poison")
		}
		time.Sleep(time.Minute + time.Duration(*poison)*time.Millisecond)
		letters := g.cluster.Committed(at(jobDead, 0))
		for i, l := range letters {
			if header(l, deadletter.HeaderOffset) != fmt.Sprint(i) {
				t.Fatalf("letter %d is of offset %s", i, header(l, deadletter.HeaderOffset))
			}
		}
		if len(letters) != *poison {
			t.Errorf("%d letters of %d records", len(letters), *poison)
		}
		if n := g.logged(zapcore.WarnLevel, ""); n > 60 {
			t.Errorf("%d lines in the log", n)
		}
		if p := healthOf(g.inst); len(p) > 0 {
			t.Errorf("problems: %q", p)
		}
		in := g.inst.placements()[0].task.inputs[0]
		if n := len(in.refused) + len(in.line.letters) + len(in.batches); n > 10 {
			t.Errorf("%d things are kept of them", n)
		}
		if n := g.metric("weir_parked_keys"); n != 0 {
			t.Errorf("%v keys are parked", n)
		}
	})
}
