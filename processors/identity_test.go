package processors

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/topology"
)

// tally is a node that shows a record that is counted twice.
func tally(j *job, ctx topology.Context, key, value string) error {
	old, _ := j.store.Get(ctx, key)
	j.store.Set(ctx, key, old+value)
	j.out.Emit(ctx, key, old+value)
	return nil
}

// begun has three records counted, and the instance stopped.
func (g *rig) begun() {
	g.t.Helper()
	g.job.node = tally
	g.send(0, "a 1", "a 2", "a 3")
	g.start()
	g.stop()
	g.sees(at(jobLog, 0), "a 123")
	g.committed(at(jobIn, 0), 3)
}

// State and committed offsets that do not belong together are refused, whatever is done to either; a reset that was
// recorded and says just that is accepted, once.
//
// Mutations tried: covers that does not look for names in the state; positions without them; the positions left out of the changelog, and out of the note; Judge without the case of a missing
// offset, of a stranger's offset, also where it is the state's, of a copy that is behind; covers without old, or without new.
func TestStateAndOffsetsThatDisagreeAreRefused(t *testing.T) {
	marked := func(g *rig, offset int64) kafka.CommittedOffset {
		o := g.cluster.OffsetOf(jobGroup, at(jobIn, 0))
		o.Offset = offset
		return o
	}
	for _, c := range []struct {
		name   string
		do     func(g *rig)
		offset int64 // that a recorded reset names, -1 for none
		why    string
		sees   []string // of the output, once accepted
	}{
		{"expired", func(g *rig) { g.cluster.ExpireOffsets(jobGroup) }, -1, "has no committed offset", []string{"a 1231", "a 12312", "a 123123"}},
		{"set back", func(g *rig) { g.cluster.SetOffset(jobGroup, at(jobIn, 0), 1) }, 1, "not one of Weir's", []string{"a 1232", "a 12323"}},
		{"set to where the state is", func(g *rig) { g.cluster.SetOffset(jobGroup, at(jobIn, 0), 3) }, 3, "may be written again", nil},
		{"a copy that is behind", func(g *rig) { g.cluster.CommitOffset(jobGroup, at(jobIn, 0), marked(g, 2)) }, 2, "went back", []string{"a 1233"}},
		{"set forward", func(g *rig) { g.send(0, "a 4", "a 5"); g.cluster.SetOffset(jobGroup, at(jobIn, 0), 4) }, 4, "leave records out", []string{"a 1235"}},
	} {
		for _, fresh := range []bool{false, true} {
			for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
				if guarantee == AtLeastOnce && c.name == "a copy that is behind" {
					continue // by no more than a transaction: a crash does so too
				}
				t.Run(fmt.Sprint(c.name, " ", guarantee, " new disk ", fresh), func(t *testing.T) {
					bubble(t, 1, simkafka.Config{}, func(g *rig) {
						g.opts.Guarantee = guarantee
						g.begun()
						if fresh {
							g.dir = tempDir(t)
						}
						before := len(g.cluster.Committed(at(jobOut, 0)))
						c.do(g)
						for range 2 {
							g.refusedFor(g.run(), c.why)
						}
						if n := len(g.cluster.Committed(at(jobOut, 0))); n != before {
							t.Errorf("a refused start wrote %d outputs", n-before)
						}
						g.topic(system.Jobs.Name, 1, map[string]string{"cleanup.policy": "compact"})
						record := func(old, new int64) {
							r := offsets.Reset{Version: 1, Topology: jobGroup, Topic: jobIn, TopicID: g.cluster.TopicID(jobIn), Old: &old, Who: "t", Why: "t"}
							r.At = time.Now()
							if new >= 0 {
								r.New = &new
							}
							g.cluster.Produce(kafka.TopicPartition{Topic: system.Jobs.Name}, kafka.Record{Key: []byte(r.Key()), Value: r.Value()})
						}
						record(2, c.offset)
						g.refusedFor(g.run(), c.why)
						record(3, c.offset+7)
						g.refusedFor(g.run(), c.why)
						record(3, c.offset)
						g.start()
						time.Sleep(time.Second)
						got := g.cluster.Committed(at(jobOut, 0))[before:]
						if len(got) != len(c.sees) {
							t.Fatalf("%d outputs, want %q", len(got), c.sees)
						}
						for i, r := range got {
							if s := string(r.Key) + " " + string(r.Value); s != c.sees[i] {
								t.Errorf("output %d is %q, want %q", i, s, c.sees[i])
							}
						}
						g.stop()
						g.start() // it is one state now, and needs no record
						g.stop()
						if c.name == "set forward" {
							g.cluster.SetOffset(jobGroup, at(jobIn, 0), 4)
							g.refusedFor(g.run(), "count records twice")
							return
						}
						// The same again, with the state where it was: the record is used up, and a newer one is not.
						c.do(g)
						g.refusedFor(g.run(), c.why)
						record(3, c.offset)
						g.start()
						g.stop()
					})
				})
			}
		}
	}
}

// A reset that was accepted is used up although no record has changed the state since: the state takes up its name with the
// first commit, whether it holds something, or has become empty.
//
// Mutations seen to fail it: no touch in drain; touchStore without an empty store; positions without ahead.
func TestAResetIsUsedUpWhereNothingChangesTheState(t *testing.T) {
	for _, emptied := range []bool{false, true} {
		for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
			t.Run(fmt.Sprint("empty ", emptied, " ", guarantee), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					g.opts.Guarantee = guarantee
					g.begun()
					if emptied {
						g.job.node = func(j *job, ctx topology.Context, key, value string) error { j.store.Delete(ctx, key); return nil }
						g.send(0, "a 4")
						g.start()
						g.stop()
					}
					top := g.cluster.OffsetOf(jobGroup, at(jobIn, 0)).Offset
					g.job.node = func(j *job, ctx topology.Context, key, value string) error { return ctx.Drop(topology.Filtered) }
					g.topic(system.Jobs.Name, 1, map[string]string{"cleanup.policy": "compact"})
					r := offsets.Reset{Version: 1, Topology: jobGroup, Topic: jobIn, TopicID: g.cluster.TopicID(jobIn), Old: &top}
					g.cluster.Produce(kafka.TopicPartition{Topic: system.Jobs.Name}, kafka.Record{Key: []byte(r.Key()), Value: r.Value()})
					before := g.read(at(jobLog, 0))
					g.cluster.ExpireOffsets(jobGroup)
					g.start()
					g.committed(at(jobIn, 0), top)
					g.stop()
					if after := g.read(at(jobLog, 0)); !maps.Equal(after, before) {
						t.Errorf("the state was %v and is %v", before, after)
					}
					log := g.cluster.Committed(at(jobLog, 0))
					if p, err := offsets.ParsePositions(offsets.Raw(log[len(log)-1].Headers)); err != nil || p[jobIn].Offset != top {
						t.Errorf("the state, which has read up to %d, says %+v, %v", top, p, err)
					}
					g.dir = tempDir(t)
					g.cluster.ExpireOffsets(jobGroup)
					g.refusedFor(g.run(), "has no committed offset")
				})
			})
		}
	}
}

// The name of an accepted reset stays with the state over a restart in the middle of the replay.
//
// Mutation seen to fail it: beginnings without q.Used.
func TestAnAcceptedResetIsRememberedOverARestart(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.begun()
		g.topic(system.Jobs.Name, 1, map[string]string{"cleanup.policy": "compact"})
		old, to := int64(3), int64(1)
		r := offsets.Reset{Version: 1, Topology: jobGroup, Topic: jobIn, TopicID: g.cluster.TopicID(jobIn), Old: &old, New: &to}
		g.cluster.Produce(kafka.TopicPartition{Topic: system.Jobs.Name}, kafka.Record{Key: []byte(r.Key()), Value: r.Value()})
		g.cluster.SetOffset(jobGroup, at(jobIn, 0), 1)
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 1000, First: time.Minute, Max: time.Minute})}
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "3" {
				return fmt.Errorf("wait")
			}
			return tally(j, ctx, key, value)
		}
		g.start()
		g.committed(at(jobIn, 0), 2)
		g.stop()
		g.job.node = tally
		g.start()
		g.committed(at(jobIn, 0), 3)
		g.stop()
		g.sees(at(jobLog, 0), "a 123", "a 123", "a 1232", "a 12323")
		g.cluster.SetOffset(jobGroup, at(jobIn, 0), 1)
		g.refusedFor(g.run(), "count records twice")
	})
}

// After a reset that was accepted, offsets are behind state until the records are worked off: a restart in between is no
// disagreement, even when no record has changed the state since.
//
// Mutation tried: the mark without State, and stores that are not touched (both together).
func TestARestartAfterAnAcceptedResetIsNoDisagreement(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.begun()
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "3" {
				return fmt.Errorf("wait")
			}
			return ctx.Drop(topology.Filtered)
		}
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 1000, First: time.Minute, Max: time.Minute})}
		g.topic(system.Jobs.Name, 1, map[string]string{"cleanup.policy": "compact"})
		old, to := int64(3), int64(0)
		r := offsets.Reset{Version: 1, Topology: jobGroup, Topic: jobIn, TopicID: g.cluster.TopicID(jobIn), Old: &old, New: &to}
		g.cluster.Produce(kafka.TopicPartition{Topic: system.Jobs.Name}, kafka.Record{Key: []byte(r.Key()), Value: r.Value()})
		g.cluster.SetOffset(jobGroup, at(jobIn, 0), 0)
		for range 3 {
			g.start()
			g.committed(at(jobIn, 0), 2)
			g.stop()
		}
	})
}

// So it is where an input lost its end: its offsets are behind the state, although no record has changed it since.
//
// Mutation tried: the mark without State.
func TestARestartBehindTheStateOfATruncatedInputIsNoDisagreement(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.begun()
		g.job.node = func(_ *job, ctx topology.Context, _, _ string) error { return ctx.Drop(topology.Filtered) }
		g.cluster.Replace(at(jobIn, 0), 1, record("b", "1"))
		for range 3 {
			g.start()
			time.Sleep(time.Second)
			g.committed(at(jobIn, 0), 2)
			g.stop()
		}
	})
}

// With at-least-once a crash between the changelog and the offsets leaves the offsets of before: that is its promise, and
// no disagreement.
//
// Mutation tried: From is Offset with both guarantees.
func TestACrashBetweenStateAndOffsetsIsNoDisagreementAtLeastOnce(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.opts.Guarantee = AtLeastOnce
		g.job.node = tally
		g.start()
		g.r.step(func(call string) error {
			if call == "offsets" {
				g.process.Crash()
			}
			return nil
		})
		g.send(0, "a 1", "a 2")
		time.Sleep(5 * time.Second)
		g.r.step(nil)
		g.cancel()
		<-g.done
		g.cancel = nil
		g.sees(at(jobLog, 0), "a 12")
		g.committed(at(jobIn, 0), 0)
		time.Sleep(30 * time.Second)
		g.start()
		time.Sleep(time.Second)
		g.committed(at(jobIn, 0), 2)
	})
}

// A recreated input has other records at the offsets that were read: auto.offset.reset decides, loudly, whether the old
// topic's offsets are still there or went with it, and whether the instance runs or not.
//
// Mutations tried: the mark without the topic id; TopicID left out of Question. (A fetch without it learns it from its first
// answer; who has none to learn from is told by the mark.)
func TestARecreatedInputIsReadAsThePolicySays(t *testing.T) {
	for _, policy := range []OffsetReset{ResetEarliest, ResetLatest, ResetNone} {
		for _, running := range []bool{true, false} {
			for _, kept := range []bool{true, false} {
				for _, n := range []int{2, 9} { // fewer records than before, and more
					t.Run(fmt.Sprint(policy, " running ", running, " offsets kept ", kept, " ", n), func(t *testing.T) {
						bubble(t, 1, simkafka.Config{}, func(g *rig) {
							g.begun()
							g.opts.OffsetReset = policy
							if running {
								g.start()
							}
							g.cluster.DeleteTopic(jobIn)
							if !kept {
								g.cluster.ExpireOffsets(jobGroup)
							}
							g.topic(jobIn, 1, nil)
							var values []string
							for i := range n {
								values = append(values, fmt.Sprint("b ", i))
							}
							g.send(0, values...)
							if policy == ResetNone {
								err := error(nil)
								if running {
									err = g.ended()
								} else {
									err = g.run()
								}
								g.refusedFor(err, "deleted and created again")
								return
							}
							if !running {
								g.start()
							}
							time.Sleep(10 * time.Second)
							g.committed(at(jobIn, 0), int64(n))
							want := 3
							if policy == ResetEarliest {
								want += n
							}
							if got := len(g.cluster.Committed(at(jobOut, 0))); got != want {
								t.Errorf("%d outputs, want %d", got, want)
							}
							if n := g.logged(zapcore.ErrorLevel, "was deleted and created again"); n != 1 {
								t.Errorf("reported %d times", n)
							}
							for _, e := range g.logs.All() {
								if old, said := e.ContextMap()["old_offset"]; said && old.(int64) < 0 {
									t.Errorf("the old offset is reported as %d", old)
								}
							}
							if n := g.metric("weir_input_recreations_total"); n != 1 {
								t.Errorf("counted %v times", n)
							}
							g.send(0, "c 1")
							time.Sleep(time.Second)
							g.committed(at(jobIn, 0), int64(n)+1)
							g.stop()
							g.start()
							g.committed(at(jobIn, 0), int64(n)+1)
						})
					})
				}
			}
		}
	}
}

// An input that lost its end in an unclean election and grew again is noticed by the leader epoch, at start and while it is
// read, also where it has lost some before and nothing was read since.
//
// Mutations tried: the epoch left out of place; leader not taken from the batch; truncated that moves to epoch -1, and moveTo
// that forgets the epoch, in the input or for the fetcher.
func TestATruncatedInputThatGrewAgainIsNoticed(t *testing.T) {
	for _, running := range []bool{true, false} {
		for _, before := range [][]int64{nil, {2}, {3, 2}} {
			t.Run(fmt.Sprint("running ", running, " before ", before), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					g.begun()
					g.cluster.Elect(at(jobIn, 0)) // a clean one is none of it
					g.start()
					g.send(0, "a 4")
					time.Sleep(time.Second)
					reported := 0 // by the instance that runs
					lose := func(do func(), end int64) {
						if !running {
							g.stop()
							reported = 0
						}
						do()
						if !running {
							g.start()
						}
						time.Sleep(10 * time.Second)
						g.committed(at(jobIn, 0), end)
						reported++
						if n := g.logged(zapcore.ErrorLevel, "lost records that were read"); n != reported {
							t.Errorf("reported %d times up to offset %d, want %d", n, end, reported)
						}
					}
					for _, end := range before {
						lose(func() { g.cluster.LoseEnd(at(jobIn, 0), end) }, end)
					}
					lose(func() {
						g.cluster.Replace(at(jobIn, 0), 1, record("b", "1"), record("b", "2"), record("b", "3"), record("b", "4"))
					}, 5)
					if got := g.cluster.Committed(at(jobOut, 0)); len(got) != 8 {
						t.Errorf("%d outputs, want 8", len(got))
					}
					g.stop()
					g.start()
					g.committed(at(jobIn, 0), 5)
				})
			})
		}
	}
}

// Where reading goes on elsewhere, that is where everything begins that is done again: a commit that fails, then or later, goes
// back to the new place and not to the old one, which lies among other records now.
//
// Mutations tried: moveTo without committed; oldest that recovers in an open transaction, and urgent without ended.
func TestAnAbortAfterAnInputWasMovedGoesBackToItsNewPlace(t *testing.T) {
	for _, c := range []struct {
		name    string
		running bool // when it is done; what was read then is not committed yet
		do      func(g *rig)
		offsets []int64 // that are committed
	}{
		{"truncated", true, func(g *rig) { g.cluster.Replace(at(jobIn, 0), 1, record("b", "1"), record("b", "2")) }, []int64{5, 1, 3}},
		{"cut", true, func(g *rig) { g.cluster.LoseEnd(at(jobIn, 0), 2); g.send(0, "b 1") }, []int64{5, 2, 3}},
		{"deleted", false, func(g *rig) { g.send(0, "b 1", "b 2", "b 3"); g.cluster.DeleteRecords(at(jobIn, 0), 7) }, []int64{7, 8}},
	} {
		for failing := range len(c.offsets) {
			t.Run(fmt.Sprint(c.name, " commit ", failing), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					g.begun()
					g.send(0, "a 4", "a 5")
					if !c.running {
						c.do(g)
					}
					g.opts.CommitInterval = time.Minute
					g.r.take()
					n := 0
					g.r.step(func(call string) error {
						if strings.HasPrefix(call, "offsets") {
							if n++; n-1 == failing {
								return &kafka.Error{Class: kafka.Abortable, Op: "offsets", Err: errors.New("told to")}
							}
						}
						return nil
					})
					g.start()
					if c.running {
						c.do(g)
					}
					time.Sleep(3 * time.Minute)
					g.r.step(nil)
					g.stop()
					var sent []int64
					for line := range strings.Lines(g.r.take()) {
						var offset int64
						if _, err := fmt.Sscanf(line, "offsets "+jobIn+"/0=%d", &offset); err == nil {
							sent = append(sent, offset)
						}
					}
					var turns []int64 // without those on the way to the next one
					for i, offset := range sent {
						if i == len(sent)-1 || slices.Contains(c.offsets[:len(c.offsets)-1], offset) {
							turns = append(turns, offset)
						}
					}
					if turns = slices.Compact(turns); n < len(c.offsets) || !slices.Equal(turns, c.offsets) {
						t.Errorf("offsets %v were sent, want %v", sent, c.offsets)
					}
				})
			})
		}
	}
}

// A changelog that lost its end and grew past the checkpoint is noticed by the leader epoch: the store is rebuilt.
//
// Mutations tried: the note without the epoch; unfit without EpochEnds; the sink's epoch not taken at the commit.
func TestAChangelogThatLostItsEndAndGrewAgainIsNoticed(t *testing.T) {
	for _, restored := range []bool{false, true} { // whether the checkpoint was written by a commit or by a restore
		t.Run(fmt.Sprint("restored ", restored), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.begun()
				g.cluster.Elect(at(jobLog, 0))
				g.send(0, "b 1")
				if restored {
					g.dir = tempDir(t)
				}
				g.start()
				g.stop()
				if n := g.logged(zapcore.ErrorLevel, "does not fit its changelog"); n != 0 {
					t.Fatalf("a clean election: reported %d times", n)
				}
				_, _, end := g.cluster.Bounds(at(jobLog, 0))
				var more []kafka.Record
				for i := range end {
					more = append(more, record("c", fmt.Sprint(i)))
				}
				g.cluster.Replace(at(jobLog, 0), 1, more...)
				g.job.node = recall
				g.start()
				g.send(0, "a ?", "b ?")
				time.Sleep(time.Second)
				got := g.cluster.Committed(at(jobOut, 0))
				if last := got[len(got)-1]; string(last.Value) != "nothing" {
					t.Errorf("the state of b is %q, but the changelog has lost it", last.Value)
				}
				if n := g.logged(zapcore.ErrorLevel, "does not fit its changelog"); n != 1 {
					t.Errorf("reported %d times", n)
				}
			})
		})
	}
}

// Where the state knows nothing of an input, that input is new: nothing was lost.
//
// Mutation tried: Known ignored.
func TestAnInputThatIsAddedIsNew(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.begun()
		g.topic(jobOther, 1, nil)
		g.topic(jobOther+".dlq", 1, nil)
		g.cluster.Produce(at(jobOther, 0), record("o", "1"))
		j := g.job
		j.added = func(j *job) []topology.Part {
			return []topology.Part{topology.On(j.other, func(ctx topology.Context, key, value string) error { return tally(j, ctx, key, value) })}
		}
		g.start()
		time.Sleep(time.Second)
		g.committed(at(jobOther, 0), 1)
		g.committed(at(jobIn, 0), 3)
	})
}

// What was recorded is read by one task after the other. While that takes, for another program has a transaction open there,
// the instance can be stopped at once, and says what it waits for; when it has ended, each task comes to its verdict.
//
// Mutations tried: a mutex in the place of readingJobs (the test does not end: nor could a task have been given up); resets
// without a bound.
func TestRecordedResetsThatCannotBeReadHoldNothingUp(t *testing.T) {
	const n = 3
	bubble(t, n, simkafka.Config{}, func(g *rig) {
		g.job.node = tally
		for p := range int32(n) {
			g.send(p, "a 1")
		}
		g.start()
		g.stop()
		g.cluster.ExpireOffsets(jobGroup)
		g.topic(system.Jobs.Name, 1, map[string]string{"cleanup.policy": "compact"})
		end := g.cluster.LeaveOpen(at(system.Jobs.Name, 0), record("other", "1"))
		g.start()
		if took := g.stop(); took > time.Second {
			t.Errorf("it took %s to stop", took)
		}
		if n := g.logged(zapcore.WarnLevel, "was not left in order"); n != 0 {
			t.Error("the group was not left in order")
		}
		g.start()
		said := false
		for range 400 {
			time.Sleep(resetsWithin / 200)
			said = said || strings.Contains(strings.Join(healthOf(g.inst), ""), "a transaction may be open there")
		}
		if !said {
			t.Error("health says nothing")
		}
		end(false)
		g.refusedFor(g.ended(), "has no committed offset")
	})
}

// read is what a partition of a changelog holds, by key.
func (g *rig) read(tp kafka.TopicPartition) map[string]string {
	held := map[string]string{}
	for _, r := range g.cluster.Committed(tp) {
		if delete(held, string(r.Key)); r.Value != nil {
			held[string(r.Key)] = string(r.Value)
		}
	}
	return held
}
