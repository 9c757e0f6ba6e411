//go:build unix

package command_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
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

func post(t *testing.T, url, body string) string {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The listener of probes answers without the credentials of the API, and has every metric of the docs; they have every metric.
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
	var names, listed []string
	for d := range described {
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ := strings.Cut(rest, `"`)
		names = append(names, name)
		if !strings.Contains(metrics, "# TYPE "+name+" ") {
			t.Errorf("%s is not served", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(weir_registry_[a-z_]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(names)
	slices.Sort(listed)
	if !slices.Equal(names, listed) {
		t.Errorf("docs/schemas.md has %q, and there are %q", listed, names)
	}
	if !strings.Contains(metrics, `weir_registry_requests_total{route="GET /subjects",status="200"}`) {
		t.Errorf("requests are not counted by their route")
	}
}

// A client that opens connections and keeps them keeps nobody out.
func TestIdleConnectionsKeepNobodyFromTheRegistry(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	addr := serve(t, broker.Addrs(), "--max-connections", "4")
	var oldest *bufio.Reader
	for n := range 20 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute)) // half of what an idle connection may stay
		in := bufio.NewReader(c)
		if _, err := io.WriteString(c, "GET /subjects HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("connection %d: %v %v", n, res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if oldest == nil {
			oldest = in
		}
	}
	if _, err := oldest.ReadByte(); err != io.EOF {
		t.Errorf("the oldest connection was not closed: %v", err)
	}
}
