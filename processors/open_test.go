package processors

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A changelog that was replaced by another of the same name, emptied, or cut at its beginning would leave a store without state
// that the committed offsets count on. That is refused, on the instance that has a store and on one that has none, until
// accept-empty-state is given; then one start is enough.
//
// A store of this instance that needs nothing of what is gone is used.
//
// Mutations seen to fail it: each case of JudgeLog left out; marks without their changelogs (fault rule mark-changelogs);
// inputs that are not marked again after the acceptance; the topic's id in the stamp of a store not compared.
func TestAChangelogThatDoesNotHoldTheStateIsRefused(t *testing.T) {
	bounds := func(g *rig) (start, end int64) { start, _, end = g.cluster.Bounds(at(jobLog, 0)); return start, end }
	again := func(g *rig) {
		g.cluster.DeleteTopic(jobLog)
		g.topic(jobLog, 1, map[string]string{"cleanup.policy": "compact"})
	}
	const (
		gone   = "deleted and created again"
		ours   = "deleted and made again"
		empty  = "it is empty, and held state"
		before = "were deleted, so it does not hold the whole state"
	)
	for _, c := range []struct {
		name        string
		do          func(g *rig)
		fresh, kept string // why it is refused where there is no store, and where there is one; "" for not at all
		holds       string // what a new store holds after the acceptance
	}{
		{"nothing", func(*rig) {}, "", "", "1234"},
		{"recreated empty", again, gone, ours, ""},
		{"recreated with as many records", func(g *rig) {
			_, end := bounds(g)
			again(g)
			for {
				g.cluster.ProduceTransaction(at(jobLog, 0), true, record("a", "9"))
				if _, now := bounds(g); now >= end {
					return
				}
			}
		}, gone, ours, "9"},
		{"emptied", func(g *rig) { _, end := bounds(g); g.cluster.DeleteRecords(at(jobLog, 0), end) }, empty, "", ""},
		{"cut", func(g *rig) {
			g.cluster.Produce(at(jobLog, 0), record("b", "x"))
			_, end := bounds(g)
			g.cluster.DeleteRecords(at(jobLog, 0), end-1)
		}, before, "", ""},
		{"lost its whole log", func(g *rig) { g.cluster.LoseEnd(at(jobLog, 0), 0) }, empty, empty, ""},
	} {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, " new disk ", fresh), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					g.begun()
					g.start()
					g.send(0, "a 4")
					time.Sleep(time.Second)
					g.stop()
					g.sees(at(jobLog, 0), "a 123", "a 1234")
					c.do(g)
					why := c.kept
					if fresh {
						g.dir, why = tempDir(t), c.fresh
					}
					if why != "" {
						for range 2 {
							g.refusedFor(g.run(), why)
						}
						g.opts.AcceptEmptyState = true
					}
					for range 2 { // with the flag, then without
						g.start()
						if why != "" && g.opts.AcceptEmptyState && g.logged(zapcore.WarnLevel, "accept-empty-state") == 0 {
							t.Error("nothing says that it was accepted")
						}
						g.stop()
						g.opts.AcceptEmptyState = false
					}
					g.start()
					g.send(0, "a !")
					time.Sleep(time.Second)
					g.stop()
					want := c.holds + "!"
					if why == "" {
						want = "1234!"
					}
					if aside, _ := filepath.Glob(state.StoreDir(g.dir, jobGroup, "seen", 0) + ".recreated-*"); (len(aside) > 0) != (why == ours) {
						t.Errorf("set aside as the store of a topic that was recreated: %q", aside)
					}
					out := g.cluster.Committed(at(jobOut, 0))
					if got := string(out[len(out)-1].Value); got != want {
						t.Errorf("the store held %q, want %q", got, want)
					}
					if (c.name == "emptied" || c.name == "cut") && !fresh && g.logged(zapcore.ErrorLevel, "a changelog lost records") == 0 {
						t.Error("nothing says that the changelog lost records")
					}
					// The state that was accepted counts from then on: what is lost again is refused again.
					_, end := bounds(g)
					if !fresh && why == "" {
						return
					}
					g.cluster.DeleteRecords(at(jobLog, 0), end)
					g.dir = tempDir(t)
					g.refusedFor(g.run(), empty)
				})
			})
		}
	}
}

// A changelog that lost only its end is not refused, since inputs that lost theirs are not: what is left is the state, and an error says what is missing, also where no store of it is there to compare.
//
// Mutations seen to fail it: judgeLog without regrown; marks without the epoch.
func TestAChangelogThatLostItsEndIsReportedWithoutAStore(t *testing.T) {
	for _, grown := range []bool{false, true} {
		t.Run(fmt.Sprint("grown again ", grown), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.begun()
				g.start()
				g.send(0, "a 4")
				time.Sleep(time.Second)
				g.stop()
				g.cluster.LoseEnd(at(jobLog, 0), 2)
				if grown {
					for range 5 {
						g.cluster.Produce(at(jobLog, 0), record("b", "x"))
					}
				}
				g.dir = tempDir(t)
				g.start()
				if n := g.logged(zapcore.ErrorLevel, "a changelog lost records"); n != 1 {
					t.Errorf("reported %d times", n)
				}
				g.stop()
			})
		})
	}
}

// Empty state is accepted for a beginning, not for the life of a process: what is lost while it runs is refused.
//
// Mutation: begun does nothing.
func TestEmptyStateIsAcceptedUntilAllTasksHaveBegun(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.begun()
		g.cluster.DeleteTopic(jobLog)
		g.opts.AcceptEmptyState = true
		g.start()
		g.send(0, "a 4")
		time.Sleep(time.Second)
		g.sees(at(jobLog, 0), "a 4")
		if n := g.logged(zapcore.InfoLevel, "accept-empty-state has no effect any more"); n != 1 {
			t.Errorf("the end of the acceptance was logged %d times", n)
		}
		g.cluster.DeleteTopic(jobLog)
		g.topic(jobLog, 1, map[string]string{"cleanup.policy": "compact"})
		g.r.step(func(call string) error { // the worker begins anew
			if call == "flush" {
				return &kafka.Error{Class: kafka.Fenced, Op: call, Err: errors.New("PRODUCER_FENCED")}
			}
			return nil
		})
		g.send(0, "a 5")
		g.refusedFor(g.ended(), "deleted and made again")
	})
}

// The marks of committed offsets carry what they must: see JudgeLog.
//
// Mutation seen to fail it: a mark with the log's end of before the commit.
func TestMarksSayHowTheChangelogsWere(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.begun()
		mark, ok := offsets.ParseMark(g.cluster.OffsetOf(jobGroup, at(jobIn, 0)).Metadata)
		_, _, end := g.cluster.Bounds(at(jobLog, 0))
		log := mark.Logs["seen"]
		if !ok || log.TopicID != g.cluster.TopicID(jobLog) || log.Start != 0 || log.End != end-1 || log.Epoch < 0 {
			t.Errorf("the mark says %+v, and the log ends with a marker before %d", mark, end)
		}
	})
}

// A changelog that is recreated while nothing is written to it is noticed by the first transaction that would write to the new
// one: nothing is committed, and the instance ends as a start would.
//
// Mutation seen to fail it: opened without Expect.
func TestAChangelogThatIsRecreatedUnderAnIdleInstanceIsRefused(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		t.Run(string(guarantee), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.opts.Guarantee = guarantee
				g.begun()
				g.start()
				g.cluster.DeleteTopic(jobLog)
				g.topic(jobLog, 1, map[string]string{"cleanup.policy": "compact"})
				g.send(0, "a 4")
				select {
				case err := <-g.done:
					g.cancel()
					g.cancel = nil
					g.refusedFor(err, "belongs to the changelog with topic id")
				case <-time.After(time.Minute):
					t.Error("the instance goes on")
				}
				g.committed(at(jobIn, 0), 3)
				g.sees(at(jobLog, 0))
			})
		})
	}
}

// A store that is renamed, and gets its old name back after records were processed, misses these: its changelog is there, and its positions
// are those of before. So it is with a store that leaves the topology for a while, and with a new one whose changelog somebody has
// made. Each is refused until accept-empty-state is given.
//
// Mutation seen to fail it: JudgeLog without Stranger.
func TestAStoreThatMissedRecordsIsRefused(t *testing.T) {
	last := func(g *rig) string {
		out := g.cluster.Committed(at(jobOut, 0))
		return string(out[len(out)-1].Value)
	}
	for _, c := range []struct {
		name          string
		first, second []string
		third         []string
		refusals      int // of the second and of the third
		want          string
	}{
		{"renamed and back", []string{"seen"}, []string{"other"}, []string{"seen"}, 2, "seen=13 "},
		{"left for a while", []string{"other", "seen"}, []string{"other"}, []string{"other", "seen"}, 1, "other=123 seen=13 "},
		{"nothing", []string{"seen"}, []string{"seen"}, []string{"seen"}, 0, "seen=123 "},
	} {
		for _, fresh := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, " new disk ", fresh), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					g.topic("job-other-changelog", 1, map[string]string{"cleanup.policy": "compact"})
					refusals := 0
					for i, stores := range [][]string{c.first, c.second, c.third} {
						g.withStores(stores...)
						if fresh {
							g.dir = tempDir(t)
						}
						g.opts.AcceptEmptyState = false
						before := g.cluster.OffsetOf(jobGroup, at(jobIn, 0))
						if i > 0 && !slices.Equal(stores, [][]string{c.first, c.second}[i-1]) && len(stores) >= len([][]string{c.first, c.second}[i-1]) {
							g.refusedFor(g.run(), "a state without this store")
							if now := g.cluster.OffsetOf(jobGroup, at(jobIn, 0)); now != before {
								t.Errorf("the refused start has committed %+v", now)
							}
							refusals++
							g.opts.AcceptEmptyState = true
						}
						g.start()
						g.send(0, fmt.Sprint("a ", i+1))
						time.Sleep(time.Second)
						g.stop()
					}
					if refusals != c.refusals || last(g) != c.want {
						t.Errorf("%d refusals, and it ends with %q, want %d and %q", refusals, last(g), c.refusals, c.want)
					}
				})
			})
		}
	}
}

// hollowWire has a changelog of which a broker finds no batch any more.
type hollowWire struct{ Wire }

type hollowFetcher struct{ Fetcher }

func (w hollowWire) NewFetcher() (Fetcher, error) {
	f, err := w.Wire.NewFetcher()
	return hollowFetcher{f}, err
}

func (f hollowFetcher) Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch)) {
	if tp.Topic != jobLog {
		f.Fetcher.Start(tp, from, deliver)
		return
	}
	go func() {
		for at := from.Offset; at < 10; at++ {
			deliver(kafka.Batch{TopicPartition: tp, Position: at + 1, LeaderEpoch: -1, TopicID: from.TopicID, Vanished: true})
		}
	}()
}

// A changelog whose last records are gone without a trace keeps its task from starting, until accept-empty-state is given.
//
// Mutation seen to fail it: catchUp that does not look at Vanished.
func TestAChangelogThatIsHollowIsNotRestored(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.begun()
		g.dir = tempDir(t)
		g.wrap = func(w Wire) Wire { return hollowWire{w} }
		g.start()
		if h := strings.Join(healthOf(g.inst), "\n"); !strings.Contains(h, "have no batch of it from offset 0 on") {
			t.Errorf("health says %q", h)
		}
		g.stop()
		g.opts.AcceptEmptyState = true
		g.start()
		if n := g.logged(zapcore.WarnLevel, "as accept-empty-state allows"); n != 1 || len(healthOf(g.inst)) > 0 {
			t.Errorf("accepted %d times, and health says %q", n, healthOf(g.inst))
		}
		g.stop()
	})
}

// withStores has the job's one node add what it reads to each of these stores, and emit what they hold then.
func (g *rig) withStores(stores ...string) {
	g.job.define = func() *topology.Topology {
		in, out := topology.Stream(jobIn, codecs.String()), topology.Stream(jobOut, codecs.String())
		var handles []*topology.StoreOf[string]
		parts := []topology.Part{topology.Emits(out)}
		for _, name := range stores {
			s := topology.Store(name, codecs.String())
			handles = append(handles, s)
			parts = append(parts, topology.Uses(s))
		}
		parts = append(parts, topology.On(in, func(ctx topology.Context, key, value string) error {
			held := ""
			for _, s := range handles {
				old, err := s.Get(ctx, key)
				if err != nil {
					return err
				}
				s.Set(ctx, key, old+value)
				held += s.Name() + "=" + old + value + " "
			}
			out.Emit(ctx, key, held)
			return nil
		}))
		return topology.Define(jobGroup, topology.Node("node", parts...))
	}
}

// However many stores a node has, and however long their names, the changelog of the last one is known by the committed offsets, or it is
// said at start that it may not be.
//
// Mutations seen to fail it: String that never shortens; no warning at start.
func TestTheChangelogsOfManyStoresAreKnown(t *testing.T) {
	for _, count := range []int{3, 70, 80} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				var stores []string
				logs := func(n int) string { return plan.Names{}.Changelog(jobGroup, stores[n]) }
				for n := range count {
					stores = append(stores, fmt.Sprintf("a-store-with-a-name-of-35-bytes-%03d", n))
					g.topic(logs(n), 1, map[string]string{"cleanup.policy": "compact"})
				}
				g.withStores(stores...)
				g.start()
				g.send(0, "a 1")
				time.Sleep(time.Second)
				g.stop()
				warned := 0
				if count > 72 {
					warned = 1
				}
				if n := g.logged(zapcore.WarnLevel, "no room to tell the changelogs"); n != warned {
					t.Errorf("%d warnings, want %d", n, warned)
				}
				g.cluster.DeleteTopic(logs(count - 1))
				g.topic(logs(count-1), 1, map[string]string{"cleanup.policy": "compact"})
				g.dir = tempDir(t)
				g.refusedFor(g.run(), "it was deleted and created again")
			})
		})
	}
}
