package processors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/state"
)

// Managed is an instance under the eyes of operators: it says in _weir.status how it is. Nothing that is wrong with that topic is in the way
// of a record: it is a warning, and a problem of kind "status" where it lasts.
type Managed struct {
	plan    *plan.Plan
	opts    Options
	graph   []byte // as topology describe writes it
	host    string
	started time.Time

	instance atomic.Pointer[Instance]
	announce *announcer // nil: it does not
}

// NewManaged makes it. It talks to nobody yet. It refuses the options that New refuses.
func NewManaged(p *plan.Plan, opts Options) (*Managed, error) {
	graph, err := p.JSON()
	if err != nil {
		return nil, err
	}
	managed := &Managed{plan: p, opts: opts.WithDefaults(), graph: graph, started: time.Now().UTC()}
	managed.opts.beside = managed.problems
	managed.host, _ = os.Hostname()
	i, err := New(p, managed.opts)
	if err != nil {
		return nil, err
	}
	managed.instance.Store(i)
	if opts.Announce {
		managed.announce = newAnnouncer(managed, p.Names.System(system.Status.Name))
	}
	return managed, nil
}

// Run is Instance.Run, with all that belongs to it. It may be called once.
func (m *Managed) Run(ctx context.Context) error {
	release, err := m.identify()
	if err != nil {
		return err
	}
	defer release()
	if m.announce != nil {
		defer m.announce.start(ctx)()
	}
	return m.instance.Load().Run(ctx)
}

// identify settles the instance's id, which all its announcements have. What a folder of state says decides.
func (m *Managed) identify() (release func(), err error) {
	switch {
	case m.opts.InstanceID != "":
		return func() {}, nil
	case m.opts.StateDir == "":
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("no instance id: %w", err)
		}
		id, held := holdID(fmt.Sprintf("%s-%d", host, os.Getpid()))
		return func() { _ = held.Close() }, m.named(id)
	}
	dir := state.TopologyDir(m.opts.StateDir, m.plan.Group())
	if !state.HasInstanceID(dir) {
		lock, err := state.LockDir(dir)
		if err != nil {
			return nil, mistake.In("state-dir").Errorf("%w", err)
		}
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	id, err := state.InstanceID(dir)
	if err != nil {
		return nil, err
	}
	return func() {}, m.named(id)
}

// named gives the instance its id.
func (m *Managed) named(id string) error {
	m.opts.InstanceID = id
	i, err := New(m.plan, m.opts)
	if err != nil {
		return err
	}
	m.instance.Store(i)
	return nil
}

// Live says whether the process can go on as it is: see Instance.Live.
func (m *Managed) Live() bool { return m.instance.Load().Live() }

// Unready says why it is not ready: see Instance.Unready.
func (m *Managed) Unready() []string { return m.instance.Load().Unready() }

// Health lists what is wrong: see Instance.Health.
func (m *Managed) Health() []Problem { return m.instance.Load().Health() }

// Stats is what it has done.
func (m *Managed) Stats() Stats { return m.instance.Load().Stats() }

// problems are those of what it does beside running an instance.
func (m *Managed) problems() (all []Problem) {
	if m.announce != nil {
		if p := m.announce.problem(time.Now()); p != nil {
			all = append(all, *p)
		}
	}
	return all
}
