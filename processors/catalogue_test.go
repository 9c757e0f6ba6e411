package processors

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// driven says how a metric or a problem is brought up and, for what can go down again, down. The value is looked at before,
// between and after.
type driven struct {
	cfg     simkafka.Config
	prepare func(g *rig) // before the instance starts
	up      func(g *rig)
	value   float64      // how much higher it must be; 0 for any amount
	down    func(g *rig) // nil for a counter
	of      func(g *rig) float64
}

// gate is a node that stands still while it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{}
	end  func(commit bool) // of a transaction that was left open
}

func (s *gate) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = make(chan struct{})
}

func (s *gate) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut != nil {
		close(s.shut)
		s.shut = nil
	}
}

func (s *gate) wait() {
	s.mu.Lock()
	shut := s.shut
	s.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

// behave is a node that does what a value says.
func behave(s *gate) func(*job, topology.Context, string, string) error {
	return func(j *job, ctx topology.Context, key, value string) error {
		s.wait()
		switch value {
		case "fail":
			return fmt.Errorf("told to")
		case "later":
			if ctx.Record().Attempt <= 3 {
				return fmt.Errorf("told to")
			}
		case "reject":
			return topology.Reject(fmt.Errorf("told to"))
		case "once":
			if ctx.Record().Attempt == 1 {
				return fmt.Errorf("told to")
			}
		case "drop":
			return ctx.Drop(topology.Filtered)
		case "read":
			if _, err := j.store.Get(ctx, key); err != nil {
				return err
			}
		}
		return remember(j, ctx, key, value)
	}
}

// settled lets the instance do what it has to do.
func settled() { time.Sleep(5 * time.Second) }

// labelled is one series of a metric.
func labelled(name, label, value string) func(g *rig) float64 {
	return func(g *rig) (sum float64) {
		g.t.Helper()
		families, err := g.registry.Gather()
		if err != nil {
			g.t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
						sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
					}
				}
			}
		}
		return sum
	}
}

// metricsDriven has an entry for each metric of the catalogue; an entry "name{value}" is one series of it.
func metricsDriven(s *gate) map[string]driven {
	send := func(value string) func(g *rig) {
		return func(g *rig) { g.send(0, "a "+value); settled() }
	}
	stand := func(g *rig) { s.close(); g.send(0, "a 1"); settled() }
	goOn := func(g *rig) { s.open(); settled() }
	slowly := simkafka.Config{FetchRecords: 1, Faults: func(c simkafka.Call, _ *rand.Rand) (f simkafka.Fault) {
		if c.Op == simkafka.OpFetch && strings.Contains(c.Actor, jobLog) {
			f.Delay = time.Second
		}
		return f
	}}
	backlog := func(g *rig) { // a changelog that takes time to be read
		for i := range 40 {
			g.send(0, fmt.Sprintf("key%d v", i))
		}
		g.start()
		time.Sleep(30 * time.Second)
		g.stop()
	}
	restart := func(g *rig) { // on an empty disk
		g.stop()
		_ = os.RemoveAll(state.TopologyDir(g.dir, jobGroup))
		g.start()
	}
	restored := func(*rig) { time.Sleep(2 * time.Minute) }
	delays := func(g *rig) {
		g.job.parts = append(g.job.parts, topology.RetryLater(time.Minute))
	}
	var gone func()
	join := func(g *rig) { _, gone = g.second(); settled(); settled() }
	leave := func(*rig) { gone(); settled(); settled() }
	copies := func(g *rig) { g.opts.Standby = 1 }
	var ends []func(bool)
	rate := func(value string) func(*rig) { return func(g *rig) { g.rate(0, "usd", value); settled() } }
	return map[string]driven{
		"weir_global_keys":              {prepare: withRates, up: rate("1"), value: 1, down: rate("")},
		"weir_global_bytes":             {prepare: withRates, up: rate("1"), value: 4, down: rate("")},
		"weir_global_undecodable_total": {prepare: withRates, up: rate("one"), value: 1},
		"weir_commit_duration_seconds": {up: send("1"), value: 1, of: func(g *rig) (n float64) {
			families, _ := g.registry.Gather()
			for _, f := range families {
				if f.GetName() == "weir_commit_duration_seconds" {
					n += float64(f.GetMetric()[0].GetHistogram().GetSampleCount())
				}
			}
			return n
		}},
		"weir_node_errors_total":            {up: send("reject"), value: 1},
		"weir_retries_total":                {up: send("once"), value: 1},
		"weir_delayed_total":                {prepare: delays, up: send("fail"), value: 1},
		"weir_parked_keys":                  {prepare: delays, up: send("later"), value: 1, down: restored},
		"weir_parked_records":               {prepare: delays, up: func(g *rig) { g.send(0, "a later", "a 1", "b 1", "a 2"); settled() }, value: 2, down: restored},
		"weir_records_total":                {up: send("1"), value: 1},
		"weir_records_total{processed}":     {up: send("1"), value: 1, of: labelled("weir_records_total", "outcome", "processed")},
		"weir_records_total{filtered}":      {up: send("drop"), value: 1, of: labelled("weir_records_total", "outcome", "filtered")},
		"weir_records_total{dead_lettered}": {up: send("reject"), value: 1, of: labelled("weir_records_total", "outcome", "dead_lettered")},
		"weir_commits_total":                {up: send("1"), value: 1},
		"weir_aborts_total": {up: send("1"), value: 1, cfg: simkafka.Config{
			Faults: once(simkafka.OpCommit, 2, simkafka.Fault{Mode: simkafka.Refused})}}, // the first two commit where the inputs begin
		"weir_rebalances_total": {up: func(g *rig) { // what is given up counts, and what is given back
			join(g)
			given := g.metric("weir_rebalances_total")
			leave(g)
			if back := g.metric("weir_rebalances_total"); back <= given {
				g.t.Errorf("%v rebalances after the task came back, %v before", back, given)
			}
		}},
		"weir_limit_refusals_total": {value: 1, up: func(g *rig) {
			g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte("a"), Value: []byte("cut"), Timestamp: 1000,
				Excess: &kafka.Excess{Limit: "max.record.bytes", Size: 900, Max: 100, Records: 1}})
			settled()
		}},
		"weir_misplaced_partitions_total": {value: 1, up: func(g *rig) {
			g.send(1, "a 1") // belongs on 0
			settled()
		}},
		"weir_input_recreations_total": {value: 2, up: func(g *rig) {
			g.send(0, "a 1")
			settled()
			g.cluster.DeleteTopic(jobIn)
			g.topic(jobIn, 2, nil)
			settled()
		}},
		"weir_input_truncations_total": {value: 1, up: func(g *rig) {
			g.send(0, "a 1", "a 2", "a 3")
			settled()
			g.cluster.LoseEnd(at(jobIn, 0), 1)
			settled()
		}},
		"weir_input_gap_offsets_total": {value: 2, up: func(g *rig) {
			g.stop()
			g.send(0, "a 1", "a 2", "a 3")
			g.cluster.DeleteRecords(at(jobIn, 0), 2)
			g.start()
			settled()
		}, prepare: func(g *rig) { g.cluster.SetOffset(jobGroup, at(jobIn, 0), 0) }},
		"weir_store_misses_total": {value: 1, up: func(g *rig) {
			g.send(0, "a read", "a read") // of a key that is nowhere, and of one that is in memory
			settled()
			g.stop()
			g.start()
			g.send(0, "a read", "a read")
			settled()
		}},
		"weir_copies":       {prepare: copies, up: join, value: 1, down: leave},
		"weir_copies{warm}": {prepare: copies, up: join, value: 1, down: leave, of: labelled("weir_copies", "state", "warm")},
		"weir_copy_lag": {prepare: copies, value: 1,
			up: func(g *rig) {
				join(g)
				for p := range int32(2) { // one of them is that of the copy here
					ends = append(ends, g.cluster.LeaveOpen(at(jobLog, p), kafka.Record{Key: []byte("x"), Value: []byte("y")}))
				}
				settled()
			},
			down: func(g *rig) {
				for _, end := range ends {
					end(false)
				}
				settled()
				leave(g)
			}},
		"weir_longest_call_seconds": {up: stand, down: goOn},
		"weir_stalled_partitions":   {up: func(g *rig) { stand(g); time.Sleep(30 * time.Second) }, value: 1, down: goOn},
		"weir_lag":                  {up: stand, value: 1, down: goOn},
		"weir_committed_offset":     {up: func(g *rig) { send("1")(g); send("reject")(g) }, value: 2, of: labelled("weir_committed_offset", "partition", "0")},
		"weir_problems":             {up: fillDisk, down: emptyDisk, value: 1},
		"weir_tasks":                {up: fillDisk, down: emptyDisk, of: labelled("weir_tasks", "state", "failed"), value: 1},
		"weir_tasks{running}": { // how many of two are not with this instance
			of: func(g *rig) float64 { return 2 - labelled("weir_tasks", "state", "running")(g) },
			up: join, value: 1, down: leave,
		},
		"weir_tasks{restoring}": {cfg: slowly, prepare: backlog, up: restart, down: restored, of: labelled("weir_tasks", "state", "restoring")},
		"weir_restore_remaining_offsets": {cfg: slowly, prepare: backlog, up: restart, down: restored, of: func(g *rig) float64 {
			n := g.metric("weir_restore_remaining_offsets")
			for _, task := range g.inst.Stats().Tasks {
				if task.Restore != nil && task.State == taskRunning.String() {
					n++ // a restore that is over is not reported any more
				}
			}
			return n
		}},
	}
}

// healthDriven has an entry for each kind of problem in health.go.
func healthDriven(s *gate) map[string]driven {
	problems := func(kind string) func(g *rig) float64 {
		return func(g *rig) (n float64) {
			for _, p := range g.inst.Health() {
				if p.Kind == kind {
					n++
				}
				if p.Cause == "" || p.Remedy == "" {
					g.t.Errorf("a problem without a cause or a remedy: %+v", p)
				}
			}
			return n
		}
	}
	hook := &gate{}
	var gone func()
	return map[string]driven{
		ProblemStalled: {of: problems(ProblemStalled), value: 1,
			up:   func(g *rig) { s.close(); g.send(0, "a 1"); time.Sleep(30 * time.Second) },
			down: func(*rig) { s.open(); settled() }},
		ProblemBlocked: {of: problems(ProblemBlocked), // of how many partitions does not matter
			up:   func(g *rig) { g.cluster.SetTrouble(jobOut, simkafka.Denied); g.send(0, "a 1"); settled() },
			down: func(g *rig) { g.cluster.MendAll(); time.Sleep(time.Minute) }},
		ProblemTask: {of: problems(ProblemTask), value: 1, up: fillDisk, down: emptyDisk},
		ProblemTopic: {of: problems(ProblemTopic), value: 1,
			up:   func(g *rig) { g.cluster.DeleteTopic(jobIn); time.Sleep(time.Minute) },
			down: func(g *rig) { g.topic(jobIn, 2, nil); time.Sleep(time.Minute) }},
		ProblemBroker: {of: problems(ProblemBroker), value: 1,
			up: func(g *rig) {
				g.r.step(func(call string) error {
					if call == "topics" {
						return errors.New("127.0.0.1:9092: no answer in time")
					}
					return nil
				})
				time.Sleep(2 * time.Minute)
			},
			down: func(g *rig) { g.r.step(nil); time.Sleep(time.Minute) }},
		ProblemRestore: {of: problems(ProblemRestore), value: 1,
			prepare: func(g *rig) {
				g.start()
				g.send(0, "a 1")
				settled()
				g.stop()
				_ = os.RemoveAll(state.TopologyDir(g.dir, jobGroup))
				s.mu.Lock()
				defer s.mu.Unlock()
				s.end = g.cluster.LeaveOpen(at(jobLog, 0), kafka.Record{Key: []byte("x"), Value: []byte("y")})
			},
			up:   func(*rig) { time.Sleep(time.Minute) },
			down: func(*rig) { s.end(false); time.Sleep(time.Minute) }},
		ProblemFenced: {of: problems(ProblemFenced), value: 1,
			up: func(g *rig) {
				g.r.step(func(call string) error {
					if call == "flush" {
						return &kafka.Error{Class: kafka.Fenced, Op: call, Err: errors.New("PRODUCER_FENCED")}
					}
					return nil
				})
				g.send(0, "a 1")
				time.Sleep(20 * time.Second)
			},
			down: func(g *rig) { g.r.step(nil); time.Sleep(3 * time.Minute) }},
		ProblemGlobal: {of: problems(ProblemGlobal), value: 1, prepare: withRates,
			up: func(g *rig) {
				g.cluster.SetTrouble(ratesTopic, simkafka.Unreadable)
				g.rate(0, "usd", "1")
				time.Sleep(2 * time.Minute)
			},
			down: func(g *rig) { g.cluster.MendAll(); time.Sleep(time.Minute) }},
		ProblemHook: {of: problems(ProblemHook), value: 1,
			prepare: func(g *rig) { g.opts.Hooks = []Hook{onlyCommits{&everyHook{then: hook.wait}}} },
			up:      func(g *rig) { hook.close(); g.send(0, "a 1"); time.Sleep(20 * time.Second) },
			down:    func(*rig) { hook.open(); settled() }},
		ProblemCopy: {of: problems(ProblemCopy), value: 1,
			prepare: func(g *rig) { g.opts.Standby = 1 },
			up: func(g *rig) {
				_, gone = g.second()
				settled()
				settled()
				g.cluster.SetTrouble(jobLog, simkafka.Unreadable)
				g.send(0, "a 1")
				g.send(1, "d 1")
				settled()
				g.sees(at(jobOut, 0), "a 1") // the tasks go on
			},
			down: func(g *rig) { g.cluster.MendAll(); time.Sleep(time.Minute); gone(); settled() }},
		ProblemWorker: {of: problems(ProblemWorker), value: 1,
			up: func(g *rig) {
				g.r.step(func(call string) error {
					if call == "flush" {
						return &kafka.Error{Class: kafka.Abortable, Op: call, Err: errors.New("told to")}
					}
					return nil
				})
				g.send(0, "a 1")
				time.Sleep(time.Minute)
			},
			down: func(g *rig) { g.r.step(nil); time.Sleep(time.Minute) }},
	}
}

// fillDisk has writes of the stores fail as on a full disk, and emptyDisk mends that.
func fillDisk(g *rig) {
	g.r.step(func(call string) error {
		if call == "write store" {
			return errors.New("no space left on device")
		}
		return nil
	})
	g.send(0, "a 1")
	time.Sleep(500 * time.Millisecond) // the task is opened again after a second
}

func emptyDisk(g *rig) { g.r.step(nil); time.Sleep(time.Minute) }

// TestEveryMetricGoesUpAndEveryGaugeComesDownAgain: each metric that the instance describes has an entry that drives it.
// Whoever adds a metric adds its entry.
//
// Mutations: stalled never stored, or never 0 again; commit does not store next; count without retries; a gap counted as 1;
// the states of tasks counted under one name; rebalances counted for what is given up only;
// unregister does nothing.
func TestEveryMetricGoesUpAndEveryGaugeComesDownAgain(t *testing.T) {
	described := map[string]bool{}
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.start()
		descs := make(chan *prometheus.Desc, 100)
		for _, c := range g.inst.metrics.collectors() {
			c.Describe(descs)
		}
		close(descs)
		for d := range descs {
			described[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
		}
	})
	entries := metricsDriven(&gate{})
	for name := range described {
		if _, ok := entries[name]; !ok {
			t.Errorf("%s: no entry in metricsDriven says how it goes up", name)
		}
	}
	for name := range entries {
		if base, _, _ := strings.Cut(name, "{"); !described[base] {
			t.Errorf("%s: there is no such metric any more", name)
		}
	}
	driveAll(t, metricsDriven)
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.start()
		g.stop()
		if families, err := g.registry.Gather(); err != nil || len(families) > 0 {
			t.Errorf("after the end of the instance %d metrics are left, %v", len(families), err)
		}
	})
}

// TestEveryProblemOfHealthComesAndGoes: each kind of problem has an entry that causes it and mends it.
//
// Mutation: commit does not set tries back.
func TestEveryProblemOfHealthComesAndGoes(t *testing.T) {
	entries := healthDriven(&gate{})
	for name, kind := range kindsOfProblems(t) {
		if _, ok := entries[kind]; !ok && !shownElsewhere[name] {
			t.Errorf("%s (%s): no entry in healthDriven says how it comes and goes", name, kind)
		}
	}
	driveAll(t, healthDriven)
}

// shownElsewhere are problems that a test of their own causes and mends.
var shownElsewhere = map[string]bool{"ProblemStatus": true, "ProblemBlocked": true, "ProblemLine": true, "ProblemParked": true}

// kindsOfProblems reads the constants Problem... from the package's source.
func kindsOfProblems(t *testing.T) map[string]string {
	t.Helper()
	kinds := map[string]string{}
	file, err := parser.ParseFile(token.NewFileSet(), "health.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Problem") || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			kinds[spec.Names[0].Name], _ = strconv.Unquote(lit.Value)
		}
		return true
	})
	if len(kinds) == 0 {
		t.Fatal("health.go has no constant Problem...: where are the kinds of problems now?")
	}
	return kinds
}

// driveAll runs each entry in an instance of its own.
func driveAll(t *testing.T, entries func(*gate) map[string]driven) {
	for _, name := range slices.Sorted(maps.Keys(entries(&gate{}))) {
		t.Run(name, func(t *testing.T) {
			s := &gate{}
			d := entries(s)[name]
			bubble(t, 2, d.cfg, func(g *rig) {
				defer s.open()
				g.opts.StallAfter = 10 * time.Second
				g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 3, First: time.Millisecond, Max: time.Millisecond})}
				g.job.node = behave(s)
				if d.prepare != nil {
					d.prepare(g)
				}
				value := d.of
				if value == nil {
					value = func(g *rig) float64 { return g.metric(name) }
				}
				g.start()
				if d.prepare == nil {
					settled()
				}
				before := value(g)
				d.up(g)
				up := value(g)
				if up <= before || d.value > 0 && up != before+d.value {
					t.Errorf("it was %v and is %v, want %v more (0: any amount)", before, up, d.value)
				}
				if d.down != nil {
					d.down(g)
					if after := value(g); after != before {
						t.Errorf("it was %v, rose to %v and is %v when the cause is gone", before, up, after)
					}
				}
			})
		})
	}
}
