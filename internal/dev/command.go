// Package dev is `weir dev`: an embedded broker, a schema registry and a gateway in one process, for a laptop.
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/gateway"
	gatecommand "github.com/weirstream/weir/internal/gateway/command"
	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/internal/service"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/system"
	schemaclient "github.com/weirstream/weir/registry"
)

var (
	shared   = []*settings.Setting{settings.HTTP.Setting, settings.LogLevel.Setting, settings.LogFormat.Setting}
	defaults = map[string]string{settings.HTTP.Name: "127.0.0.1:8080", settings.LogLevel.Name: "warn"}
)

// Command is `weir dev`.
func Command() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run broker, schema registry and gateway in one process, without a Kafka cluster",
		Long: "Starts a gateway at --http, a schema registry on the port after it and an embedded broker on the next, and prints of each a line to\n" +
			"try. The topic " + exampleTopic + " is made where there is none, with a schema. It ends at Ctrl-C or SIGTERM.",
		Example: "  weir dev\n  weir dev --http 127.0.0.1:9000 --data-dir dev-data",
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), defaults))
			if err != nil {
				return cli.UsageError(err)
			}
			log, err1 := cli.NewLog(cmd.ErrOrStderr(), v)
			doors, err2 := addresses(settings.HTTP.Of(v))
			if err := errors.Join(err1, err2); err != nil {
				return cli.UsageError(err)
			}
			return run(cmd.Context(), doors, dir, log, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "data-dir", "", "keep the broker's data here for the next time; kill -9 can damage it (default: a temporary folder)")
	settings.AddFlags(flags, shared, defaults)
	settings.Reword(flags, settings.HTTP.Setting, "take events at this address of this machine; the registry and the broker have the two ports after it")
	settings.Complete(cmd)
	_ = cmd.MarkFlagDirname("data-dir")
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// addresses are those of gateway, registry and broker.
func addresses(first string) (doors [3]string, err error) {
	first, err = httpserver.WithHost(first)
	if err != nil {
		return doors, err
	}
	host, text, err := net.SplitHostPort(first)
	if err != nil {
		return doors, err
	}
	if !httpserver.Loopback(first) {
		return doors, fmt.Errorf("--http %s can be reached by others, and weir dev asks nobody for credentials: listen on 127.0.0.1", first)
	}
	port, err := strconv.Atoi(text)
	if err != nil || port > 65533 {
		return doors, fmt.Errorf("--http %s: want a port from 0 to 65533", first)
	}
	for i := range doors {
		own := 0
		if port > 0 {
			own = port + i
		}
		doors[i] = net.JoinHostPort(host, strconv.Itoa(own))
	}
	return doors, nil
}

// inUse says of an address that is taken how to have others.
func inUse(err error, doors [3]string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%w: give another address with --http, such as --http 127.0.0.1:0 for ports that are free; the ports of %s, %s and %s are needed", err, doors[0], doors[1], doors[2])
}

const (
	exampleTopic = "order.placed.v1"
	partitions   = 4
	connections  = 1000
	startWithin  = 30 * time.Second
)

func run(ctx context.Context, doors [3]string, dir string, log *zap.Logger, out io.Writer) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "weir-dev-"); err != nil {
			return fmt.Errorf("make a data folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		cli.OnAbort(ctx, func() { _ = os.RemoveAll(dir) })
	}
	gateDoor, err := service.Listen(doors[0], nil)
	if err != nil {
		return inUse(fmt.Errorf("gateway: %w", err), doors)
	}
	defer func() { gateDoor.Close(ctx) }()
	schemaDoor, err := service.Listen(doors[1], nil)
	if err != nil {
		return inUse(fmt.Errorf("registry: %w", err), doors)
	}
	defer func() { schemaDoor.Close(ctx) }()
	broker, err := embedded.Start(embedded.Options{DataDir: filepath.Join(dir, "broker"), Addr: doors[2], Partitions: partitions, Log: log.Named("broker")})
	if err != nil {
		return inUse(err, doors)
	}
	defer func() { err = errors.Join(err, broker.Close()) }()

	starting, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	client, err := kafka.Dial(starting, gateway.Patient(kafka.Config{Brokers: broker.Addrs()}), log)
	if err != nil {
		return stopped(ctx, err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	schemas, err := registry.OpenLog(starting, client, "_schemas", 1, schemaDoor.URL(), log)
	if err != nil {
		return stopped(ctx, err)
	}
	defer schemas.Close()
	reader, err := registry.OpenReader(starting, client, "_schemas", log)
	if err != nil {
		return stopped(ctx, err)
	}
	defer reader.Close()
	known, err := client.Topics(starting, []string{exampleTopic})
	if err != nil {
		return stopped(ctx, err)
	}
	_, before := known[exampleTopic]
	if err := client.CreateTopics(starting, []kafka.TopicSpec{{Name: exampleTopic, Partitions: partitions, ReplicationFactor: 1}}); err != nil {
		return stopped(ctx, err)
	}
	schemaDoor.Serve(local(registry.New(schemas, http.DefaultClient, log)), connections, log)
	if !before { // what somebody has made of it since stays
		if err := example(starting, client, schemaDoor.URL()); err != nil {
			return stopped(ctx, err)
		}
	}
	gate, err := gateway.New(starting, gateway.Config{Client: client, Schemas: reader, URL: gateDoor.URL(), Log: log})
	if err != nil {
		return err
	}
	gateDoor.Serve(gate, connections, log)
	defer gatecommand.API(gate).End(gateDoor)
	if err := hello(out, gateDoor, schemaDoor, broker.Addrs()[0]); err != nil {
		return err
	}
	select {
	case err = <-gateDoor.Failed():
	case err = <-schemaDoor.Failed():
	case <-ctx.Done():
	}
	return err
}

// exampleSchema is what events of the example are like.
const exampleSchema = `{"type": "record", "name": "OrderPlaced", "fields": [
  {"name": "order_id", "type": "string"},
  {"name": "customer_id", "type": "string"},
  {"name": "amount_cents", "type": "long"}
]}`

// example registers the schema of the example and declares its key.
func example(ctx context.Context, client *kafka.Client, schemas string) (err error) {
	c, err := schemaclient.New(schemaclient.Config{URLs: []string{schemas}})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Register(ctx, exampleTopic+"-value", schemaclient.Schema{Type: schemaclient.Avro, Text: exampleSchema}); err != nil {
		return err
	}
	if err := system.Events.Ensure(ctx, client, system.Events.Name); err != nil {
		return err
	}
	event := declared.Event{Version: 1, Topic: exampleTopic, Key: "customer_id", Schema: true}
	record, err := event.Record(plan.Names{})
	if err != nil {
		return err
	}
	sink, err := client.NewSink(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	if err := sink.Append(&record); err != nil {
		return err
	}
	return sink.Flush(ctx)
}

// local answers only who asks on this machine for himself, and not through a page in a browser.
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !httpserver.OnLoopback(r) || r.Header.Get("Origin") != "" {
			http.Error(w, `{"error_code":403,"message":"without credentials this server answers only who asks it on its own machine"}`, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// stopped is nil when err only says that it was told to end before it had begun.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func hello(out io.Writer, gate, schemas *service.Door, broker string) error {
	_, err := fmt.Fprintf(out, "gateway   %s\n  curl -X POST '%s/topics/%s/events' -d '{\"order_id\": \"o1\", \"customer_id\": \"c1\", \"amount_cents\": 1250}'\n"+
		"registry  %s\n  curl %s/subjects\n"+
		"kafka     %s\n  kcat -b %s -t %s -C -e\n", gate.URL(), gate.URL(), exampleTopic, schemas.URL(), schemas.URL(), broker, broker, exampleTopic)
	return err
}
