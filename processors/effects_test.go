package processors

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestEffectsOfAFailedRecordVanish: whatever a node has emitted and stored before it fails is taken back, and the record
// goes where its kind of failure sends it.
//
// Mutations tried: no undo in call.run's failure; no undo in invoke's drop; Fail's error
// ignored in invoke; the stack left out of nodeError.
func TestEffectsOfAFailedRecordVanish(t *testing.T) {
	for name, c := range map[string]struct {
		fail                                           func(j *job, ctx topology.Context) error
		processed, filtered, deduplicated, deadLetters int64
		message                                        string
		attempts                                       string
		stack                                          bool
	}{
		"filtered":  {fail: func(_ *job, ctx topology.Context) error { return ctx.Drop(topology.Filtered) }, filtered: 1},
		"duplicate": {fail: func(_ *job, ctx topology.Context) error { return ctx.Drop(topology.Duplicate) }, deduplicated: 1},
		"rejected": {
			fail: func(*job, topology.Context) error { return topology.Reject(errors.New("no such thing")) }, deadLetters: 1,
			message: "no such thing", attempts: "1",
		},
		"error": {
			fail: func(*job, topology.Context) error { return errors.New("not today") }, deadLetters: 1,
			message: "not today", attempts: "2",
		},
		"panic": {
			fail: func(*job, topology.Context) error { panic("out of order") }, deadLetters: 1,
			message: "out of order", attempts: "2", stack: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 2, First: time.Millisecond, Max: time.Millisecond})}
				g.job.node = func(j *job, ctx topology.Context, key, value string) error {
					if old, err := j.store.Get(ctx, key); err != nil || old == "bad" {
						return errors.Join(errors.New("saw the state of a failed record"), err)
					}
					if value != "bad" {
						return remember(j, ctx, key, value)
					}
					j.store.Set(ctx, key, value)
					j.store.Set(ctx, "another", value)
					j.out.Emit(ctx, key, value)
					return c.fail(j, ctx)
				}
				g.start()
				g.send(0, "a 1", "a bad", "b 2")
				time.Sleep(time.Second)
				g.sees(at(jobOut, 0), "a 1", "b 2")
				g.sees(at(jobLog, 0), "a 1", "b 2")
				g.counted(2+c.processed, c.filtered, c.deduplicated, c.deadLetters)
				g.committed(at(jobIn, 0), 3)
				letters := g.cluster.Committed(at(jobDead, 0))
				if len(letters) != int(c.deadLetters) {
					t.Fatalf("%d dead letters, want %d", len(letters), c.deadLetters)
				}
				if len(letters) == 0 {
					return
				}
				l := letters[0]
				if string(l.Key) != "a" || string(l.Value) != "bad" || l.Timestamp != 1000 ||
					!strings.Contains(header(l, deadletter.HeaderMessage), c.message) ||
					header(l, deadletter.HeaderAttempts) != c.attempts ||
					header(l, deadletter.HeaderTopic) != jobIn || header(l, deadletter.HeaderPartition) != "0" || header(l, deadletter.HeaderOffset) != "1" ||
					header(l, deadletter.HeaderNode) != "node" || header(l, deadletter.HeaderTopology) != jobGroup ||
					strings.Contains(header(l, deadletter.HeaderStack), "effects_test.go") != c.stack {
					t.Errorf("dead letter %q %q at %d with %q", l.Key, l.Value, l.Timestamp, l.Headers)
				}
			})
		})
	}
}

// Mutation tried: invoke keeps what a node staged that then dropped the record.
func TestADropByOneNodeLeavesTheOthersWork(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.parts = []topology.Part{}
		n := 0
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			n++
			j.out.Emit(ctx, key, value)
			j.store.Set(ctx, key, value)
			if n%2 == 0 {
				return ctx.Drop(topology.Filtered)
			}
			return nil
		}
		g.start()
		g.send(0, "a 1", "a 2", "b 3", "b 4")
		time.Sleep(time.Second)
		g.sees(at(jobOut, 0), "a 1", "b 3")
		g.sees(at(jobLog, 0), "a 1", "b 3")
		g.counted(2, 2, 0, 0)
	})
}

// Mutation tried: the case of IsFatal taken out of failed.
func TestFatalStopsTheInstanceWithNothingOfTheRecordVisible(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		broken := true
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			_ = remember(j, ctx, key, value)
			if value == "2" && broken {
				return topology.Fatal(errors.New("the licence has expired"))
			}
			return nil
		}
		g.start()
		g.send(0, "a 1", "a 2", "a 3")
		err := g.ended()
		var fatal *FatalError
		if !errors.As(err, &fatal) || fatal.Offset != 1 || fatal.Node != "node" || fatal.Input != at(jobIn, 0) {
			t.Errorf("ended with %v", err)
		}
		time.Sleep(time.Second) // markers
		g.sees(at(jobOut, 0), "a 1")
		g.sees(at(jobLog, 0), "a 1")
		g.sees(at(jobDead, 0))
		g.committed(at(jobIn, 0), 1)

		broken = false
		g.start()
		time.Sleep(time.Second)
		g.sees(at(jobOut, 0), "a 1", "a 2", "a 3") // it is the next one
	})
}

// Mutations tried: retryAt ignored in next; deadLetter one try early.
func TestARetryHoldsUpItsOwnPartitionOnly(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 3, First: 10 * time.Second, Max: time.Minute, Jitter: -1})}
		var mu sync.Mutex
		var tries []time.Time
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "bad" {
				mu.Lock()
				tries = append(tries, time.Now())
				mu.Unlock()
				return errors.New("not today")
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a 1", "a bad", "a 2")
		g.send(1, "gina 1")
		time.Sleep(time.Second)
		g.send(1, "gina 2")
		time.Sleep(time.Second)
		g.sees(at(jobOut, 0), "a 1")
		g.sees(at(jobOut, 1), "gina 1", "gina 2")
		g.committed(at(jobIn, 0), 1)
		g.committed(at(jobIn, 1), 2)
		time.Sleep(time.Minute)
		g.sees(at(jobOut, 0), "a 1", "a 2")
		g.sees(at(jobDead, 0), "a bad")
		g.committed(at(jobIn, 0), 3)
		mu.Lock()
		defer mu.Unlock()
		if len(tries) != 3 || tries[1].Sub(tries[0]).Round(time.Second) != 10*time.Second || tries[2].Sub(tries[1]).Round(time.Second) != 20*time.Second {
			t.Errorf("tried at %v", tries)
		}
		if s := g.inst.Stats(); s.Retried != 2 {
			t.Errorf("%d retries counted, want 2", s.Retried)
		}
	})
}

// Mutations tried: in.reported not set; the instance's topics not looked at.
func TestAMisplacedRecordIsReportedOnce(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.start()
		g.send(1, "a 1", "b 2") // both belong on 0
		g.send(0, "gina 3", "gina 4")
		time.Sleep(time.Second)
		if n := g.logged(zapcore.WarnLevel, "does not hash to"); n != 1 {
			t.Errorf("reported %d times", n)
		}
		if n := g.metric("weir_misplaced_partitions_total"); n != 2 {
			t.Errorf("%v partitions counted", n)
		}
		g.counted(4, 0, 0, 0)
	})
}

// TestARecordWithoutAKeyIsToldFromOneWithAnEmptyKey: nodes can ask, outputs keep the difference, and with stores a warning
// says once that both are "".
//
// Mutations tried: Run without Keyless; stage that writes a copy of the key for both; the warning for every partition.
func TestARecordWithoutAKeyIsToldFromOneWithAnEmptyKey(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if key != "" || ctx.Record().Keyless != (value == "nil") {
				return topology.Reject(errors.New("taken for another"))
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		for p := range int32(2) {
			g.cluster.Produce(at(jobIn, p), kafka.Record{Value: []byte("nil"), Timestamp: 1000})
		}
		g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte{}, Value: []byte("empty"), Timestamp: 1000})
		time.Sleep(time.Second)
		g.counted(3, 0, 0, 0)
		for p := range int32(2) {
			for _, r := range g.cluster.Committed(at(jobOut, p)) {
				if (r.Key == nil) != (string(r.Value) == "nil") || len(r.Key) != 0 {
					t.Errorf("%s was written with key %#v", r.Value, r.Key)
				}
			}
			for _, r := range g.cluster.Committed(at(jobLog, p)) {
				if r.Key == nil {
					t.Error("a change without a key: a compacted topic takes none")
				}
			}
		}
		if n := g.logged(zapcore.WarnLevel, "a record has no key"); n != 1 {
			t.Errorf("warned %d times", n)
		}
	})
}
