package processors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// twoInputs is a job whose one node reads two streams, so that they are processed together, and keeps state.
func twoInputs() *topology.Topology {
	in, other := topology.Stream(jobIn, codecs.String()), topology.Stream(jobOther, codecs.String())
	out, store := topology.Stream(jobOut, codecs.String()), topology.Store("seen", codecs.String())
	node := func(ctx topology.Context, key, value string) error {
		store.Set(ctx, key, value)
		out.Emit(ctx, key, value)
		return nil
	}
	return topology.Define(jobGroup, topology.Node("node", topology.On(in, node), topology.On(other, node), topology.Uses(store), topology.Emits(out)))
}

// TestTopicsThatDoNotFitAreRefusedAndTheOthersAreNot: every cleanup policy of a changelog, and every relation of the numbers
// of partitions of two inputs and a changelog. Whether topics may be created makes no difference to topics that exist. A
// refused instance has committed and written nothing.
//
// Mutations: a policy that contains compact is enough; a policy of delete is let through; < or > in the place of != between
// the changelog and its input, or between the inputs; the second input not looked at.
func TestTopicsThatDoNotFitAreRefusedAndTheOthersAreNot(t *testing.T) {
	type setup struct {
		in, other, log int32
		policy         string
	}
	var cases []setup
	for _, policy := range []string{"compact", "delete", "compact,delete", "delete,compact"} {
		cases = append(cases, setup{2, 2, 2, policy})
	}
	for in := int32(1); in <= 3; in++ {
		for other := int32(1); other <= 3; other++ {
			for log := int32(1); log <= 3; log++ {
				cases = append(cases, setup{in, other, log, "compact"})
			}
		}
	}
	for _, c := range cases {
		for _, create := range []*Creation{nil, {Partitions: 2, ReplicationFactor: 1}} {
			t.Run(fmt.Sprintf("inputs %d and %d, changelog %d, %s, create %v", c.in, c.other, c.log, c.policy, create != nil), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					for _, name := range []string{jobIn, jobLog} {
						g.cluster.DeleteTopic(name)
					}
					g.topic(jobIn, c.in, nil)
					g.topic(jobOther, c.other, nil)
					g.topic(jobOther+".dlq", 1, nil)
					g.topic(jobLog, c.log, map[string]string{"cleanup.policy": c.policy})
					g.job.define, g.opts.Create = twoInputs, create
					g.send(0, "a 1")
					var want []string
					if c.policy != "compact" {
						want = append(want, "cleanup.policy="+c.policy)
					}
					if c.other != c.in {
						want = append(want, fmt.Sprintf("%s has %d partitions and %s has %d", jobIn, c.in, jobOther, c.other))
					}
					if c.log != c.in {
						want = append(want, fmt.Sprintf("%s has %d partitions, but %s has %d", jobLog, c.log, jobIn, c.in))
					}
					if len(want) > 0 {
						g.refusedFor(g.run(), want...)
						g.committed(at(jobIn, 0), -1)
						g.sees(at(jobOut, 0))
						return
					}
					g.start()
					settled()
					g.committed(at(jobIn, 0), 1)
					g.sees(at(jobOut, 0), "a 1")
				})
			})
		}
	}
}

// TestReplicasWithoutEnoughInSyncAreWarnedOf: an acknowledged record is safe only when a second replica has it. Topics that
// Weir creates are made so from three replicas on; of those that exist each that it writes to is named once.
//
// Mutations: the warning from two replicas on, for inputs too; not for changelogs; min.insync.replicas set
// from two replicas on, or never.
func TestReplicasWithoutEnoughInSyncAreWarnedOf(t *testing.T) {
	for replicas := int16(1); replicas <= 3; replicas++ {
		for _, isr := range []string{"1", "2", "3"} {
			t.Run(fmt.Sprint(replicas, " replicas, at least ", isr, " in sync"), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{}, func(g *rig) {
					for _, name := range []string{jobIn, jobOut, jobLog, jobDead} {
						g.cluster.DeleteTopic(name)
						spec := kafka.TopicSpec{Name: name, Partitions: 1, ReplicationFactor: replicas, Config: map[string]string{"min.insync.replicas": isr}}
						if name == jobLog {
							spec.Config["cleanup.policy"] = "compact"
						}
						if err := g.cluster.CreateTopic(spec); err != nil {
							t.Fatal(err)
						}
					}
					g.start()
					var named []string
					for _, e := range g.logs.All() {
						if e.Level == zapcore.WarnLevel && strings.Contains(e.Message, "min.insync.replicas") {
							named = append(named, fmt.Sprint(e.ContextMap()["topic"]))
						}
					}
					want := 0
					if replicas >= 3 && isr == "1" {
						want = 3 // output, changelog, dead letters; the input is not ours
					}
					if len(named) != want {
						t.Errorf("warned of %q, want %d topics", named, want)
					}
				})
			})
		}
		t.Run(fmt.Sprint("created with ", replicas), func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				for _, name := range []string{jobIn, jobOut, jobLog, jobDead} {
					g.cluster.DeleteTopic(name)
				}
				g.opts.Create = &Creation{Partitions: 1, ReplicationFactor: replicas}
				g.start()
				infos, err := simWire{g.process}.Topics(context.Background(), []string{jobIn, jobOut, jobLog, jobDead})
				if err != nil || len(infos) != 4 {
					t.Fatalf("%d topics, %v", len(infos), err)
				}
				want := "1" // what the cluster does by itself
				if replicas >= 3 {
					want = "2"
				}
				for name, info := range infos {
					if got := info.Config["min.insync.replicas"]; got != want || info.ReplicationFactor != replicas {
						t.Errorf("%s has min.insync.replicas %s and %d replicas, want %s and %d", name, got, info.ReplicationFactor, want, replicas)
					}
				}
			})
		})
	}
}

// TestOptionsThatMakeNoSenseAreRefused, each by its name, before anybody is talked to.
//
// Mutations: a case of check left out; <= for <, which refuses a default; Errorf without the settings.
func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	wire := simWire{simkafka.New(simkafka.Config{}).Process("p")}
	for says, change := range map[string]func(*Options){
		"":                  func(*Options) {},
		"no wire":           func(o *Options) { o.Wire = nil },
		"guarantee":         func(o *Options) { o.Guarantee = "at_most_once" },
		"auto.offset.reset": func(o *Options) { o.OffsetReset = "none at all" },
		"commit-interval":   func(o *Options) { o.CommitInterval = -time.Second },
		"commit-bytes":      func(o *Options) { o.CommitBytes = -1 },
		"workers":           func(o *Options) { o.Workers = -1 },
		"cache-bytes":       func(o *Options) { o.CacheBytes = -1 },
		"stall-after":       func(o *Options) { o.StallAfter = -1 },
		"parked-records":    func(o *Options) { o.ParkedRecords = -1 },
		"parked-bytes":      func(o *Options) { o.ParkedBytes = -1 },
		"stop-line-window":  func(o *Options) { o.StopLineWindow = -1 },
		"partitioner":       func(o *Options) { o.Partitioner = "random" },
		"state-dir":         func(o *Options) { o.StateDir = "" },
		"group.instance.id": func(o *Options) { o.Static, o.StateDir = true, "" },
	} {
		o := Options{Wire: wire, StateDir: t.TempDir()}
		change(&o)
		inst, err := New((&job{}).plan(t), o)
		var refused *RefusedTopologyError
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says) || errors.As(err, &refused)) {
			t.Errorf("%q: %v", says, err)
		}
		wrong, named := errors.AsType[*SettingError](err)
		if says != "" && says != "no wire" && (!named || len(wrong.Settings) == 0 || !strings.Contains(wrong.Settings[0], strings.Fields(says)[0])) {
			t.Errorf("%q: as data %+v", says, wrong)
		}
		if inst != nil && says != "" {
			t.Errorf("%q: an instance all the same", says)
		}
	}
}
