package processors

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// exist lists which of the topics exist.
func (g *rig) exist(names ...string) (there []string) {
	g.t.Helper()
	infos, err := simWire{g.cluster.Process("looks")}.Topics(context.Background(), names)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, name := range names {
		if _, ok := infos[name]; ok {
			there = append(there, name)
		}
	}
	return there
}

// noCreation is a wire on which no topic may be created: a cluster may make some of them and refuse the others.
type noCreation struct {
	Wire
	t *testing.T
}

func (w noCreation) CreateTopics(ctx context.Context, specs []kafka.TopicSpec) error {
	w.t.Errorf("%d topics were to be created", len(specs))
	return w.Wire.CreateTopics(ctx, specs)
}

// A refused start creates nothing, whatever it is refused for: what it left would stand in the way of the correction.
//
// Mutations tried: planTopics without mismatches, without ValidateTopics, without the check of auto.offset.reset.
func TestARefusedStartCreatesNothing(t *testing.T) {
	all := []string{jobIn, jobOut, jobDead, jobLog}
	for _, c := range []struct {
		name   string
		gone   []string
		before func(g *rig)
		reason string
	}{
		{"an input would have another count than the changelog", []string{jobIn, jobOut, jobDead}, func(g *rig) {
			g.opts.Create = &Creation{Partitions: 5}
		}, "would be created with 5"},
		{"more replicas than brokers", all, func(g *rig) { g.opts.Create = &Creation{Partitions: 2, ReplicationFactor: 7} }, "replication factor 7"},
		{"a changelog that forgets", []string{jobOut, jobDead}, func(g *rig) {
			g.opts.Create = &Creation{Partitions: 2}
			g.cluster.DeleteTopic(jobLog)
			g.topic(jobLog, 2, map[string]string{"cleanup.policy": "compact,delete"})
		}, "cleanup.policy=compact,delete"},
		{"a changelog with another count", []string{jobOut}, func(g *rig) {
			g.opts.Create = &Creation{Partitions: 2}
			g.cluster.DeleteTopic(jobLog)
			g.topic(jobLog, 3, map[string]string{"cleanup.policy": "compact"})
		}, "has 3 partitions"},
		{"a changelog that was deleted", []string{jobOut, jobLog}, func(g *rig) {
			g.opts.Create = &Creation{Partitions: 2}
			g.cluster.SetOffset(jobGroup, at(jobIn, 0), 0)
		}, "the store would begin empty"},
		{"nowhere to begin", []string{jobOut, jobDead}, func(g *rig) {
			g.opts.Create, g.opts.OffsetReset = &Creation{Partitions: 2}, ResetNone
		}, "auto.offset.reset is none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 2, simkafka.Config{}, func(g *rig) {
				for _, name := range c.gone {
					g.cluster.DeleteTopic(name)
				}
				c.before(g)
				before := g.exist(all...)
				g.wrap = func(w Wire) Wire { return noCreation{w, t} }
				if err := g.run(); err == nil || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("ended with %v, want %q", err, c.reason)
				}
				if after := g.exist(all...); len(after) != len(before) {
					t.Errorf("there were %v, and the refused start left %v", before, after)
				}
			})
		})
	}
}

// A store that would begin empty after processed records is refused also where topics are to be created, unless that is
// accepted by name. A renamed store is one: its changelog of old stays, and the one of the new name is missing.
//
// Mutations tried: Create is enough; AcceptEmptyState not looked at; the changelogs' ends left out of used.
func TestEmptyStateBehindProcessedRecordsTakesAWordOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		name   string
		create *Creation
		accept bool
		offset bool // the group has committed offsets; else only the store of another name has state
		rename bool
	}{
		{"deleted", nil, false, true, false},
		{"deleted, topics are created", &Creation{Partitions: 1}, false, true, false},
		{"deleted, accepted", nil, true, true, false},
		{"deleted, accepted, topics are created", &Creation{Partitions: 1}, true, true, false},
		{"renamed", &Creation{Partitions: 1}, false, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.send(0, "a 1")
				g.start()
				time.Sleep(time.Second)
				g.stop()
				g.opts.Create, g.opts.AcceptEmptyState = c.create, c.accept
				if c.rename {
					g.job.parts = []topology.Part{topology.Uses(topology.Store("renamed", codecs.String()))}
				} else {
					g.cluster.DeleteTopic(jobLog)
				}
				if !c.accept {
					g.refusedFor(g.run(), "the store would begin empty")
					if n := len(g.exist(jobLog)); n != 0 && !c.rename {
						t.Error("the refused start made the changelog")
					}
					return
				}
				g.start()
				g.send(0, "a 2")
				time.Sleep(time.Second)
				g.sees(at(jobOut, 0), "a 1", "a 2")
				g.sees(at(jobLog, 0), "a 2")
				if n := g.logged(zapcore.WarnLevel, "begins empty"); n != 1 {
					t.Errorf("reported %d times", n)
				}
			})
		})
	}
}

// What Weir alone writes is kept by the time at which it was written.
//
// Mutations tried: the role Changelog left out of specs; the warning for every role.
func TestWhatWeirCreatesForItselfIsKeptByTheTimeOfWriting(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		for _, name := range []string{jobOut, jobDead, jobLog} {
			g.cluster.DeleteTopic(name)
		}
		g.opts.Create = &Creation{Partitions: 1}
		g.start()
		infos, err := simWire{g.process}.Topics(context.Background(), []string{jobOut, jobDead, jobLog})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{jobOut: "", jobDead: logAppendTime, jobLog: logAppendTime} {
			if has := infos[name].Config[timestampType]; has != want {
				t.Errorf("%s has %s %q, want %q", name, timestampType, has, want)
			}
		}
		if n := g.logged(zapcore.WarnLevel, "dead letters of old records"); n != 0 {
			t.Errorf("warned %d times of the topic that was created", n)
		}
	})
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		for name, policy := range map[string]string{jobOut: "delete", jobDead: "delete", jobLog: "compact"} {
			g.cluster.DeleteTopic(name)
			g.topic(name, 1, map[string]string{timestampType: "CreateTime", "cleanup.policy": policy})
		}
		g.start()
		if n := g.logged(zapcore.WarnLevel, "dead letters of old records"); n != 1 {
			t.Errorf("warned %d times of the topic of old", n)
		}
	})
}

// Mutations tried: the committed offset left out of unread; an answer of -1 is no warning; LogAppendTime counts.
func TestAnInputThatIsOlderThanItsOutputIsKeptIsWarnedOf(t *testing.T) {
	hour := map[string]string{"retention.ms": "3600000"}
	for _, c := range []struct {
		name   string
		config map[string]string
		ages   []time.Duration
		done   int64 // committed before
		warns  int
	}{
		{"all old", hour, []time.Duration{3 * time.Hour, 2 * time.Hour}, -1, 1},
		{"some old", hour, []time.Duration{2 * time.Hour, time.Minute}, -1, 1},
		{"old ones are done", hour, []time.Duration{2 * time.Hour, time.Minute}, 1, 0},
		{"all young", hour, []time.Duration{time.Minute}, -1, 0},
		{"nothing there", hour, nil, -1, 0},
		{"kept for good", map[string]string{"retention.ms": "-1"}, []time.Duration{9000 * time.Hour}, -1, 0},
		{"compacted", map[string]string{"retention.ms": "3600000", "cleanup.policy": "compact"}, []time.Duration{2 * time.Hour}, -1, 0},
		{"kept by the time of writing", map[string]string{"retention.ms": "3600000", timestampType: logAppendTime}, []time.Duration{2 * time.Hour}, -1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.cluster.DeleteTopic(jobOut)
				g.topic(jobOut, 1, c.config)
				for _, age := range c.ages {
					g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte("a"), Value: []byte("1"), Timestamp: time.Now().Add(-age).UnixMilli()})
				}
				if c.done >= 0 {
					g.cluster.SetOffset(jobGroup, at(jobIn, 0), c.done)
				}
				g.start()
				if n := g.logged(zapcore.WarnLevel, "older than the output's retention"); n != c.warns {
					t.Errorf("warned %d times, want %d", n, c.warns)
				}
			})
		})
	}
}

// A compacted dead-letter topic keeps one letter a key. That is warned of, with the line that changes it.
//
// Mutation seen to fail it: warnings without the case.
func TestACompactedDeadLetterTopicIsWarnedOf(t *testing.T) {
	for policy, want := range map[string]int{"compact": 1, "compact,delete": 1, "delete": 0} {
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			g.cluster.DeleteTopic(jobDead)
			g.topic(jobDead, 1, map[string]string{"cleanup.policy": policy})
			g.start()
			if n := g.logged(zapcore.WarnLevel, "this topic is compacted"); n != want {
				t.Errorf("%s: %d warnings, want %d", policy, n, want)
			}
		})
	}
}

// withSchema is a codec whose schema does not fit where it says so, and that counts what is registered.
type withSchema struct {
	codecs.Codec[string]
	unfit      error
	registered *int
}

func (c withSchema) Prepare(p codecs.Preparation) error {
	if p.Register {
		*c.registered++
	}
	return c.unfit
}

// Schemas are checked before anything is made, and registered only where nothing else is in the way; all that is wrong is told together.
//
// Mutations seen to fail it: the schemas not looked at before topics are created; registered with the first look.
func TestSchemasAreCheckedBeforeTopicsAreMade(t *testing.T) {
	for _, c := range []struct {
		name       string
		unfit      error
		replicas   int16
		reasons    []string
		registered int
	}{
		{"a schema that does not fit", errors.New("no default"), 1, []string{"topic " + jobOut + ": no default"}, 0},
		{"a schema and a topic", errors.New("no default"), 7, []string{"no default", "replication factor 7"}, 0},
		{"a topic", nil, 7, []string{"replication factor 7"}, 0},
		{"nothing", nil, 1, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 2, simkafka.Config{}, func(g *rig) {
				registered := 0
				out := topology.Stream(jobOut, withSchema{codecs.String(), c.unfit, &registered})
				in := topology.Stream(jobIn, codecs.String())
				g.job.define = func() *topology.Topology {
					return topology.Define(jobGroup, topology.Node("n", topology.On(in, func(ctx topology.Context, key, value string) error {
						out.Emit(ctx, key, value)
						return nil
					}), topology.Emits(out)))
				}
				g.cluster.DeleteTopic(jobOut)
				g.opts.Create = &Creation{Partitions: 2, ReplicationFactor: c.replicas}
				g.opts.Schemas = SchemasRegister
				if c.reasons != nil {
					g.wrap = func(w Wire) Wire { return noCreation{w, t} }
					err := g.run()
					for _, reason := range c.reasons {
						if err == nil || !strings.Contains(err.Error(), reason) {
							t.Errorf("ended with %v, want %q", err, reason)
						}
					}
				} else {
					g.start()
					g.stop()
				}
				if registered != c.registered {
					t.Errorf("%d schemas were registered, want %d", registered, c.registered)
				}
			})
		})
	}
}
