package processors

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

const ratesTopic = "rate.changed.v1"

// rated is a job whose node looks its values up in a global of two partitions.
func rated(t *testing.T, f func(g *rig)) {
	rates := topology.Global(ratesTopic, codecs.Int64())
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.topic(ratesTopic, 2, map[string]string{"cleanup.policy": "compact"})
		g.job.parts = []topology.Part{topology.Uses(rates)}
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			rate, ok, err := rates.Lookup(ctx, value)
			if err != nil {
				return topology.Reject(err)
			}
			j.out.Emit(ctx, key, fmt.Sprintf("%s %d %v", value, rate, ok))
			return nil
		}
		f(g)
	})
}

// withRates adds a global to the job that nobody looks up.
func withRates(g *rig) {
	g.topic(ratesTopic, 2, map[string]string{"cleanup.policy": "compact"})
	g.job.parts = append(g.job.parts, topology.Uses(topology.Global(ratesTopic, codecs.Int64())))
}

// rate writes a rate; "" deletes it.
func (g *rig) rate(partition int32, key, value string) {
	r := kafka.Record{Key: []byte(key), Value: []byte(value), Timestamp: 1}
	if value == "" {
		r.Value = nil
	}
	g.cluster.Produce(at(ratesTopic, partition), r)
}

// answers sends a record for each rate, and compares what comes out with "name rate there" of each.
func (g *rig) answers(want ...string) {
	g.t.Helper()
	before := len(g.cluster.Committed(at(jobOut, 0)))
	for _, w := range want {
		name, _, _ := strings.Cut(w, " ")
		g.send(0, "k "+name)
	}
	time.Sleep(2 * time.Second)
	var got []string
	for _, r := range g.cluster.Committed(at(jobOut, 0))[before:] {
		got = append(got, string(r.Value))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		g.t.Errorf("answers %q, want %q", got, want)
	}
}

// A copy is complete before the first record is processed: all partitions, the last value of each key, committed records only, up to the
// ends of its topic. Later it follows: new values, deletions, added partitions.
//
// Mutations, each seen to fail it: await left out; one partition read only; a deletion that is kept as a value; look that finds no
// partitions that were added.
func TestAGlobalIsWholeBeforeTheFirstRecordAndFollows(t *testing.T) {
	rated(t, func(g *rig) {
		for i := range 1000 {
			g.rate(0, fmt.Sprint("many", i), fmt.Sprint(i))
		}
		g.rate(0, "usd", "1")
		g.rate(1, "eur", "2")
		g.rate(1, "gone", "3")
		g.rate(1, "gone", "")
		g.rate(0, "usd", "4")
		g.cluster.ProduceTransaction(at(ratesTopic, 0), false, kafka.Record{Key: []byte("usd"), Value: []byte("5")})
		g.send(0, "k usd", "k eur")
		g.start()
		g.sees(at(jobOut, 0), "k usd 4 true", "k eur 2 true")
		g.answers("gone 0 false", "many999 999 true")
		g.rate(1, "usd", "6") // the last one that is read counts, wherever it lies
		g.rate(1, "eur", "")
		time.Sleep(time.Second)
		g.answers("usd 6 true", "eur 0 false")
		g.cluster.AddPartitions(ratesTopic, 3)
		g.rate(2, "chf", "7")
		time.Sleep(2 * globalLook)
		g.answers("chf 7 true")
		if n := g.metric("weir_global_keys"); n != 1002 {
			t.Errorf("%v keys", n)
		}
	})
}

// What a topic cannot give is not waited for for ever, and stops nobody who does not ask for it: an undecodable value is an error of those
// who look it up, a record without a key none.
//
// Mutations, each seen to fail it: Put that leaves the old value where the new one is undecodable; Put that removes the key; bad not counted.
func TestABadRecordOfAGlobalIsOnlyItsOwn(t *testing.T) {
	rated(t, func(g *rig) {
		g.rate(0, "usd", "1")
		g.rate(0, "bad", "2")
		g.rate(0, "bad", "two")
		g.cluster.Produce(at(ratesTopic, 1), kafka.Record{Value: []byte("3")})
		g.rate(1, "eur", "4")
		g.start()
		g.answers("usd 1 true", "eur 4 true")
		g.send(0, "k bad")
		time.Sleep(time.Second)
		if n := len(g.cluster.Committed(at(jobDead, 0))); n != 1 {
			t.Errorf("%d dead letters", n)
		}
		if n := g.metric("weir_global_undecodable_total"); n != 1 {
			t.Errorf("%v undecodable", n)
		}
		g.rate(0, "bad", "5")
		time.Sleep(time.Second)
		g.answers("bad 5 true")
		if g.logged(zapcore.ErrorLevel, "cannot be decoded") != 1 || g.logged(zapcore.WarnLevel, "has no key") != 1 {
			t.Error("it is not told once each")
		}
	})
}

// TestACodecOfAGlobalThatDoesNotReturn fails the look-ups of its key, and nothing else: those after it in the batch are there.
//
// Mutations seen to fail it: batches are taken without a guard, Put that keeps no error.
func TestACodecOfAGlobalThatDoesNotReturn(t *testing.T) {
	for how, do := range map[string]func(){"exit": runtime.Goexit, "panic": func() { panic("wicked") }} {
		t.Run(how, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.topic(ratesTopic, 1, map[string]string{"cleanup.policy": "compact"})
				rates := topology.Global(ratesTopic, wicked{do})
				g.job.parts = []topology.Part{topology.Uses(rates)}
				g.job.node = func(j *job, ctx topology.Context, key, value string) error {
					rate, ok, err := rates.Lookup(ctx, value)
					if err != nil {
						return topology.Reject(err)
					}
					j.out.Emit(ctx, key, fmt.Sprintf("%s %s %v", value, rate, ok))
					return nil
				}
				g.rate(0, "usd", "1")
				g.rate(0, "nok", "2")
				g.rate(0, "nok", "bad")
				g.rate(0, "eur", "4")
				g.start()
				g.answers("usd 1 true", "eur 4 true")
				g.send(0, "k nok")
				time.Sleep(time.Second)
				if n := len(g.cluster.Committed(at(jobDead, 0))); n != 1 {
					t.Errorf("%d dead letters", n)
				}
				g.rate(0, "nok", "5")
				time.Sleep(time.Second)
				g.answers("nok 5 true")
			})
		})
	}
}

// A topic that is not what it was is read anew, and what it does not hold any more is not in the copy; until then look-ups answer as
// before. One that cannot be read leaves the copy as it is, health says so after a while, and it is read on.
//
// Mutations, each seen to fail it: look without the topic's id; errors of a batch that end
// the reading for good; fail that notes nothing.
func TestAGlobalSurvivesItsTopic(t *testing.T) {
	rated(t, func(g *rig) {
		g.rate(0, "usd", "1")
		g.rate(1, "eur", "2")
		g.start()
		g.answers("usd 1 true", "eur 2 true")

		g.cluster.SetTrouble(ratesTopic, simkafka.Unreadable)
		g.rate(0, "usd", "3")
		time.Sleep(2 * time.Minute)
		g.answers("usd 1 true")
		if problems := fmt.Sprint(healthOf(g.inst)); !strings.Contains(problems, ratesTopic) {
			t.Errorf("health is %s", problems)
		}
		g.cluster.MendAll()
		time.Sleep(time.Minute)
		g.answers("usd 3 true", "eur 2 true")
		if problems := healthOf(g.inst); len(problems) > 0 {
			t.Errorf("health is %q", problems)
		}

		g.cluster.DeleteTopic(ratesTopic)
		time.Sleep(time.Minute)
		g.answers("usd 3 true", "eur 2 true")
		g.topic(ratesTopic, 1, map[string]string{"cleanup.policy": "compact"})
		g.rate(0, "eur", "4")
		time.Sleep(2 * time.Minute)
		g.answers("usd 0 false", "eur 4 true")

		g.cluster.SetTrouble(ratesTopic, simkafka.Unreadable) // recreated while it cannot be read, and longer than the one before was read
		g.rate(0, "eur", "5")
		time.Sleep(time.Second)
		g.cluster.DeleteTopic(ratesTopic)
		g.topic(ratesTopic, 1, map[string]string{"cleanup.policy": "compact"})
		for range 5 {
			g.rate(0, "usd", "6")
		}
		g.cluster.MendAll()
		time.Sleep(2 * time.Minute)
		g.answers("eur 0 false", "usd 6 true")
	})
}

// A start that cannot read a global waits, says what for, and can be stopped.
//
// Mutation seen to fail it: await without the context.
func TestAStartWaitsForItsGlobalsAndCanBeStopped(t *testing.T) {
	rated(t, func(g *rig) {
		g.rate(0, "usd", "1")
		end := g.cluster.LeaveOpen(at(ratesTopic, 0), kafka.Record{Key: []byte("usd"), Value: []byte("2")})
		g.send(0, "k usd")
		g.start()
		time.Sleep(time.Minute)
		g.sees(at(jobOut, 0))
		if why := fmt.Sprint(g.inst.Unready()); !strings.Contains(why, ratesTopic) {
			t.Errorf("unready: %s", why)
		}
		if took := g.stop(); took > time.Second {
			t.Errorf("it took %v to stop", took)
		}
		g.start()
		end(true)
		time.Sleep(2 * time.Second)
		g.sees(at(jobOut, 0), "k usd 2 true")
	})
}

// A copy that cannot be read to the end of its topic, because a transaction is open there, is a problem of health: while it follows, and
// at a start. It goes on when the transaction has ended.
//
// Mutations, each seen to fail it: compare left out; stands that is never set.
func TestAnOpenTransactionInAGlobalIsTold(t *testing.T) {
	rated(t, func(g *rig) {
		g.rate(0, "usd", "1")
		g.start()
		end := g.cluster.LeaveOpen(at(ratesTopic, 0), kafka.Record{Key: []byte("eur"), Value: []byte("2")})
		g.rate(0, "usd", "3")
		time.Sleep(2 * time.Minute)
		g.answers("usd 1 true")
		told := func(when string) {
			t.Helper()
			if problems := fmt.Sprint(healthOf(g.inst)); !strings.Contains(problems, ratesTopic+"/0 stands at offset 1 of 3") {
				t.Errorf("%s health is %s", when, problems)
			}
		}
		told("while it follows")
		g.stop()
		g.new()
		g.launch()
		time.Sleep(2 * time.Minute)
		if problems := fmt.Sprint(healthOf(g.inst)); !strings.Contains(problems, ratesTopic) {
			t.Errorf("at a start health is %s", problems)
		}
		end(false)
		time.Sleep(time.Minute)
		g.answers("usd 3 true", "eur 0 false")
		if problems := healthOf(g.inst); len(problems) > 0 {
			t.Errorf("health is %q", problems)
		}
	})
}

// Records that are deleted from the topic leave the copies of running instances as they do not come into new ones.
//
// Mutation seen to fail it: compare without the starts.
func TestWhatIsDeletedFromAGlobalLeavesItsCopies(t *testing.T) {
	rated(t, func(g *rig) {
		g.rate(0, "usd", "1")
		g.rate(0, "eur", "2")
		g.start()
		g.answers("usd 1 true", "eur 2 true")
		g.cluster.DeleteRecords(at(ratesTopic, 0), 1)
		time.Sleep(time.Minute)
		g.answers("usd 0 false", "eur 2 true")
	})
}

// A damaged batch of a global stops its partition, with a remedy that can be done, or is passed over where that is wanted.
//
// Mutations, each seen to fail it: take without the case of damage; without the restart after it.
func TestADamagedBatchOfAGlobal(t *testing.T) {
	for _, way := range []CorruptBatch{CorruptStop, CorruptSkip} {
		t.Run(string(way), func(t *testing.T) {
			rated(t, func(g *rig) {
				g.wrap = func(w Wire) Wire { return damagedWire{w, at(ratesTopic, 0), 1, new(atomic.Bool)} }
				g.opts.CorruptBatch = way
				g.rate(0, "usd", "1")
				g.rate(0, "bad", "2")
				g.rate(0, "eur", "3")
				g.start()
				time.Sleep(2 * time.Minute)
				if way == CorruptSkip {
					g.answers("usd 1 true", "bad 0 false", "eur 3 true")
					return
				}
				if problems := fmt.Sprint(healthOf(g.inst)); !strings.Contains(problems, "on.corrupt.batch=skip") || !strings.Contains(problems, "before offset 2") {
					t.Errorf("health is %s", problems)
				}
			})
		})
	}
}

// A global that does not exist, or that the node does not use, is told.
//
// Mutations, each seen to fail it: globals left out of the plan's topics; Call.Global without its check.
func TestGlobalsThatAreNotThere(t *testing.T) {
	rated(t, func(g *rig) {
		g.cluster.DeleteTopic(ratesTopic)
		if err := g.run(); err == nil || !strings.Contains(err.Error(), "global topic "+ratesTopic+" does not exist") {
			t.Errorf("%v", err)
		}
		g.opts.Create = &Creation{Partitions: 3}
		g.start()
		g.answers("usd 0 false")
		g.stop()
		g.job.parts = nil
		g.send(0, "k usd")
		if err := g.run(); err == nil || !strings.Contains(err.Error(), "uses global "+ratesTopic+", which is not in its Uses") {
			t.Errorf("%v", err)
		}
	})
}
