// Package command is the command line of schemas: `weir registry run` and `weir schema check`.
package command

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/internal/secretfile"
	"github.com/weirstream/weir/internal/service"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
)

// Registry is `weir registry`.
func Registry() *cobra.Command {
	cmd := &cobra.Command{Use: "registry", Short: "Run a schema registry with Confluent's REST API", Args: cobra.ArbitraryArgs, RunE: cli.Group}
	cmd.AddCommand(run())
	return cmd
}

type runOptions struct {
	topic, users string
	replication  int16
	within       time.Duration
	service      service.Flags
}

func run() *cobra.Command {
	var o runOptions
	defaults := map[string]string{settings.HTTP.Name: "127.0.0.1:8081"}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve schemas until SIGTERM, SIGHUP or Ctrl-C",
		Long: "Serves the REST API of Confluent's schema registry over the compacted topic _schemas, which is made where there is none.\n" +
			"A topic that Confluent's registry or Karapace wrote is taken over as it is; stop them first.\n\n" +
			"Start as many servers as you like on one topic. Each answers reads; one writes, and the others forward to it at its\n" +
			"--advertised-url. When it is gone the next one that is asked takes its place.\n\n" +
			"Without credentials the server listens on loopback only. Give --http-token-file (a bearer token) or --users-file (lines of\n" +
			"USER:PASSWORD, for basic auth), the same to each server, and --tls-cert with --tls-key where the network is not trusted.",
		Example: "  weir registry run --http 127.0.0.1:8081 --brokers localhost:9092\n" +
			"  weir registry run --http 0.0.0.0:8081 --brokers k1:9092,k2:9092 --users-file users --advertised-url http://r1.example.org:8081 \\\n" +
			"      --probes-http 0.0.0.0:9090",
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := settings.Resolve(settings.FromSystem(cmd.Flags(), defaults))
			if err != nil {
				return cli.UsageError(err)
			}
			conf, err1 := cli.ClientConfig(v)
			log, err2 := cli.NewLog(cmd.ErrOrStderr(), v)
			door, err3 := o.door(v)
			var err4 error
			var p *service.Process
			if err3 == nil {
				p, err4 = o.service.New(v, log, len(door.credentials) > 0, "--users-file or --http-token-file")
			}
			var err5 error
			if o.within < time.Second || o.within > 20*time.Second {
				err5 = fmt.Errorf("--change-timeout is %v: it is from 1s to 20s", o.within)
			}
			if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
				return cli.UsageError(err)
			}
			for _, warning := range door.warnings {
				log.Warn(warning)
			}
			open := func(ctx context.Context, at service.Place) (*service.API, error) { return o.open(ctx, at, door, log) }
			return p.Serve(cmd.Context(), conf, service.Start{Said: "serving schemas", Early: registry.Starting(), Body: bodyWithin, Open: open})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.topic, "topic", "_schemas", "topic of the schemas")
	flags.Int16Var(&o.replication, "replication-factor", -1, "replicas of the topic where it is made; -1 is the cluster's default")
	flags.StringVar(&o.users, "users-file", "", "file with a line USER:PASSWORD for each who may use the registry, by basic auth")
	flags.DurationVar(&o.within, "change-timeout", registry.DefaultWithin, "longest time that a change waits for the brokers, and for the server that writes, before it is answered with 503")
	o.service.Add(flags, "servers of the registry", 1000)
	shared := append(settings.OfClient(), settings.HTTP.Setting, settings.HTTPTokenFile.Setting, settings.LogLevel.Setting, settings.LogFormat.Setting)
	settings.AddFlags(flags, settings.Except(shared, settings.Topology.Setting, settings.TopicPrefix.Setting), defaults)
	settings.Reword(flags, settings.HTTP.Setting, "serve schemas at this address; :8081 is reached from this machine only, 0.0.0.0:8081 or [::]:8081 from everywhere")
	settings.Reword(flags, settings.HTTPTokenFile.Setting, "file with a bearer token for who may use the registry; beyond this machine /healthz of --probes-http gives the reasons only to requests that carry it")
	settings.Complete(cmd)
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// door is who may come in.
type door struct {
	credentials [][sha256.Size]byte // of the header Authorization, hashed
	warnings    []string
}

func (o *runOptions) door(v *settings.Values) (*door, error) {
	d := &door{}
	token, warning, err := cli.HTTPToken(v)
	if err != nil {
		return nil, err
	}
	for _, token := range httpserver.Tokens(token) {
		d.credentials = append(d.credentials, sum("Bearer", token))
	}
	if warning != "" {
		d.warnings = append(d.warnings, warning)
	}
	if err := d.readUsers(o.users); err != nil {
		return nil, fmt.Errorf("--users-file: %w", err)
	}
	return d, nil
}

func (d *door) readUsers(path string) error {
	if path == "" {
		return nil
	}
	data, warning, err := secretfile.Read(path)
	if err != nil {
		return err
	}
	if warning != "" {
		d.warnings = append(d.warnings, warning)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, password, ok := strings.Cut(line, ":")
		if !ok || user == "" || password == "" {
			return fmt.Errorf("%s: a line is not USER:PASSWORD", path)
		}
		q := http.Request{Header: http.Header{}}
		q.SetBasicAuth(user, password)
		scheme, credential, _ := strings.Cut(q.Header.Get("Authorization"), " ")
		d.credentials = append(d.credentials, sum(scheme, credential))
		n++
	}
	if n == 0 {
		return fmt.Errorf("%s has no user", path)
	}
	return nil
}

// sum hashes a credential. The scheme's letters may be of either case (RFC 9110, 11.1).
func sum(scheme, credential string) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.ToLower(scheme) + " " + strings.TrimLeft(credential, " ")))
}

// guard lets in who has credentials, and where there are none who asks on this machine for himself, and not through a page in a browser.
func (d *door) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if len(d.credentials) == 0 {
			if !httpserver.OnLoopback(q) || q.Header.Get("Origin") != "" {
				http.Error(w, `{"error_code":403,"message":"without credentials this server answers only who asks it on its own machine"}`, http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, q)
			return
		}
		scheme, credential, _ := strings.Cut(q.Header.Get("Authorization"), " ")
		given := sum(scheme, credential)
		ok := 0
		for _, c := range d.credentials {
			ok |= subtle.ConstantTimeCompare(given[:], c[:])
		}
		if ok == 0 {
			w.Header().Set("WWW-Authenticate", `Basic realm="schemas"`)
			http.Error(w, `{"error_code":401,"message":"Unauthorized"}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, q)
	})
}

// bodyWithin is how long a request may take to come: a schema may be large and a network slow.
const bodyWithin = 30 * time.Second

// open makes the registry.
func (o *runOptions) open(ctx context.Context, at service.Place, d *door, log *zap.Logger) (*service.API, error) {
	schemas, err := registry.OpenLog(ctx, at.Client, o.topic, o.replication, at.URL, log)
	if err != nil {
		return nil, err
	}
	peers := &http.Client{
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, TLSClientConfig: at.Peers.Clone(), MaxIdleConnsPerHost: 16},
		// A server that answers with another place is none of ours.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	api := registry.New(schemas, peers, log)
	api.Within = o.within
	at.Metrics.MustRegister(api)
	return &service.API{Handler: api.Peers(d.guard(api)), Health: health{schemas, api}, Said: []zap.Field{zap.String("topic", o.topic), zap.Bool("credentials", len(d.credentials) > 0)}, Drain: api.Drain, Close: func(context.Context) {
		peers.CloseIdleConnections()
		schemas.Close()
	}}, nil
}

// health is what probes say of the schemas' topic.
type health struct {
	log *registry.Log
	api *registry.Registry
}

// Live is always so: what stops a registry is the topic and the cluster, and no restart mends these.
func (h health) Live() bool { return true }

func (h health) Unready() []string { return h.log.Unready() }

func (h health) Health() (list []processors.Problem) {
	for _, problem := range h.api.Problems() {
		list = append(list, processors.Problem{Kind: problem.Kind, Cause: problem.Cause, Remedy: problem.Remedy})
	}
	return list
}
