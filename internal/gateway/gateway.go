// Package gateway is the door by which producers' events come in: HTTP on one side, records in Kafka on the other.
//
// Every form of a request (forms) becomes events, and every event goes one way: admit checks it and makes its record, the
// publisher writes it, an Answer says where it is. 2xx is answered only for records that all in-sync replicas have.
// What is refused has changed nothing.
//
// Who may come in is decided before anything is read (clients); everything that is read has a bound (Limits).
package gateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/cors"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/publish"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/registry"
)

// Config of a Gateway. A zero field means its default.
type Config struct {
	Client      *kafka.Client // the cluster; it stays its owner's
	Partitioner partitioner.Partitioner
	Prefix      string                       // of topics' names in the cluster (topic.prefix)
	Foreign     bool                         // topics that are not named entity.event_type.vN are taken too
	Schemas     registry.Source              // nil: no topic has a schema
	Clients     *Clients                     // nil: whoever asks on this machine, and nobody else
	URL         string                       // by which other gateways reach this one, for topics that take each id once
	PeerToken   string                       // by which gateways know each other, several with spaces between them: the first is shown, each is known; without it only those on this machine do, where nobody needs credentials
	PeerTLS     *tls.Config                  // by which other gateways with https are known; nil is the system's certificates
	Trusts      func(*x509.Certificate) bool // says whether an authority of clients' certificates is still one; nil: each is
	Origins     []string                     // of pages in browsers that may use the gateway: CheckOrigins
	Limits      Limits
	Metrics     prometheus.Registerer
	Access      *zap.Logger // of a line for each request; nil for none
	Log         *zap.Logger
}

// Limits bound what a request may cost.
type Limits struct {
	Body     int64         // bytes of a body that is no stream, after decompression. Default 16 MiB
	Event    int           // bytes of an event's value as it is sent. Default 1 MiB
	Events   int           // of a request that is no stream, publish.Most at most. Default 10,000
	Headers  int           // of an event. Default 64
	Requests int           // under way at once; beyond that 429 is answered, and before where they would be answered slowly. Default 512
	Open     int           // requests and streams at once, over all connections: beyond that 429 is answered. Default 10,000
	Waiting  int64         // bytes that wait for Kafka. Default 64 MiB
	Answer   time.Duration // until a request that Kafka does not answer is answered with 503. Default 20s
	Remember int           // events with an id whose answers are remembered. Default 100,000
	IDs      int           // of topics that take each id once, in memory; beyond that 503 is answered. Default 10,000,000, of about 100 bytes each
	Silence  time.Duration // that a client may make while it sends a body or a stream. Default 30s
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Body, 16<<20)
	set(&l.Waiting, 64<<20)
	for v, d := range map[*int]int{&l.Event: 1 << 20, &l.Events: 10_000, &l.Headers: 64, &l.Requests: 512, &l.Open: 10_000, &l.Remember: 100_000, &l.IDs: 10_000_000} {
		if *v == 0 {
			*v = d
		}
	}
	for v, d := range map[*time.Duration]time.Duration{&l.Answer: 20 * time.Second, &l.Silence: 30 * time.Second} {
		if *v == 0 {
			*v = d
		}
	}
	return l
}

// Patient makes a client give a write up while the producer still waits for its answer.
func Patient(c kafka.Config) kafka.Config {
	c.RequestTimeout = min(c.WithDefaults().RequestTimeout, 5*time.Second)
	c.Sink.DeliveryTimeout = 15 * time.Second
	return c
}

// Gateway is an http.Handler.
type Gateway struct {
	Config
	topics       *topics
	schemas      *schemas
	memory       *memory
	once         *once
	clients      atomic.Pointer[Clients]
	metrics      *metrics
	refusals     *refusals
	audit        *audit
	quotas       sync.Map // of client and topic, as declared
	declarations *declared.Events
	publisher    *publish.Publisher
	slots        chan struct{} // one for each request that is worked on
	requests     *admission    // of those for topics of level stamped
	onceRequests *admission    // of those of level once
	deadlines    deadlines     // of requests that are no streams
	bodies       atomic.Int64  // bytes of bodies in memory
	streams      atomic.Int64  // bytes of streams in memory
	mux          *http.ServeMux
	cors         *cors.Cors // nil: no page of another origin may use the gateway
	name         string     // of this process, at random
	clusterID    atomic.Pointer[string]
	opened       atomic.Int64  // requests and streams
	spread       atomic.Uint32 // partitions of events without a key

	stopping context.Context // of streams: they take nothing more when it is over
	stop     context.CancelFunc
	patience context.Context // of requests: what is not answered when it is over is answered with 503
	hurry    context.CancelFunc

	mu       sync.Mutex
	draining bool
	under    sync.WaitGroup
}

// New makes a gateway on a client.
func New(ctx context.Context, c Config) (*Gateway, error) {
	c.Limits = c.Limits.withDefaults()
	if c.Limits.Events > publish.Most {
		return nil, fmt.Errorf("a request may have %d events at most, and %d are allowed", publish.Most, c.Limits.Events)
	}
	if err := CheckOrigins(c.Origins, c.Clients != nil); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Partitioner.String() == "" {
		c.Partitioner = partitioner.Murmur2
	}
	names := plan.Names{Prefix: c.Prefix}
	// With the topic there the first declaration is in force at once too, and not when the topic is looked for the next time.
	if err := system.Events.Ensure(ctx, c.Client, names.System(system.Events.Name)); err != nil {
		c.Log.Warn("the topic with the declarations of events cannot be made: the first one that is made is seen a few seconds late", zap.Error(err))
	}
	declarations, err := declared.Follow(ctx, c.Client, names, c.Log)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		Config:       c,
		memory:       newMemory(c.Limits.Remember),
		audit:        newAudit(c.Log.Named("audit")),
		declarations: declarations,
		publisher:    publish.New(c.Client, publish.Options{Bytes: c.Limits.Waiting, Name: c.Prefix + "weir-gateway", Log: c.Log}),
		slots:        make(chan struct{}, c.Limits.Requests),
		requests:     newAdmission(c.Limits.Requests, queueFor),
		onceRequests: newAdmission(c.Limits.Requests, onceQueueFor),
	}
	g.name = rand.Text()
	g.cors = newCORS(c.Origins)
	g.stopping, g.stop = context.WithCancel(context.Background())
	g.patience, g.hurry = context.WithCancel(context.Background())
	g.deadlines = deadlines{within: c.Limits.Answer, patience: g.patience}
	g.schemas = newSchemas(g.patience, c.Schemas, c.Log)
	g.topics = &topics{client: c.Client, patience: g.patience, prefix: c.Prefix, foreign: c.Foreign, known: map[string]*topic{}, asking: map[string]chan struct{}{}}
	g.clients.Store(c.Clients)
	g.once = newOnce(g, names)
	g.metrics = newMetrics(g)
	g.refusals = newRefusals(g.metrics)
	if c.Metrics != nil {
		if err := c.Metrics.Register(g.metrics); err != nil {
			return nil, err
		}
	}
	g.routes()
	return g, nil
}

// SetClients replaces the list of clients, for requests that come from now on and for the streams that are open.
func (g *Gateway) SetClients(c *Clients) {
	if before := g.clients.Load(); before != nil && before.JWT != nil && c != nil && c.JWT != nil && before.JWT.same(c.JWT) {
		c.JWT.adopt(before.JWT)
	}
	g.clients.Store(c)
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.Limits.Silence))
	if g.fromPage(w, r) {
		return
	}
	g.mu.Lock()
	if g.draining {
		g.mu.Unlock()
		w.Header().Set("Connection", "close")
		turnAway(w, r, notWritten.of("the gateway is stopping"))
		return
	}
	g.under.Add(1)
	g.mu.Unlock()
	defer g.under.Done()
	opened := g.opened.Add(1)
	defer g.opened.Add(-1)
	seen := newAnswered(w, r)
	var who *pass
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			g.Log.Error("a request failed by a defect", zap.String("path", r.URL.Path), zap.Any("panic", p), zap.Stack("stack"))
			defect.of("a request failed by a defect").write(seen)
		}
		g.finished(seen, r, who)
	}()
	if r.Header.Get(headerHop) != "" && g.once.hop(seen, r) {
		return
	}
	if opened > int64(g.Limits.Open) { // a connection of HTTP/2 may have hundreds
		turnAway(seen, r, overloaded.of("%d requests and streams are open", g.Limits.Open))
		return
	}
	if g.refuse(seen, r) {
		return
	}
	var p *Problem
	if who, p = g.identify(r); p != nil {
		turnAway(seen, r, p)
		return
	}
	who.answer = seen
	q := r.WithContext(context.WithValue(r.Context(), passKey{}, who))
	q.Body = &seen.body // of a copy: by the server's own net/http knows whether the rest of it may be a request
	g.mux.ServeHTTP(seen, q)
	r.Pattern = q.Pattern
}

var rpcErrors = connect.NewErrorWriter()

// Starting answers requests while the gateway of a process is not there yet, since no broker has answered.
func Starting() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turnAway(newAnswered(w, r), r, notWritten.of("the gateway is starting: the brokers have not answered yet"))
	})
}

// turnAway refuses a request in the form that its client reads, before it is known who asks, or what.
func turnAway(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.headers(w)
	if strings.HasPrefix(r.URL.Path, rpcPath) && rpcErrors.IsSupported(r) {
		w.Header().Del("Retry-After")          // which the error has too
		_ = rpcErrors.Write(w, r, rpcError(p)) // the client has gone
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/v3/"):
		v3Fail(w, p)
	case strings.HasPrefix(r.URL.Path, "/topics/") && !strings.HasSuffix(r.URL.Path, "/events"):
		v2Fail(w, p, restCode(p))
	default:
		p.write(w)
	}
}

// lastAnswers is how long before the end of a drain requests that still wait, for their body or for Kafka, are answered with 503.
var lastAnswers = time.Second // tests have other times

// Drain refuses new requests, has streams end after what they have taken, and returns when all requests under way are answered, or ctx ends. Shortly before
// it ends, those that still wait are answered with 503: a client whose connection is closed instead does not know that it may send again.
func (g *Gateway) Drain(ctx context.Context) {
	g.mu.Lock()
	g.draining = true
	g.mu.Unlock()
	g.stop()
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		defer time.AfterFunc(left-min(lastAnswers, left/2), g.hurry).Stop()
	}
	done := make(chan struct{})
	go func() { g.under.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Close ends the gateway. What waits for Kafka is waited for as long as ctx allows.
func (g *Gateway) Close(ctx context.Context) {
	g.stop()
	defer g.hurry()
	g.once.close(ctx)
	g.publisher.Close(ctx)
	g.schemas.close()
	g.declarations.Close()
	if g.Config.Metrics != nil {
		g.Config.Metrics.Unregister(g.metrics)
	}
}
