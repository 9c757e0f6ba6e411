package processors

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// triesOf is the model of a retry policy: how often a record is tried that would fail so many times, and how long each
// repetition waits. It knows nothing of the engine.
func triesOf(b topology.Backoff, fails int) (tries int, waits []time.Duration) {
	wait := b.First
	for tries = 1; tries <= fails && tries < b.Attempts; tries++ {
		waits = append(waits, min(wait, b.Max))
		wait *= 2
	}
	return tries, waits
}

// TestARecordIsTriedAsOftenAsItsPolicySays: every number of attempts, every number of failures, every kind of failure. The
// node counts its own calls; what the engine says of the attempt must agree with that.
//
// Mutations: > for >= in failed's comparison with Attempts; the delay not doubled, doubled before the first repetition,
// or not cut at Max; advance keeps attempt; Attempts of a dead letter, or of a record, without the last try; retries counted
// although the record was dead-lettered; a rejected record tried again.
func TestARecordIsTriedAsOftenAsItsPolicySays(t *testing.T) {
	failures := map[string]func(j *job, ctx topology.Context) error{
		"error":   func(*job, topology.Context) error { return errors.New("not yet") },
		"panic":   func(*job, topology.Context) error { panic("not yet") },
		"reject":  func(*job, topology.Context) error { return topology.Reject(errors.New("never")) },
		"wrapped": func(*job, topology.Context) error { return fmt.Errorf("wrapped: %w", errors.New("not yet")) },
	}
	for attempts := 1; attempts <= 5; attempts++ {
		for kind, fail := range failures {
			t.Run(fmt.Sprint(attempts, " attempts, ", kind), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					policy := topology.Backoff{Attempts: attempts, First: 3 * time.Second, Max: 10 * time.Second, Jitter: -1}
					g.job.parts = []topology.Part{topology.Retry(policy)}
					calls := map[int64][]time.Time{} // by offset; one worker, so one goroutine
					g.job.node = func(j *job, ctx topology.Context, key, value string) error {
						r := ctx.Record()
						calls[r.Offset] = append(calls[r.Offset], time.Now())
						if own := len(calls[r.Offset]); r.Attempt != own {
							t.Errorf("offset %d: the engine says attempt %d, and it is the node's call %d", r.Offset, r.Attempt, own)
						}
						var fails int
						_, _ = fmt.Sscanf(value, "fails %d", &fails)
						if len(calls[r.Offset]) <= fails {
							return fail(j, ctx)
						}
						return remember(j, ctx, key, value)
					}
					g.start()
					const records = 7
					for fails := range records {
						g.send(0, fmt.Sprintf("a fails %d", fails))
					}
					time.Sleep(10 * time.Minute)
					g.committed(at(jobIn, 0), records)
					var done, dead, retried int64
					letters := g.cluster.Committed(at(jobDead, 0))
					for fails := range records {
						tries, waits := triesOf(policy, fails)
						ends := fails >= attempts
						if kind == "reject" && fails > 0 {
							tries, waits, ends = 1, nil, true
						}
						got := calls[int64(fails)]
						if len(got) != tries {
							t.Errorf("%d failures: called %d times, want %d", fails, len(got), tries)
							continue
						}
						for n, wait := range waits {
							if took := got[n+1].Sub(got[n]); took < wait || took > wait+200*time.Millisecond {
								t.Errorf("%d failures: try %d came %s after the one before it, want %s", fails, n+2, took, wait)
							}
						}
						retried += int64(tries - 1)
						if !ends {
							done++
							continue
						}
						if int(dead) < len(letters) {
							if l := letters[dead]; header(l, deadletter.HeaderOffset) != fmt.Sprint(fails) || header(l, deadletter.HeaderAttempts) != fmt.Sprint(tries) {
								t.Errorf("%d failures: the dead letter is of offset %s after %s attempts, want %d", fails,
									header(l, deadletter.HeaderOffset), header(l, deadletter.HeaderAttempts), tries)
							}
						}
						dead++
					}
					g.counted(done, 0, 0, dead)
					if s := g.inst.Stats(); s.Retried != retried {
						t.Errorf("%d retries counted, want %d", s.Retried, retried)
					}
					failed := float64(retried + dead)
					if n := g.metric("weir_node_errors_total"); n != failed {
						t.Errorf("weir_node_errors_total is %v, want %v", n, failed)
					}
				})
			})
		}
	}
}

// TestAnAbortBeginsTheTriesOfAWaitingRecordAgain: a transaction that is aborted is done again from its start, so a record that
// waited for its next try has its first one again, at once and with all its tries.
//
// Mutations: rewind keeps retryAt, or attempt.
func TestAnAbortBeginsTheTriesOfAWaitingRecordAgain(t *testing.T) {
	refuse := false // the next commit; under the cluster's lock
	cfg := simkafka.Config{Faults: func(c simkafka.Call, _ *rand.Rand) (f simkafka.Fault) {
		if refuse && c.Op == simkafka.OpCommit {
			f.Mode, refuse = simkafka.Refused, false
		}
		return f
	}}
	bubble(t, 2, cfg, func(g *rig) {
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 3, First: time.Minute, Max: time.Minute, Jitter: -1})}
		var attempts []int
		var times []time.Time
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "bad" {
				attempts, times = append(attempts, ctx.Record().Attempt), append(times, time.Now())
				return errors.New("not today")
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(1, "gina 1")
		time.Sleep(time.Second)
		g.send(0, "a bad")
		time.Sleep(10 * time.Second)
		g.cluster.Do(func() { refuse = true })
		g.send(1, "gina 2") // its commit is refused, and the transaction done again
		time.Sleep(20 * time.Minute)
		g.committed(at(jobIn, 0), 1)
		if g.inst.Stats().Aborts != 1 {
			t.Errorf("%d aborts: nothing is shown", g.inst.Stats().Aborts)
		}
		if want := []int{1, 1, 2, 3}; !slices.Equal(attempts, want) {
			t.Fatalf("attempts %v, want %v", attempts, want)
		}
		if wait := times[1].Sub(times[0]); wait > 20*time.Second {
			t.Errorf("the first try after the abort came %v after the one before", wait)
		}
	})
}
