// Package command is the command line of the gateway: `weir gateway run` and `weir gateway key`.
package command

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/secretfile"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/registry"
)

// Gateway is `weir gateway`.
func Gateway() *cobra.Command {
	cmd := &cobra.Command{Use: "gateway", Short: "Take events from producers over HTTP", Args: cobra.ArbitraryArgs, RunE: cli.Group}
	cmd.AddCommand(run(), key())
	return cmd
}

// key is `weir gateway key`.
func key() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "key", Short: "Make an API key, and its hash for the file of clients",
		Long:    "Makes an API key at random and prints it with its hash. The hash goes into the file that --clients of `weir gateway run` names; the\nkey goes to the client, and is stored nowhere.",
		Example: "  weir gateway key",
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key := "weir_" + rand.Text() + rand.Text()
			if output == cli.OutputJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"key": key, "hash": gateway.HashKey(key)})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "key   %s\nhash  %s\n", key, gateway.HashKey(key))
			return err
		},
	}
	cli.AddOutput(cmd, &output)
	return cmd
}

type runOptions struct {
	registry, registryUser, registryToken, partitioner, clients, peers, url, access, probes string
	cert, key, ca                                                                           string
	foreign                                                                                 bool
	connections                                                                             int
	limits                                                                                  gateway.Limits
}

func run() *cobra.Command {
	var o runOptions
	defaults := map[string]string{settings.HTTP.Name: "127.0.0.1:8080"}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Take events over HTTP until SIGTERM, SIGHUP or Ctrl-C",
		Long: "Takes events of producers over HTTP, checks them by the schemas of their topics, and writes them. 2xx is answered when all in-sync\n" +
			"replicas have the event. /openapi.json describes the API; docs/gateway.md tells more.\n\n" +
			"Start as many gateways as you like. At SIGTERM a gateway answers what it has accepted, and ends within 5 seconds.\n\n" +
			"Without --clients it listens on loopback only, and takes events of whoever is on this machine.",
		Example: "  weir gateway run --http 127.0.0.1:8080 --brokers localhost:9092\n" +
			"  weir gateway run --http 0.0.0.0:8443 --brokers k1:9092,k2:9092 --registry http://registry:8081 \\\n" +
			"      --clients clients.yaml --tls-cert cert.pem --tls-key key.pem --probes-http 0.0.0.0:9090",
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), defaults))
			if err != nil {
				return cli.UsageError(err)
			}
			p := &process{options: o, values: v}
			var errs [6]error
			p.kafka, errs[0] = cli.ClientConfig(v)
			p.log, errs[1] = cli.NewLog(cmd.ErrOrStderr(), v)
			p.config.Partitioner, errs[2] = partitioner.Parse(o.partitioner)
			errs[3] = p.secrets()
			p.address, errs[4] = p.where()
			errs[5] = o.bounds()
			if err := errors.Join(errs[:]...); err != nil {
				return cli.UsageError(err)
			}
			for _, warning := range p.warnings {
				p.log.Warn(warning)
			}
			return p.serve(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.registry, "registry", "", "URL of the schema registry, several with commas between them (default: the topic _schemas on the brokers is read)")
	flags.StringVar(&o.registryUser, "registry-user-file", "", "file with USER:PASSWORD for the registry")
	flags.StringVar(&o.registryToken, "registry-token-file", "", "file with a bearer token for the registry")
	flags.StringVar(&o.clients, "clients", "", "YAML file with those who may publish, and what; it is read again when it changes")
	flags.StringVar(&o.peers, "peer-token-file", "", "file with a token by which the gateways of a cluster know each other, the same for each")
	flags.StringVar(&o.url, "advertised-url", "", "URL by which other gateways reach this one (default: that of --http)")
	flags.StringVar(&o.partitioner, "partitioner", "murmur2", "which partition a key belongs to: murmur2 as in the Java client, fnv1a as in goka")
	flags.BoolVar(&o.foreign, "foreign-topics", false, "take events for topics that are not named entity.event_type.vN too")
	flags.StringVar(&o.access, "access-log", "", "file for a line of each request, - for standard error; never with what it carried (default: none)")
	flags.StringVar(&o.probes, "probes-http", "", "serve /metrics, /livez, /readyz and /healthz at this address, HOST:PORT (default: nowhere)")
	flags.StringVar(&o.cert, "tls-cert", "", "file with the server's certificates, PEM; serves https")
	flags.StringVar(&o.key, "tls-key", "", "file with the key of --tls-cert, PEM")
	flags.StringVar(&o.ca, "tls-client-ca", "", "file with the authorities of clients' certificates, PEM; a client may be known by its certificate")
	flags.IntVar(&o.connections, "max-connections", 10_000, "most connections at once; a new one takes the place of the one that has been idle for longest")
	flags.IntVar(&o.limits.Requests, "max-requests", 512, "most requests under way at once, streams left out; 429 is answered beyond that, and before where more would be answered slowly")
	flags.Int64Var(&o.limits.Body, "max-body-bytes", 16<<20, "most bytes of a body that is no stream, decompressed; 413 is answered beyond that")
	flags.IntVar(&o.limits.Event, "max-event-bytes", 1<<20, "most bytes of an event")
	flags.IntVar(&o.limits.Events, "max-events", 10_000, "most events of a request that is no stream")
	flags.Int64Var(&o.limits.Waiting, "max-waiting-bytes", 64<<20, "most bytes of events that wait for Kafka")
	flags.IntVar(&o.limits.IDs, "max-ids", 10_000_000, "most ids of the last day in memory, about 100 bytes each, of topics that take each id once; 503 is answered to events with others")
	shared := append(settings.OfClient(), settings.HTTP.Setting, settings.HTTPTokenFile.Setting, settings.LogLevel.Setting, settings.LogFormat.Setting)
	settings.AddFlags(flags, settings.Except(shared, settings.Topology.Setting), defaults)
	settings.Reword(flags, settings.HTTP.Setting, "take events at this address; :8080 is reached from this machine only, 0.0.0.0:8080 or [::]:8080 from everywhere")
	settings.Reword(flags, settings.HTTPTokenFile.Setting, "file with a bearer token; beyond this machine /healthz of --probes-http gives the reasons only to requests that carry it")
	settings.Complete(cmd)
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// bounds refuses limits that would let nobody in.
func (o *runOptions) bounds() error {
	var wrong []error
	for flag, v := range map[string]int64{
		"max-connections": int64(o.connections), "max-requests": int64(o.limits.Requests), "max-body-bytes": o.limits.Body,
		"max-event-bytes": int64(o.limits.Event), "max-events": int64(o.limits.Events), "max-waiting-bytes": o.limits.Waiting, "max-ids": int64(o.limits.IDs),
	} {
		if v < 1 {
			wrong = append(wrong, fmt.Errorf("--%s %d: give it 1 or more", flag, v))
		}
	}
	return errors.Join(wrong...)
}

// process is a gateway as a process.
type process struct {
	options  runOptions
	values   *settings.Values
	kafka    kafka.Config
	config   gateway.Config
	registry registry.Config
	address  string
	tls      *tls.Config
	warnings []string
	log      *zap.Logger
}

// secret reads a file with one secret.
func (p *process) secret(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, warning, err := secretfile.Read(path)
	if warning != "" {
		p.warnings = append(p.warnings, warning)
	}
	text := strings.TrimSpace(string(data))
	if err == nil && text == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	return text, nil
}

// secrets reads the files that flags name.
func (p *process) secrets() error {
	o := &p.options
	user, err1 := p.secret("registry-user-file", o.registryUser)
	token, err2 := p.secret("registry-token-file", o.registryToken)
	peers, err3 := p.secret("peer-token-file", o.peers)
	clients, err4 := p.clients()
	err5 := p.certificates()
	p.config.PeerToken, p.config.Clients = peers, clients
	if o.registry != "" {
		p.registry = registry.Config{URLs: strings.Split(o.registry, ","), Token: token}
		p.registry.User, p.registry.Password, _ = strings.Cut(user, ":")
	}
	return errors.Join(err1, err2, err3, err4, err5)
}

func (p *process) clients() (*gateway.Clients, error) {
	text, err := p.secret("clients", p.options.clients)
	if err != nil || p.options.clients == "" {
		return nil, err
	}
	c, err := gateway.ParseClients([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("--clients: %s: %w", p.options.clients, err)
	}
	return c, nil
}

func (p *process) certificates() error {
	o := &p.options
	if (o.cert == "") != (o.key == "") {
		return errors.New("give --tls-cert and --tls-key together")
	}
	if o.ca != "" && o.cert == "" {
		return errors.New("--tls-client-ca needs --tls-cert: clients show certificates to a server that has one")
	}
	if o.cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return fmt.Errorf("--tls-cert: %w", err)
	}
	p.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if o.ca == "" {
		return nil
	}
	data, err := os.ReadFile(o.ca)
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(data) {
		err = fmt.Errorf("%s has no certificate", o.ca)
	}
	if err != nil {
		return fmt.Errorf("--tls-client-ca: %w", err)
	}
	// A client may have a key instead; a certificate that is shown must be a good one.
	p.tls.ClientCAs, p.tls.ClientAuth = pool, tls.VerifyClientCertIfGiven
	return nil
}

// where is where to listen: without credentials, on loopback only.
func (p *process) where() (string, error) {
	address, err := httpserver.WithHost(settings.HTTP.Of(p.values))
	if err == nil && p.options.clients == "" && !httpserver.Loopback(address) {
		err = fmt.Errorf("--http %s can be reached by others, and nobody is asked for credentials: give --clients, or listen on 127.0.0.1", address)
	}
	return address, err
}

func (p *process) serve(ctx context.Context) (err error) {
	door, err := Listen(p.address, p.tls)
	if err != nil {
		return err
	}
	defer func() { door.Close(context.Background()) }()
	metrics := cli.NewMetrics()
	probes := &probes{began: time.Now(), brokers: p.kafka.Brokers}
	if p.options.probes != "" {
		server, err := cli.ServeAt(p.options.probes, p.values, metrics, probes, p.log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	client, err := kafka.Dial(ctx, gateway.Patient(p.kafka), p.log)
	if err != nil {
		return stopped(ctx, err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	source, end, err := p.source(ctx, client)
	if err != nil {
		return stopped(ctx, err)
	}
	defer end()
	access, err := p.accessLog()
	if err != nil {
		return cli.UsageError(err)
	}
	c := p.config
	c.Client, c.Schemas, c.Prefix, c.Foreign, c.Limits, c.Metrics, c.Log, c.Access = client, source, settings.TopicPrefix.Of(p.values), p.options.foreign, p.options.limits, metrics, p.log, access
	if c.URL = p.options.url; c.URL == "" {
		c.URL = advertised(door)
	}
	gate, err := gateway.New(ctx, c)
	if err != nil {
		return stopped(ctx, err)
	}
	door.Serve(gate, p.options.connections, p.log)
	probes.ready.Store(true)
	p.log.Info("taking events", zap.String("url", door.URL()), zap.Bool("credentials", c.Clients != nil))
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); p.watch(watching, gate) }()
	select {
	case err = <-door.Failed():
	case <-ctx.Done():
	}
	stop()
	<-watched
	Stop(gate, door)
	p.log.Info("stopped")
	return err
}

// stopped is nil when err only says that it was told to end before it had begun.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// advertised is the URL of a door for other machines.
func advertised(d *Door) string {
	host, port, _ := net.SplitHostPort(d.Address())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host, _ = os.Hostname()
	}
	return d.scheme + "://" + net.JoinHostPort(host, port)
}

// source finds schemas: at the registry, or in its topic.
func (p *process) source(ctx context.Context, client *kafka.Client) (registry.Source, func(), error) {
	if len(p.registry.URLs) > 0 {
		c, err := registry.New(p.registry)
		if err != nil {
			return nil, nil, cli.UsageError(fmt.Errorf("--registry: %w", err))
		}
		return c, c.Close, nil
	}
	l, err := gateway.OpenTopicSchemas(ctx, client, p.log)
	if err != nil {
		return nil, nil, err
	}
	return l, l.Close, nil
}

// accessLog is the log of requests, nil for none.
func (p *process) accessLog() (*zap.Logger, error) {
	if p.options.access == "" {
		return nil, nil
	}
	path := p.options.access
	if path == "-" {
		path = "stderr"
	}
	conf := zap.NewProductionConfig()
	conf.OutputPaths, conf.Sampling, conf.DisableCaller = []string{path}, nil, true
	log, err := conf.Build()
	if err != nil {
		return nil, fmt.Errorf("--access-log: %w", err)
	}
	return log, nil
}

// watchEvery is how soon a change of the file of clients is noticed.
var watchEvery = 2 * time.Second // tests are less patient

// watch reads the file of clients again when it changes. One that is wrong changes nothing.
func (p *process) watch(ctx context.Context, gate *gateway.Gateway) {
	if p.options.clients == "" {
		return
	}
	stamp := func() (t time.Time, size int64) {
		if info, err := os.Stat(p.options.clients); err == nil {
			t, size = info.ModTime(), info.Size()
		}
		return t, size
	}
	at, size := stamp()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		nowAt, nowSize := stamp()
		if nowAt.Equal(at) && nowSize == size {
			continue
		}
		at, size = nowAt, nowSize
		clients, err := p.clients()
		if err != nil {
			p.log.Error("the file of clients is wrong; those of before stay in force", zap.Error(err))
			continue
		}
		gate.SetClients(clients)
		p.log.Info("the file of clients was read again")
	}
}

// Stop answers what a gateway has accepted, and ends it.
func Stop(gate *gateway.Gateway, door *Door) {
	ctx, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	gate.Drain(ctx)
	door.Close(ctx)
	gate.Close(ctx)
}
