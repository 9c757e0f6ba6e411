package httpserver

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/processors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type instance struct {
	ready    atomic.Bool
	dead     atomic.Bool
	problems []processors.Problem
}

func (i *instance) Live() bool { return !i.dead.Load() }
func (i *instance) Unready() []string {
	if i.ready.Load() {
		return nil
	}
	return []string{"task 0_1 restores store totals"}
}
func (i *instance) Health() []processors.Problem { return i.problems }

// Mutation seen to fail this test: answer without WriteHeader.
func TestAnswersFollowTheInstance(t *testing.T) {
	registry := prometheus.NewRegistry()
	records := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_records_total", Help: "x"})
	registry.MustRegister(records)
	records.Add(3)
	in := &instance{}
	s := start(t, registry, in)

	expect(t, s, "/readyz", 503, `{"ready":false,"waits":["task 0_1 restores store totals"]}`)
	expect(t, s, "/healthz", 200, `{"healthy":true}`)
	expect(t, s, "/metrics", 200, "weir_records_total 3")
	expect(t, s, "/other", 404, "not found")

	in.ready.Store(true)
	in.problems = []processors.Problem{{Cause: "order.placed.v1/3: no progress for 2m", Remedy: "look"}}
	expect(t, s, "/readyz", 200, `{"ready":true}`)
	expect(t, s, "/healthz", 503, `{"healthy":false,"problems":["order.placed.v1/3: no progress for 2m; what to do: look"]}`)
	expect(t, s, "/livez", 200, `{"live":true}`)
	in.dead.Store(true)
	expect(t, s, "/livez", 503, `{"live":false}`)
}

func TestAnAddressInUseIsAnErrorAtOnce(t *testing.T) {
	s := start(t, prometheus.NewRegistry(), &instance{})
	_, err := Start(Options{Address: s.Address(), Metrics: prometheus.NewRegistry(), Instance: &instance{}})
	if err == nil || !strings.Contains(err.Error(), s.Address()) || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("got %v", err)
	}
}

func TestCloseFreesTheAddress(t *testing.T) {
	s, err := Start(Options{Address: "127.0.0.1:0", Metrics: prometheus.NewRegistry(), Instance: &instance{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Start(Options{Address: s.Address(), Metrics: prometheus.NewRegistry(), Instance: &instance{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, metrics prometheus.Gatherer, in Instance) *Server {
	t.Helper()
	s, err := Start(Options{Address: "127.0.0.1:0", Metrics: metrics, Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func expect(t *testing.T, s *Server, path string, status int, text string) {
	t.Helper()
	res, err := http.Get("http://" + s.Address() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status || !strings.Contains(string(body), text) {
		t.Errorf("%s: %d %s, want %d %s", path, res.StatusCode, body, status, text)
	}
}
