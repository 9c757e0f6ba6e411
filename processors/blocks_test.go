package processors

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// byValue does what the value says.
func byValue(j *job, ctx topology.Context, key, value string) error {
	switch {
	case strings.HasPrefix(value, "bad"):
		return topology.Reject(fmt.Errorf("no"))
	case strings.HasPrefix(value, "quiet"):
		return nil
	case strings.HasPrefix(value, "out"):
		j.out.Emit(ctx, key, value)
		return nil
	}
	return remember(j, ctx, key, value)
}

// TestAWorldThatRefusesIsWaitedFor: whatever the cluster refuses that is no record's fault, with a backlog of a thousand
// records no record becomes a dead letter, none overtakes another, a handful of transactions are aborted, the log has a
// few lines, those partitions go on that have nothing to do with it, health says at once what is wrong and what to do, and
// when it is mended everything goes on.
//
// Mutations, each fails: hold without doubling (aborts); held without the changelogs, without the letter's topic, without
// the input's own; held that does not set retryAt (it spins); due without the probe (the try takes others with it); tried
// without letGo (the others wait longer); offsets sent for what is out of reach; unwritable as before, the end.
func TestAWorldThatRefusesIsWaitedFor(t *testing.T) {
	group := "the group"
	for _, c := range []struct {
		what   string // a topic, or the group
		passes string // what still gets through in the other partition
	}{
		{jobOut, "quiet"}, {jobDead, "fine"}, {jobLog, "out"}, {jobIn, ""}, {group, ""},
	} {
		for _, trouble := range []simkafka.Trouble{simkafka.Denied, simkafka.Missing, simkafka.Starved} {
			if (c.what == group || c.what == jobIn) && trouble == simkafka.Starved {
				continue // nothing is written to them
			}
			for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
				t.Run(fmt.Sprint(c.what, " ", trouble, " ", guarantee), func(t *testing.T) {
					bubble(t, 2, simkafka.Config{}, func(g *rig) {
						g.job.node, g.opts.Guarantee = byValue, guarantee
						g.start()
						g.send(0, "a first")
						time.Sleep(time.Second)
						if c.what == group {
							g.cluster.DenyGroup(true)
						} else {
							g.cluster.SetTrouble(c.what, trouble)
						}
						const n = 1000
						for i := range n {
							g.send(0, fmt.Sprintf("a fine-%d", i))
							if i%100 == 50 {
								g.send(0, "a bad")
							}
						}
						for range 20 {
							if c.passes != "" {
								g.send(1, "b "+c.passes)
							}
						}
						time.Sleep(3 * time.Second)
						if got := g.waits(); len(got) == 0 || !strings.Contains(got[0], "mend it") {
							t.Fatalf("after 3s nothing is said to wait: %q", got)
						}
						health := g.inst.Health()
						if len(health) == 0 || health[0].Kind != ProblemBlocked || !strings.Contains(health[0].Remedy, "mend it") {
							t.Errorf("health: %.300v", health)
						}
						if c.passes != "" {
							g.committed(at(jobIn, 1), 20)
						}
						time.Sleep(5 * time.Minute)
						if aborts := g.inst.Stats().Aborts; aborts > 25 {
							t.Errorf("%d aborts in 5 minutes", aborts)
						}
						told := 0
						for _, e := range g.logs.All() {
							if e.Level >= zapcore.InfoLevel && e.Message != "dead letter" {
								told++
							}
						}
						if told > 60 {
							t.Errorf("%d lines in the log", told)
						}
						if n := g.logged(zapcore.ErrorLevel, "the cluster refuses"); n == 0 || n > 2 {
							t.Errorf("the error is told %d times", n)
						}
						g.cluster.MendAll()
						time.Sleep(40 * time.Second)
						g.committed(at(jobIn, 0), n+11)
						if got := g.waits(); len(got) != 0 {
							t.Errorf("still waiting: %q", got)
						}
						if dead := distinct(g.cluster.Committed(at(jobDead, 0))); len(dead) != 1 || dead[0] != "bad" {
							t.Errorf("dead letters: %.10q", dead)
						}
						got := distinct(g.cluster.Committed(at(jobOut, 0)))
						if len(got) != n+1 {
							t.Fatalf("%d outputs, want %d", len(got), n+1)
						}
						for i, v := range got[1:] {
							if v != fmt.Sprintf("fine-%d", i) {
								t.Fatalf("output %d is %s", i, v)
							}
						}
						if guarantee == ExactlyOnce {
							all := 0
							for _, r := range g.cluster.Committed(at(jobOut, 0)) {
								if string(r.Key) == "a" {
									all++
								}
							}
							if all != n+1 {
								t.Errorf("%d outputs, want %d", all, n+1)
							}
							if dead := len(g.cluster.Committed(at(jobDead, 0))); dead != 10 {
								t.Errorf("%d dead letters, want 10", dead)
							}
						}
					})
				})
			}
		}
	}
}

// distinct are the values of a's records, in the order in which each came first.
func distinct(records []kafka.Record) (values []string) {
	seen := map[string]bool{}
	for _, r := range records {
		if v := string(r.Value); string(r.Key) == "a" && !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	return values
}

// TestAStateChangeThatItsChangelogRefusesWaitsAlone: the changes of a transaction are one batch, so that the record it stems
// from has to be found. Those before it are committed, it waits, and who comes after it; the other partition goes on.
//
// Mutations: unstored without cautious (the records before it are never committed); the instance ends, as before.
func TestAStateChangeThatItsChangelogRefusesWaitsAlone(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		mended := false
		cfg := simkafka.Config{Refuse: func(r *kafka.Outgoing) simkafka.Refusal {
			if !mended && r.Topic == jobLog && string(r.Value) == "vast" {
				return simkafka.TooLarge
			}
			return simkafka.Taken
		}}
		t.Run(string(guarantee), func(t *testing.T) {
			bubble(t, 2, cfg, func(g *rig) {
				g.opts.Guarantee = guarantee
				g.start()
				for i := range 100 {
					g.send(0, fmt.Sprintf("a %d", i))
				}
				g.send(0, "b vast", "d after")
				g.send(1, "c 1", "c 2")
				time.Sleep(2 * time.Minute)
				g.committed(at(jobIn, 0), 100)
				g.committed(at(jobIn, 1), 2)
				if got := g.waits(); len(got) != 1 || !strings.Contains(got[0], "raise max.message.bytes of "+jobLog) {
					t.Errorf("waiting: %q", got)
				}
				if aborts := g.inst.Stats().Aborts; aborts > 20 {
					t.Errorf("%d aborts", aborts)
				}
				g.cluster.Do(func() { mended = true })
				time.Sleep(40 * time.Second)
				g.committed(at(jobIn, 0), 102)
				g.sees(at(jobDead, 0))
			})
		})
	}
}

// TestADeniedTransactionalIDIsWaitedFor: nothing can be committed or aborted then, and no sink made.
//
// Mutations: connectSink without disconnected; aborted takes Blocked for fatal.
func TestADeniedTransactionalIDIsWaitedFor(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.start()
		g.send(0, "a 1")
		time.Sleep(time.Second)
		denied := &kafka.BlockedError{TopicPartition: everything, Op: "initialise producer", Err: fmt.Errorf("denied"), Remedy: "allow it"}
		g.r.step(func(call string) error {
			if strings.HasPrefix(call, "end transaction") || strings.HasPrefix(call, "new sink") {
				return denied
			}
			return nil
		})
		g.send(0, "a 2", "a 3")
		time.Sleep(2 * time.Minute)
		g.committed(at(jobIn, 0), 1)
		if got := g.waits(); len(got) != 1 || !strings.Contains(got[0], "allow it") {
			t.Errorf("waiting: %q", got)
		}
		g.r.step(nil)
		time.Sleep(40 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "a 2", "a 3")
		if got := g.waits(); len(got) != 0 {
			t.Errorf("still waiting: %q", got)
		}
	})
}
