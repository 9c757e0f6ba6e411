package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/secretfile"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

func runCommand(p Program) *cobra.Command {
	program, topologies := p.Name, p.Topologies
	var printConfig bool
	var output string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a topology until SIGTERM, SIGHUP or Ctrl-C",
		Long: "Runs one topology as one instance of its consumer group. Start more for more of the load, each with its own\n" +
			"state-dir. SIGTERM, SIGHUP and Ctrl-C commit and exit 0 within 5 seconds, or 1 where a node does not return in that\n" +
			"time; a second one, more than 300 ms later, exits at once. A member with a group.instance.id stays in the group for\n" +
			"session.timeout.ms, so that a restart finds its partitions; others leave it.\n\n" +
			"A setting comes from its flag, else from its variable (WEIR_COMMIT_INTERVAL for --commit-interval), else from\n" +
			"the YAML file that --config names, else it has its default. Secrets, such as WEIR_SASL_PASSWORD, have no flag.",
		Example: example(program,
			"run --brokers localhost:9092 --create-topics --partitions 4",
			"run --config weir.yaml --http :9090",
			"run --config weir.yaml --print-config"),
		Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), nil))
			if err != nil {
				return withCode(exitUsage, err)
			}
			log, err := NewLog(cmd.ErrOrStderr(), v)
			if err != nil {
				return withCode(exitUsage, err)
			}
			r, err := prepare(topologies, v, log)
			if printConfig {
				err = wrong(err) // whoever asks for the defaults has nothing yet
			}
			err = withCode(exitUsage, err)
			switch {
			case printConfig && output == OutputJSON:
				return errors.Join(v.PrintJSON(cmd.OutOrStdout()), err)
			case printConfig:
				return errors.Join(v.Print(cmd.OutOrStdout()), err)
			case err != nil:
				return err
			}
			for _, warning := range v.Warnings() {
				r.log.Warn(warning)
			}
			r.opts.Target = strings.TrimSpace(v.ClientFlags() + " --" + settings.Topology.Name + " " + r.topology.Name())
			r.opts.Hooks = p.Hooks
			metrics := NewMetrics()
			r.opts.Metrics, r.gatherer = metrics, metrics
			return r.run(cmd.Context())
		},
	}
	settings.AddFlags(cmd.Flags(), settings.Table(), nil)
	completeSettings(cmd, topologies)
	cmd.SetUsageFunc(settings.Usage)
	cmd.Flags().BoolVar(&printConfig, "print-config", false, "print every setting with its value and where it comes from, and exit")
	AddOutput(cmd, &output)
	return cmd
}

// completeSettings teaches the completion of a command the values of its settings.
func completeSettings(cmd *cobra.Command, topologies []*topology.Topology) {
	// The first completion that a flag gets is the one that counts.
	_ = cmd.RegisterFlagCompletionFunc(settings.Topology.Name, cobra.FixedCompletions(names(topologies), cobra.ShellCompDirectiveNoFileComp))
	settings.Complete(cmd)
}

// runner is what a run needs, checked before anything is connected to.
type runner struct {
	topology *topology.Topology
	values   *settings.Values
	client   kafka.Config
	opts     processors.Options
	gatherer prometheus.Gatherer // what the HTTP server serves, where there is one
	log      *zap.Logger
}

// prepare makes a runner of the settings. Its error joins all mistakes in them.
func prepare(topologies []*topology.Topology, v *settings.Values, log *zap.Logger) (*runner, error) {
	r := &runner{values: v, log: log}
	var errs [5]error
	r.topology, errs[0] = pick(topologies, settings.Topology.Of(v))
	r.client, errs[1] = ClientConfig(v)
	r.opts, errs[2] = InstanceOptions(v)
	errs[3] = commitsInTime(v)
	if settings.HTTP.Of(v) != "" {
		_, _, errs[4] = httpToken(v)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	r.opts.DeadLetters, r.opts.Log = deadLetters(topologies, namesOf(v)), r.log
	return r, nil
}

// run is one instance from its start to its end.
func (r *runner) run(ctx context.Context) (err error) {
	p, err := r.topology.Plan(namesOf(r.values))
	if err != nil {
		return withCode(exitRefused, err)
	}
	v, log := r.values, r.log
	answers := NewProbes(r.client.Brokers)
	if settings.HTTP.Of(v) != "" {
		server, err := Serve(v, r.gatherer, answers, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	client, err := kafka.Dial(ctx, r.client, log)
	if ctx.Err() != nil && err != nil {
		return nil // asked to stop before anything had begun
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()

	r.opts.Wire, r.opts.Build = processors.Kafka(client), AnnouncedBuild()
	instance, err := processors.NewManaged(p, r.opts)
	if err != nil {
		return withCode(exitUsage, v.Locate(err))
	}
	answers.Running(instance)
	err = instance.Run(ctx)
	if s := instance.Stats(); err == nil || s.Phase == processors.Stopped { // else it never ran, and the error says why
		log.Info("stopped", zap.Int64("records", s.Consumed), zap.Int64("processed", s.Processed), zap.Int64("filtered", s.Filtered),
			zap.Int64("deduplicated", s.Deduplicated), zap.Int64("dead_lettered", s.DeadLettered))
	}
	return classified(v.Locate(err))
}

// AnnouncedBuild is what an instance says that it was built from.
func AnnouncedBuild() announced.Build {
	b := readBuild(filepath.Base(os.Args[0]))
	return announced.Build{Program: b.Program, Version: b.Version, Weir: b.Weir, Revision: b.Revision, Modified: b.Modified}
}

// Serve starts the HTTP server that the settings describe.
func Serve(v *settings.Values, metrics prometheus.Gatherer, instance httpserver.Instance, log *zap.Logger) (*httpserver.Server, error) {
	return ServeAt(settings.HTTP.Of(v), v, metrics, instance, log)
}

// ServeAt is Serve at another address than the settings', which is what a command has whose --http is its own door.
func ServeAt(address string, v *settings.Values, metrics prometheus.Gatherer, instance httpserver.Instance, log *zap.Logger) (*httpserver.Server, error) {
	token, warning, err := httpToken(v)
	if err != nil {
		return nil, withCode(exitUsage, err)
	}
	if warning != "" {
		log.Warn(warning)
	}
	o := httpserver.Options{Address: address, Token: token, Metrics: metrics, Instance: instance, Log: log}
	server, err := httpserver.Start(o)
	if err != nil {
		return nil, err
	}
	log.Info("serving metrics, health and readiness", zap.String("address", server.Address()),
		zap.Bool("loopback_only", server.OnLoopback()))
	return server, nil
}

// HTTPToken is the bearer token that the settings name, "" for none, and a warning where others can read it.
func HTTPToken(v *settings.Values) (token, warning string, err error) { return httpToken(v) }

// httpToken is the bearer token, "" for none.
func httpToken(v *settings.Values) (token, warning string, err error) {
	path := settings.HTTPTokenFile.Of(v)
	if path == "" {
		return "", "", nil
	}
	data, warning, err := secretfile.Read(path)
	if token = strings.TrimSpace(string(data)); err == nil && token == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		return "", "", v.Locate(mistake.In(settings.HTTPTokenFile.Name).Errorf("%s: %w", settings.HTTPTokenFile.Name, err))
	}
	return token, warning, nil
}

// deadLetters lists the dead-letter topics of all topologies of the program. A topology with mistakes has none.
func deadLetters(topologies []*topology.Topology, names plan.Names) (topics []string) {
	for _, t := range topologies {
		p, err := t.Plan(names)
		if err != nil {
			continue
		}
		for _, topic := range p.Topics {
			if topic.Role == plan.DeadLetterTopic {
				topics = append(topics, topic.Name)
			}
		}
	}
	return topics
}

// namesOf is what things are called in the cluster that the settings name.
func namesOf(v *settings.Values) plan.Names { return plan.Names{Prefix: settings.TopicPrefix.Of(v)} }

// NewMetrics is a registry with what Go and the process say of themselves.
func NewMetrics() *prometheus.Registry {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return metrics
}

// classified gives an error of an instance its exit code.
func classified(err error) error {
	var refused *processors.RefusedTopologyError
	var fatal *processors.FatalError
	switch {
	case errors.As(err, &refused):
		return withCode(exitRefused, err)
	case errors.As(err, &fatal):
		return withCode(exitFatal, err)
	}
	return err
}

// pick finds the topology to run. A process runs one, so that each scales and fails on its own.
func pick(topologies []*topology.Topology, name string) (*topology.Topology, error) {
	if name == "" && len(topologies) == 1 {
		return topologies[0], nil
	}
	for _, t := range topologies {
		if t.Name() == name && name != "" {
			return t, nil
		}
	}
	switch {
	case len(topologies) == 0:
		return nil, errors.New("this program has no topology: run the program of the topology")
	case name == "":
		return nil, &unsetError{fmt.Sprintf("which topology? give --%s with one of %s", settings.Topology.Name, strings.Join(names(topologies), ", "))}
	}
	return nil, fmt.Errorf("no topology %q: there is %s", name, strings.Join(names(topologies), ", "))
}

func names(topologies []*topology.Topology) []string {
	var list []string
	for _, t := range topologies {
		list = append(list, t.Name())
	}
	return list
}
