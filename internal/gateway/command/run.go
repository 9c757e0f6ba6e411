// Package command is the command line of the gateway: `weir gateway run` and `weir gateway key`.
package command

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/publish"
	"github.com/weirstream/weir/internal/secretfile"
	"github.com/weirstream/weir/internal/service"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
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
	registry, registryUser, registryToken, partitioner, clients, peers, access string
	registryCA, registryCert, registryKey                                      string
	foreign                                                                    bool
	origins                                                                    []string
	limits                                                                     gateway.Limits
	service                                                                    service.Flags
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
			var errs [7]error
			p.kafka, errs[0] = cli.ClientConfig(v)
			p.log, errs[1] = cli.NewLog(cmd.ErrOrStderr(), v)
			p.config.Partitioner, errs[2] = partitioner.Parse(o.partitioner)
			errs[3] = p.secrets()
			p.service, errs[4] = o.service.New(v, p.log, o.clients != "", "--clients")
			errs[5] = o.bounds()
			if errs[6] = gateway.CheckOrigins(o.origins, o.clients != ""); errs[6] != nil {
				errs[6] = fmt.Errorf("--cors-origins: %w", errs[6])
			}
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
	flags.StringVar(&o.registryCA, "registry-ca-file", "", "file with the certificates that the registry's may be signed by, PEM (default: the system's)")
	flags.StringVar(&o.registryCert, "registry-cert-file", "", "file with this client's certificate for the registry, PEM")
	flags.StringVar(&o.registryKey, "registry-key-file", "", "file with the key of --registry-cert-file, PEM")
	flags.StringVar(&o.clients, "clients", "", "YAML file with those who may publish, and what; it is read again when it changes")
	flags.StringVar(&o.peers, "peer-token-file", "", "file with a token by which the gateways of a cluster know each other, the same for each; of several, a line each, the first is shown and each is known")
	flags.StringVar(&o.partitioner, "partitioner", "murmur2", "which partition a key belongs to: murmur2 as in the Java client, fnv1a as in goka")
	flags.StringSliceVar(&o.origins, "cors-origins", nil, "origins of web pages that may use the gateway from browsers, as https://shop.example.org or https://*.example.org; * is all, with --clients (default: none)")
	flags.BoolVar(&o.foreign, "foreign-topics", false, "take events for topics that are not named entity.event_type.vN too")
	flags.StringVar(&o.access, "access-log", "", "file for a line of each request, - for standard error; never with what it carried (default: none)")
	o.service.Add(flags, "gateways", 10_000)
	o.service.AddClientCA(flags)
	flags.IntVar(&o.limits.Requests, "max-requests", 512, "most requests under way at once, streams left out; 429 is answered beyond that, and before where more would be answered slowly")
	flags.IntVar(&o.limits.Open, "max-open", 10_000, "most requests and streams open at once, over all connections; 429 is answered beyond that")
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
		"max-requests": int64(o.limits.Requests), "max-open": int64(o.limits.Open), "max-body-bytes": o.limits.Body,
		"max-event-bytes": int64(o.limits.Event), "max-events": int64(o.limits.Events), "max-waiting-bytes": o.limits.Waiting, "max-ids": int64(o.limits.IDs),
	} {
		if v < 1 {
			wrong = append(wrong, fmt.Errorf("--%s %d: give it 1 or more", flag, v))
		}
	}
	if o.limits.Events > publish.Most {
		wrong = append(wrong, fmt.Errorf("--max-events %d: give it %d at most, or have clients send more as a stream of lines", o.limits.Events, publish.Most))
	}
	return errors.Join(wrong...)
}

// process is a gateway as a process.
type process struct {
	options  runOptions
	service  *service.Process
	values   *settings.Values
	kafka    kafka.Config
	config   gateway.Config
	registry registry.Config
	warnings []string
	log      *zap.Logger
	file     *service.Files        // of clients, as it was before it was read
	wrong    atomic.Pointer[error] // of the file of clients, when it was read last
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
	p.file = service.Watched(o.clients) // what changes while the brokers are waited for is seen when they are there
	clients, err4 := p.clients()
	p.config.PeerToken, p.config.Clients = peers, clients
	if clients.WantCertificates() && !o.service.KnowsCertificates() {
		p.warnings = append(p.warnings, "--clients has clients that are known by certificates, and they cannot come in: give --tls-client-ca with the authorities of these")
	}
	if o.registry == "" && (o.registryUser+o.registryToken+o.registryCA+o.registryCert+o.registryKey != "") {
		return errors.New("--registry-user-file, --registry-token-file, --registry-ca-file, --registry-cert-file and --registry-key-file are for a registry: give its URL with --registry")
	}
	if o.registry != "" {
		conf, err := service.ClientTLS("registry", o.registryCA, o.registryCert, o.registryKey)
		if err != nil {
			return err
		}
		p.registry = registry.Config{URLs: strings.Split(o.registry, ","), Token: token, TLS: conf}
		p.registry.User, p.registry.Password, _ = strings.Cut(user, ":")
	}
	return errors.Join(err1, err2, err3, err4)
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

// heapFloor has the collector wait for so much garbage at least. A gateway has little on its heap, of which twice is soon allocated: at 10,000 requests a
// second it would look at it seven times a second, and each time hold up the requests of some milliseconds. The floor is memory that is never touched, so
// it takes none; the garbage that it allows takes as much as it has. A share of the heap, as GOGC sets it, would be too much where millions of ids are on it.
const heapFloor = 32 << 20

func (p *process) serve(ctx context.Context) error {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		floor := make([]byte, heapFloor)
		defer runtime.KeepAlive(floor)
	}
	return p.service.Serve(ctx, gateway.Patient(p.kafka), service.Start{Said: "taking events", Early: gateway.Starting(), Refuse: p.options.access == "", Open: p.open})
}

// open makes the gateway.
func (p *process) open(ctx context.Context, at service.Place) (*service.API, error) {
	access, err := p.accessLog()
	if err != nil {
		return nil, cli.UsageError(err)
	}
	source, end, err := p.source(ctx, at.Client)
	if err != nil {
		return nil, err
	}
	c := p.config
	c.Client, c.Schemas, c.Prefix, c.Foreign, c.Limits, c.Metrics, c.Log, c.Access, c.URL, c.PeerTLS, c.Trusts = at.Client, source, settings.TopicPrefix.Of(p.values), p.options.foreign, p.options.limits, at.Metrics, p.log, access, at.URL, at.Peers, at.Trusts
	c.Origins = p.options.origins
	gate, err := gateway.New(ctx, c)
	if err != nil {
		end()
		return nil, err
	}
	gate.Look(ctx) // so that it is known when the first probe asks
	api := API(gate)
	api.Said = []zap.Field{zap.Bool("credentials", c.Clients != nil)}
	api.Health = health{gate, p}
	api.Watch = func(ctx context.Context) {
		var tasks sync.WaitGroup
		tasks.Go(func() { gate.Watch(ctx) })
		p.watch(ctx, gate)
		tasks.Wait()
	}
	api.Close = func(ctx context.Context) { gate.Close(ctx); end() }
	return api, nil
}

// API is a gateway as a process serves it.
func API(gate *gateway.Gateway) *service.API {
	return &service.API{Health: gate, Handler: gate, Refuse: gate.Refusal(), Drain: gate.Drain, Close: gate.Close}
}

// health is what probes say of the gateway, and of the file of clients.
type health struct {
	*gateway.Gateway
	p *process
}

// Health implements httpserver.Instance.
func (h health) Health() []processors.Problem {
	list := h.Gateway.Health()
	if err := h.p.wrong.Load(); err != nil {
		list = append(list, processors.Problem{Kind: "clients", Cause: fmt.Sprintf("the file of clients is wrong, and those of before are in force: %v", *err),
			Remedy: "mend the file: it is read again when it changes, and a gateway that starts does not start with it"})
	}
	return list
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
	conf.EncoderConfig.TimeKey, conf.EncoderConfig.EncodeTime = "time", zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000Z0700") // as the other logs
	conf.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
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
	p.config.Clients.Check(ctx, p.log)
	service.Every(ctx, watchEvery, func() {
		if !p.file.Changed() {
			return
		}
		clients, err := p.clients()
		p.wrong.Store(nil)
		if err != nil {
			p.wrong.Store(&err)
			p.log.Error("the file of clients is wrong; those of before stay in force", zap.Error(err))
			return
		}
		gate.SetClients(clients)
		clients.Check(ctx, p.log)
		p.log.Info("the file of clients was read again")
	})
}
