package processors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// announcer writes what an instance is like into _weir.status, from a goroutine of its own, through a sink of its own: whatever that topic
// or its partition's leader does holds up nothing else.
type announcer struct {
	managed *Managed
	topic   string
	log     *zap.Logger

	sink    Sink // nil until it is needed, and after an error
	written bool // there is an announcement to be deleted
	said    string
	last    string // what was written, without what changes all the time
	due     time.Time

	mu      sync.Mutex
	failing time.Time // since when nothing could be written
	failure error
}

const (
	announceLook     = time.Second      // how often it looks whether something has changed, and the least time between two announcements
	announceProgress = 5 * time.Second  // how often it says how far a restore is
	announceWithin   = 10 * time.Second // bounds a try
	farewellWithin   = 500 * time.Millisecond
	statusFailing    = time.Minute // how long it fails until that is a problem: a broker that restarts is away for less
)

func newAnnouncer(m *Managed, topic string) *announcer {
	return &announcer{managed: m, topic: topic, log: m.opts.Log}
}

// start begins to announce. The function that it returns ends that, and deletes what was announced.
func (a *announcer) start(ctx context.Context) (end func()) {
	return beside(ctx, a.run)
}

func (a *announcer) run(ctx context.Context) {
	defer a.farewell(context.WithoutCancel(ctx))
	tick := time.NewTicker(announceLook)
	defer tick.Stop()
	for {
		a.look(ctx, time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look announces where it is time to, or something has changed.
func (a *announcer) look(ctx context.Context, now time.Time) {
	what := a.managed.announcement(now)
	if what == nil {
		return
	}
	like := likeness(what)
	if now.Before(a.due) && (like == a.last || a.failure != nil) {
		return
	}
	a.due = now.Add(announced.Every)
	if restoring(what) {
		a.due = now.Add(announceProgress)
	}
	limited, cancel := context.WithTimeout(ctx, announceWithin)
	defer cancel()
	err := a.write(limited, what)
	if err != nil && ctx.Err() != nil {
		return
	}
	if err == nil {
		a.last = like
	}
	a.note(now, err)
}

// note keeps for how long nothing could be written, and logs it once.
func (a *announcer) note(now time.Time, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failure = err
	switch {
	case err == nil:
		a.failing, a.said = time.Time{}, ""
		return
	case a.failing.IsZero():
		a.failing = now
	}
	if text := err.Error(); text != a.said {
		a.said = text
		a.log.Warn("what this instance is like could not be announced; its records are not concerned, and it is tried again", zap.String("topic", a.topic), zap.Error(err))
	}
}

// problem is set while nothing can be written, for longer than a broker is away that restarts.
func (a *announcer) problem(now time.Time) *Problem {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failing.IsZero() || now.Sub(a.failing) < statusFailing {
		return nil
	}
	return &Problem{Kind: ProblemStatus,
		Cause:  fmt.Sprintf("this instance could not be announced in %s for %s: %v", a.topic, now.Sub(a.failing).Round(time.Second), a.failure),
		Remedy: "repair what the error names, or switch announcements off (announce=false); records are not concerned"}
}

// write writes an announcement. After an error its sink is gone.
func (a *announcer) write(ctx context.Context, what *announced.Announcement) error {
	if a.sink == nil {
		if err := system.Status.Ensure(ctx, a.managed.opts.Wire, a.topic); err != nil {
			return err
		}
		sink, err := a.managed.opts.Wire.NewSink(ctx, "")
		if err != nil {
			return err
		}
		a.sink = sink
	}
	out, err := what.Record(a.topic)
	if err == nil {
		err = a.sink.Append(out)
	}
	if _, large := errors.AsType[*kafka.RefusedError](err); large { // of thousands of tasks
		what.Tasks, what.Copies, what.Problems, what.Cut = nil, nil, nil, true
		if out, err = what.Record(a.topic); err == nil {
			err = a.sink.Append(out)
		}
	}
	if err == nil {
		a.written = true // also where the answer is lost
		err = a.sink.Flush(ctx)
	}
	if err != nil {
		_ = a.sink.Close()
		a.sink = nil
	}
	return err
}

// farewell deletes what was announced, if the cluster answers at once. Where it does not the announcement is old soon.
func (a *announcer) farewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewellWithin)
	defer cancel()
	var err error
	if a.written && a.sink == nil {
		a.sink, err = a.managed.opts.Wire.NewSink(ctx, "")
	}
	if err == nil && a.written {
		if err = a.sink.Append(announced.Farewell(a.topic, a.managed.plan.Topology, a.managed.opts.InstanceID)); err == nil {
			err = a.sink.Flush(ctx)
		}
	}
	if err != nil {
		a.log.Info("the announcement of this instance is not deleted, and expires by itself", zap.Error(err))
	}
	if a.sink != nil {
		_ = a.sink.Close()
	}
}

// announcement is what the instance is like now; nil while that is not known.
func (m *Managed) announcement(now time.Time) *announced.Announcement {
	i, s, holds := m.instance.Load(), m.Stats(), m.wanted.paused()
	if s.Phase == Stopped || s.Phase != Paused && !i.claimed.Load() {
		return nil // what has not taken its state folder may have the id of another process
	}
	what := &announced.Announcement{
		Version: 1, Topology: m.plan.Topology, Instance: m.opts.InstanceID, Group: m.plan.Group(), Build: m.opts.Build,
		Host: m.host, PID: os.Getpid(), Started: m.started, At: now.UTC(), Interval: announced.Every.Milliseconds(), Graph: m.graph,
		State: string(s.Phase), Tasks: []announced.Task{}, Holds: holds,
	}
	for _, t := range s.Tasks {
		task := announced.Task{Subgraph: t.Subgraph, Partition: t.Partition, State: t.State, Lag: t.Lag}
		if r := t.Restore; r != nil && t.State == taskRestoring.String() {
			task.Restore = &announced.Restore{Store: r.Store, From: r.From, Position: r.Position, To: r.To}
		}
		what.Tasks = append(what.Tasks, task)
	}
	for _, c := range s.Copies {
		what.Copies = append(what.Copies, announced.Copy{Subgraph: c.Subgraph, Partition: c.Partition, Lag: c.Lag, Warm: c.Warm})
	}
	for _, p := range m.Health() {
		if len(what.Problems) < mostProblems {
			what.Problems = append(what.Problems, announced.Problem{Kind: p.Kind, Cause: p.Cause, Remedy: p.Remedy})
		}
	}
	return what
}

// mostProblems bounds the problems in an announcement.
const mostProblems = 20

// likeness is what an announcement says without what changes all the time: where it is another one, it is written at once.
func likeness(what *announced.Announcement) string {
	var b strings.Builder
	fmt.Fprintln(&b, what.State, what.Holds)
	for _, t := range what.Tasks {
		fmt.Fprintln(&b, t.Subgraph, t.Partition, t.State)
	}
	for _, c := range what.Copies {
		fmt.Fprintln(&b, c.Subgraph, c.Partition, c.Warm)
	}
	for _, p := range what.Problems {
		fmt.Fprintln(&b, p.Kind)
	}
	return b.String()
}

// restoring says whether a task is being restored.
func restoring(what *announced.Announcement) bool {
	for _, t := range what.Tasks {
		if t.Restore != nil {
			return true
		}
	}
	return false
}
