// Package service is the frame of a process that serves an API over HTTP on a Kafka cluster, as `weir gateway run` and `weir registry run`: where
// it listens and who may reach it, metrics and probes at an address of their own, and the order in which it starts and ends.
package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/turnstile"
)

// Flags are those of every such process.
type Flags struct {
	url, probes, cert, key, ca, peers string
	connections                       int
	delay                             time.Duration
}

// Add adds the flags. others is whom the URL of --advertised-url is for.
func (f *Flags) Add(flags *pflag.FlagSet, others string, connections int) {
	flags.StringVar(&f.url, "advertised-url", "", "URL by which other "+others+" reach this one (default: that of --http)")
	flags.StringVar(&f.probes, "probes-http", "", "serve /metrics, /livez, /readyz and /healthz at this address, HOST:PORT (default: nowhere)")
	flags.IntVar(&f.connections, "max-connections", connections, "most connections at once; a new one takes the place of the one that has been idle for longest")
	flags.DurationVar(&f.delay, "drain-delay", 0, "after SIGTERM, how long to serve on while /readyz says no and answers end their connections, so that balancers can send elsewhere; 2s at most")
	flags.StringVar(&f.cert, "tls-cert", "", "file with the server's certificates, PEM; serves https")
	flags.StringVar(&f.key, "tls-key", "", "file with the key of --tls-cert, PEM; both are read again when they change")
	flags.StringVar(&f.peers, "peer-ca-file", "", "file with the certificates that those of other "+others+" may be signed by, PEM (default: the system's)")
}

// AddClientCA adds the flag by which clients are known by certificates.
func (f *Flags) AddClientCA(flags *pflag.FlagSet) {
	flags.StringVar(&f.ca, "tls-client-ca", "", "file with the authorities of clients' certificates, PEM; a client may be known by its certificate")
}

// KnowsCertificates says whether clients may be known by certificates.
func (f *Flags) KnowsCertificates() bool { return f.ca != "" }

// Process is what the flags and settings describe.
type Process struct {
	Address string
	Log     *zap.Logger

	flags  Flags
	values *settings.Values
	tls    *certificates // nil: plain HTTP
	peers  *tls.Config
}

// New checks what the flags say, and reads the files that they name. Without credentials a process listens on loopback only; give says which flags
// would give it some.
func (f *Flags) New(v *settings.Values, log *zap.Logger, credentials bool, give string) (*Process, error) {
	p := &Process{Log: log, flags: *f, values: v}
	var errs [5]error
	p.Address, errs[0] = httpserver.WithHost(settings.HTTP.Of(v))
	if errs[0] == nil && !credentials && !httpserver.Loopback(p.Address) {
		errs[0] = fmt.Errorf("--http %s can be reached by others, and nobody is asked for credentials: give %s, or listen on 127.0.0.1", p.Address, give)
	}
	if f.connections < 1 {
		errs[1] = fmt.Errorf("--max-connections %d: give it 1 or more", f.connections)
	}
	errs[4] = f.checkDelay()
	p.tls, errs[2] = f.certificates()
	p.peers, errs[3] = ClientTLS("peer", f.peers, "", "")
	if p.tls == nil && errs[0] == nil && credentials && !httpserver.Loopback(p.Address) {
		log.Warn("credentials and all that is sent can be read on the way: give --tls-cert and --tls-key, or let a proxy on this machine do TLS and listen on 127.0.0.1", zap.String("http", p.Address))
	}
	return p, errors.Join(errs[:]...)
}

func (f *Flags) checkDelay() error {
	if f.delay < 0 || f.delay > mostDelay {
		return fmt.Errorf("--drain-delay %s: give it 0 to %s, since the process ends within 5s of the signal", f.delay, mostDelay)
	}
	return nil
}

// Place is what an API is made in.
type Place struct {
	Client  *kafka.Client
	Metrics *prometheus.Registry
	URL     string      // by which other processes reach this one
	Peers   *tls.Config // by which others with https are known; nil is the system's certificates

	// Trusts says whether an authority is one that clients' certificates may be of now: a connection may have begun before the file of them changed.
	Trusts func(authority *x509.Certificate) bool
}

// API is what a process serves. Nil functions are not called.
type API struct {
	Handler http.Handler
	Refuse  turnstile.Refuse          // answers requests before the handler has them, over connections without TLS, where the Start says that it may
	Health  httpserver.Instance       // answers probes; nil: it is ready as long as it serves
	Watch   func(ctx context.Context) // runs beside it, until ctx ends
	Drain   func(ctx context.Context) // answers what was accepted, and nothing more
	Close   func(ctx context.Context)
	Said    []zap.Field // in the log when it serves
}

// Start is how an API begins.
type Start struct {
	Said   string        // in the log, when it serves
	Early  http.Handler  // answers until it does, while brokers are away say
	Body   time.Duration // that a body may take, 0 for an API that bounds its bodies itself
	Refuse bool          // the API may have a Refuse
	Open   func(context.Context, Place) (*API, error)
}

// DrainWithin is how long what was accepted is answered after a signal. With the delay before it, it is no more than leaveWithin.
const (
	DrainWithin = 3 * time.Second
	leaveWithin = 4 * time.Second
	mostDelay   = 2 * time.Second
	closeWithin = time.Second // what answers early at once
)

// Serve serves an API until ctx ends, and then answers what was accepted. The address is opened first, so that one in use is an error at once, and requests and
// probes are answered while no broker is there yet.
func (p *Process) Serve(ctx context.Context, conf kafka.Config, start Start) (err error) {
	door, err := Listen(p.Address, p.tls.config())
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: give another address with --http", err)
	}
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
		defer cancel()
		door.Close(ctx)
	}()
	door.body = start.Body
	if start.Refuse {
		door.refuse = func(*turnstile.Head) []byte { return nil }
	}
	door.Serve(start.Early, p.flags.connections, p.Log)
	place := Place{Metrics: cli.NewMetrics(), URL: p.flags.url, Peers: p.peers, Trusts: p.tls.trusts}
	if place.URL == "" {
		place.URL = advertised(door)
	}
	probes := cli.NewProbes(conf.Brokers)
	if p.flags.probes != "" {
		server, err := cli.ServeAt(p.flags.probes, p.values, place.Metrics, probes, p.Log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
	}
	if place.Client, err = kafka.Dial(ctx, conf, p.Log); err != nil {
		return stopped(ctx, err)
	}
	defer func() { err = errors.Join(err, place.Client.Close()) }()
	api, err := start.Open(ctx, place)
	if err != nil {
		return stopped(ctx, cli.WithRemedies(err))
	}
	if api.Health == nil {
		api.Health = ready{}
	}
	watch := newWatch(door, p.tls, place.Client, api.Health, p.Log)
	place.Metrics.MustRegister(watch)
	probes.Running(watch)
	door.Become(api.Handler, api.Refuse)
	p.Log.Info(start.Said, append([]zap.Field{zap.String("url", door.URL())}, api.Said...)...)
	err = p.attend(ctx, api, door, watch)
	p.Log.Info("stopped")
	return err
}

// attend waits for the end of a process that serves, and ends it.
func (p *Process) attend(ctx context.Context, api *API, door *Door, watch *watch) (err error) {
	watching, stop := context.WithCancel(ctx)
	var watched sync.WaitGroup
	watched.Go(func() { watch.run(watching) })
	if api.Watch != nil {
		watched.Go(func() { api.Watch(watching) })
	}
	select {
	case err = <-door.Failed():
	case <-ctx.Done():
	}
	door.Leave()
	if delay := time.NewTimer(p.flags.delay); err == nil {
		select {
		case <-delay.C:
		case err = <-door.Failed():
		}
	}
	stop()
	watched.Wait()
	api.end(door, min(DrainWithin, leaveWithin-p.flags.delay))
	return err
}

// End answers what an API has accepted at a door, and ends both.
func (a *API) End(door *Door) { a.end(door, DrainWithin) }

func (a *API) end(door *Door, within time.Duration) {
	door.Leave()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if a.Drain != nil {
		a.Drain(ctx)
	}
	door.Close(ctx)
	if a.Close != nil {
		a.Close(ctx)
	}
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
