package gateway

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/declared"
)

// metrics are what is counted. Labels are names of clients in the list, of topics that exist, and of kinds.
type metrics struct {
	g        *Gateway
	events   *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	waiting  prometheus.GaugeFunc
	under    prometheus.GaugeFunc
	open     prometheus.GaugeFunc
	allowed  [2]prometheus.GaugeFunc
	ids      prometheus.GaugeFunc
}

func newMetrics(g *Gateway) *metrics {
	return &metrics{
		g: g,
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_gateway_events_total",
			Help: "Events by client, topic and how they ended: accepted, repeated (an id that was accepted before), refused (the event's fault) or failed (the cluster's)."}, []string{"client", "topic", "result"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_gateway_accepted_bytes_total",
			Help: "Bytes of keys and values of accepted events, as they were written."}, []string{"client", "topic"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_gateway_requests_total",
			Help: "Requests by their path in the API and the HTTP status of the answer."}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_gateway_request_duration_seconds", Help: "Time until a request was answered; of a stream, until it ended.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"route"}),
		waiting: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_gateway_waiting_bytes", Help: "Bytes of events that wait for their acknowledgement."},
			func() float64 { return float64(g.publisher.Waiting()) }),
		under: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_gateway_requests_under_way", Help: "Requests that take one of the places of --max-requests."},
			func() float64 { return float64(len(g.slots)) }),
		open: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_gateway_requests_open", Help: "Requests and streams that are open, over all connections. At --max-open more are answered with 429."},
			func() float64 { return float64(g.opened.Load()) }),
		allowed: [2]prometheus.GaugeFunc{allowed(declared.Stamped, g.requests), allowed(declared.Once, g.onceRequests)},
		ids: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_gateway_ids", Help: "Ids in memory, of topics that take each id once. At --max-ids new ones are refused."},
			func() float64 { return float64(g.once.held.Load()) }),
	}
}

func allowed(level string, a *admission) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_gateway_requests_allowed", ConstLabels: prometheus.Labels{"level": level},
		Help: "Requests for topics of the level that may be under way at once, as measured: so many are answered quickly. More are answered with 429."},
		func() float64 { return float64(a.allowed()) })
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.bytes, m.requests, m.duration, m.waiting, m.under, m.open, m.allowed[0], m.allowed[1], m.ids}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}

// count counts how the events of a chunk ended.
func (g *Gateway) count(c *chunk) {
	var accepted, repeated, refused, failed int
	bytes := 0
	for i := range c.answers {
		switch a := &c.answers[i]; {
		case a.Repeated:
			repeated++
		case a.Error == nil:
			accepted++
			bytes += a.keySize + a.valueSize
		case a.Status >= 500:
			failed++
		default:
			refused++
		}
	}
	for _, r := range [...]struct {
		result string
		n      int
	}{{"accepted", accepted}, {"repeated", repeated}, {"refused", refused}, {"failed", failed}} {
		if r.n > 0 {
			g.metrics.events.WithLabelValues(c.client.Name, c.topic.name, r.result).Add(float64(r.n))
		}
	}
	if bytes > 0 {
		g.metrics.bytes.WithLabelValues(c.client.Name, c.topic.name).Add(float64(bytes))
	}
}

// finished counts and logs a request: never what it carried, and of the path only what the API has.
func (g *Gateway) finished(w *answered, r *http.Request, who *pass) {
	route := r.Pattern
	if _, path, ok := strings.Cut(route, " "); ok {
		route = path
	}
	took := time.Since(w.began)
	g.metrics.requests.WithLabelValues(route, strconv.Itoa(w.status)).Inc()
	g.metrics.duration.WithLabelValues(route).Observe(took.Seconds())
	name := ""
	if who != nil {
		name = who.client.Name
	}
	status, why := w.status, w.noted.Load()
	if why != nil {
		status = why.Status // gRPC and streams answer 200 first
	}
	fields := func() []zap.Field {
		return []zap.Field{zap.String("client", name), zap.String("remote", r.RemoteAddr), zap.String("method", r.Method), zap.String("path", r.URL.Path),
			zap.Int("status", status), zap.Duration("took", took), zap.Int64("answer_bytes", w.bytes)}
	}
	g.audit.ended(status, name, func() []zap.Field {
		if why == nil {
			return fields()
		}
		return append(fields(), zap.String("why", shortened(cmp.Or(why.forLog, why.Detail))))
	})
	if g.Access != nil {
		g.Access.Info("request", fields()...)
	}
}

// mostLogged is how much of what others say a line of the log has.
const mostLogged = 500

func shortened(text string) string {
	if len(text) <= mostLogged {
		return text
	}
	return strings.ToValidUTF8(text[:mostLogged], "") + "..."
}

// declaredQuota is the quota that a topic's declaration gives a client, of its own beside that of the client's list.
func (g *Gateway) declaredQuota(c *Client, t *topic, d *declared.Event) *quota {
	if d == nil {
		return unlimited
	}
	for _, other := range d.Clients {
		if other.Name != c.Name && other.Name != "*" || other.EventsPerSecond == 0 && other.BytesPerSecond == 0 {
			continue
		}
		type key struct{ client, topic string }
		type entry struct {
			declared.Client
			*quota
		}
		at := key{c.Name, t.name}
		if known, ok := g.quotas.Load(at); ok && known.(entry).Client == other {
			return known.(entry).quota
		}
		fresh := entry{other, newQuota(other.EventsPerSecond, other.BytesPerSecond)}
		g.quotas.Store(at, fresh)
		return fresh.quota
	}
	return unlimited
}

var unlimited = newQuota(0, 0)
