// Package command is the command line of schemas: `weir registry run` and `weir schema check`.
package command

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/internal/secretfile"
	"github.com/weirstream/weir/internal/settings"
)

// Registry is `weir registry`.
func Registry() *cobra.Command {
	cmd := &cobra.Command{Use: "registry", Short: "Run a schema registry with Confluent's REST API", Args: cobra.ArbitraryArgs, RunE: cli.Group}
	cmd.AddCommand(run())
	return cmd
}

type runOptions struct {
	topic, url, users, cert, key, probes string
	replication                          int16
	connections                          int
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
			if err := errors.Join(err1, err2, err3); err != nil {
				return cli.UsageError(err)
			}
			for _, warning := range door.warnings {
				log.Warn(warning)
			}
			return o.serve(cmd.Context(), v, conf, door, log)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.topic, "topic", "_schemas", "topic of the schemas")
	flags.Int16Var(&o.replication, "replication-factor", -1, "replicas of the topic where it is made; -1 is the cluster's default")
	flags.StringVar(&o.url, "advertised-url", "", "URL by which other servers of the registry reach this one (default: that of --http)")
	flags.StringVar(&o.users, "users-file", "", "file with a line USER:PASSWORD for each who may use the registry, by basic auth")
	flags.StringVar(&o.probes, "probes-http", "", "serve /metrics, /livez, /readyz and /healthz at this address, HOST:PORT (default: nowhere)")
	flags.IntVar(&o.connections, "max-connections", 1000, "most connections at once; a new one takes the place of the one that has been idle for longest")
	flags.StringVar(&o.cert, "tls-cert", "", "file with the server's certificates, PEM; serves https")
	flags.StringVar(&o.key, "tls-key", "", "file with the key of --tls-cert, PEM")
	shared := append(settings.OfClient(), settings.HTTP.Setting, settings.HTTPTokenFile.Setting, settings.LogLevel.Setting, settings.LogFormat.Setting)
	settings.AddFlags(flags, settings.Except(shared, settings.Topology.Setting, settings.TopicPrefix.Setting), defaults)
	settings.Reword(flags, settings.HTTP.Setting, "serve schemas at this address; :8081 is reached from this machine only, 0.0.0.0:8081 or [::]:8081 from everywhere")
	settings.Reword(flags, settings.HTTPTokenFile.Setting, "file with a bearer token for who may use the registry; beyond this machine /healthz of --probes-http gives the reasons only to requests that carry it")
	settings.Complete(cmd)
	cmd.SetUsageFunc(settings.Usage)
	return cmd
}

// door is where the server listens, and who may come in.
type door struct {
	address     string
	credentials [][sha256.Size]byte // of the header Authorization without its scheme, hashed
	tls         *tls.Config
	warnings    []string
}

func (o *runOptions) door(v *settings.Values) (*door, error) {
	address, err := httpserver.WithHost(settings.HTTP.Of(v))
	if err != nil {
		return nil, err
	}
	d := &door{address: address}
	token, warning, err := cli.HTTPToken(v)
	if err != nil {
		return nil, err
	}
	if token != "" {
		d.credentials = append(d.credentials, sha256.Sum256([]byte("Bearer "+token)))
	}
	if warning != "" {
		d.warnings = append(d.warnings, warning)
	}
	if err := d.readUsers(o.users); err != nil {
		return nil, fmt.Errorf("--users-file: %w", err)
	}
	if o.connections < 1 {
		return nil, errors.New("--max-connections must be 1 or more")
	}
	if (o.cert == "") != (o.key == "") {
		return nil, errors.New("give --tls-cert and --tls-key together")
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert: %w", err)
		}
		d.tls = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if len(d.credentials) == 0 && !httpserver.Loopback(d.address) {
		return nil, fmt.Errorf("--http %s can be reached by others, and nobody is asked for credentials: give --users-file or --http-token-file, or listen on 127.0.0.1", d.address)
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
		d.credentials = append(d.credentials, sha256.Sum256([]byte(q.Header.Get("Authorization"))))
		n++
	}
	if n == 0 {
		return fmt.Errorf("%s has no user", path)
	}
	return nil
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
		given := sha256.Sum256([]byte(q.Header.Get("Authorization")))
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

// A schema may be large and a network slow; who says nothing for this long holds a connection for nothing.
const (
	headerWithin = 5 * time.Second
	bodyWithin   = 30 * time.Second
	answerWithin = time.Minute
	idleFor      = 2 * time.Minute
	drainWithin  = 3 * time.Second
)

func (o *runOptions) serve(ctx context.Context, v *settings.Values, conf kafka.Config, d *door, log *zap.Logger) (err error) {
	probes := &probes{began: time.Now()}
	metrics := cli.NewMetrics()
	if o.probes != "" {
		server, err := cli.ServeAt(o.probes, v, metrics, probes, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	listener, err := net.Listen("tcp", d.address)
	if err != nil {
		return err
	}
	listener, track := httpserver.Limit(listener, o.connections)
	scheme := "http"
	if d.tls != nil {
		scheme, listener = "https", tls.NewListener(listener, d.tls)
	}
	url := o.url
	if url == "" {
		host, port, _ := net.SplitHostPort(listener.Addr().String())
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host, _ = os.Hostname()
		}
		url = scheme + "://" + net.JoinHostPort(host, port)
	}
	client, err := kafka.Dial(ctx, conf, log)
	if err != nil {
		_ = listener.Close()
		if ctx.Err() != nil {
			return nil // asked to stop before anything had begun
		}
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	schemas, err := registry.OpenLog(ctx, client, o.topic, o.replication, url, log)
	if err != nil {
		_ = listener.Close()
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer schemas.Close()
	peers := &http.Client{
		Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 16},
		// A server that answers with another place is none of ours.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer peers.CloseIdleConnections()
	httpLog, err := zap.NewStdLogAt(log.Named("http"), zap.WarnLevel)
	if err != nil {
		return err
	}
	api := registry.New(schemas, peers, log)
	metrics.MustRegister(api)
	probes.log.Store(schemas)
	server := &http.Server{
		Handler:           d.guard(api),
		ReadHeaderTimeout: headerWithin, ReadTimeout: bodyWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor, MaxHeaderBytes: 64 << 10,
		ErrorLog: httpLog, ConnState: track,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("serving schemas", zap.String("url", url), zap.String("topic", o.topic), zap.Bool("credentials", len(d.credentials) > 0))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), drainWithin)
	defer cancel()
	if server.Shutdown(drain) != nil {
		_ = server.Close() // what is still under way is answered by nobody; whether it was done, the topic says
	}
	<-served
	log.Info("stopped")
	return nil
}
