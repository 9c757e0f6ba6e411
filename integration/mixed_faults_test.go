//go:build integration

package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/integration/internal/proxy"
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/oracle"
)

// TestMixedFaults lets faults of all kinds follow each other in an order that the seed decides, and judges at the end
// over all of it. -weir.long sets how long; the short form is a sample.
func TestMixedFaults(t *testing.T) {
	m := &mixed{
		rig:   newRig(t, rigOptions{interval: time.Second, perSecond: 600}),
		rng:   rand.New(rand.NewPCG(*seedFlag, 7)),
		tally: map[string]int{},
	}
	m.cluster.NeedNodes(t)
	m.start()
	m.start()
	m.warm()
	began := time.Now()
	for time.Since(began) < long(*longFlag, 40*time.Second) {
		h := m.draw()
		m.tally[h.name]++
		m.strike(h.name, h.strike)
		m.awaitISR(3)
		m.flow(int64(200 + m.rng.IntN(2000)))
	}
	lasted := time.Since(began)
	report := m.settle()
	m.summarise(lasted, report)
}

// mixed is a rig with faults to draw from.
type mixed struct {
	*rig
	rng   *rand.Rand
	tally map[string]int
	kills int
}

type hazard struct {
	name   string
	weight int
	strike func()
}

func (m *mixed) draw() hazard {
	hazards := []hazard{
		{"kill -9 of an instance", 6, m.killInstance},
		{"kill -9 at a point of the commit", 5, m.killAtPoint},
		{"SIGSTOP past the session timeout", 2, m.sleep},
		{"scaling", 4, m.scale},
		{"state folder deleted", 2, m.loseState},
		{"older state folder put back", 2, m.oldState},
		{"LevelDB torn", 2, m.tornState},
		{"kill -9 of a broker", 4, m.killBroker},
		{"restart of a broker", 2, m.restartBroker},
		{"all brokers away", 1, m.allAway},
		{"bad network", 4, m.storm},
		{"a broker out of reach", 2, m.unreachable},
	}
	sum := 0
	for _, h := range hazards {
		sum += h.weight
	}
	at := m.rng.IntN(sum)
	for _, h := range hazards {
		if at -= h.weight; at < 0 {
			return h
		}
	}
	return hazards[0]
}

// live are the instances that run.
func (m *mixed) live() []*instance {
	return slices.DeleteFunc(slices.Clone(m.instances), func(i *instance) bool { return !i.Running() })
}

func (m *mixed) anyone() *instance {
	live := m.live()
	return live[m.rng.IntN(len(live))]
}

func (m *mixed) nap(most time.Duration) { time.Sleep(time.Duration(m.rng.Int64N(int64(most)))) }

func (m *mixed) killInstance() {
	i := m.anyone()
	m.nap(m.opts.interval)
	m.killInside(i)
	m.kills++
	i.launch(m.t)
}

func (m *mixed) killAtPoint() {
	points := []fault.Point{fault.BeforeFlush, fault.BeforeOffsets, fault.BeforeEnd, fault.AfterEnd}
	i, point := m.anyone(), points[m.rng.IntN(len(points))]
	m.killInside(i)
	i.launch(m.t, fmt.Sprintf("WEIR_FAULT_AT=%s:%d", point, 1+m.rng.IntN(4)))
	m.kills++
	if !i.ended(recoveryBound) { // it may have got no partition with work
		m.t.Logf("%s did not come to %s", i.name, point)
		m.killInside(i)
	} else {
		m.noteOpen(i.id(m.names.Group))
	}
	m.kills++
	i.launch(m.t)
}

func (m *mixed) sleep() {
	i := m.anyone()
	i.Signal(syscall.SIGSTOP)
	time.Sleep(sessionTimeout + time.Duration(m.rng.Int64N(int64(transactionTimeout))))
	i.Signal(syscall.SIGCONT)
}

func (m *mixed) scale() {
	live := m.live()
	if n := len(live); n == 1 || n < 4 && m.rng.IntN(2) == 0 {
		for _, i := range m.instances {
			if !i.Running() { // one that was stopped before comes back with its old state
				i.launch(m.t)
				return
			}
		}
		m.start()
		return
	}
	if err := m.anyone().stop(); err != nil {
		m.t.Error(err)
	}
}

func (m *mixed) loseState() {
	i := m.anyone()
	m.killInside(i)
	m.kills++
	m.removeState(i)
	i.launch(m.t)
}

func (m *mixed) oldState() {
	i := m.anyone()
	m.killInside(i)
	m.kills++
	old := filepath.Join(m.t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(i.dir)); err != nil {
		m.t.Fatal(err)
	}
	i.launch(m.t)
	m.flow(1000)
	m.killInside(i)
	m.kills++
	if err := os.RemoveAll(i.dir); err != nil {
		m.t.Fatal(err)
	}
	if err := os.CopyFS(i.dir, os.DirFS(old)); err != nil {
		m.t.Fatal(err)
	}
	i.launch(m.t)
}

func (m *mixed) tornState() {
	i := m.anyone()
	m.killInside(i)
	m.kills++
	m.tear(i, []string{"", ".log", ".ldb"}[m.rng.IntN(3)], func(size int64) int64 { return m.rng.Int64N(size) })
	i.launch(m.t)
}

func (m *mixed) killBroker() {
	ctx := m.context(3 * time.Minute)
	roles := []func() (*kafkatest.Node, error){
		func() (*kafkatest.Node, error) {
			topics := []string{m.names.Input, m.names.Output, m.names.Changelog, m.names.DeadLetter}
			return m.cluster.Leader(ctx, topics[m.rng.IntN(len(topics))], int32(m.rng.IntN(m.opts.partitions)))
		},
		func() (*kafkatest.Node, error) {
			return m.cluster.TxnCoordinator(ctx, fmt.Sprintf("%s-%s-0", m.names.Group, m.anyone().id(m.names.Group)))
		},
		func() (*kafkatest.Node, error) { return m.cluster.Coordinator(ctx, m.names.Group) },
		func() (*kafkatest.Node, error) { return m.cluster.Controller(ctx) },
	}
	node, err := roles[m.rng.IntN(len(roles))]()
	if err == nil {
		err = node.Kill()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	if m.rng.IntN(3) == 0 { // an instance dies together with its broker
		i := m.anyone()
		m.killInside(i)
		m.kills++
		i.launch(m.t)
	}
	m.nap(long(40*time.Second, 5*time.Second))
	if err := node.Start(ctx); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mixed) restartBroker() {
	brokers := m.cluster.Brokers()
	if err := brokers[m.rng.IntN(len(brokers))].Restart(m.context(3 * time.Minute)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mixed) allAway() {
	if err := each(m.cluster.Brokers(), (*kafkatest.Node).Kill); err != nil {
		m.t.Fatal(err)
	}
	time.Sleep(long(30*time.Second, 5*time.Second))
	ctx := m.context(3 * time.Minute)
	if err := each(m.cluster.Brokers(), func(n *kafkatest.Node) error { return n.Start(ctx) }); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mixed) storm() {
	m.cluster.inject(m.rng.Uint64(), roughWeather...)
	m.nap(long(40*time.Second, 10*time.Second))
	if m.rng.IntN(2) == 0 {
		m.killInstance()
	}
	m.nap(long(20*time.Second, 5*time.Second))
	m.cluster.inject(0)
}

func (m *mixed) unreachable() {
	p := m.cluster.proxies[m.rng.IntN(len(m.cluster.proxies))]
	if m.rng.IntN(2) == 0 {
		p.Refuse(true)
	} else {
		p.Inject(0, proxy.Rule{Action: proxy.Silence, Probability: 1})
	}
	m.nap(long(30*time.Second, 8*time.Second))
	p.Inject(0)
	p.Refuse(false)
	p.Cut()
}

func (m *mixed) summarise(lasted time.Duration, report *oracle.Report) {
	var b strings.Builder
	var input, outputs, dropped, dead int
	for _, p := range report.Partitions {
		input, outputs = input+p.Input, outputs+p.Expected
		dropped, dead = dropped+p.Deduplicated, dead+p.DeadLettered
	}
	faults, violations := 0, 0
	fmt.Fprintf(&b, "mixed faults for %s, seed %d\n", lasted.Round(time.Second), *seedFlag)
	for _, name := range slices.Sorted(maps.Keys(m.tally)) {
		faults += m.tally[name]
		fmt.Fprintf(&b, "%6d %s\n", m.tally[name], name)
	}
	struck := 0
	for _, n := range m.cluster.strikes() {
		struck += n
	}
	for _, n := range report.Counts {
		violations += n
	}
	fmt.Fprintf(&b, "faults %d, of them kills of instances %d (%d inside an open transaction); requests struck on the network %d\n",
		faults, m.kills, m.inside, struck)
	fmt.Fprintf(&b, "records %d = processed %d + deduplicated %d + dead-lettered %d; transactions committed %d, aborted %d\n",
		input, outputs, dropped, dead, report.Commits, report.Aborts)
	fmt.Fprintf(&b, "rebalances under load %d; records of aborted transactions %d; stores compared %d; reader saw %d\n",
		m.moves, report.Aborted, report.Stores, report.Seen)
	fmt.Fprintf(&b, "violations %d\n", violations)
	fmt.Print(b.String())
}
