package processors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/provenance"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// Two topologies whose stores come to one changelog are told apart by whose state it holds: who restores what another one has written is
// refused, unless that is accepted. What older programs wrote names nobody.
//
// Mutations, each seen to fail it: ownState left out; an owner without its topology; without its prefix.
func TestAChangelogOfAnotherTopologyIsRefused(t *testing.T) {
	keeps := func(name, store string) *topology.Topology {
		in, kept := topology.Stream(jobIn, codecs.String(), topology.Unprefixed()), topology.Store(store, codecs.String())
		return topology.Define(name, topology.Node("node", topology.On(in, func(ctx topology.Context, key, value string) error {
			kept.Set(ctx, key, value)
			return nil
		}), topology.Uses(kept)))
	}
	for name, c := range map[string]struct{ own, prefix, topology, store string }{
		"another topology":             {"seen-x", "", "job-seen", "x"},
		"another prefix and topology":  {"seen", "jo", "b", "seen"},
		"another prefix, one topology": {"x-job-seen", "job-x-", jobGroup, "seen"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				own := plan.Names{}.Changelog(jobGroup, c.own)
				if twin := (plan.Names{Prefix: c.prefix}).Changelog(c.topology, c.store); twin != own {
					t.Fatalf("the changelogs are %s and %s", own, twin)
				}
				if own != jobLog {
					g.topic(own, 1, map[string]string{"cleanup.policy": "compact"})
				}
				if c.prefix != "" {
					g.topic(c.prefix+jobDead, 1, nil)
				}
				g.job.define = func() *topology.Topology { return keeps(jobGroup, c.own) }
				g.start()
				g.send(0, "a 1")
				time.Sleep(time.Second)
				g.stop()
				p, err := keeps(c.topology, c.store).Plan(plan.Names{Prefix: c.prefix})
				if err != nil {
					t.Fatal(err)
				}
				inst, err := New(p, Options{Wire: simWire{g.cluster.Process("twin")}, StateDir: g.dir + "/twin", InstanceID: "twin", Workers: 1})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if err := inst.Run(ctx); err == nil || !strings.Contains(err.Error(), "holds state of topology "+jobGroup) {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// An idempotency key is another one for the record that has the place of one before, in a topic that was recreated.
//
// Mutation seen to fail it: describe without the topic's id.
func TestAnIdempotencyKeyIsOfOneTopicOfItsName(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			j.out.Emit(ctx, key, ctx.IdempotencyKey())
			return nil
		}
		g.start()
		g.send(0, "a 1")
		time.Sleep(time.Second)
		g.cluster.DeleteTopic(jobIn)
		time.Sleep(time.Minute)
		g.topic(jobIn, 1, nil)
		g.send(0, "b 1")
		time.Sleep(2 * time.Minute)
		out := g.cluster.Committed(at(jobOut, 0))
		if len(out) != 2 || string(out[0].Value) == string(out[1].Value) {
			t.Errorf("keys of the records %v", out)
		}
	})
}

// A record that comes back after its topic was recreated, from a delay or redriven, has the idempotency key of its first time, and not that of the
// record that has its place in the new topic.
//
// Mutation seen to fail it: letters without the topic's id.
func TestAnIdempotencyKeyOutlivesItsTopic(t *testing.T) {
	parks(t, []topology.Part{topology.Parking(false)}, func(g *rig, n *failing) {
		g.job.node = n.node
		n.set("1", true)
		g.start()
		g.send(0, "a 1")
		time.Sleep(10 * time.Second)
		g.cluster.DeleteTopic(jobIn)
		time.Sleep(30 * time.Second)
		g.topic(jobIn, 1, nil)
		n.set("2", true)
		g.send(0, "a good", "a 2")
		time.Sleep(time.Hour)
		g.redrive(0, false)
		time.Sleep(time.Hour)
		if keys := n.distinct(); keys != 2 {
			t.Errorf("two records have %d keys", keys)
		}
	})
}

// A copy that a replay has made has the idempotency key of its record, also when it has been delayed, where its stream says that nobody else
// writes to the topic. Elsewhere it has one of its own, whatever its headers say.
//
// Mutations seen to fail it: every stream is believed; a copy that is delayed is one no more.
func TestACopyHasTheIdempotencyKeyOfItsRecord(t *testing.T) {
	for _, believed := range []bool{true, false} {
		t.Run(fmt.Sprint(believed), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.topic(jobOther, 1, nil)
				var opts []topology.StreamOption
				if believed {
					opts = append(opts, topology.Replayed())
				}
				g.job.define = func() *topology.Topology {
					in, other, out := topology.Stream(jobIn, codecs.String()), topology.Stream(jobOther, codecs.String(), opts...), topology.Stream(jobOut, codecs.String())
					node := func(ctx topology.Context, key, value string) error {
						if value == "later" && ctx.Record().Attempt == 1 {
							return errors.New("told to")
						}
						out.Emit(ctx, key, value+" "+ctx.IdempotencyKey())
						return nil
					}
					return topology.Define(jobGroup, topology.Node("node", topology.On(in, node), topology.On(other, node), topology.Emits(out),
						topology.Retry(topology.Backoff{Attempts: 1}), topology.RetryLater(time.Minute)))
				}
				g.start()
				g.send(0, "a at-once", "a later")
				time.Sleep(5 * time.Minute)
				infos, err := simWire{g.process}.Topics(context.Background(), []string{jobIn})
				if err != nil {
					t.Fatal(err)
				}
				for i, value := range []string{"at-once", "later"} {
					from := provenance.Place{TopicPartition: at(jobIn, 0), TopicID: infos[jobIn].ID, Offset: int64(i)}
					g.cluster.Produce(at(jobOther, 0), kafka.Record{Key: []byte("a"), Value: []byte(value), Timestamp: 1000, Headers: provenance.Replayed(from)})
				}
				time.Sleep(5 * time.Minute)
				times := map[string]int{}
				for _, r := range g.cluster.Committed(at(jobOut, 0)) {
					times[string(r.Value)]++
				}
				want := 4 // different ones
				if believed {
					want = 2
				}
				if len(times) != want {
					t.Errorf("keys are %v, want %d", times, want)
				}
			})
		})
	}
}

// youngWire does not know of topics the first times.
type youngWire struct {
	Wire
	times *int
}

func (w youngWire) Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error) {
	if *w.times > 0 {
		*w.times--
		return map[string]kafka.TopicInfo{}, nil
	}
	return w.Wire.Topics(ctx, names)
}

// Topics that were created a moment ago are asked for again before they are missing.
//
// Mutation seen to fail it: missingLooks of 1.
func TestATopicThatWasJustCreatedIsNotMissing(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		times := 2
		g.wrap = func(w Wire) Wire { return youngWire{w, &times} }
		g.start()
		g.send(0, "a 1")
		time.Sleep(time.Second)
		g.sees(at(jobOut, 0), "a 1")
	})
}
