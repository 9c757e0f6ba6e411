package processors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/state"
)

// deniedWire denies questions of one kind, as the cluster does, while it is told to.
type deniedWire struct {
	Wire
	g  *rig
	of string
}

func (w deniedWire) denied(call string) error {
	if call != w.of || w.g.r.ask("denied") == nil {
		return nil
	}
	return &kafka.BlockedError{TopicPartition: kafka.TopicPartition{Partition: -1}, Op: call, Err: errors.New("AUTHORIZATION_FAILED"), Remedy: "allow " + call}
}

func (w deniedWire) Committed(ctx context.Context, group string, tps []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	if err := w.denied("committed"); err != nil {
		return nil, err
	}
	return w.Wire.Committed(ctx, group, tps)
}

func (w deniedWire) EpochEnds(ctx context.Context, epochs map[kafka.TopicPartition]int32) (map[kafka.TopicPartition]kafka.EpochEnd, error) {
	if err := w.denied("epoch ends"); err != nil {
		return nil, err
	}
	return w.Wire.EpochEnds(ctx, epochs)
}

func (w deniedWire) NewSink(ctx context.Context, id string) (Sink, error) {
	if err := w.denied("new sink"); err != nil {
		return nil, err
	}
	return w.Wire.NewSink(ctx, id)
}

// Whatever the cluster denies a running instance, on the way of a task to its work or at it, the instance waits, says at once
// why and what to do, and goes on when it is allowed again. Nothing is lost or done twice.
//
// Mutations: recover fails the instance for a denied read; opened fails it for any error of the wire; problem without the case
// of a denial; push does not end a denial; grow fails when the cluster does not answer.
func TestWhatIsDeniedWhileItRunsIsWaitedFor(t *testing.T) {
	deny := func(topic string, trouble simkafka.Trouble) func(g *rig) {
		return func(g *rig) { g.cluster.SetTrouble(topic, trouble) }
	}
	question := func(*rig) {} // deniedWire does
	for _, c := range []struct {
		name   string
		of     string // question that is denied
		deny   func(g *rig)
		reopen bool // its tasks are opened again when it is denied
		words  string
	}{
		{"READ of an input, while it is read", "", deny(jobIn, simkafka.Unreadable), false, "let " + jobIn + " be read"},
		{"READ of an input, when a task begins", "", deny(jobIn, simkafka.Unreadable), true, "let " + jobIn + " be read"},
		{"DESCRIBE of an input, while it is read", "", deny(jobIn, simkafka.Hidden), false, "let " + jobIn + " be read"},
		{"DESCRIBE of an input, when a task begins", "", deny(jobIn, simkafka.Hidden), true, "let " + jobIn + " be read"},
		{"READ of a changelog", "", deny(jobLog, simkafka.Unreadable), true, "let " + jobLog + " be read"},
		{"DESCRIBE of a changelog", "", deny(jobLog, simkafka.Hidden), true, "let " + jobLog + " be read"},
		{"DESCRIBE of the group", "committed", question, true, "allow committed"},
		{"the leader epochs", "epoch ends", question, true, "allow epoch ends"},
		{"the transactional id", "new sink", question, true, "allow new sink"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 2, simkafka.Config{}, func(g *rig) {
				g.wrap = func(w Wire) Wire { return deniedWire{w, g, c.of} }
				g.start()
				g.send(0, "a 1")
				time.Sleep(time.Second)
				if c.reopen && c.of != "epoch ends" { // which is asked of a store that is there
					removeStores(g)
				}
				fenced := !c.reopen
				g.r.step(func(call string) error {
					switch {
					case call == "denied":
						return errors.New("denied")
					case call == "flush" && !fenced: // the worker takes its tasks up again
						fenced = true
						return &kafka.Error{Class: kafka.Fenced, Op: call, Err: errors.New("PRODUCER_FENCED")}
					}
					return nil
				})
				if c.reopen {
					g.send(0, "b 1")
					time.Sleep(50 * time.Millisecond) // it is read, and not committed
				}
				c.deny(g)
				g.send(0, "a 2")
				time.Sleep(5 * time.Second)
				if said := strings.Join(healthOf(g.inst), "; "); !strings.Contains(said, c.words) {
					t.Errorf("health says %q", said)
				}
				time.Sleep(10 * time.Minute)
				if n := g.logged(zapcore.ErrorLevel, ""); n > 30 {
					t.Errorf("%d errors in the log", n)
				}
				g.cluster.MendAll()
				g.r.step(nil)
				time.Sleep(time.Minute)
				want := []string{"a 1", "a 2"}
				if c.reopen {
					want = []string{"a 1", "b 1", "a 2"}
				}
				g.sees(at(jobOut, 0), want...)
				g.committed(at(jobIn, 0), int64(len(want)))
				if said := healthOf(g.inst); len(said) > 0 {
					t.Errorf("health still says %q", said)
				}
			})
		})
	}
}

// removeStores has the next restore read the whole changelogs.
func removeStores(g *rig) {
	for p := range int32(2) {
		_ = os.RemoveAll(state.StoreDir(g.dir, jobGroup, "seen", p))
	}
}

// Partitions that are added while the cluster does not say how many are taken up all the same.
func TestPartitionsAreTakenUpWhenTheClusterDoesNotSayHowMany(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.stateless()
		g.start()
		var n atomic.Int32 // the patrol asks, too
		g.r.step(func(call string) error {
			if call == "topics" {
				if n.Add(1) <= 3 {
					return errors.New("no answer")
				}
			}
			return nil
		})
		g.cluster.AddPartitions(jobIn, 4)
		g.send(3, "k 1")
		time.Sleep(time.Minute)
		if got := fmt.Sprint(g.allOut(2)); got != "map[1:1]" {
			t.Errorf("the output holds %s", got)
		}
	})
}
