package processors

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/announced"
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
