package registry

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what is counted of requests. Their labels are the paths of the API, never names of subjects.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics() metrics {
	return metrics{
		prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_registry_requests_total", Help: "Requests, by their path in the API and the HTTP status of the answer."}, []string{"route", "status"}),
		prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weir_registry_request_duration_seconds", Help: "Time until a request was answered.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"route"}),
	}
}

// counted counts what is answered.
func (r *Registry) counted(w http.ResponseWriter, q *http.Request, next http.Handler) {
	began := time.Now()
	seen := &statusWriter{ResponseWriter: w}
	next.ServeHTTP(seen, q)
	route := cmp.Or(q.Pattern, "/")
	r.metrics.requests.WithLabelValues(route, strconv.Itoa(cmp.Or(seen.status, http.StatusOK))).Inc()
	r.metrics.duration.WithLabelValues(route).Observe(time.Since(began).Seconds())
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = cmp.Or(w.status, status)
	w.ResponseWriter.WriteHeader(status)
}

// gauges are metrics of the log, each with what it is at a moment, and whether it only goes up.
var gauges = []logMetric{
	gauge("subjects", "Subjects that are not deleted.", func(l *Log) int { return len(l.state.names(false)) }),
	gauge("schemas", "Schemas with an id of their own, in all contexts.", func(l *Log) int { return len(l.state.ids) }),
	gauge("ready", "1 when the topic is read and questions are answered, else 0.", func(l *Log) int { return one(l.loaded) }),
	gauge("halted", "1 when the topic cannot be read on, as where a batch of it is damaged, and changes are refused, else 0.", func(l *Log) int { return one(l.failure != nil) }),
	gauge("writer", "1 on the server that writes to the topic, as far as it knows, else 0.", func(l *Log) int {
		return one(l.state.writer != nil && l.as == l.state.writer.producer())
	}),
	gauge("log_position", "Offset in the topic up to which its records are applied.", func(l *Log) int { return int(l.state.next) }),
	gauge("unreadable_records", "Records in the topic that are not understood and passed over.", func(l *Log) int { return l.seen.bad }),
	gauge("id_conflicts", "Ids under which there are two schemas in the topic.", func(l *Log) int { return len(l.state.clashes) }),
	counter("claims_total", "Times that this server took the right to write.", func(l *Log) int { return l.seen.claims }),
	counter("reloads_total", "Times that the topic was truncated or recreated and was read again from its start.", func(l *Log) int { return l.seen.reloads }),
	counter("foreign_writes_total", "Writes of this server that met those of another registry.", func(l *Log) int { return l.seen.others }),
}

type logMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*Log) int
}

func gauge(name, help string, of func(*Log) int) logMetric {
	return logMetric{prometheus.NewDesc("weir_registry_"+name, help, nil, nil), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(*Log) int) logMetric {
	return logMetric{prometheus.NewDesc("weir_registry_"+name, help, nil, nil), prometheus.CounterValue, of}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// Describe and Collect make a Registry a prometheus.Collector.
func (r *Registry) Describe(c chan<- *prometheus.Desc) {
	r.metrics.requests.Describe(c)
	r.metrics.duration.Describe(c)
	for _, g := range gauges {
		c <- g.desc
	}
}

func (r *Registry) Collect(c chan<- prometheus.Metric) {
	r.metrics.requests.Collect(c)
	r.metrics.duration.Collect(c)
	values := make([]int, len(gauges))
	r.log.mu.Lock()
	for i, g := range gauges {
		values[i] = g.of(r.log)
	}
	r.log.mu.Unlock()
	for i, g := range gauges {
		c <- prometheus.MustNewConstMetric(g.desc, g.kind, float64(values[i]))
	}
}
