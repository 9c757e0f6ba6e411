package processors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// A node that waits for a service that does not answer holds up neither a stop nor a rebalance, when it gives that its Context. The
// record counts as not tried: it is no failure and no dead letter, nothing of it is left, and whoever has the task next does it. What
// was done before it is committed.
//
// Mutations, each seen to fail it: no endCalls when the instance stops; no leave in give; failed without its look at leaving;
// next without its look at leaving (the node is called again and again).
func TestANodeThatWaitsEndsWithItsTask(t *testing.T) {
	for name, c := range map[string]struct {
		cause error
		end   func(g *rig, calls func() int) (after func())
	}{
		"the instance stops": {errStopping, func(g *rig, calls func() int) func() {
			before := calls()
			if took := g.stop(); took > time.Second || calls() > before {
				g.t.Errorf("the stop took %v, with %d calls more", took, calls()-before)
			}
			g.start()
			return func() {}
		}},
		"the instance stops, and no broker answers": {errStopping, func(g *rig, calls func() int) func() {
			before := calls()
			g.process.CutOff()
			if took := g.stop(); took > 5*time.Second || calls() > before {
				g.t.Errorf("the stop took %v, with %d calls more", took, calls()-before)
			}
			g.start()
			return func() {}
		}},
		"the stop takes its time": {errStopping, func(g *rig, calls func() int) func() {
			before := calls()
			g.inst.endCalls(errStopping)
			time.Sleep(10 * time.Second)
			if calls() > before {
				g.t.Errorf("%d calls more", calls()-before)
			}
			g.stop()
			g.start()
			return func() {}
		}},
		"another instance takes over": {errGivenUp, func(g *rig, _ func() int) func() {
			_, stop := g.second()
			time.Sleep(10 * time.Second)
			return stop
		}},
	} {
		for how, answer := range map[string]func(ctx topology.Context, err error) error{
			"an error":    func(_ topology.Context, err error) error { return err },
			"a rejection": func(_ topology.Context, err error) error { return topology.Reject(err) },
			"a drop":      func(ctx topology.Context, _ error) error { return ctx.Drop(topology.Filtered) },
			"a panic":     func(_ topology.Context, err error) error { panic(err) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				bubble(t, 2, simkafka.Config{}, func(g *rig) {
					var mu sync.Mutex
					called, causes, back := 0, []string{}, make(chan struct{})
					calls := func() int {
						mu.Lock()
						defer mu.Unlock()
						return called
					}
					g.job.node = func(j *job, ctx topology.Context, key, value string) error {
						if err := remember(j, ctx, key, value); err != nil || value != "slow" {
							return err
						}
						mu.Lock()
						called++
						often := called > 100
						mu.Unlock()
						if often {
							panic("called again and again")
						}
						select {
						case <-back:
							return nil
						case <-ctx.Done():
							mu.Lock()
							defer mu.Unlock()
							causes = append(causes, context.Cause(ctx).Error())
							return answer(ctx, fmt.Errorf("the service: %w", ctx.Err()))
						}
					}
					g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 1})} // a failure is a dead letter
					g.start()
					for p := range int32(2) {
						g.send(p, "a 1", "a slow", "a 2")
					}
					time.Sleep(time.Second)
					if calls() == 0 {
						t.Fatal("no call waits")
					}
					inst := g.inst
					after := c.end(g, calls)
					mu.Lock()
					ended := slices.Clone(causes)
					mu.Unlock()
					if s := inst.Stats(); s.DeadLettered > 0 || s.Retried > 0 || !slices.Equal(ended, []string{c.cause.Error()}) {
						t.Errorf("%+v, ended because %q", s, ended)
					}
					close(back)
					time.Sleep(20 * time.Second)
					var out []string
					for _, r := range g.cluster.Committed(at(jobOut, 0)) { // where the key belongs
						out = append(out, string(r.Value))
					}
					slices.Sort(out)
					if !slices.Equal(out, []string{"1", "1", "2", "2", "slow", "slow"}) {
						t.Errorf("the output is %q", out)
					}
					for p := range int32(2) {
						g.committed(at(jobIn, p), 3)
						g.sees(at(jobDead, p))
					}
					after()
				})
			})
		}
	}
}

// A call that takes longer than the node's Timeout fails, by whatever it returns but that the record is rejected or the program wrong:
// the Context ends in time, what it did is taken back, and the Retry of the node says what follows.
//
// Mutations, each seen to fail it: invoke without its look at the time; a rejected record that took long tried again; a drop that took
// long as a drop; TimeoutError with another reason; the timeout of the topology not taken over.
func TestACallThatTakesTooLongFails(t *testing.T) {
	heeds := func(j *job, ctx topology.Context) error { <-ctx.Done(); return ctx.Err() }
	sleeps := func(err error) func(*job, topology.Context) error {
		return func(*job, topology.Context) error { time.Sleep(3 * time.Second); return err }
	}
	for name, c := range map[string]struct {
		node             func(j *job, ctx topology.Context) error
		reason, attempts string
	}{
		"heeds its context":    {heeds, "timeout", "2"},
		"sleeps":               {sleeps(nil), "timeout", "2"},
		"sleeps, then fails":   {sleeps(errors.New("no")), "timeout", "2"},
		"sleeps, then drops":   {sleeps(topology.Context{}.Drop(topology.Filtered)), "timeout", "2"},
		"sleeps, then rejects": {sleeps(topology.Reject(errors.New("no"))), "rejected", "1"},
		"just in time":         {func(*job, topology.Context) error { time.Sleep(999 * time.Millisecond); return nil }, "", ""},
	} {
		for _, whole := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " whole ", whole), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					node := func(ctx topology.Context, key, value string) error {
						if err := remember(g.job, ctx, key, value); err != nil || value != "slow" {
							return err
						}
						return c.node(g.job, ctx)
					}
					retry, timeout := topology.Retry(topology.Backoff{Attempts: 2, First: time.Millisecond}), topology.Timeout(time.Second)
					g.job.define = func() *topology.Topology {
						g.job.out, g.job.store = topology.Stream(jobOut, codecs.String()), topology.Store("seen", codecs.String())
						parts := []topology.Part{topology.On(topology.Stream(jobIn, codecs.String()), node), topology.Uses(g.job.store), topology.Emits(g.job.out), retry}
						if whole {
							return topology.Define(jobGroup, timeout, topology.Node("node", parts...))
						}
						return topology.Define(jobGroup, topology.Node("node", append(parts, timeout)...))
					}
					g.start()
					g.send(0, "a 1", "a slow", "a 2")
					time.Sleep(time.Minute)
					if c.reason == "" {
						g.sees(at(jobOut, 0), "a 1", "a slow", "a 2")
						return
					}
					g.sees(at(jobOut, 0), "a 1", "a 2")
					g.counted(2, 0, 0, 1)
					letters := g.cluster.Committed(at(jobDead, 0))
					if len(letters) != 1 {
						t.Fatalf("%d dead letters", len(letters))
					}
					if l := letters[0]; header(l, deadletter.HeaderReason) != c.reason || header(l, deadletter.HeaderAttempts) != c.attempts ||
						c.reason == "timeout" && !strings.Contains(header(l, deadletter.HeaderMessage), "its Timeout is 1s") {
						t.Errorf("%s after %s: %s", header(l, deadletter.HeaderReason), header(l, deadletter.HeaderAttempts), header(l, deadletter.HeaderMessage))
					}
				})
			})
		}
	}
}

// A call that does not heed the end of its time is reported as long as it lasts, long before anything stalls, with its stack.
//
// Mutations, each seen to fail it: overdue never looked at; the stack left out, or of another goroutine; End that keeps when the call
// began (reported for ever).
func TestACallThatDoesNotEndInTimeIsReported(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.parts = []topology.Part{topology.Timeout(time.Second), topology.Retry(topology.Backoff{Attempts: 1})}
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			sleepsInTheNode()
			return nil
		}
		g.start()
		if h := healthOf(g.inst); len(h) > 0 {
			t.Errorf("before: %q", h)
		}
		g.send(0, "a 1")
		time.Sleep(10 * time.Second)
		if h := strings.Join(healthOf(g.inst), " "); !strings.Contains(h, "node node has been in one call for 10s with a record of event.in.v1/0 at offset 0 or later, and its Timeout is 1s") {
			t.Errorf("health says %q", h)
		}
		time.Sleep(15 * time.Second)
		stacks := 0
		for _, e := range g.logs.FilterLevelExact(zapcore.ErrorLevel).All() {
			if stack, _ := e.ContextMap()["stack"].(string); strings.Contains(stack, "sleepsInTheNode") && strings.Contains(stack, "(*worker).loop") {
				stacks++
			}
		}
		if stacks != 1 {
			t.Errorf("%d reports with the stack, want one", stacks)
		}
		time.Sleep(time.Minute)
		if h := healthOf(g.inst); len(h) > 0 {
			t.Errorf("after: %q", h)
		}
	})
}

//go:noinline
func sleepsInTheNode() { time.Sleep(30 * time.Second) }

// Each call that goes on past its timeout is in the log a second later, while it lasts, with its stack; of calls that come one after the
// other, or at the same time, one a minute, and the others as a number.
//
// Mutations, each seen to fail it: a look every 15 s; overdueQuiet not looked at; others not counted, or never set back; no last
// summary.
func TestEveryOverdueCallIsInTheLogInTime(t *testing.T) {
	const timeout = 500 * time.Millisecond
	for name, c := range map[string]struct {
		workers, records int           // records of each worker
		took             time.Duration // of a call
		within           time.Duration // the calls
		logged           []string      // "seconds others", from the first call on
	}{
		"one, for 8 s":              {1, 1, 8 * time.Second, 30 * time.Second, []string{"2 0"}},
		"one, a little over":        {1, 1, 1900 * time.Millisecond, 30 * time.Second, []string{"2 0"}},
		"one that heeds its end":    {1, 1, 1400 * time.Millisecond, 30 * time.Second, nil},
		"one after the other":       {1, 20, 8 * time.Second, 160 * time.Second, []string{"2 0", "62 6", "122 7", "160 4 more"}},
		"at the same time":          {2, 1, 8 * time.Second, 130 * time.Second, []string{"2 0", "122 1 more"}},
		"two at a time, for longer": {2, 1, 80 * time.Second, 90 * time.Second, []string{"2 0", "62 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, int32(c.workers), simkafka.Config{}, func(g *rig) {
				g.opts.Workers = c.workers
				g.job.parts = []topology.Part{topology.Timeout(timeout), topology.Retry(topology.Backoff{Attempts: 1})}
				g.job.node = func(*job, topology.Context, string, string) error { time.Sleep(c.took); return nil }
				g.start()
				from := time.Now()
				for p := range c.workers {
					for range c.records {
						g.send(int32(p), "a 1")
					}
				}
				time.Sleep(c.within)
				g.stop()
				var got []string
				for _, e := range g.logs.All() {
					fields := e.ContextMap()
					line := fmt.Sprint(e.Time.Sub(from).Round(time.Second).Seconds(), " ", fields["others"])
					switch stack, _ := fields["stack"].(string); e.Message {
					case "a call of a node goes on past its Timeout":
						if fields["node"] != "node" || !strings.Contains(stack, "TestEveryOverdueCallIsInTheLogInTime") || !strings.Contains(stack, "(*worker).loop") {
							t.Errorf("%v", fields)
						}
						got = append(got, line)
					case "more calls of a node went on past its Timeout":
						got = append(got, line+" more")
					case "an input partition stands still":
						if why := fmt.Sprint(fields["why"]); strings.HasPrefix(why, "node") {
							t.Errorf("logged twice: %s", why)
						}
					}
				}
				if !slices.Equal(got, c.logged) {
					t.Errorf("logged %q, want %q", got, c.logged)
				}
			})
		})
	}
}

// A call without a timeout that lasts is in the log, with its stack, as soon as health points there.
//
// Mutation, seen to fail it: watch that looks every quarter of stall-after.
func TestAStackIsInTheLogWhenHealthSaysSo(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.node = func(*job, topology.Context, string, string) error {
			sleepsInTheNode()
			sleepsInTheNode()
			sleepsInTheNode()
			return nil
		}
		g.start()
		g.send(0, "a 1")
		said := time.Time{}
		for range 100 {
			time.Sleep(time.Second)
			if said.IsZero() && strings.Contains(strings.Join(healthOf(g.inst), " "), "its stack in the log") {
				said = time.Now()
			}
		}
		var logged []time.Duration
		for _, e := range g.logs.FilterMessage("an input partition stands still").All() {
			if stack, _ := e.ContextMap()["stack"].(string); strings.Contains(stack, "sleepsInTheNode") {
				logged = append(logged, e.Time.Sub(said))
			}
		}
		if said.IsZero() || len(logged) != 1 || logged[0] > time.Second {
			t.Errorf("health said so at %v, logged %v later", said, logged)
		}
	})
}

// What a node may ask of its Context, in an instance.
//
// Mutations, each seen to fail it: a key with the attempt in it; Key of the record after an edge; Time of a record without a timestamp
// not that of the clock; Log without the offset.
func TestWhatANodeMayAsk(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		type call struct{ node, key, idem string }
		var mu sync.Mutex
		var calls []call
		var times []time.Duration
		see := func(ctx topology.Context, node string) {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, call{node, ctx.Key(), ctx.IdempotencyKey()})
			if ctx.Now() != time.Now() {
				t.Errorf("the clock says %v", ctx.Now())
			}
			times = append(times, time.Since(ctx.Time()))
			ctx.Log().Warn("seen by the node")
		}
		g.job.define = func() *topology.Topology {
			in, edge := topology.Stream(jobIn, codecs.String()), topology.Edge[string]("more")
			return topology.Define(jobGroup, topology.Retry(topology.Backoff{Attempts: 2, First: time.Millisecond}),
				topology.Node("first", topology.On(in, func(ctx topology.Context, key, value string) error {
					see(ctx, "first")
					edge.Emit(ctx, "k"+key, value)
					return nil
				}), topology.Emits(edge)),
				topology.Node("second", topology.On(edge, func(ctx topology.Context, key, value string) error {
					see(ctx, "second")
					if value == "again" && ctx.Record().Attempt == 1 {
						return errors.New("again")
					}
					return nil
				})))
		}
		g.start()
		g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte("a"), Value: []byte("again"), Timestamp: time.Now().Add(-time.Hour).UnixMilli()})
		g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte("a"), Value: []byte("v"), Timestamp: -1})
		g.cluster.Produce(at(jobIn, 1), kafka.Record{Key: []byte("a"), Value: []byte("v"), Timestamp: time.Now().UnixMilli()})
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		distinct := map[string]bool{}
		for _, c := range calls {
			distinct[c.idem] = true
			if len(c.idem) != 32 || c.key != map[string]string{"first": "a", "second": "ka"}[c.node] {
				t.Errorf("%+v", c)
			}
		}
		if len(calls) != 8 || len(distinct) != 6 { // two nodes, three records, one of them twice
			t.Errorf("%d keys in %d calls", len(distinct), len(calls))
		}
		slices.Sort(times)
		if times[len(times)-1] < time.Hour || times[len(times)-1] > 2*time.Hour || times[0] > 2*time.Second {
			t.Errorf("records were %v old", times)
		}
		lines := g.logs.FilterMessage("seen by the node").All()
		if len(lines) != len(calls) {
			t.Fatalf("%d lines", len(lines))
		}
		fields := lines[0].ContextMap()
		if fields["topology"] != jobGroup || fields["node"] != "first" || !strings.HasPrefix(fmt.Sprint(fields["input"]), jobIn+"/") || fields["offset"] != int64(0) {
			t.Errorf("a line has %v", fields)
		}
	})
}

// A call that waits makes room for a hand-over, also where its own task stays: the other instance gets its partition within seconds, the
// record is processed again, and nothing is done twice.
//
// Mutations, each seen to fail it: makeRoom left out; renew left out (the partition stands still).
func TestACallMakesRoomForOtherTasksOfItsWorker(t *testing.T) {
	for p := range int32(2) { // one of them stays
		t.Run(fmt.Sprint("a call on partition ", p), func(t *testing.T) {
			bubble(t, 2, simkafka.Config{}, func(g *rig) {
				back := make(chan struct{})
				g.job.node = func(j *job, ctx topology.Context, key, value string) error {
					if value == "slow" {
						select {
						case <-back:
						case <-ctx.Done():
							return topology.Reject(ctx.Err())
						}
					}
					return remember(j, ctx, key, value)
				}
				g.start()
				g.send(p, "a 1", "a slow")
				time.Sleep(time.Second)
				other, stop := g.second()
				time.Sleep(8 * time.Second)
				if n := len(other.Stats().Tasks); n != 1 {
					t.Errorf("the other instance has %d tasks", n)
				}
				g.send(1-p, "b 1")
				close(back)
				time.Sleep(5 * time.Second)
				var out []string
				for _, r := range g.cluster.Committed(at(jobOut, 0)) {
					out = append(out, string(r.Value))
				}
				for _, r := range g.cluster.Committed(at(jobOut, 1)) {
					out = append(out, string(r.Value))
				}
				slices.Sort(out)
				if !slices.Equal(out, []string{"1", "1", "slow"}) {
					t.Errorf("the output is %q", out)
				}
				g.sees(at(jobDead, p))
				stop()
			})
		})
	}
}

// A call that was ended to make room is done again, also where the hand-over was over by then.
//
// Mutation seen to fail it: makeRoom that does not renew.
func TestACallThatMadeRoomForNothingIsDoneAgain(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		back := make(chan struct{})
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			select {
			case <-back:
			case <-ctx.Done():
				return ctx.Err()
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a 1", "a 2")
		time.Sleep(time.Second)
		g.inst.workers[0].makeRoom()
		time.Sleep(time.Second)
		close(back)
		time.Sleep(time.Second)
		g.sees(at(jobOut, 0), "a 1", "a 2")
		g.sees(at(jobDead, 0))
	})
}
