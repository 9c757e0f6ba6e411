package cli

import (
	"cmp"
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

// Embedded is an instance in a program that has a command line of its own, or none.
type Embedded struct {
	Topology *topology.Topology
	Settings []settings.Given
	Log      *zap.Logger           // nil for none
	Metrics  prometheus.Registerer // nil for none, but what is served over HTTP
	Hooks    []processors.Hook
}

// decided are settings that an embedded instance is not asked for: what decides in their place.
var decided = map[*settings.Setting]string{
	settings.Topology.Setting:  "the topology is that which is given to Run",
	settings.LogLevel.Setting:  "the logger decides",
	settings.LogFormat.Setting: "the logger decides",
}

// Run runs it until ctx is cancelled. Nothing is read but the files that its settings name, and nothing is written to but its
// state folder.
func (e Embedded) Run(ctx context.Context) error {
	r, err := e.prepare()
	if err != nil {
		return withCode(exitUsage, err)
	}
	err = r.run(ctx)
	var c *coded
	if err != nil && !errors.As(err, &c) {
		err = withCode(exitFailure, err)
	}
	return err
}

func (e Embedded) prepare() (*runner, error) {
	if e.Topology == nil {
		return nil, errors.New("no topology is given to Run")
	}
	for _, g := range e.Settings {
		if s, ok := settings.Lookup(g.Name); ok && decided[s] != "" {
			return nil, mistake.In(s.Name).Errorf("%s: %s", g.Place, decided[s])
		}
	}
	v, err := settings.Resolve(settings.Sources{Program: e.Settings})
	if err != nil {
		return nil, err
	}
	if len(settings.Brokers.Of(v)) == 0 {
		return nil, mistake.In(settings.Brokers.Name).Errorf("no brokers: give HOST:PORT of one in Options.Brokers")
	}
	r, err := prepare([]*topology.Topology{e.Topology}, v, cmp.Or(e.Log, zap.NewNop()))
	if err != nil {
		return nil, err
	}
	r.opts.Hooks = e.Hooks
	if !v.Given(settings.StateDir.Setting) {
		r.opts.StateDir = "" // what is written to is named, and not where a program happens to be started
	}
	return r, e.measure(r)
}

// measure says where metrics go.
func (e Embedded) measure(r *runner) error {
	r.opts.Metrics = e.Metrics
	if settings.HTTP.Of(r.values) == "" {
		return nil
	}
	if e.Metrics == nil {
		metrics := NewMetrics()
		r.opts.Metrics, r.gatherer = metrics, metrics
		return nil
	}
	gatherer, ok := e.Metrics.(prometheus.Gatherer)
	if !ok {
		return mistake.In(settings.HTTP.Name).Errorf("%s serves /metrics, and %T cannot gather them: give a *prometheus.Registry in Options.Metrics, or leave one of the two out",
			settings.HTTP.Origin(r.values).Name, e.Metrics)
	}
	r.gatherer = gatherer
	return nil
}
