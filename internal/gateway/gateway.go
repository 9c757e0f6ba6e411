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
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/publish"
)

// Config of a Gateway. A zero field means its default.
type Config struct {
	Client      *kafka.Client // the cluster; it stays its owner's
	Partitioner partitioner.Partitioner
	Prefix      string // of topics' names in the cluster (topic.prefix)
	Foreign     bool   // topics that are not named entity.event_type.vN are taken too
	Limits      Limits
	Metrics     prometheus.Registerer
	Log         *zap.Logger
}

// Limits bound what a request may cost.
type Limits struct {
	Body     int64         // bytes of a body that is no stream, after decompression. Default 16 MiB
	Event    int           // bytes of an event's value as it is sent. Default 1 MiB
	Events   int           // of a request that is no stream. Default 10,000
	Headers  int           // of an event. Default 64
	Requests int           // under way at once; beyond that 429 is answered. Default 512
	Waiting  int64         // bytes that wait for Kafka. Default 64 MiB
	Answer   time.Duration // until a request that Kafka does not answer is answered with 503. Default 20s
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
	for v, d := range map[*int]int{&l.Event: 1 << 20, &l.Events: 10_000, &l.Headers: 64, &l.Requests: 512} {
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

// Gateway is an http.Handler.
type Gateway struct {
	Config
	topics    *topics
	publisher *publish.Publisher
	slots     chan struct{} // one for each request that is worked on
	mux       *http.ServeMux
	spread    atomic.Uint32 // partitions of events without a key

	mu       sync.Mutex
	draining bool
	under    sync.WaitGroup
}

// New makes a gateway on a client.
func New(c Config) (*Gateway, error) {
	c.Limits = c.Limits.withDefaults()
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Partitioner.String() == "" {
		c.Partitioner = partitioner.Murmur2
	}
	g := &Gateway{
		Config:    c,
		topics:    &topics{client: c.Client, prefix: c.Prefix, foreign: c.Foreign, known: map[string]*topic{}, asking: map[string]chan struct{}{}},
		publisher: publish.New(c.Client, publish.Options{Bytes: c.Limits.Waiting, Name: c.Prefix + "weir-gateway", Log: c.Log}),
		slots:     make(chan struct{}, c.Limits.Requests),
	}
	g.routes()
	return g, nil
}

func (g *Gateway) routes() {
	g.mux = http.NewServeMux()
	g.mux.HandleFunc("POST /topics/{topic}/events", g.postEvents)
	g.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		noResource.of("%s is no resource of the gateway", r.URL.Path).write(w)
	})
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if g.draining {
		g.mu.Unlock()
		w.Header().Set("Connection", "close")
		notWritten.of("the gateway is stopping").write(w)
		return
	}
	g.under.Add(1)
	g.mu.Unlock()
	defer g.under.Done()
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			g.Log.Error("a request failed by a defect", zap.String("path", r.URL.Path), zap.Any("panic", p), zap.Stack("stack"))
			defect.of("a request failed by a defect").write(w)
		}
	}()
	if !httpserver.OnLoopback(r) || r.Header.Get("Origin") != "" {
		forbidden.of("without credentials the gateway answers only who asks it on its own machine, and no page in a browser").
			todo("give the gateway credentials to ask for").write(w)
		return
	}
	g.mux.ServeHTTP(w, r)
}

// enter takes one of the places for requests that are worked on. It does not wait: who waits here would wait behind everybody else.
func (g *Gateway) enter() (leave func(), p *Problem) {
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, nil
	default:
		return nil, overloaded.of("%d requests are under way", cap(g.slots))
	}
}

// Drain refuses new requests, and returns when those under way are answered, or ctx ends.
func (g *Gateway) Drain(ctx context.Context) {
	g.mu.Lock()
	g.draining = true
	g.mu.Unlock()
	done := make(chan struct{})
	go func() { g.under.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Close ends the gateway. What waits for Kafka is waited for as long as ctx allows.
func (g *Gateway) Close(ctx context.Context) { g.publisher.Close(ctx) }
