package replay

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/processors"
)

// Tool plans, runs and shows jobs.
type Tool struct {
	Client *kafka.Client
	Names  plan.Names
	Who    string
	// Topology is the plan of a topology of the program, by the names that its topics are to have; an error where it has none of that
	// name.
	Topology func(name string, names plan.Names) (*plan.Plan, error)
	// Options are those of an instance of a topology, without its wire.
	Options processors.Options
	Log     *zap.Logger
	// Progress, if not nil, is called now and then with how many offsets of how many are done.
	Progress func(done, of int64)
	// Say, if not nil, takes what whoever runs a job should know of meanwhile, a line each.
	Say func(text string)
	// Patience is how long instances may take to leave the group of a paused topology, and a process to answer that it was asked to stop.
	// Default: a minute, and 15 s.
	Patience time.Duration
}

// transactionalID is that of a job: who holds it runs the job.
func (t *Tool) transactionalID(job string) string { return t.Names.Prefix + "weir-replay-" + job }

// RunOptions are what a command line says about a run.
type RunOptions struct {
	FromEarliest bool // begin with what is there where retention has removed what was asked for
	Force        bool // a job that is done, that began with another file, or a shadow that began with another build, runs again
	Why          string
}

// StateNew is the state of a job that never ran.
const StateNew = "new"

// Plan says what a job would do. It changes nothing.
func (t *Tool) Plan(ctx context.Context, j *Job, fromEarliest bool) (*Plan, error) {
	k, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	if s := k.jobs[j.Name]; s != nil && s.Hash == j.hash() && s.State != Done {
		p, err := t.planResumed(ctx, j, s, k.progress[s.Run])
		if err != nil {
			return nil, err
		}
		if j.State.Mode != StateReset { // what is emptied, or rebuilt in part, says nothing of what waits
			err = t.foresee(ctx, j, p)
		}
		return p, errors.Join(err, t.measure(ctx, j, p))
	}
	p, err := t.resolve(ctx, j, fromEarliest)
	if err != nil {
		return nil, err
	}
	p.State = StateNew
	if s := k.jobs[j.Name]; s != nil {
		p.State = s.State
		if s.Hash != j.hash() {
			p.Notes = append(p.Notes, fmt.Sprintf("there is a job %s that began at %s with another file", j.Name, s.Began.Format(time.RFC3339)))
		}
	}
	return p, errors.Join(t.foresee(ctx, j, p), t.chosen(ctx, j, p), t.measure(ctx, j, p))
}

// foresee has a plan say what a run would be refused for that is not of the job, but of what waits.
func (t *Tool) foresee(ctx context.Context, j *Job, p *Plan) error {
	if j.Into != IntoTopology || p.Refused != "" {
		return nil
	}
	err := t.quiet(ctx, j, p)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		p.Refused = refused.Why
		return nil
	}
	return err
}

// UnknownError says that there is no such job.
type UnknownError struct{ Job string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no job %s: replay list shows those that there are, replay run begins one", e.Job)
}

// Status says how a job stands.
func (t *Tool) Status(ctx context.Context, job string) (*Receipt, error) {
	k, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	s := k.jobs[job]
	if s == nil {
		return nil, &UnknownError{job}
	}
	return s.receipt(k.progress[s.Run]), nil
}

// OtherFileError says that the job of a file's name was begun with another file, so what it came to is not what this file says.
type OtherFileError struct {
	Job, State string
	Began      time.Time
}

func (e *OtherFileError) Error() string {
	return fmt.Sprintf("this file was not run: job %s began at %s with another file, and is %s (replay list shows it); give this file another name, or use that file", e.Job, e.Began.Format(time.RFC3339), e.State)
}

// Stands says how the job of a file stands. One of the name that began with another file is an OtherFileError, and one that waits a WaitingError, with the receipt of what it
// was before.
func (t *Tool) Stands(ctx context.Context, j *Job) (*Receipt, error) {
	k, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	s := k.jobs[j.Name]
	if w, err := t.waits(ctx, j.Topology, j.Name, s); err != nil {
		return nil, err
	} else if w != nil && s != nil {
		return s.receipt(k.progress[s.Run]), w
	} else if w != nil {
		return nil, w
	}
	switch {
	case s == nil:
		return nil, &UnknownError{j.Name}
	case s.Hash != j.hash():
		return nil, &OtherFileError{j.Name, s.State, s.Began}
	default:
		return s.receipt(k.progress[s.Run]), nil
	}
}

// List says how all jobs stand, the newest first.
func (t *Tool) List(ctx context.Context) ([]*Receipt, error) {
	k, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	list := []*Receipt{}
	waiting, err := t.waiting(ctx, k)
	if blocked, ok := errors.AsType[*kafka.BlockedError](err); ok {
		t.say("which jobs wait with their topologies paused is not known: %v", blocked)
	} else if err != nil {
		return nil, err
	}
	for _, w := range waiting {
		t.say("%v", w)
		if k.jobs[w.Job] == nil {
			list = append(list, w.receipt())
		}
	}
	for _, s := range k.list() {
		list = append(list, s.receipt(k.progress[s.Run]))
	}
	return list, nil
}

// Stop asks the process that runs a job to stop. It returns when that is written; of a job into a topology when it has stopped, and where
// no process runs it any more, it is stopped in its place.
func (t *Tool) Stop(ctx context.Context, j *Job) (*Receipt, error) {
	job := j.Name
	r, err := t.Stands(ctx, j)
	if other, is := errors.AsType[*OtherFileError](err); is && other.State == Begun { // whoever has that file no more can stop it all the same
		t.say("job %s began at %s with another file: that one is stopped", job, other.Began.Format(time.RFC3339))
		r, err = t.Status(ctx, job)
	}
	if w, waits := errors.AsType[*WaitingError](err); waits {
		if r == nil {
			r = w.receipt()
			r.State, r.Problem = Stopped, ""
		}
		return r, t.giveUp(ctx, j)
	}
	if err != nil {
		return nil, err
	}
	if r.State != Begun {
		return r, nil
	}
	sink, err := t.Client.NewSink(ctx, "")
	if err != nil {
		return nil, err
	}
	defer sink.Leave()
	out, err := t.record(stopKeyOf(job), map[string]any{"version": 1, "who": t.Who, "at": time.Now().UTC()})
	if err != nil {
		return nil, err
	}
	if err := sink.Append(out); err != nil {
		return nil, err
	}
	if err := sink.Flush(ctx); err != nil || j.Into != IntoTopology {
		return r, err
	}
	return t.stopped(ctx, j)
}

// ErrStopped is why a run has ended that replay stop has asked for.
var ErrStopped = errors.New("stopped, as replay stop has asked for")

// ErrTakenOver is why a run has ended whose job another command runs now.
var ErrTakenOver = errors.New("another command has taken the job over")

// Run carries a job out, from where it is, and returns its receipt. A job that is done is not done again, unless it is forced. When it ends
// early, by an error or by ctx, the same call goes on from there.
func (t *Tool) Run(ctx context.Context, j *Job, o RunOptions) (*Receipt, error) {
	return t.run(ctx, j, o, false)
}

// Resume is Run of a job that has begun.
func (t *Tool) Resume(ctx context.Context, j *Job, o RunOptions) (*Receipt, error) {
	return t.run(ctx, j, o, true)
}

func (t *Tool) run(ctx context.Context, j *Job, o RunOptions, begun bool) (*Receipt, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	if err := t.free(ctx, j, o); err != nil {
		return nil, err
	}
	sink, err := t.Client.NewSink(ctx, t.transactionalID(j.Name))
	if err != nil {
		return nil, fmt.Errorf("take over job %s from another command: %w", j.Name, err)
	}
	defer sink.Leave()
	// Whoever held the transactional id is fenced now: what the topic of jobs says of the job stays true until somebody takes over again.
	k, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	s := k.jobs[j.Name]
	var by *build
	if j.Into == IntoShadow {
		if by, err = thisBuild(); err != nil {
			return nil, err
		}
	}
	switch {
	case s == nil && begun:
		w, err := t.waits(ctx, j.Topology, j.Name, nil)
		if err != nil || w == nil {
			return nil, cmp.Or(err, error(&UnknownError{j.Name}))
		}
	case s == nil:
	case s.Hash != j.hash() && (s.State == Done || o.Force):
		if !o.Force {
			return nil, fmt.Errorf("job %s was done with another file, at %s: give the new one another name, or --force", j.Name, s.At.Format(time.RFC3339))
		}
		s = nil
	case s.Hash != j.hash():
		return nil, fmt.Errorf("job %s began with another file, at %s, and is not done: go on with that file, or give the new one another name, or --force to begin again", j.Name, s.Began.Format(time.RFC3339))
	case s.State == Done && !o.Force:
		before := *s.Receipt
		before.Before = true
		return &before, nil
	case s.State == Done:
		s = nil
	case by != nil && o.Force:
		if s.goesOn(by) != nil {
			s = nil
		}
	case by != nil:
		if err := s.goesOn(by); err != nil {
			return nil, err
		}
	}
	if j.Into == IntoTopology {
		if s == nil {
			if err := t.possible(ctx, j, o); err != nil {
				return nil, err
			}
		}
		if err := t.pause(ctx, sink, j, cmp.Or(o.Why, j.Why)); err != nil {
			return nil, err
		}
	}
	resumed := s != nil && s.State == Begun
	if s != nil {
		s.File.Rate, s.Problem = j.Rate, ""
	} else if s, err = t.begin(ctx, j, o, k.jobs[j.Name]); err != nil {
		return nil, errors.Join(err, t.refused(ctx, sink, j))
	}
	s.State, s.Who, s.Holder, s.Build = Begun, t.Who, rand.Text()[:12], by
	if err := t.noteOthers(ctx, s); err != nil {
		return nil, err
	}
	r := &running{tool: t, standing: s, sink: sink, stops: k.stops[j.Name], stopSeen: k.stops[j.Name] > 0, resumed: resumed}
	if err := t.save(ctx, sink, s); err != nil {
		return nil, err
	}
	defer func() { t.reportResumed(context.WithoutCancel(ctx), s) }()
	r.saved = max(0, sink.End(system.Of(t.Names.System(system.Jobs.Name)))-1)
	err = r.run(ctx)
	return r.end(context.WithoutCancel(ctx), err)
}

// free refuses to take over a job into a topology from a process that still runs it. One that was killed may be listed for a while.
func (t *Tool) free(ctx context.Context, j *Job, o RunOptions) error {
	if j.Into != IntoTopology {
		return nil
	}
	k, err := t.read(ctx)
	if err != nil {
		return err
	}
	s := k.jobs[j.Name]
	if s == nil || s.State != Begun || s.Hash != j.hash() && !o.Force {
		return nil
	}
	p, err := t.Topology(j.Topology, t.Names)
	if err != nil {
		return err
	}
	if held, err := t.holds(ctx, p.Topology, j.Name); err != nil || !held { // members may be instances, which are paused next
		return err
	}
	return t.alone(ctx, p, true)
}

// ready makes the topics of Weir's own.
func (t *Tool) ready(ctx context.Context) error {
	if err := system.Jobs.Ensure(ctx, t.Client, t.Names.System(system.Jobs.Name)); err != nil {
		return err
	}
	return system.Audit.Ensure(ctx, t.Client, t.Names.System(system.Audit.Name))
}

// possible refuses a job before its topology is paused for it. What it finds is looked at again afterwards.
func (t *Tool) possible(ctx context.Context, j *Job, o RunOptions) error {
	p, err := t.resolve(ctx, j, o.FromEarliest)
	if err != nil {
		return err
	}
	if p.Refused != "" {
		return &RefusedError{p.Refused}
	}
	return t.quiet(ctx, j, p)
}

// quiet refuses a job into a topology of which records wait that it would process twice, or overtake.
func (t *Tool) quiet(ctx context.Context, j *Job, p *Plan) error {
	if err := t.settled(ctx, p.graph, inputOf(p.graph, j.From.Topic)); err != nil {
		return err
	}
	return t.unread(ctx, p.graph, j, p.ranges)
}

// begin makes a job of a file.
func (t *Tool) begin(ctx context.Context, j *Job, o RunOptions, before *standing) (*standing, error) {
	p, err := t.resolve(ctx, j, o.FromEarliest)
	if err != nil {
		return nil, err
	}
	if p.Refused != "" {
		return nil, &RefusedError{p.Refused}
	}
	why := o.Why
	if why == "" {
		why = j.Why
	}
	s := &standing{Version: 1, Job: j.Name, Run: rand.Text()[:12], Hash: j.hash(), File: j, TopicID: p.info.ID, Ranges: p.ranges, Partial: p.Partial, Disorder: p.disorder, Copied: p.copied, Why: why, Began: time.Now().UTC(), Before: []Content{}}
	topics := map[string]*plan.Store{}
	switch {
	case j.Into == IntoTopic:
		topics[j.Topic] = nil
	case j.Into == IntoTopology:
		if err := t.alone(ctx, p.graph, false); err != nil {
			return nil, err
		}
		if err := t.quiet(ctx, j, p); err != nil {
			return nil, err
		}
		for _, topic := range p.graph.Topics {
			if topic.Stream != nil && topic.Written || topic.Role == plan.ChangelogTopic { // what it reads too is an output all the same
				topics[topic.Name] = storeOf(p.graph, topic.Store)
			}
		}
	}
	for topic, store := range topics {
		name := ""
		if store != nil {
			name = store.Name
		}
		c, _, _, err := t.content(ctx, topic, name, nil)
		if err != nil {
			return nil, err
		}
		c.Own = store != nil && p.graph.Own(store)
		s.Before = append(s.Before, *c)
	}
	return s, nil
}

// storeOf is a store of a topology by its name, nil where there is none.
func storeOf(p *plan.Plan, name string) *plan.Store {
	for _, g := range p.Subgraphs {
		for _, s := range g.Stores {
			if s.Name == name {
				return s
			}
		}
	}
	return nil
}
