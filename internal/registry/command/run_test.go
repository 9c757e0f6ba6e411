//go:build unix

package command_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/registry"
)

// serve runs a registry in this process until the test ends.
func serve(t *testing.T, brokers []string, args ...string) (addr string) {
	t.Helper()
	addr = kafkatest.FreeAddress(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan string)
	go func() {
		out, code := executeIn(ctx, t, append([]string{"registry", "run", "--log-level", "error", "--http", addr, "--brokers", strings.Join(brokers, ",")}, args...)...)
		if code != 0 {
			out += "(it failed)"
		}
		done <- out
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if out := <-done; out != "" {
			t.Error(out)
		}
	})
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if code, _ := get(addr, "/subjects"); code == 200 {
			return addr
		}
	}
	t.Fatal("the registry does not answer within a minute")
	return ""
}

func get(addr, path string) (code int, body string) {
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}

// The listener of probes answers without the credentials of the API, and has every metric of the docs; they have every metric.
//
// Mutations seen to fail it: a metric that is not described; probes behind the door; api that is not registered.
func TestARegistryIsWatchedAtAListenerOfItsOwn(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	probes := kafkatest.FreeAddress(t)
	serve(t, broker.Addrs(), "--probes-http", probes)
	if code, body := get(probes, "/readyz"); code != 200 || strings.TrimSpace(body) != `{"ready":true}` {
		t.Errorf("%d %s", code, body)
	}
	if code, body := get(probes, "/healthz"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	page, err := os.ReadFile("../../../docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	_, metrics := get(probes, "/metrics")
	described := make(chan *prometheus.Desc, 100)
	registry.New(nil, nil, zap.NewNop()).Describe(described)
	close(described)
	for d := range described {
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ := strings.Cut(rest, `"`)
		if !strings.Contains(string(page), "| `"+name+"` |") {
			t.Errorf("docs/schemas.md does not know %s", name)
		}
		if !strings.Contains(metrics, "# TYPE "+name+" ") {
			t.Errorf("%s is not served", name)
		}
	}
	if !strings.Contains(metrics, `weir_registry_requests_total{route="GET /subjects",status="200"}`) {
		t.Errorf("requests are not counted by their route")
	}
}

// A client that opens connections and says nothing keeps nobody out.
//
// Mutation seen to fail it: a listener without its limit.
func TestSilentConnectionsKeepNobodyFromTheRegistry(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	addr := serve(t, broker.Addrs(), "--max-connections", "4")
	var silent []net.Conn
	for range 20 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if code, body := get(addr, "/subjects"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	// The first ones were closed: what is read is the end, and not the deadline.
	_ = silent[0].SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := silent[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the oldest silent connection: %v", err)
	}
}
