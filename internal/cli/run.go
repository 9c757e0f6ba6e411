package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/secretfile"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/kafka"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

func runCommand(program string, topologies []*topology.Topology) *cobra.Command {
	var printConfig bool
	var output string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a topology until SIGTERM, SIGHUP or Ctrl-C",
		Long: "Runs one topology as one instance of its consumer group. Start more for more of the load, each with its own\n" +
			"state-dir. SIGTERM, SIGHUP and Ctrl-C commit and exit 0 within 5 seconds; a second one exits at once. A member with a\n" +
			"group.instance.id stays in the group for session.timeout.ms, so that a restart finds its partitions; others leave it.\n\n" +
			"A setting comes from its flag, else from its variable (WEIR_COMMIT_INTERVAL for --commit-interval), else from\n" +
			"the YAML file that --config names, else it has its default.",
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
			switch {
			case printConfig && output == OutputJSON:
				return v.PrintJSON(cmd.OutOrStdout())
			case printConfig:
				return v.Print(cmd.OutOrStdout())
			}
			t, err := pick(topologies, settings.Topology.Of(v))
			if err != nil {
				return withCode(exitUsage, err)
			}
			log, err := NewLog(cmd.ErrOrStderr(), v)
			if err != nil {
				return withCode(exitUsage, err)
			}
			for _, warning := range v.Warnings() {
				log.Warn(warning)
			}
			return run(cmd.Context(), t, deadLetters(topologies), v, log)
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

// run is one instance from its settings to its end.
func run(ctx context.Context, t *topology.Topology, letters []string, v *settings.Values, log *zap.Logger) (err error) {
	plan, err := t.Plan()
	if err != nil {
		return withCode(exitRefused, err)
	}
	conf, err1 := kafkaConfig(v)
	opts, err2 := options(v)
	if err := errors.Join(err1, err2, commitsInTime(v)); err != nil {
		return withCode(exitUsage, err)
	}
	metrics := NewMetrics()
	answers := &probes{began: time.Now(), brokers: conf.Brokers}
	if settings.HTTP.Of(v) != "" {
		server, err := Serve(v, metrics, answers, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	client, err := kafka.Dial(ctx, conf, log)
	if ctx.Err() != nil && err != nil {
		return nil // asked to stop before anything had begun
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()

	opts.DeadLetters = letters
	opts.Target = strings.TrimSpace(v.ClientFlags() + " --" + settings.Topology.Name + " " + t.Name())
	opts.Wire, opts.Log, opts.Metrics = processors.Kafka(client), log, metrics
	instance, err := processors.New(plan, opts)
	if err != nil {
		return withCode(exitUsage, err)
	}
	answers.instance.Store(instance)
	err = instance.Run(ctx)
	s := instance.Stats()
	log.Info("stopped", zap.Int64("records", s.Consumed), zap.Int64("processed", s.Processed), zap.Int64("filtered", s.Filtered),
		zap.Int64("deduplicated", s.Deduplicated), zap.Int64("dead_lettered", s.DeadLettered))
	return classified(err)
}

// Serve starts the HTTP server that the settings describe.
func Serve(v *settings.Values, metrics prometheus.Gatherer, instance httpserver.Instance, log *zap.Logger) (*httpserver.Server, error) {
	o := httpserver.Options{Address: settings.HTTP.Of(v), Metrics: metrics, Instance: instance, Log: log}
	if path := settings.HTTPTokenFile.Of(v); path != "" {
		data, warning, err := secretfile.Read(path)
		if err == nil {
			o.Token = strings.TrimSpace(string(data))
		}
		switch {
		case err == nil && o.Token == "":
			err = fmt.Errorf("%s is empty", path)
		case warning != "":
			log.Warn(warning)
		}
		if err != nil {
			return nil, withCode(exitUsage, fmt.Errorf("%s: %w", settings.HTTPTokenFile.Name, err))
		}
	}
	server, err := httpserver.Start(o)
	if err != nil {
		return nil, err
	}
	log.Info("serving metrics, health and readiness", zap.String("address", server.Address()),
		zap.Bool("loopback_only", server.OnLoopback()))
	return server, nil
}

// deadLetters lists the dead-letter topics of all topologies of the program. A topology with mistakes has none.
func deadLetters(topologies []*topology.Topology) (topics []string) {
	for _, t := range topologies {
		plan, err := t.Plan()
		if err != nil {
			continue
		}
		for _, topic := range plan.Topics {
			if topic.Role == topology.DeadLetterTopic {
				topics = append(topics, topic.Name)
			}
		}
	}
	return topics
}

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
		return nil, errors.New("this program has no topology")
	case name == "":
		return nil, fmt.Errorf("which topology? give --%s with one of %s", settings.Topology.Name, strings.Join(names(topologies), ", "))
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
