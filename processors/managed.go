package processors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/state"
)

// Managed is an instance as operators want it. While they have its topology paused, in _weir.desired, there is none: it has ended as it ends
// when its process does, so nothing is left open and nothing is held, and another one begins when the topology is resumed. And it says in
// _weir.status how it is. Nothing that is wrong with these two topics is in the way of a record.
type Managed struct {
	plan    *plan.Plan
	opts    Options
	graph   []byte // as topology describe writes it
	host    string
	started time.Time

	wanted   *wanted
	announce *announcer // nil: it does not
	instance atomic.Pointer[Instance]
	waits    atomic.Bool // it has no instance, because the topology is paused

	mu     sync.Mutex
	before Stats // counts of instances that have ended
}

// NewManaged makes it. It talks to nobody yet. It refuses the options that New refuses.
func NewManaged(p *plan.Plan, opts Options) (*Managed, error) {
	graph, err := p.JSON()
	if err != nil {
		return nil, err
	}
	m := &Managed{plan: p, opts: opts.WithDefaults(), graph: graph, started: time.Now().UTC()}
	m.host, _ = os.Hostname()
	m.opts.beside, m.opts.gate = m.problems, m.gate
	if err := m.renew(); err != nil {
		return nil, err
	}
	m.wanted = newWanted(sabotaged(m.opts.Wire), p.Names.System(system.Desired.Name), p.Topology, m.opts.Log)
	if opts.Announce {
		m.announce = newAnnouncer(m, p.Names.System(system.Status.Name))
	}
	return m, nil
}

// renew makes the next instance.
func (m *Managed) renew() error {
	i, err := New(m.plan, m.opts)
	if err == nil {
		m.instance.Store(i)
	}
	return err
}

// errPaused is why an instance ends whose topology is paused.
var errPaused = errors.New("the topology is paused")

// Run is Instance.Run, again and again where the topology is paused and resumed meanwhile. It may be called once.
func (m *Managed) Run(ctx context.Context) error {
	release, err := m.identify()
	if err != nil {
		return err
	}
	defer release()
	if reg := m.opts.Metrics; reg != nil {
		gauge := m.gauge()
		if err := reg.Register(gauge); err != nil {
			return unregistrable(m.plan.Topology, err)
		}
		defer reg.Unregister(gauge)
	}
	defer m.wanted.follow(ctx)()
	if m.announce != nil {
		defer m.announce.start(ctx)()
	}
	for {
		paused, err := m.live(ctx)
		if err != nil || !paused {
			return err
		}
		if !m.await(ctx) {
			return nil
		}
		if err := m.renew(); err != nil {
			return err
		}
		m.waits.Store(false)
	}
}

// live runs an instance until the topology is paused, or until it ends otherwise.
func (m *Managed) live(ctx context.Context) (paused bool, err error) {
	living, end := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if m.wanted.wait(living, true) {
			end(errPaused)
		}
	}()
	i := m.instance.Load()
	for began := time.Now(); ; {
		err = i.Run(living)
		// The replay for which the topology was paused may hold the folder of state for a moment after it was resumed.
		if _, locked := errors.AsType[*state.LockedError](err); !locked || !m.resumed() || living.Err() != nil || time.Since(began) > folderWithin {
			break
		}
	}
	paused = ctx.Err() == nil && errors.Is(context.Cause(living), errPaused)
	end(nil)
	<-watched
	if paused && errors.Is(err, errPaused) {
		err = nil // it had not joined its group yet
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if paused && err == nil {
		m.waits.Store(true)
		m.before = m.before.plus(i.Stats())
	}
	return paused, err
}

// folderWithin is how long an instance that is resumed waits for its folder of state.
const folderWithin = time.Minute

// resumed says whether it was paused before.
func (m *Managed) resumed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.before.Phase != ""
}

// gate lets an instance into its group when it is known that the topology is not paused.
func (m *Managed) gate(ctx context.Context) error {
	m.wanted.settle(ctx)
	if !m.wanted.wait(ctx, false) {
		return context.Cause(ctx)
	}
	return nil
}

// await returns when the topology is resumed, false when ctx has ended.
func (m *Managed) await(ctx context.Context) bool {
	for _, h := range m.wanted.paused() {
		m.opts.Log.Warn("the topology is paused: this instance has left its group and waits", zap.String("topology", m.plan.Topology), zap.String("owner", h.Owner),
			zap.String("who", h.Who), zap.String("why", h.Why), zap.Time("since", h.At))
	}
	if !m.wanted.wait(ctx, false) {
		return false
	}
	m.opts.Log.Info("the topology is resumed", zap.String("topology", m.plan.Topology))
	return true
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
		m.opts.InstanceID = id
		return func() { _ = held.Close() }, m.renew()
	}
	dir := state.TopologyDir(m.opts.StateDir, m.plan.Group())
	if !state.HasInstanceID(dir) {
		lock, err := state.LockDir(dir)
		if err != nil {
			return nil, mistake.In("state-dir").Errorf("%w", err)
		}
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	if m.opts.InstanceID, err = state.InstanceID(dir); err != nil {
		return nil, err
	}
	return func() {}, m.renew()
}

// Live says whether the process can go on as it is: see Instance.Live. It can while the topology is paused.
func (m *Managed) Live() bool {
	return m.waits.Load() || len(m.wanted.paused()) > 0 || m.instance.Load().Live()
}

// Unready says why it is not ready: see Instance.Unready. While the topology is paused it is ready: it does what is wanted of it, and a
// deployment that waits for it goes on.
func (m *Managed) Unready() []string {
	if m.waits.Load() {
		return nil
	}
	return m.instance.Load().Unready()
}

// Health lists what is wrong: see Instance.Health. That the topology is paused is not.
func (m *Managed) Health() []Problem {
	if m.waits.Load() {
		return m.problems()
	}
	return m.instance.Load().Health()
}

// Stats is what it has done, in all.
func (m *Managed) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waits.Load() {
		s := m.before
		s.Phase = Paused
		return s
	}
	return m.before.plus(m.instance.Load().Stats())
}

// plus adds the counts of an instance that has ended. All else is that of the later one.
func (s Stats) plus(later Stats) Stats {
	later.Consumed += s.Consumed
	later.Processed += s.Processed
	later.Filtered += s.Filtered
	later.Deduplicated += s.Deduplicated
	later.DeadLettered += s.DeadLettered
	later.Retried += s.Retried
	later.Commits += s.Commits
	later.Aborts += s.Aborts
	later.Rebalances += s.Rebalances
	return later
}

// problems are those of what it does beside running an instance.
func (m *Managed) problems() (all []Problem) {
	if m.announce != nil {
		if p := m.announce.problem(time.Now()); p != nil {
			all = append(all, *p)
		}
	}
	return all
}

// gauge is the metric that there is also while there is no instance.
func (m *Managed) gauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weir_paused", Help: "1 while operators have the topology paused and the instance waits; it has no other metrics then.",
		ConstLabels: prometheus.Labels{"topology": m.plan.Topology},
	}, func() float64 {
		if m.waits.Load() {
			return 1
		}
		return 0
	})
}

// beside runs something until end is called, which waits for it: also when ctx ends before.
func beside(ctx context.Context, run func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}
