package processors

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestAnInstanceStopsWithin5s, whatever it waits for.
//
// Mutations tried: leaveWithin = time.Minute; the worker's sink not closed when the instance ends (a full buffer then
// holds the stop up until the delivery's deadline).
func TestAnInstanceStopsWithin5s(t *testing.T) {
	for name, before := range map[string]func(g *rig){
		"idle":        func(g *rig) {},
		"in the work": func(g *rig) { g.send(0, "a 1", "a 2") },
		"no broker answers": func(g *rig) {
			g.process.CutOff()
			g.send(0, "a 1")
			time.Sleep(time.Second)
		},
		"no broker answers in a commit": func(g *rig) {
			g.send(0, "a 1")
			g.r.step(func(call string) error {
				if call == "flush" {
					g.process.CutOff()
				}
				return nil
			})
			time.Sleep(time.Second)
		},
		"no broker takes any more": func(g *rig) {
			g.r.step(func(call string) error {
				if call == "append" {
					g.process.CutOff()
					g.process.Block() // as with a full buffer.memory
				}
				return nil
			})
			g.send(0, "a 1", "a 2")
			time.Sleep(time.Second)
		},
		"waiting for a retry": func(g *rig) { g.send(0, "a bad"); time.Sleep(time.Second) },
		"a transactional id cannot be had": func(g *rig) {
			g.r.step(func(call string) error {
				if call == "offsets" {
					return &kafka.Error{Class: kafka.Fenced, Op: "offsets", Err: errors.New("as the test wants it")}
				}
				if call == "new sink" {
					g.process.CutOff()
				}
				return nil
			})
			g.send(0, "a 1")
			time.Sleep(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 2, First: time.Hour, Max: time.Hour})}
				g.job.node = func(j *job, ctx topology.Context, key, value string) error {
					if value == "bad" {
						return errors.New("not today")
					}
					return remember(j, ctx, key, value)
				}
				g.start()
				before(g)
				if took := g.stop(); took > 5*time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// Mutation tried: stalled looks at nothing (since < StallAfter is always true).
func TestAPartitionThatStandsStillIsReported(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.opts.StallAfter = 10 * time.Second
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 2, First: time.Hour, Max: time.Hour})}
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "bad" {
				return errors.New("the other side is down")
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a bad", "a 1")
		g.send(1, "gina 1")
		time.Sleep(9 * time.Second)
		if h := healthOf(g.inst); len(h) != 0 {
			t.Errorf("health is %q too early", h)
		}
		time.Sleep(10 * time.Second)
		h := healthOf(g.inst)
		if len(h) != 1 || !strings.Contains(h[0], jobIn+"/0") || !strings.Contains(h[0], "lag 2") || !strings.Contains(h[0], "the other side is down") {
			t.Errorf("health is %q", h)
		}
		if s := g.inst.Stats(); s.Lag != 2 {
			t.Errorf("lag is %d, want 2", s.Lag)
		}
	})
}

// TestAPartitionThatStandsStillBesideABusyOneIsReported: what the worker does for its other partitions, and retries, are
// no progress of this one; and its lag grows before everybody's eyes.
//
// Mutations tried: commit stores progress also for inputs that did not move; push observes the high watermark in the
// place of the fetcher's goroutine.
func TestAPartitionThatStandsStillBesideABusyOneIsReported(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.opts.StallAfter, g.opts.Workers = 10*time.Second, 1
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 100, First: 3 * time.Second, Max: 3 * time.Second})}
		var hold chan struct{}
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			switch value {
			case "bad":
				return errors.New("the other side is down")
			case "long":
				<-hold
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a bad")
		for n := range 30 {
			g.send(1, fmt.Sprint("gina ", n))
			time.Sleep(500 * time.Millisecond)
		}
		if h := healthOf(g.inst); len(h) != 1 || !strings.Contains(h[0], jobIn+"/0") || !strings.Contains(h[0], "lag 1") {
			t.Errorf("health is %q", h)
		}
		hold = make(chan struct{})
		g.send(1, "gina long")
		time.Sleep(time.Second)
		g.send(0, "a 1", "a 2", "a 3")
		time.Sleep(time.Second)
		if h := healthOf(g.inst); len(h) != 1 || !strings.Contains(h[0], "lag 4") {
			t.Errorf("health is %q with 4 records waiting and the worker busy", h)
		}
		close(hold)
		time.Sleep(time.Second)
	})
}

// Mutations tried: Run waits for its workers without a bound; awaitWorkers names nobody; Last that is
// never set.
func TestANodeThatDoesNotReturnCannotHoldUpTheStop(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		hold := make(chan struct{})
		release := sync.OnceFunc(func() { close(hold) })
		defer release() // a failure, too, must come to its end
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "for ever" {
				<-hold
				return ctx.Drop(topology.Filtered)
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(1, "gina 1")
		time.Sleep(time.Second)
		g.send(1, "gina for ever")
		time.Sleep(time.Second)
		from := time.Now()
		g.cancel()
		err := g.ended()
		if took := time.Since(from); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
		if err == nil || !strings.Contains(err.Error(), "in one call of node node for 5s, with a record of "+jobIn+"/1 at offset 1 or later, ") {
			t.Errorf("ended with %v", err)
		}
		release() // here the process would end
		time.Sleep(time.Second)
		g.sees(at(jobOut, 1), "gina 1")
	})
}

// TestAPartitionBehindAnOpenTransactionIsReported: somebody else's transaction keeps readers waiting.
func TestAPartitionBehindAnOpenTransactionIsReported(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.opts.StallAfter = 10 * time.Second
		g.start()
		end := g.cluster.LeaveOpen(at(jobIn, 0), record("a", "1"))
		g.send(0, "a 2")
		time.Sleep(20 * time.Second)
		if h := healthOf(g.inst); len(h) != 1 || !strings.Contains(h[0], "lag 2") {
			t.Errorf("health is %q", h)
		}
		end(true)
		time.Sleep(time.Second)
		if h := healthOf(g.inst); len(h) != 0 {
			t.Errorf("health is %q after the transaction has ended", h)
		}
		g.sees(at(jobOut, 0), "a 1", "a 2")
	})
}

// TestASlowRecordHoldsUpTheWorkersPartitions, and health and a metric say so, and what helps: with a worker for each partition
// the others go on.
//
// Mutations tried: stalled that does not look at the worker's input; longestCall that is never 0 again.
func TestASlowRecordHoldsUpTheWorkersPartitions(t *testing.T) {
	for _, workers := range []int{1, 2} {
		bubble(t, 2, simkafka.Config{}, func(g *rig) {
			g.opts.StallAfter, g.opts.Workers = 10*time.Second, workers
			hold := make(chan struct{})
			release := sync.OnceFunc(func() { close(hold) })
			defer release()
			g.job.node = func(j *job, ctx topology.Context, key, value string) error {
				if value == "slow" {
					<-hold
				}
				return remember(j, ctx, key, value)
			}
			g.start()
			g.send(0, "a 1")
			time.Sleep(time.Second)
			g.send(0, "a slow")
			time.Sleep(time.Second)
			g.send(1, "gina 1")
			time.Sleep(time.Minute)
			if n := g.metric("weir_longest_call_seconds"); n < 55 || n > 65 {
				t.Errorf("the metric says %v seconds", n)
			}
			held := ""
			for _, h := range healthOf(g.inst) {
				if strings.HasPrefix(h, jobIn+"/1") {
					held = h
				}
			}
			if workers == 2 {
				g.sees(at(jobOut, 1), "gina 1")
				if held != "" {
					t.Errorf("health: %s", held)
				}
			} else if !strings.Contains(held, "with a record of "+jobIn+"/0 at offset 1 or later; all partitions of a worker wait for it") {
				t.Errorf("health: %q", held)
			}
			release()
			time.Sleep(time.Second)
			g.sees(at(jobOut, 1), "gina 1")
			if n := g.metric("weir_longest_call_seconds"); n != 0 {
				t.Errorf("the metric says %v seconds when the call has returned", n)
			}
		})
	}
}
