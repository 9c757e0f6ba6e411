package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// A job into a topology holds the topology from before it looks at it until it has ended: the hold is the job's own, beside what operators
// want, and is written and taken back in the transactions that say how the job stands. So after kill -9, when a job still stands as begun, the
// topology is still paused, and whoever goes on with the job, or stops it, takes it over as it is.

// emptyWithin is how long instances may take to leave the group of a paused topology.
const emptyWithin = time.Minute

// owner is who holds the topology of a job.
func owner(job string) string { return ownedBy + job }

// jobOf is the job of an owner.
func jobOf(owner string) (job string, ok bool) { return strings.CutPrefix(owner, ownedBy) }

const ownedBy = "replay/"

func (t *Tool) desired(topology string) *desired.Tool {
	return &desired.Tool{Client: t.Client, Names: t.Names, Topology: topology, Who: t.Who}
}

// holds says whether a job holds its topology.
func (t *Tool) holds(ctx context.Context, topology, job string) (bool, error) {
	h, err := t.desired(topology).Read(ctx)
	if err != nil {
		return false, err
	}
	for _, one := range h.Paused() {
		if one.Owner == owner(job) {
			return true, nil
		}
	}
	return false, nil
}

// pause has the instances of a job's topology leave its group, and returns when they have. Where they do not, the topology is resumed, unless
// it was the job's already.
func (t *Tool) pause(ctx context.Context, sink *kafka.Sink, j *Job, why string) error {
	p, err := t.Topology(j.Topology, t.Names)
	if err != nil {
		return err
	}
	if err := system.Desired.Ensure(ctx, t.Client, t.Names.System(system.Desired.Name)); err != nil {
		return fmt.Errorf("pause topology %s: %w", p.Topology, err)
	}
	held, err := t.holds(ctx, p.Topology, j.Name)
	if err != nil {
		return err
	}
	members, err := t.Client.Members(ctx, p.Group())
	if err != nil {
		return err
	}
	if err := t.hold(sink, j, true, why); err != nil {
		return err
	}
	if err := t.tell(ctx, sink, "topology pause", map[string]any{"topology": p.Topology, "job": j.Name, "owner": owner(j.Name), "why": why}); err != nil {
		return err
	}
	if members > 0 {
		t.say("topology %s is paused for the replay: %d members of its group are to commit and leave", p.Topology, members)
	}
	err = t.desired(p.Topology).Empty(ctx, cmp.Or(t.Patience, emptyWithin))
	ended := err != nil && ctx.Err() != nil
	if busy, ok := errors.AsType[*desired.BusyError](err); ok {
		ended = false
		err = fmt.Errorf("the replay cannot begin: %w", busy)
	}
	switch {
	case err == nil:
		return nil
	case ended && held:
		return fmt.Errorf("this run of the replay was ended before it processed anything: topology %s stays paused for the job, which the same command goes on with, and replay stop ends", p.Topology)
	case held:
		return err
	case ended:
		err = errors.New("the replay was ended before it began: nothing was processed")
	}
	undone := t.hold(sink, j, false, "the replay cannot begin")
	if undone == nil {
		undone = t.tell(context.WithoutCancel(ctx), sink, "topology resume", map[string]any{"topology": p.Topology, "job": j.Name, "owner": owner(j.Name), "why": err.Error()})
	}
	if undone == nil && ended {
		t.reportHolds(context.WithoutCancel(ctx), j.Topology)
	}
	return errors.Join(err, undone)
}

// hold adds to the sink's transaction whether a job holds its topology.
func (t *Tool) hold(sink *kafka.Sink, j *Job, paused bool, why string) error {
	out, err := desired.Record(t.Names, desired.Hold{Version: 1, Topology: j.Topology, Owner: owner(j.Name), Paused: paused, Who: t.Who, Why: why, At: time.Now().UTC()})
	if err != nil {
		return err
	}
	return sink.Append(out)
}

// let adds to the transaction that ends a run that the topology is resumed. One whose stores are half emptied stays paused: no instance could
// begin. So does one that the job alone can go on with.
func (t *Tool) let(sink *kafka.Sink, s *standing) error {
	if s.File.Into != IntoTopology || s.holds() {
		return nil
	}
	return t.hold(sink, s.File, false, "")
}

// reportResumed says whether the topology goes on when a run has ended.
func (t *Tool) reportResumed(ctx context.Context, s *standing) {
	if s.File.Into == IntoTopology && s.State != Begun {
		t.reportHolds(ctx, s.File.Topology)
	}
}

// reportHolds says whether a topology goes on, or who still holds it.
func (t *Tool) reportHolds(ctx context.Context, topology string) {
	h, err := t.desired(topology).Read(ctx)
	if err != nil {
		return
	}
	paused := h.Paused()
	if len(paused) == 0 {
		t.say("topology %s is resumed", topology)
	}
	for _, one := range paused {
		t.say("topology %s stays paused, by %s", topology, one)
	}
}

// refused resumes the topology of a job that is refused before it has begun.
func (t *Tool) refused(ctx context.Context, sink *kafka.Sink, j *Job) error {
	if j.Into != IntoTopology {
		return nil
	}
	if err := t.hold(sink, j, false, ""); err != nil {
		return err
	}
	return t.tell(context.WithoutCancel(ctx), sink, "topology resume", map[string]any{"topology": j.Topology, "job": j.Name, "owner": owner(j.Name), "why": "the replay was refused"})
}

// say tells whoever runs the job.
func (t *Tool) say(format string, args ...any) {
	if t.Say != nil {
		t.Say(fmt.Sprintf(format, args...))
	}
}

// stopWithin is how long the process that runs a job may take to answer that it was asked to stop.
const stopWithin = 15 * time.Second

// stopped waits until a job stands as ended that was asked to stop. Where no process answers, which may be gone, it is fenced, and the job is
// ended in its place, so that the topology does not stay paused for a job that nobody runs.
func (t *Tool) stopped(ctx context.Context, j *Job) (*Receipt, error) {
	for until := time.Now().Add(cmp.Or(t.Patience, stopWithin)); ; {
		r, err := t.Status(ctx, j.Name)
		if err != nil || r.State != Begun {
			return r, err
		}
		if !time.Now().Before(until) {
			break
		}
		select {
		case <-time.After(watchEvery / 4):
		case <-ctx.Done():
			return r, context.Cause(ctx)
		}
	}
	sink, err := t.Client.NewSink(ctx, t.transactionalID(j.Name))
	if err != nil {
		return nil, err
	}
	defer sink.Leave()
	k, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	s := k.jobs[j.Name]
	if s != nil && s.State == Begun {
		s.State, s.Who, s.Holder = Stopped, t.Who, ""
		t.leave(ctx, s)
		if err := t.save(ctx, sink, s); err != nil {
			return nil, err
		}
		t.say("no process runs the job: it is stopped in its place")
		t.reportResumed(ctx, s)
	}
	return t.Status(ctx, j.Name)
}
