package processors

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// A restore that waits for somebody's transaction is named with the transaction and the line that aborts it, and its task's
// lag is that of the broker.
//
// Mutations: lagNow is lag always (0 is shown); the patrol leaves out what does not run; restores does not ask waitsFor.
func TestARestoreThatStandsStillIsNamedWithItsTransactionAndItsLag(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.start()
		g.send(0, "a 1", "a 2", "a 3")
		settled()
		g.stop()
		_ = os.RemoveAll(state.TopologyDir(g.dir, jobGroup))
		end := g.cluster.LeaveOpen(at(jobLog, 0), record("x", "y"))
		g.send(0, "a 4", "a 5")
		g.r.open = map[kafka.TopicPartition]kafka.OpenTransaction{at(jobLog, 0): {
			TopicPartition: at(jobLog, 0), StartOffset: 17, ProducerID: 4711, ProducerEpoch: 3, Hanging: true,
		}}
		g.start()
		settled()
		if s := g.inst.Stats(); s.Lag != 2 || s.Tasks[0].Lag != 2 || s.Tasks[0].State != "restoring" {
			t.Errorf("lag %d, task %+v", s.Lag, s.Tasks[0])
		}
		if lag := g.metric("weir_lag"); lag != 2 {
			t.Errorf("weir_lag is %v", lag)
		}
		if !g.inst.Live() || g.inst.Ready() {
			t.Errorf("live %v, ready %v", g.inst.Live(), g.inst.Ready())
		}
		time.Sleep(time.Minute)
		h := strings.Join(healthOf(g.inst), "\n")
		for _, want := range []string{
			"the restore of store", jobLog + "/0", "its inputs have lag 2", "a hanging transaction", "producer id 4711 (epoch 3)", "since offset 17",
			"kafka-transactions.sh --bootstrap-server BROKERS abort --topic " + jobLog + " --partition 0 --start-offset 17",
		} {
			if !strings.Contains(h, want) {
				t.Errorf("%q is missing in %s", want, h)
			}
		}
		end(false)
		settled()
		if h := healthOf(g.inst); len(h) != 0 || !g.inst.Ready() {
			t.Errorf("health is %q when the transaction is over", h)
		}
	})
}

// What stands still is not known to be a transaction: a quota of the client has a restore wait in the same way. How long it will take is
// not said before anything was read.
//
// Mutations, each seen to fail: the log names the transaction only; the remedy does not name quotas; the log has an ETA of 0 s.
func TestARestoreThatStandsStillMayBeThatOfAQuota(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.send(0, "a 1")
		end := g.cluster.LeaveOpen(at(jobLog, 0), record("x", "y"))
		g.start()
		time.Sleep(time.Minute)
		lines := g.logs.FilterMessageSnippet("restoring: no progress").All()
		if len(lines) == 0 {
			t.Fatal("the log does not say that a restore stands still")
		}
		for _, l := range lines {
			if eta := l.ContextMap()["eta"]; !strings.Contains(l.Message, "quota") || eta != nil {
				t.Fatalf("%s, ETA %v", l.Message, eta)
			}
		}
		if h := strings.Join(healthOf(g.inst), "\n"); !strings.Contains(h, "consumer_byte_rate") {
			t.Errorf("health is %s", h)
		}
		end(false)
		settled()
	})
}

// Mutations: an input without a committed offset counts from 0 although records are gone; or from its start under latest.
func TestLagOfATaskThatDoesNotRun(t *testing.T) {
	for reset, want := range map[OffsetReset]int64{ResetEarliest: 3, ResetLatest: 0} {
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			g.opts.OffsetReset = reset
			g.send(0, "a 1", "a 2", "a 3", "a 4", "a 5")
			g.cluster.DeleteRecords(at(jobIn, 0), 2)
			end := g.cluster.LeaveOpen(at(jobLog, 0), record("x", "y"))
			g.start()
			settled()
			if s := g.inst.Stats(); s.Lag != want || s.Tasks[0].State != "restoring" {
				t.Errorf("%s: lag %d, want %d: %+v", reset, s.Lag, want, s.Tasks[0])
			}
			end(false)
			settled()
		})
	}
}

// A partition that stands still behind a transaction is named with it in the log too, also where it was reported before that was known,
// and not more often.
//
// Mutations: watch that reports an input once; that forgets what it has reported.
func TestAnInputBehindAnOpenTransactionIsNamedWithIt(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 20 * time.Second} {
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			g.opts.StallAfter = after
			g.start()
			end := g.cluster.LeaveOpen(at(jobIn, 0), record("a", "1"))
			g.r.mu.Lock()
			g.r.open = map[kafka.TopicPartition]kafka.OpenTransaction{at(jobIn, 0): {
				TopicPartition: at(jobIn, 0), StartOffset: 0, ProducerID: 12, TransactionalID: "orders-7", State: "Ongoing", Timeout: time.Hour,
			}}
			g.r.mu.Unlock()
			time.Sleep(time.Minute)
			h := strings.Join(healthOf(g.inst), "\n")
			if !strings.Contains(h, `an open transaction of "orders-7"`) || !strings.Contains(h, "abort --topic "+jobIn+" --partition 0 --start-offset 0") {
				t.Errorf("health is %q", h)
			}
			named := 0
			reports := g.logs.FilterMessage("an input partition stands still").All()
			for _, e := range reports {
				why, _ := e.ContextMap()["why"].(string)
				remedy, _ := e.ContextMap()["remedy"].(string)
				if strings.Contains(why, `"orders-7"`) && strings.Contains(remedy, "abort --topic "+jobIn) {
					named++
				}
			}
			if named != 1 || len(reports) > 2 {
				t.Errorf("stalled after %s: reported %d times, with the transaction %d times", after, len(reports), named)
			}
			end(true)
			time.Sleep(time.Minute)
			if h := healthOf(g.inst); len(h) != 0 {
				t.Errorf("health is %q", h)
			}
		})
	}
}

// fencedAgain has every transaction of an instance fenced.
func fencedAgain(g *rig) {
	g.r.step(func(call string) error {
		if call == "flush" {
			return &kafka.Error{Class: kafka.Fenced, Op: call, Err: errors.New("PRODUCER_FENCED")}
		}
		return nil
	})
	g.send(0, "a 1")
}

// Of two processes with one instance id the younger one stops, and only when the other is still there after a session: a
// former self that was killed is listed for that long.
//
// Mutations: settle takes the first look for the last; After for Before; the count is not looked at.
func TestTheYoungerOfTwoProcessesWithOneInstanceIDStops(t *testing.T) {
	for name, tc := range map[string]struct {
		started time.Duration // of the other, before this one
		gone    bool          // the other's session ends
		fenced  bool
		stops   bool
	}{
		"the younger":         {started: time.Hour, fenced: true, stops: true},
		"the older":           {started: -time.Hour, fenced: true},
		"its own former self": {started: time.Hour, fenced: true, gone: true},
		"not fenced":          {started: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.start()
				g.r.mu.Lock()
				g.r.namesakes = []kafka.Namesake{{Name: "member X", Started: time.Now().Add(-tc.started)}}
				g.r.mu.Unlock()
				if tc.fenced {
					fencedAgain(g)
				} else {
					g.send(0, "a 1")
				}
				for range 20 { // until somebody has looked
					time.Sleep(time.Second)
					g.inst.fences.mu.Lock()
					seen := g.inst.fences.rival != ""
					g.inst.fences.mu.Unlock()
					if seen {
						break
					}
				}
				time.Sleep(7 * time.Second) // and looked again
				if tc.gone {
					g.r.mu.Lock()
					g.r.namesakes = nil
					g.r.mu.Unlock()
				}
				time.Sleep(50 * time.Second)
				stopped := g.inst.phase.Load().(Phase) == Stopped
				if stopped != tc.stops {
					t.Errorf("stopped: %v", stopped)
				}
				if !tc.stops {
					g.r.step(nil)
					return
				}
				var namesake *NamesakeError
				if err := g.ended(); !errors.As(err, &namesake) || !strings.Contains(err.Error(), `another process has instance id "m": member X`) {
					t.Errorf("ended with %v", err)
				}
				if g.inst.Live() {
					t.Error("an instance that has ended is live")
				}
			})
		})
	}
}

// Liveness is for what a restart helps: not for a node that waits for a slow service, nor for brokers that are away.
//
// Mutations: Live does not look at processing; Live looks at Health.
func TestASlowServiceAndAbsentBrokersLeaveTheInstanceLive(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		hold := make(chan struct{})
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "slow" {
				<-hold
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a slow")
		g.r.step(func(call string) error {
			if call == "topics" {
				return errors.New("no answer")
			}
			return nil
		})
		for range 60 {
			time.Sleep(time.Minute)
			if !g.inst.Live() {
				t.Fatal("not live")
			}
		}
		if len(g.inst.Health()) < 2 {
			t.Errorf("health is %q", healthOf(g.inst))
		}
		close(hold)
		g.r.step(nil)
		settled()
	})
}

// Mutation: Live is true always.
func TestAWorkerThatIsWedgedIsNotLive(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.start()
		time.Sleep(150 * time.Minute) // with nothing to do
		if !g.inst.Live() {
			t.Error("not live after hours without a record")
		}
		stuck := time.Now().Add(-wedged - time.Minute)
		g.inst.workers[0].turned.Store(&stuck)
		if g.inst.Live() {
			t.Error("live with a worker that does not go round")
		}
		g.send(0, "a 1")
		settled()
		if !g.inst.Live() {
			t.Error("not live when it goes round again")
		}
	})
}

func TestGroupsAreFoundWhereBrokersKeepThem(t *testing.T) {
	for group, want := range map[string]int32{"": 0, "a": 97 % 50, "ab": (31*97 + 98) % 50, "polygenelubricants": 0} { // the last one's hash is the lowest int32
		if got := groupPartition(group, 50); got != want {
			t.Errorf("%q is in %d, want %d", group, got, want)
		}
	}
}

// An input that is created again with fewer partitions leaves tasks without an input: health names them, and no lag is told of them.
//
// Mutations seen to fail it: topics without shrunk; lags that asks for all.
func TestPartitionsThatAreGoneAreNamed(t *testing.T) {
	bubble(t, 3, simkafka.Config{}, func(g *rig) {
		g.start()
		g.send(2, "a 1")
		time.Sleep(time.Second)
		g.cluster.DeleteTopic(jobIn)
		g.topic(jobIn, 1, nil)
		time.Sleep(2 * time.Minute)
		h := strings.Join(healthOf(g.inst), "\n")
		if !strings.Contains(h, "do not exist any more: [event.in.v1/1 event.in.v1/2]") || strings.Contains(h, "has not answered") {
			t.Errorf("health is %q", h)
		}
	})
}

// What is deleted from the beginning of a changelog is named as long as it is so: under a running instance, and by the next one that
// has the store and goes on with it.
//
// Mutation: a task takes the end of its changelog for the offset from which on it is whole.
func TestAChangelogThatIsCutIsNamed(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		const named = "lost records at their beginning: [job-seen-changelog/0]"
		g.start()
		g.send(0, "a 1", "b 2", "c 3")
		g.send(1, "d 1")
		time.Sleep(time.Minute)
		if h := healthOf(g.inst); len(h) > 0 {
			t.Errorf("health is %q", h)
		}
		g.cluster.DeleteRecords(at(jobLog, 0), 2)
		for range 2 {
			time.Sleep(time.Minute)
			if h := strings.Join(healthOf(g.inst), "\n"); !strings.Contains(h, named) {
				t.Errorf("health is %q", h)
			}
			g.stop()
			g.start()
		}
		g.stop()
	})
}
