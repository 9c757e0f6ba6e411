package processors

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/internal/system"
)

// manage begins a managed life, and waits until it has settled.
func (g *rig) manage() *Managed {
	g.t.Helper()
	g.opts.Announce, g.opts.Build = true, announced.Build{Program: "job", Version: "v1.2.3"}
	g.new()
	m, err := NewManaged(g.inst.graph.plan, g.inst.opts)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel, g.done = cancel, make(chan error, 1)
	done := g.done
	go func() { done <- m.Run(ctx) }()
	settled()
	g.inst = m.instance.Load()
	return m
}

// announcements are all that was written into _weir.status, the oldest first; nil for a deletion.
func (g *rig) announcements() (list []*announced.Announcement) {
	g.t.Helper()
	for _, r := range g.cluster.Committed(at(system.Status.Name, 0)) {
		if string(r.Key) != announced.Key(jobGroup, "m") {
			g.t.Errorf("an announcement under the key %q", r.Key)
		}
		if r.Value == nil {
			list = append(list, nil)
			continue
		}
		a := &announced.Announcement{}
		if err := json.Unmarshal(r.Value, a); err != nil {
			g.t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}

// TestAnInstanceAnnouncesItself: when it starts, when something changes, and at intervals; not for each record. What is left of one that was
// killed gets old, and one that ends takes it back.
//
// Mutations seen to fail it: look without due; without likeness; farewell that does nothing; Announcement without Graph.
func TestAnInstanceAnnouncesItself(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.manage()
		first := g.announcements()
		if len(first) == 0 || len(first) > 5 {
			t.Fatalf("%d announcements at a start", len(first))
		}
		a := first[len(first)-1]
		if a.State != announced.Running || len(a.Tasks) != 2 || a.Tasks[1].State != "running" || a.Build.Version != "v1.2.3" || a.Host == "" || a.PID == 0 || a.Group != jobGroup {
			t.Errorf("announced %+v", a)
		}
		if graph := string(a.Graph); !strings.Contains(graph, `"subject": "event.in.v1-value"`) && !strings.Contains(graph, `"subject":"event.in.v1-value"`) {
			t.Errorf("announced graph %s", graph)
		}
		for range 600 { // records for ten minutes
			g.send(0, "a 1")
			time.Sleep(time.Second)
		}
		if n := len(g.announcements()) - len(first); n < 19 || n > 21 {
			t.Errorf("%d announcements in ten minutes", n)
		}
		before := len(g.announcements())
		_, gone := g.second()
		time.Sleep(10 * time.Second)
		later := g.announcements()
		if n := len(later) - before; n < 1 || n > 4 || len(later[len(later)-1].Tasks) != 1 {
			t.Errorf("%d announcements when a task has gone, the last of %d tasks", n, len(later[len(later)-1].Tasks))
		}
		gone()
		settled()
		g.crash()
		last := g.announcements()
		a = last[len(last)-1]
		if a == nil {
			t.Fatal("a killed instance has taken its announcement back")
		}
		a.Heard = a.At
		if a.Gone(a.At.Add(time.Minute)) || !a.Gone(a.At.Add(2*time.Minute)) {
			t.Error("when an announcement is old, is wrong")
		}
		g.manage()
		if took := g.stop(); took > 5*time.Second {
			t.Errorf("the stop took %s", took)
		}
		if last = g.announcements(); last[len(last)-1] != nil {
			t.Error("an instance that ended is still announced")
		}
	})
}

// TestWhatIsWrongWithAnnouncementsStopsNoRecord, and is a problem while it lasts, which /healthz and weir_problems have.
//
// Mutations seen to fail it: Ensure in Run, before the instance; note that keeps no failure; problem without statusFailing.
func TestWhatIsWrongWithAnnouncementsStopsNoRecord(t *testing.T) {
	for name, trouble := range map[string]struct{ begin, end func(g *rig) }{
		"denied": {func(g *rig) { g.cluster.SetTrouble(system.Status.Name, simkafka.Denied) }, func(g *rig) { g.cluster.MendAll() }},
		"unfit": {func(g *rig) {
			g.cluster.DeleteTopic(system.Status.Name)
			g.topic(system.Status.Name, 1, map[string]string{"cleanup.policy": "compact"})
		}, func(g *rig) { g.cluster.DeleteTopic(system.Status.Name) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.topic(system.Status.Name, 1, system.Status.Spec("").Config)
				trouble.begin(g)
				m := g.manage()
				if p := m.Health(); len(p) > 0 {
					t.Errorf("problems at once: %v", p)
				}
				g.send(0, "a 1", "a 2")
				settled()
				g.sees(at(jobOut, 0), "a 1", "a 2")
				time.Sleep(2 * time.Minute)
				if p := problemsOf(g.inst); len(p) != 1 || p[0] != ProblemStatus || g.metric("weir_problems") != 1 || len(m.Unready()) > 0 || !m.Live() {
					t.Errorf("problems %v, %v", m.Health(), m.Unready())
				}
				if n := g.logged(zapcore.WarnLevel, "could not be announced"); n != 1 {
					t.Errorf("%d warnings", n)
				}
				trouble.end(g)
				time.Sleep(2 * time.Minute)
				if p := m.Health(); len(p) > 0 || len(g.announcements()) == 0 {
					t.Errorf("in the end problems %v and %d announcements", p, len(g.announcements()))
				}
			})
		})
	}
}

// wants writes into _weir.desired whether an owner wants the job paused, and lets the instance do it.
func (g *rig) wants(owner string, paused bool) {
	g.t.Helper()
	value, err := json.Marshal(desired.Hold{Version: 1, Topology: jobGroup, Owner: owner, Paused: paused, Who: "ann", Why: "a bad hour", At: time.Now()})
	if err != nil {
		g.t.Fatal(err)
	}
	g.cluster.Produce(at(system.Desired.Name, 0), kafka.Record{Key: []byte(desired.Key(jobGroup, owner)), Value: value})
	settled()
}

// isPaused sees that a managed instance waits, healthy and ready, and has left everything to others.
func (g *rig) isPaused(m *Managed) {
	g.t.Helper()
	if s := m.Stats(); s.Phase != Paused || !m.Live() || len(m.Unready()) > 0 || len(m.Health()) > 0 {
		g.t.Errorf("it is %s, live %v, unready %v, problems %v", s.Phase, m.Live(), m.Unready(), m.Health())
	}
	if n := g.cluster.Members(jobGroup); n != 0 {
		g.t.Errorf("the group has %d members", n)
	}
	if open := g.cluster.OpenTransactions(); len(open) > 0 {
		g.t.Errorf("transactions are open: %v", open)
	}
	if g.metric("weir_paused") != 1 {
		g.t.Error("weir_paused is not 1")
	}
	all := g.announcements()
	if a := all[len(all)-1]; a == nil || a.State != announced.Paused || len(a.Holds) == 0 || a.Holds[0].Why != "a bad hour" || len(a.Tasks) > 0 {
		g.t.Errorf("announced %+v", a)
	}
}

// TestAPausedTopologyWaits: what is under way is committed, the group is left, by static members too, and offsets may be set. It holds
// across restarts and crashes, and for as long as anybody holds it. Nothing is lost or done twice by it, and all that was done is counted.
//
// Mutations seen to fail it: Leave in the place of Quit; no gate; gate that does not settle; Stats without those of before; live that returns
// errPaused; one key for all owners; what is read that does not come into force.
func TestAPausedTopologyWaits(t *testing.T) {
	slowly := simkafka.Config{Faults: func(c simkafka.Call, _ *rand.Rand) (f simkafka.Fault) { // what is wanted is known late
		if c.Op == simkafka.OpFetch && strings.Contains(c.Actor, system.Desired.Name) {
			f.Delay = time.Second
		}
		return f
	}}
	for _, static := range []bool{false, true} {
		t.Run(fmt.Sprintf("static %v", static), func(t *testing.T) {
			bubble(t, 2, slowly, func(g *rig) {
				g.opts.Static = static
				g.topic(system.Desired.Name, 1, system.Desired.Spec("").Config)
				m := g.manage()
				g.send(0, "a 1", "a 2")
				time.Sleep(20 * time.Millisecond) // in the middle of a transaction
				g.wants(desired.Operator, true)
				g.isPaused(m)
				g.committed(at(jobIn, 0), 2)
				g.send(0, "a 3")
				time.Sleep(time.Hour)
				g.isPaused(m)
				g.sees(at(jobOut, 0), "a 1", "a 2")

				g.stop() // across a restart
				m = g.manage()
				g.isPaused(m)
				if n := m.Stats().Rebalances; n != 0 {
					t.Errorf("it was in the group before it knew that it is to wait: %d rebalances", n)
				}
				g.crash() // and a crash
				m = g.manage()
				g.isPaused(m)
				g.wants("replay/again", true)
				g.wants(desired.Operator, false)
				g.isPaused(m)
				g.wants("replay/again", false)
				g.sees(at(jobOut, 0), "a 1", "a 2", "a 3")
				if s := m.Stats(); s.Phase != Running || len(m.Unready()) > 0 || g.metric("weir_paused") != 0 || g.metric("weir_records_total") != 1 {
					t.Errorf("resumed it is %s, %v, and counts %v", s.Phase, m.Unready(), g.metric("weir_records_total"))
				}
				g.wants(desired.Operator, true)
				g.cluster.SetOffset(jobGroup, at(jobIn, 1), 0)
				g.wants(desired.Operator, false)
				g.send(0, "a 4")
				settled()
				if s := m.Stats(); s.Processed != 2 || s.Consumed != 2 || s.Phase != Running {
					t.Errorf("counted in all %+v", s)
				}
				g.sees(at(jobOut, 0), "a 1", "a 2", "a 3", "a 4")
			})
		})
	}
}

// TestWhatIsNotKnownToBePausedRuns: without the topic, where it may not be read, and where it would forget what is wanted.
//
// Mutations seen to fail it: settled only by what could be read; begin without its bound; Apply that takes a record of any topology.
func TestWhatIsNotKnownToBePausedRuns(t *testing.T) {
	for name, prepare := range map[string]func(g *rig){
		"missing": func(*rig) {},
		"denied": func(g *rig) {
			g.topic(system.Desired.Name, 1, system.Desired.Spec("").Config)
			g.cluster.SetTrouble(system.Desired.Name, simkafka.Unreadable)
		},
		"unfit": func(g *rig) { g.topic(system.Desired.Name, 1, map[string]string{"cleanup.policy": "delete"}) },
		"never read to its end": func(g *rig) {
			g.topic(system.Desired.Name, 1, system.Desired.Spec("").Config)
			g.cluster.LeaveOpen(at(system.Desired.Name, 0), kafka.Record{Key: []byte("x"), Value: []byte("y")})
		},
		"another one": func(g *rig) {
			g.topic(system.Desired.Name, 1, system.Desired.Spec("").Config)
			g.cluster.Produce(at(system.Desired.Name, 0), kafka.Record{Key: []byte(desired.Key("other", desired.Operator)), Value: []byte(`{"version":1,"paused":true}`)})
		},
		"not understood": func(g *rig) {
			g.topic(system.Desired.Name, 1, system.Desired.Spec("").Config)
			g.cluster.Produce(at(system.Desired.Name, 0), kafka.Record{Key: []byte(desired.Key(jobGroup, desired.Operator)), Value: []byte(`paused`)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				prepare(g)
				m := g.manage()
				time.Sleep(wantedWithin)
				g.send(0, "a 1")
				settled()
				g.sees(at(jobOut, 0), "a 1")
				if p := m.Health(); len(p) > 0 || !m.Live() || len(m.Unready()) > 0 {
					t.Errorf("problems %v, %v", p, m.Unready())
				}
				if name == "missing" { // it is made later, by the command that pauses
					g.topic(system.Desired.Name, 1, system.Desired.Spec("").Config)
					g.wants(desired.Operator, true)
					g.isPaused(m)
				}
			})
		})
	}
}
