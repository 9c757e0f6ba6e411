package processors

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// once makes one call go wrong: the n-th of its kind, counted from 0.
func once(op simkafka.Op, n int, f simkafka.Fault) func(simkafka.Call, *rand.Rand) simkafka.Fault {
	made := 0
	return func(c simkafka.Call, _ *rand.Rand) simkafka.Fault {
		if c.Op == op {
			if made++; made == n+1 {
				return f
			}
		}
		return simkafka.Fault{}
	}
}

// count emits how many values of a key there were.
func count(j *job, ctx topology.Context, key, _ string) error {
	old, err := j.store.Get(ctx, key)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(old)
	return remember(j, ctx, key, strconv.Itoa(n+1))
}

// TestWhateverGoesWrongInACommitEveryRecordCountsOnce: one fault at each request of a commit, of each kind. The output
// holds every record once, in order, and so does the state.
//
// Mutations tried: redo without rewind; redo without Reset; abandon for an indefinite answer replaced by redo; in.rec not
// set back by rewind.
func TestWhateverGoesWrongInACommitEveryRecordCountsOnce(t *testing.T) {
	for _, op := range []simkafka.Op{simkafka.OpAddPartitions, simkafka.OpProduce, simkafka.OpAddOffsets, simkafka.OpOffsets, simkafka.OpCommit} {
		for _, mode := range []simkafka.Mode{simkafka.Before, simkafka.After, simkafka.Late, simkafka.Refused, simkafka.Hang} {
			t.Run(fmt.Sprint(op, " ", mode), func(t *testing.T) {
				cfg := simkafka.Config{Faults: once(op, 1, simkafka.Fault{Mode: mode, Delay: 20 * time.Millisecond})}
				bubble(t, 1, cfg, func(g *rig) {
					g.job.node = count
					g.start()
					var want []string
					for i := range 20 {
						g.send(0, fmt.Sprintf("key%d once", i%3))
						want = append(want, fmt.Sprintf("key%d %d", i%3, i/3+1))
						time.Sleep(30 * time.Millisecond)
					}
					time.Sleep(time.Minute)
					g.sees(at(jobOut, 0), want...)
					g.committed(at(jobIn, 0), 20)
					state := replayed(g.cluster.Committed(at(jobLog, 0)))
					if len(state) != 3 || state["key0"] != "7" || state["key1"] != "7" || state["key2"] != "6" {
						t.Errorf("state is %v", state)
					}
					if s := g.inst.Stats(); s.Aborts != 1 {
						t.Errorf("%d aborts, want 1", s.Aborts)
					}
					if s := g.inst.Stats(); g.cluster.Unanswered() == 0 && s.Processed != 20 {
						t.Errorf("%d counted", s.Processed)
					}
				})
			})
		}
	}
}

// TestAtLeastOnceLosesNothing: the same without transactions. What is written twice is allowed, what is missing is not.
//
// Mutation tried: changelogs and outputs flushed together.
func TestAtLeastOnceLosesNothing(t *testing.T) {
	for _, op := range []simkafka.Op{simkafka.OpProduce, simkafka.OpOffsets} {
		for n := range 6 {
			for _, mode := range []simkafka.Mode{simkafka.Before, simkafka.After, simkafka.Refused} {
				t.Run(fmt.Sprint(op, n, " ", mode), func(t *testing.T) {
					bubble(t, 1, simkafka.Config{Faults: once(op, n, simkafka.Fault{Mode: mode})}, func(g *rig) {
						g.opts.Guarantee = AtLeastOnce
						// A node that drops what its state has seen: state that is ahead of the outputs would lose some.
						g.job.node = func(j *job, ctx topology.Context, key, value string) error {
							old, err := j.store.Get(ctx, key)
							if err != nil {
								return err
							}
							if len(value) < len(old) || len(value) == len(old) && value <= old {
								return ctx.Drop(topology.Duplicate)
							}
							return remember(j, ctx, key, value)
						}
						g.start()
						for i := range 12 {
							g.send(0, fmt.Sprintf("key%d %d", i%3, i))
							time.Sleep(60 * time.Millisecond)
						}
						time.Sleep(30 * time.Second)
						seen := map[string]bool{}
						for _, r := range g.cluster.Committed(at(jobOut, 0)) {
							seen[string(r.Value)] = true
						}
						for i := range 12 {
							if !seen[fmt.Sprint(i)] {
								t.Errorf("record %d is lost", i)
							}
						}
						g.committed(at(jobIn, 0), 12)
					})
				})
			}
		}
	}
}

// TestARebalanceDoesNotHoldCommitsUp: a member knows its new generation before the group has its assignment, and until
// then the group refuses offsets outside of transactions (REBALANCE_IN_PROGRESS) in the new generation, too.
//
// Mutation tried: groupLedger.commit that waits for another generation only.
func TestARebalanceDoesNotHoldCommitsUp(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		t.Run(string(guarantee), func(t *testing.T) {
			// The assignment takes half a second to come.
			slow := once(simkafka.OpSync, 1, simkafka.Fault{Delay: 500 * time.Millisecond})
			bubble(t, 1, simkafka.Config{Faults: slow}, func(g *rig) {
				g.opts.Guarantee = guarantee
				g.start()
				g.cluster.Rebalance(jobGroup)
				for i := range 30 {
					g.send(0, fmt.Sprint("a ", i))
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(time.Second)
				g.committed(at(jobIn, 0), 30)
				if s := g.inst.Stats(); s.Aborts != 0 {
					t.Errorf("%d aborts", s.Aborts)
				}
			})
		})
	}
}

// refuseValues refuses outputs and dead letters by what they hold. What is stubborn by its key is refused in any form.
func refuseValues(r *kafka.Outgoing) simkafka.Refusal {
	f, known := simkafka.Taken, strings.Contains(string(r.Value), "too large")
	reason := header(kafka.Record{Headers: r.Headers}, deadletter.HeaderMessage) != "none"
	switch {
	case r.Topic == jobOut && strings.Contains(string(r.Value), "large"):
		f = simkafka.TooLarge
	case r.Topic == jobDead:
		key := string(r.Key)
		if r.Key == nil { // the last form tells the length only
			key = map[string]string{"8": "stubborn", "16": "stubborn-at-once", "7": "invalid", "15": "invalid-at-once"}[header(kafka.Record{Headers: r.Headers}, deadletter.HeaderKeySize)]
		}
		known = strings.Contains(key, "at-once") || strings.Contains(string(r.Value), "at once")
		switch word, _, _ := strings.Cut(key, "-"); {
		case word == "stubborn",
			word == "longer" && len(r.Value)+len(r.Headers) > 5, // with anything but the key and where it stood
			word == "long" && len(r.Value) > cutSize,
			len(r.Key) > 100:
			f = simkafka.TooLarge
		case strings.HasPrefix(string(r.Value), "heavy") && reason:
			f = simkafka.TooLarge
		case word == "invalid":
			f = simkafka.Invalid
		}
	}
	if known && f != simkafka.Taken {
		f++ // at once
	}
	return f
}

// TestARefusedOutputBecomesADeadLetterAndItsNeighboursSurvive, whether the refusal comes at once or when it is written.
//
// Mutation tried: refuse left out of refused. That a refusal may be another record's is shown by TestSimulation, that one
// of a record's second output aborts by TestOrderOfCallsInACommit.
func TestARefusedOutputBecomesADeadLetterAndItsNeighboursSurvive(t *testing.T) {
	bubble(t, 1, simkafka.Config{Refuse: refuseValues}, func(g *rig) {
		g.start()
		g.send(0, "a 1", "a too large", "b 2", "b large", "c 3", "c large", "c 4")
		time.Sleep(5 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "b 2", "c 3", "c 4")
		var dead []string
		for _, r := range g.cluster.Committed(at(jobDead, 0)) {
			dead = append(dead, fmt.Sprint(string(r.Value), " ", header(r, deadletter.HeaderOffset)))
		}
		slices.Sort(dead)
		if !slices.Equal(dead, []string{"large 3", "large 5", "too large 1"}) {
			t.Errorf("dead letters: %q", dead)
		}
		state := replayed(g.cluster.Committed(at(jobLog, 0)))
		if state["a"] != "1" || state["b"] != "2" || state["c"] != "4" {
			t.Errorf("state is %v", state)
		}
		g.counted(4, 0, 0, 3)
	})
}

// Mutations tried: envelopes gives the whole envelope only; letter not noted in refused.
func TestADeadLetterThatIsTooLargeGoesWithoutItsReason(t *testing.T) {
	for _, when := range []string{"", " at once"} {
		bubble(t, 1, simkafka.Config{Refuse: refuseValues}, func(g *rig) {
			g.job.node = func(j *job, ctx topology.Context, key, value string) error {
				if strings.HasPrefix(value, "heavy") {
					return topology.Reject(fmt.Errorf("no"))
				}
				return remember(j, ctx, key, value)
			}
			g.start()
			g.send(0, "a 1", "a heavy"+when, "a 2")
			time.Sleep(5 * time.Second)
			g.sees(at(jobOut, 0), "a 1", "a 2")
			g.sees(at(jobDead, 0), "a heavy"+when)
			l := g.cluster.Committed(at(jobDead, 0))
			if len(l) == 1 && (header(l[0], deadletter.HeaderMessage) != "none" || header(l[0], deadletter.HeaderOffset) != "1") {
				t.Errorf("dead letter with %q", l[0].Headers)
			}
			g.counted(2, 0, 0, 1)
		})
	}
}

// TestADeadLetterThatIsTooLargeIsCut, also when the topic says so only as it is written, and when the transaction is
// aborted for another reason and done again.
//
// Mutations tried: after ends with unexplained, or with cutShort; rewind keeps cut, or commit does (warned twice); the
// limits of a refusal left out.
func TestADeadLetterThatIsTooLargeIsCut(t *testing.T) {
	value := bytes.Repeat([]byte("0123456789"), 40<<10)
	for _, c := range []struct {
		name string
		bare bool
	}{{"long", false}, {"longer", true}} {
		for _, when := range []string{"", "-at-once"} {
			for _, aborts := range []int{0, 2} {
				t.Run(fmt.Sprint(c.name, when, " ", aborts, " aborts"), func(t *testing.T) {
					cfg := simkafka.Config{Refuse: refuseValues, Faults: func(c simkafka.Call, _ *rand.Rand) simkafka.Fault {
						if c.Op == simkafka.OpCommit && aborts > 0 {
							aborts--
							return simkafka.Fault{Mode: simkafka.Refused}
						}
						return simkafka.Fault{}
					}}
					bubble(t, 1, cfg, func(g *rig) {
						g.job.node = func(j *job, ctx topology.Context, key, value string) error {
							if len(value) > 100 {
								return topology.Reject(fmt.Errorf("no"))
							}
							return remember(j, ctx, key, value)
						}
						g.start()
						g.send(0, "a 1")
						g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte(c.name + when), Value: value, Timestamp: 1000,
							Headers: []kafka.Header{{Key: "trace", Value: []byte("7")}}})
						g.send(0, "a 2")
						time.Sleep(10 * time.Second)
						g.send(0, "a 3")
						time.Sleep(10 * time.Second)
						g.sees(at(jobOut, 0), "a 1", "a 2", "a 3")
						g.counted(3, 0, 0, 1)
						dead := g.cluster.Committed(at(jobDead, 0))
						if len(dead) != 1 {
							t.Fatalf("%d dead letters", len(dead))
						}
						l, err := deadletter.Read(dead[0].Headers)
						if err != nil || !l.Cut || l.ValueSize != int64(len(value)) || l.Position != (deadletter.Position{TopicPartition: at(jobIn, 0), Offset: 1}) {
							t.Errorf("%+v, %v", l, err)
						}
						kept := dead[0].Value
						if c.bare && (len(kept) > 0 || len(l.Headers) > 0 || l.Message != "") {
							t.Errorf("%d bytes, %+v", len(kept), l)
						}
						if !c.bare && (len(kept) > cutSize || len(kept) < cutSize-(2<<10) || !bytes.HasPrefix(value, kept) || len(l.Headers) != 1 || !strings.HasSuffix(l.Message, "no")) {
							t.Errorf("%d bytes, %+v", len(kept), l)
						}
						if n := g.logged(zapcore.WarnLevel, "raise max.message.bytes of "+jobDead); n != 1 {
							t.Errorf("%d warnings", n)
						}
					})
				})
			}
		}
	}
}

// TestOnlyWhatIsTooLargeIsCut also says which limits are in the way of the whole record, each once.
//
// Mutations tried: after does not look at Limits; refuseLetter without note; it takes the limits of the last refusal only,
// those of the letter with the reason too, or one twice.
func TestOnlyWhatIsTooLargeIsCut(t *testing.T) {
	invalid := &kafka.RefusedError{}
	message, request := &kafka.RefusedError{Limits: []string{"max.message.bytes"}}, &kafka.RefusedError{Limits: []string{"max.request.size"}}
	for _, c := range []struct {
		answers []*kafka.RefusedError
		form    form
		limits  string
		end     bool
	}{
		{[]*kafka.RefusedError{invalid}, named, "", false},
		{[]*kafka.RefusedError{invalid, invalid}, last, "", false},
		{[]*kafka.RefusedError{message, invalid}, last, "", false},
		{[]*kafka.RefusedError{invalid, invalid, invalid}, last, "", true},
		{[]*kafka.RefusedError{message}, named, "", false},
		{[]*kafka.RefusedError{message, message}, unexplained, "", false},
		{[]*kafka.RefusedError{message, message, request}, cutShort, "max.request.size", false},
		{[]*kafka.RefusedError{invalid, message, request, message}, bare, "max.request.size and max.message.bytes of t", false},
		{[]*kafka.RefusedError{invalid, message, message, message}, bare, "max.message.bytes of t", false},
		{[]*kafka.RefusedError{message, message, message, invalid}, last, "max.message.bytes of t", false},
		{[]*kafka.RefusedError{message, message, message, message, message}, last, "max.message.bytes of t", false},
		{[]*kafka.RefusedError{message, message, message, message, message, message}, last, "max.message.bytes of t", true},
	} {
		in, end := &input{}, false
		for _, err := range c.answers {
			end = !in.refuseLetter(5, err)
		}
		r := in.refused[5]
		if limits := settings(r.limits, "t"); r.letter != c.form || limits != c.limits || end != c.end {
			t.Errorf("after %v: form %d, %q, at the end: %v; want %d, %q, %v", c.answers, r.letter, limits, end, c.form, c.limits, c.end)
		}
	}
}

// TestALetterLosesItsStackBeforeItsNames, and these before anything of its record.
//
// Mutations, each seen to fail it: named that is left out of the forms; Named with the stack; unexplained left out.
func TestALetterLosesItsStackBeforeItsNames(t *testing.T) {
	value := strings.Repeat("v", 10_000)
	for _, c := range []struct {
		room         int // for what is not the value
		stack, named bool
		kept         int
	}{{30_000, true, true, len(value)}, {1000, false, true, len(value)}, {300, false, false, len(value)}, {-5000, false, true, 0}} {
		cfg := simkafka.Config{Refuse: func(r *kafka.Outgoing) simkafka.Refusal {
			if r.Topic == jobDead && len(r.Value)+sizeOf(r.Headers) > len(value)+c.room {
				return simkafka.TooLarge
			}
			return simkafka.Taken
		}}
		bubble(t, 1, cfg, func(g *rig) {
			g.job.node = func(*job, topology.Context, string, string) error { panic(strings.Repeat("too much ", 1000)) }
			g.start()
			g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte("k"), Value: []byte(value), Timestamp: 1000})
			time.Sleep(5 * time.Second)
			dead := g.cluster.Committed(at(jobDead, 0))
			if len(dead) != 1 {
				t.Fatalf("%+v: %d dead letters", c, len(dead))
			}
			l, err := deadletter.Read(dead[0].Headers)
			if err != nil || (l.Stack != "") != c.stack || len(dead[0].Value) != c.kept {
				t.Errorf("%+v: %d bytes, a stack of %d (%v)", c, len(dead[0].Value), len(l.Stack), err)
			}
			named := l.Topology == jobGroup && l.Node != "" && l.Reason == "panic" && l.Fingerprint != deadletter.Fingerprint("", "", "")
			if named != c.named {
				t.Errorf("%+v: %+v", c, l)
			}
		})
	}
}

// TestALetterWithNothingToCutIsReducedToItsKey: what is too large are its headers.
//
// Mutations tried: cutShort although nothing of the value can be cut; an empty value for none.
func TestALetterWithNothingToCutIsReducedToItsKey(t *testing.T) {
	for _, value := range [][]byte{nil, {}, []byte("short")} {
		bubble(t, 1, simkafka.Config{Refuse: refuseValues}, func(g *rig) {
			g.job.node = func(*job, topology.Context, string, string) error { return topology.Reject(fmt.Errorf("no")) }
			g.start()
			g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte("longer"), Value: value, Timestamp: 1000, Headers: []kafka.Header{{Key: "1"}, {Key: "2"}}})
			time.Sleep(5 * time.Second)
			g.counted(0, 0, 0, 1)
			dead := g.cluster.Committed(at(jobDead, 0))
			if len(dead) != 1 || len(dead[0].Value) > 0 || (dead[0].Value == nil) != (value == nil) || header(dead[0], deadletter.HeaderCut) != fmt.Sprint(len(value)) {
				t.Errorf("%q became %+v", value, dead)
			}
		})
	}
}

// TestALargeKeyIsReducedToItsHash: what is too large is the key, which every form has but the last.
//
// Mutations tried: after ends with bare; the last form with the key; refuseLetter that forgets at the last form.
func TestALargeKeyIsReducedToItsHash(t *testing.T) {
	for _, value := range []string{"bad", "bad, known at once"} {
		bubble(t, 1, simkafka.Config{Refuse: refuseValues}, func(g *rig) {
			g.job.node = func(j *job, ctx topology.Context, key, value string) error {
				if value != "1" {
					return topology.Reject(fmt.Errorf("no"))
				}
				return remember(j, ctx, key, value)
			}
			g.start()
			key := strings.Repeat("k", 1000)
			g.send(0, "a 1", key+" "+value, "a 1")
			time.Sleep(10 * time.Second)
			g.sees(at(jobOut, 0), "a 1", "a 1")
			g.counted(2, 0, 0, 1)
			dead := g.cluster.Committed(at(jobDead, 0))
			if len(dead) != 1 || dead[0].Key != nil || len(dead[0].Value) != 0 {
				t.Fatalf("%.100v", dead)
			}
			l, err := deadletter.Read(dead[0].Headers)
			if err != nil || l.KeySize != 1000 || l.KeyHash != fmt.Sprintf("%x", sha256.Sum256([]byte(key))) || l.Reason != "rejected" ||
				!l.Cut || l.ValueSize != int64(len(value)) || l.Position != (deadletter.Position{TopicPartition: at(jobIn, 0), Offset: 1}) || l.Timestamp != 1000 {
				t.Errorf("%+v, %v", l, err)
			}
			if n := g.logged(zapcore.WarnLevel, "dead letter, which was cut"); n != 1 {
				t.Errorf("%d warnings", n)
			}
		})
	}
}

// TestADeadLetterThatItsTopicRefusesInEveryFormWaits: nothing is lost, the other partition goes on, health says what to do, and
// when the topic takes it the partition goes on.
//
// Mutations tried: a dead letter that is refused is passed over; beginLetter left out (it is never whole again).
func TestADeadLetterThatItsTopicRefusesInEveryFormWaits(t *testing.T) {
	for _, key := range []string{"stubborn", "stubborn-at-once", "invalid", "invalid-at-once"} {
		mended := false
		cfg := simkafka.Config{Refuse: func(r *kafka.Outgoing) simkafka.Refusal {
			if mended {
				return simkafka.Taken
			}
			return refuseValues(r)
		}}
		bubble(t, 1, cfg, func(g *rig) {
			g.job.node = func(j *job, ctx topology.Context, key, value string) error {
				if value == "bad" {
					return topology.Reject(fmt.Errorf("no"))
				}
				return remember(j, ctx, key, value)
			}
			g.start()
			g.send(0, "a 1", "a 2", key+" bad", "a 3")
			time.Sleep(10 * time.Minute)
			g.committed(at(jobIn, 0), 2)
			g.sees(at(jobOut, 0), "a 1", "a 2")
			g.sees(at(jobDead, 0))
			advice := "raise max.message.bytes of " + jobDead
			if strings.HasPrefix(key, "invalid") {
				advice = "make " + jobDead + " take it"
			}
			if got := g.waits(); len(got) != 1 || !strings.Contains(got[0], advice) {
				t.Errorf("waiting: %q", got)
			}
			if n := g.inst.Stats().Aborts; n > 150 {
				t.Errorf("%d aborts in 10 minutes", n)
			}
			g.cluster.Do(func() { mended = true })
			time.Sleep(time.Minute)
			g.sees(at(jobOut, 0), "a 1", "a 2", "a 3")
			g.sees(at(jobDead, 0), key+" bad")
			g.counted(3, 0, 0, 1)
			if got := g.waits(); len(got) != 0 {
				t.Errorf("still waiting: %q", got)
			}
		})
	}
}

// Mutation tried: the bytes of a batch in work released by commit too.
func TestReadAheadIsAllGivenBackInTheEnd(t *testing.T) {
	faults := simkafka.Random(0.2)
	cfg := simkafka.Config{ReadAhead: 100, FetchRecords: 3, Faults: func(c simkafka.Call, r *rand.Rand) simkafka.Fault {
		switch c.Op {
		case simkafka.OpProduce, simkafka.OpAddPartitions, simkafka.OpOffsets:
			return faults(c, r)
		}
		return simkafka.Fault{}
	}}
	bubble(t, 1, cfg, func(g *rig) {
		g.start()
		for i := range 200 {
			g.send(0, fmt.Sprint("key ", i))
		}
		for range 120 {
			time.Sleep(time.Second)
			if g.cluster.Offset(jobGroup, at(jobIn, 0)) == 200 {
				break
			}
		}
		g.committed(at(jobIn, 0), 200)
		held := g.inst.inputs.(*simkafka.Fetcher).Unreleased()
		if n, ok := held[at(jobIn, 0)]; n != 0 || !ok {
			t.Errorf("unreleased: %v", held)
		}
	})
}
