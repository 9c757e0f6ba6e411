package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// How often a process looks after itself.
var (
	filesEvery   = 2 * time.Second // tests are less patient
	clusterEvery = 5 * time.Second
	silentAfter  = 10 * time.Second
)

const clusterWithin = 5 * time.Second

// watch looks after what every such process has: its certificates, and whether the cluster answers. It answers probes with what the API says of
// itself, and that.
type watch struct {
	httpserver.Instance // the API
	door                *Door
	certificates        *certificates
	client              cluster
	log                 *zap.Logger

	mu      sync.Mutex
	heard   time.Time
	silence error // of the cluster, the last time that it was asked
	told    bool
}

// cluster is what is asked whether it is there.
type cluster interface {
	ClusterID(ctx context.Context) (string, error)
}

var _ cluster = (*kafka.Client)(nil)

func newWatch(door *Door, c *certificates, client cluster, api httpserver.Instance, log *zap.Logger) *watch {
	return &watch{Instance: api, door: door, certificates: c, client: client, log: log, heard: time.Now()}
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { Every(ctx, clusterEvery, func() { w.ask(ctx) }) })
	if w.certificates != nil {
		w.expiry()
		day := time.Now()
		Every(ctx, filesEvery, func() {
			w.reload()
			if time.Since(day) > 24*time.Hour {
				day = time.Now()
				w.expiry()
			}
		})
	}
}

// ask asks the cluster for its id, which each broker knows.
func (w *watch) ask(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, clusterWithin)
	defer cancel()
	_, err := w.client.ClusterID(within)
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silence = err; err == nil {
		if w.told {
			w.log.Info("the cluster answers again")
		}
		w.heard, w.told = time.Now(), false
	} else if silent := time.Since(w.heard); silent > silentAfter && !w.told {
		w.told = true
		w.log.Error("the cluster does not answer", zap.Duration("for", silent), zap.Error(err))
	}
}

func (w *watch) reload() {
	switch changed, err := w.certificates.again(); {
	case err != nil:
		w.log.Error("the server's certificates cannot be read again; those of before stay in use", zap.Error(err))
	case changed:
		w.log.Info("the server's certificates were read again", zap.Time("not_after", w.certificates.leaf().NotAfter))
		w.expiry()
	}
}

// expiry warns of a certificate that ends soon.
func (w *watch) expiry() {
	if leaf := w.certificates.leaf(); time.Until(leaf.NotAfter) < expiresSoon {
		w.log.Warn("the server's certificate expires soon, or has", zap.Time("not_after", leaf.NotAfter), zap.String("file", w.certificates.flags.cert))
	}
}

// Unready implements httpserver.Instance. What ends is not ready, so that balancers send nothing more.
func (w *watch) Unready() []string {
	if w.door.leaving.Load() {
		return []string{"the process was told to end"}
	}
	return w.Instance.Unready()
}

// Health implements httpserver.Instance.
func (w *watch) Health() []processors.Problem {
	list := w.Instance.Health()
	w.mu.Lock()
	silence, silent := w.silence, time.Since(w.heard)
	w.mu.Unlock()
	if silence != nil && silent > silentAfter {
		list = append(list, processors.Problem{Kind: processors.ProblemBroker, Cause: fmt.Sprintf("the cluster has not answered for %s: %v", silent.Round(time.Second), silence),
			Remedy: "look whether the brokers run and can be reached from here; this process goes on by itself, do not restart it"})
	}
	if w.certificates == nil {
		return list
	}
	const renew = "put a new one into the files of --tls-cert and --tls-key: they are read again when they change"
	if err := w.certificates.wrong.Load(); err != nil {
		list = append(list, processors.Problem{Kind: "certificate", Cause: fmt.Sprintf("the server's certificates cannot be read again, and those of before are in use: %v", *err), Remedy: "mend the files"})
	}
	if end := w.certificates.leaf().NotAfter; time.Now().After(end) {
		list = append(list, processors.Problem{Kind: "certificate", Cause: "the server's certificate has expired, at " + end.UTC().Format(time.RFC3339), Remedy: renew})
	} else if time.Until(end) < expiresSoon {
		list = append(list, processors.Problem{Kind: "certificate", Cause: "the server's certificate expires at " + end.UTC().Format(time.RFC3339), Remedy: renew})
	}
	return list
}

var (
	expires = prometheus.NewDesc("weir_tls_certificate_expires_timestamp_seconds", "When the certificate that the server shows expires, in seconds since 1970.", nil, nil)
	healthy = prometheus.NewDesc("weir_healthy", "1 when /healthz has no problem, else 0.", nil, nil)
)

// Describe implements prometheus.Collector.
func (w *watch) Describe(to chan<- *prometheus.Desc) {
	to <- healthy
	if w.certificates != nil {
		to <- expires
	}
}

// Collect implements prometheus.Collector.
func (w *watch) Collect(to chan<- prometheus.Metric) {
	is := 0.0
	if len(w.Health()) == 0 {
		is = 1
	}
	to <- prometheus.MustNewConstMetric(healthy, prometheus.GaugeValue, is)
	if w.certificates != nil {
		to <- prometheus.MustNewConstMetric(expires, prometheus.GaugeValue, float64(w.certificates.leaf().NotAfter.Unix()))
	}
}
