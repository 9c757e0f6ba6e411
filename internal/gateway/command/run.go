// Package command is the command line of the gateway: `weir gateway run`.
package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/settings"
)

// Gateway is `weir gateway`.
func Gateway() *cobra.Command {
	cmd := &cobra.Command{Use: "gateway", Short: "Take events from producers over HTTP", Args: cobra.ArbitraryArgs, RunE: cli.Group}
	cmd.AddCommand(run())
	return cmd
}

type runOptions struct {
	registry, partitioner string
	foreign               bool
}

func run() *cobra.Command {
	var o runOptions
	defaults := map[string]string{settings.HTTP.Name: "127.0.0.1:8080"}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Take events over HTTP until SIGTERM, SIGHUP or Ctrl-C",
		Long: "Takes events of producers over HTTP, checks them, and writes them to their topics. 2xx is answered when all in-sync replicas\n" +
			"have the event.\n\n" +
			"Start as many gateways as you like. At SIGTERM a gateway answers what it has accepted, and ends within 5 seconds.",
		Example: "  weir gateway run --http 127.0.0.1:8080 --brokers localhost:9092",
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), defaults))
			if err != nil {
				return cli.UsageError(err)
			}
			conf, err1 := cli.ClientConfig(v)
			log, err2 := cli.NewLog(cmd.ErrOrStderr(), v)
			address, err3 := address(v)
			partitioner, err4 := partitioner.Parse(o.partitioner)
			if err := errors.Join(err1, err2, err3, err4); err != nil {
				return cli.UsageError(err)
			}
			return serve(cmd.Context(), Patient(conf), address, gateway.Config{
				Partitioner: partitioner, Prefix: settings.TopicPrefix.Of(v), Foreign: o.foreign, Log: log,
			}, log)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.partitioner, "partitioner", "murmur2", "which partition a key belongs to: murmur2 as in the Java client, fnv1a as in goka")
	flags.BoolVar(&o.foreign, "foreign-topics", false, "take events for topics that are not named entity.event_type.vN too")
	shared := append(settings.OfClient(), settings.HTTP.Setting, settings.LogLevel.Setting, settings.LogFormat.Setting)
	settings.AddFlags(flags, without(shared, settings.Topology.Setting), defaults)
	settings.Complete(cmd)
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// without is a list without doubles and without some.
func without(list []*settings.Setting, out ...*settings.Setting) (left []*settings.Setting) {
	seen := map[*settings.Setting]bool{}
	for _, s := range out {
		seen[s] = true
	}
	for _, s := range list {
		if !seen[s] {
			left = append(left, s)
		}
		seen[s] = true
	}
	return left
}

// address is where to listen: without credentials, on loopback only.
func address(v *settings.Values) (string, error) {
	address, err := httpserver.WithHost(settings.HTTP.Of(v))
	if err == nil && !httpserver.Loopback(address) {
		err = fmt.Errorf("--http %s can be reached by others, and nobody is asked for credentials: listen on 127.0.0.1", address)
	}
	return address, err
}

// Patient makes a client give a write up while the producer still waits for its answer.
func Patient(c kafka.Config) kafka.Config {
	c.RequestTimeout = min(c.WithDefaults().RequestTimeout, 5*time.Second)
	c.Sink.DeliveryTimeout = 15 * time.Second
	return c
}

func serve(ctx context.Context, conf kafka.Config, address string, g gateway.Config, log *zap.Logger) (err error) {
	door, err := Listen(address, nil)
	if err != nil {
		return err
	}
	client, err := kafka.Dial(ctx, conf, log)
	if err != nil {
		door.Close(ctx)
		if ctx.Err() != nil {
			return nil // asked to stop before anything had begun
		}
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	g.Client = client
	gate, err := gateway.New(g)
	if err != nil {
		door.Close(ctx)
		return err
	}
	door.Serve(gate, log)
	log.Info("taking events", zap.String("url", door.URL()))
	select {
	case err = <-door.Failed():
	case <-ctx.Done():
	}
	Stop(gate, door)
	log.Info("stopped")
	return err
}

// Stop answers what a gateway has accepted, and ends it.
func Stop(gate *gateway.Gateway, door *Door) {
	ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	gate.Drain(ctx)
	door.Close(ctx)
	gate.Close(ctx)
}
