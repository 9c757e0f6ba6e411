package weir_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// ends counts how records ended, by topology.
type ends struct {
	mu     sync.Mutex
	counts map[string]int
}

func (e *ends) OnRecordEnded(r processors.RecordEnded) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = map[string]int{}
	}
	e.counts[r.Topology+" "+string(r.Outcome)]++
}

func (e *ends) of(what string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts[what]
}

// keys emits the keys of orders, and has no store.
func keys() *topology.Topology {
	placed := topology.Stream("order.placed.v1", codecs.Bytes())
	seen := topology.Stream("order.key.v1", codecs.String())
	return topology.Define("order-keys", topology.Node("keys", topology.Emits(seen), topology.On(placed, func(ctx topology.Context, key string, _ []byte) error {
		seen.Emit(ctx, key, key)
		return nil
	})))
}

// TestInstancesRunSideBySideInOneProcess: two of a topology with stores and two of one without, in one registry, with one
// hook, until their context ends; nothing is read from the environment, and without a state folder nothing is written.
//
// Mutations tried: holdID that gives the same id twice; measure without Metrics; Run without Hooks; a state folder by default.
func TestInstancesRunSideBySideInOneProcess(t *testing.T) {
	c, dir, here := newCluster(t), t.TempDir(), t.TempDir()
	t.Chdir(here)
	t.Setenv("WEIR_WORKERS", "nonsense")
	registry, counted := prometheus.NewRegistry(), &ends{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	run := func(t *topology.Topology, instance, state string) {
		o := weir.Options{
			Brokers: []string{c.addr}, CreateTopics: true, StateDir: state, Hooks: []processors.Hook{counted},
			CommitInterval: 50 * time.Millisecond, Workers: 1,
			Metrics:  prometheus.WrapRegistererWith(prometheus.Labels{"instance": instance}, registry),
			Settings: map[string]string{"session.timeout.ms": "6000", "replication-factor": "1"},
		}
		go func() { ended <- weir.Run(ctx, t, o) }()
	}
	run(orders.Totals, "1", filepath.Join(dir, "1"))
	c.awaitTopics()
	run(orders.Totals, "2", filepath.Join(dir, "2"))
	run(keys(), "1", "")
	run(keys(), "2", "")
	c.until("every topology has two instances with tasks", func() bool { return tasks(t, registry) == [2]int{2, 2} })
	c.feed(100, 1)
	c.read("customer.total.v1", 100)
	c.read("order.key.v1", 110)
	c.until("all are committed", func() bool {
		return counted.of("customer-totals processed") == 100 && counted.of("customer-totals dead_lettered") == 10 && counted.of("order-keys processed") == 110
	})
	if n := gathered(t, registry, "weir_records_total"); n != 220 {
		t.Errorf("the metrics count %v records", n)
	}
	if n := gathered(t, registry, "weir_aborts_total"); n != 0 {
		t.Errorf("%v aborts: instances are in each other's way", n)
	}
	cancel()
	for range 4 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(here); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if left, err := registry.Gather(); err != nil || len(left) > 0 {
		t.Errorf("metrics are left behind: %v, %v", left, err)
	}
}

// tasks is how many instances of the two topologies have tasks that run.
func tasks(t *testing.T, registry *prometheus.Registry) (instances [2]int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := m.String()
			if f.GetName() != "weir_tasks" || !strings.Contains(labels, `"running"`) || m.GetGauge().GetValue() == 0 {
				continue
			}
			if strings.Contains(labels, "customer-totals") {
				instances[0]++
			} else {
				instances[1]++
			}
		}
	}
	return instances
}

// gathered adds up a counter over its labels.
func gathered(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// TestRunServesWhatItIsAskedTo: over HTTP, the registry that it is given or one of its own.
//
// Mutation tried: measure that serves a registry of its own always.
func TestRunServesWhatItIsAskedTo(t *testing.T) {
	c := newCluster(t)
	for _, own := range []bool{false, true} {
		o := weir.Options{Brokers: []string{c.addr}, CreateTopics: true, HTTP: kafkatest.FreeAddress(t)}
		if own {
			registry := prometheus.NewRegistry()
			registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "our_own"}))
			o.Metrics = registry
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- weir.Run(ctx, keys(), o) }()
		c.until("it is ready", func() bool {
			res, err := http.Get("http://" + o.HTTP + "/readyz")
			if err != nil {
				return false
			}
			defer res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
		_, body := get(t, "http://"+o.HTTP+"/metrics")
		if !strings.Contains(body, `weir_tasks{state="running",topology="order-keys"}`) || strings.Contains(body, "our_own") != own {
			t.Errorf("own registry: %v: %s", own, body)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// wrongSettings are the settings of all mistakes that err joins.
func wrongSettings(err error) map[string]bool {
	names := map[string]bool{}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			maps.Copy(names, wrongSettings(e))
		}
	} else if wrong, ok := err.(*processors.SettingError); ok {
		names[wrong.Settings[0]] = true
	} else if err != nil {
		maps.Copy(names, wrongSettings(errors.Unwrap(err)))
	}
	return names
}

// TestRunRefusesWhatTheCommandRefuses, in words that name the option, and with errors that a program can tell apart.
//
// Each mistake in a setting is a *processors.SettingError with its name.
//
// Mutations tried: layer without Program's own message; prepare of Embedded without decided; without the question for brokers; errorf
// and unknown of the settings without the mistake.
func TestRunRefusesWhatTheCommandRefuses(t *testing.T) {
	c := newCluster(t)
	with := func(change func(o *weir.Options)) weir.Options {
		o := weir.Options{Brokers: []string{c.addr}, StateDir: t.TempDir()}
		change(&o)
		return o
	}
	setting := func(name, value string) weir.Options {
		return with(func(o *weir.Options) { o.Settings = map[string]string{name: value} })
	}
	for says, o := range map[string]weir.Options{
		"no brokers: give HOST:PORT of one in Options.Brokers":                                     {},
		`Options.Brokers: "here" is not allowed: give HOST:PORT, several with commas between them`: {Brokers: []string{"here"}},
		`Options.Workers: "-1" is not allowed: give a whole number from 1 to 1024`:                 with(func(o *weir.Options) { o.Workers = -1 }),
		`Options.Guarantee: "most" is not allowed: give exactly_once or at_least_once`:             with(func(o *weir.Options) { o.Guarantee = "most" }),
		"the topology has stores: a state folder is needed (state-dir)":                            with(func(o *weir.Options) { o.StateDir = "" }),
		`Options.Settings["worker"]: unknown setting "worker": did you mean "workers"?`:            setting("worker", "2"),
		`Options.Settings["x"]: unknown setting "x": docs/configuration.md lists all settings`:     setting("x", "2"),
		`Options.Settings["config"]: a program gives its settings itself: no file is read`:         setting("config", "weir.yaml"),
		`Options.Settings["topology"]: the topology is that which is given to Run`:                 setting("topology", "x"),
		`Options.Settings["log-level"]: the logger decides`:                                        setting("log-level", "debug"),
		`Options.Settings["state-dir"]: Options.StateDir gives it too: remove one`:                 setting("state-dir", "x"),
		`Options.Settings["fetch.max.bytes"]: "" is not allowed: give bytes`:                       setting("fetch.max.bytes", ""),
		`Options.Settings["session.timeout.ms"]: "soon" is not allowed: give milliseconds`:         setting("session.timeout.ms", "soon"),
		"Options.Settings[\"heartbeat.interval.ms\"]: heartbeat.interval.ms: 1h0m0s is not under":  setting("heartbeat.interval.ms", "1h"),
		"hook 1, a int, has none of the methods of hooks":                                          with(func(o *weir.Options) { o.Hooks = []processors.Hook{7} }),
		"Options.HTTP serves /metrics, and *prometheus.wrappingRegisterer cannot gather them": with(func(o *weir.Options) {
			o.HTTP, o.Metrics = "127.0.0.1:0", prometheus.WrapRegistererWith(nil, prometheus.NewRegistry())
		}),
		"Options.Security.Mechanism: sasl.mechanism is set, but security.protocol PLAINTEXT does not authenticate": with(func(o *weir.Options) {
			o.Security = weir.Security{Username: "me", Mechanism: "PLAIN", Password: weir.NewSecret("hidden")}
		}),
	} {
		err := weir.Run(t.Context(), orders.Totals, o)
		if weir.ExitCode(err) != 2 || !strings.HasPrefix(err.Error(), says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("exit code %d: %v, want %s", weir.ExitCode(err), err, says)
		}
		wrong, ok := errors.AsType[*processors.SettingError](err)
		if aHook := o.Hooks != nil; ok == aHook || ok && len(wrong.Settings) == 0 {
			t.Errorf("%s: the setting is %v", says, wrong)
		} else if name, _, _ := strings.Cut(strings.TrimPrefix(says, `Options.Settings["`), `"]`); ok && o.Settings != nil && wrong.Settings[0] != name {
			t.Errorf("%s: the setting is %q", says, wrong.Settings)
		}
		if printed := fmt.Sprintf("%v %+v %#v", o, o, o); strings.Contains(printed, "hidden") {
			t.Errorf("the password is shown: %s", printed)
		}
	}
	err := weir.Run(t.Context(), orders.Totals, weir.Options{Brokers: []string{c.addr}, Workers: -1, HTTP: "x", Settings: map[string]string{"y": "z"}})
	if got := slices.Sorted(maps.Keys(wrongSettings(err))); !slices.Equal(got, []string{"http", "workers", "y"}) {
		t.Errorf("of three wrong options %q are named: %v", got, err)
	}
	if err := weir.Run(t.Context(), nil, weir.Options{Brokers: []string{c.addr}}); weir.ExitCode(err) != 2 {
		t.Errorf("no topology: %v", err)
	}
	err = weir.Run(t.Context(), orders.Totals, with(func(*weir.Options) {}))
	if _, refused := errors.AsType[*processors.RefusedTopologyError](err); !refused || weir.ExitCode(err) != 3 || !strings.Contains(err.Error(), "order.placed.v1") {
		t.Errorf("missing topics: exit code %d: %v", weir.ExitCode(err), err)
	}
	err = weir.Run(t.Context(), orders.Totals, weir.Options{Brokers: []string{"127.0.0.1:1"}, StateDir: t.TempDir(), Settings: map[string]string{"startup-timeout": "10ms"}})
	if weir.ExitCode(err) != 1 {
		t.Errorf("no broker: exit code %d: %v", weir.ExitCode(err), err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := weir.Run(done, orders.Totals, with(func(*weir.Options) {})); err != nil {
		t.Errorf("cancelled before it began: %v", err)
	}
	stopping := topology.Define("stopping", topology.Node("stop", topology.On(topology.Stream("order.placed.v1", codecs.Bytes()),
		func(topology.Context, string, []byte) error {
			return topology.Fatal(errors.New("the licence has run out"))
		})))
	ended := make(chan error)
	go func() {
		ended <- weir.Run(t.Context(), stopping, weir.Options{Brokers: []string{c.addr}, CreateTopics: true})
	}()
	c.until("the input is there", func() bool {
		infos, err := c.wire.Topics(t.Context(), []string{"order.placed.v1"})
		return err == nil && len(infos) == 1
	})
	c.feed(1, 1)
	err = <-ended
	if fatal, ok := errors.AsType[*processors.FatalError](err); !ok || fatal.Node != "stop" || weir.ExitCode(err) != 4 {
		t.Errorf("exit code %d: %v", weir.ExitCode(err), err)
	}
}
