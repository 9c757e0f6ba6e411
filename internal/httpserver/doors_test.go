package httpserver

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirstream/weir/processors"
)

// Mutations seen to fail this test: WithHost not called; an empty host taken for all interfaces.
func TestAnAddressWithoutAHostIsLoopback(t *testing.T) {
	for address, want := range map[string]bool{":0": true, "127.0.0.1:0": true, "localhost:0": true, "0.0.0.0:0": false} {
		s, err := Start(Options{Address: address, Metrics: prometheus.NewRegistry(), Instance: &instance{}})
		if err != nil {
			t.Fatal(err)
		}
		if s.OnLoopback() != want {
			t.Errorf("%s: listens on %s", address, s.Address())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Mutations seen to fail this test: detailed that is always true; the header of a proxy not looked at; the host not looked at;
// an empty token compared.
func TestDetailsOfHealthAreForLoopbackAndTheToken(t *testing.T) {
	in := &instance{problems: []processors.Problem{{Cause: "store totals/3: open /var/lib/weir/CURRENT: permission denied"}}}
	for name, c := range map[string]struct {
		token  string
		change func(*http.Request)
		want   bool
	}{
		"loopback":           {"", func(*http.Request) {}, true},
		"loopback, IPv6":     {"", func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:1", "[::1]:9090" }, true},
		"by name":            {"", func(r *http.Request) { r.Host = "localhost:9090" }, true},
		"elsewhere":          {"", func(r *http.Request) { r.RemoteAddr = "10.0.0.7:1" }, false},
		"elsewhere, IPv6":    {"", func(r *http.Request) { r.RemoteAddr = "[2001:db8::1]:1" }, false},
		"nonsense":           {"", func(r *http.Request) { r.RemoteAddr = "" }, false},
		"a proxy here":       {"", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.7") }, false},
		"a rebound name":     {"", func(r *http.Request) { r.Host = "evil.example:9090" }, false},
		"the token":          {"t0ken", func(r *http.Request) { r.RemoteAddr = "10.0.0.7:1"; r.Header.Set("Authorization", "Bearer t0ken") }, true},
		"another token":      {"t0ken", func(r *http.Request) { r.RemoteAddr = "10.0.0.7:1"; r.Header.Set("Authorization", "Bearer t0ke") }, false},
		"the other token":    {"old\nt0ken", func(r *http.Request) { r.RemoteAddr = "10.0.0.7:1"; r.Header.Set("Authorization", "Bearer t0ken") }, true},
		"both tokens":        {"old t0ken", func(r *http.Request) { r.RemoteAddr = "10.0.0.7:1"; r.Header.Set("Authorization", "Bearer t0ken") }, false},
		"no token":           {"t0ken", func(r *http.Request) { r.RemoteAddr = "10.0.0.7:1" }, false},
		"an empty token":     {"", func(r *http.Request) { r.RemoteAddr = "10.0.0.7:1"; r.Header.Set("Authorization", "Bearer ") }, false},
		"a token, basic":     {"t0ken", func(r *http.Request) { r.RemoteAddr = "10.0.0.7:1"; r.Header.Set("Authorization", "Basic t0ken") }, false},
		"a forwarded header": {"", func(r *http.Request) { r.Header.Set("Forwarded", "for=10.0.0.7") }, false},
	} {
		s := &Server{instance: in, token: c.token}
		r := httptest.NewRequest("GET", "http://127.0.0.1:9090/healthz", nil)
		r.RemoteAddr = "127.0.0.1:40000"
		c.change(r)
		w := httptest.NewRecorder()
		s.health(w, r)
		if got := strings.Contains(w.Body.String(), "/var/lib"); got != c.want || w.Code != 503 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if !c.want && strings.TrimSpace(w.Body.String()) != `{"healthy":false}` {
			t.Errorf("%s: more than a status: %s", name, w.Body)
		}
		w = httptest.NewRecorder()
		s.ready(w, r)
		if got := strings.Contains(w.Body.String(), "task 0_1"); got != c.want || w.Code != 503 || !c.want && strings.TrimSpace(w.Body.String()) != `{"ready":false}` {
			t.Errorf("%s: ready answers %d %s", name, w.Code, w.Body)
		}
	}
}

// Mutations seen to fail this test: limit removed (the connections that say nothing are not closed); drop removed (the scrapes
// wait for ever).
func TestConnectionsThatSayNothingKeepNobodyOut(t *testing.T) {
	const most = 5
	s, err := Start(Options{Address: "127.0.0.1:0", Metrics: prometheus.NewRegistry(), Instance: &instance{}, Connections: most})
	if err != nil {
		t.Fatal(err)
	}
	var silent []net.Conn
	defer func() {
		for _, c := range silent {
			c.Close()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for i := range 8 * most {
		c, err := net.Dial("tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
		if i%most == 0 {
			scrape(t, s, false)
		}
	}
	scrape(t, s, true)
	// The server has closed all but the newest: what is read is an end, not a deadline.
	open := 0
	for _, c := range silent[:len(silent)-most] {
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		var late net.Error
		if _, err := c.Read(make([]byte, 1)); errors.As(err, &late) && late.Timeout() {
			open++
		}
	}
	if open > 0 {
		t.Errorf("%d of the older connections are open", open)
	}
}

// scrape asks for the metrics over a connection of its own; keep leaves it open, idle.
func scrape(t *testing.T, s *Server, keep bool) {
	t.Helper()
	c, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	if !keep {
		defer c.Close()
	} else {
		t.Cleanup(func() { c.Close() })
	}
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestConnectionsAreAShareOfTheDescriptors(t *testing.T) {
	for descriptors, want := range map[uint64]int{0: 4, 20: 4, 128: 16, 256: 32, 1024: 64, 1 << 62: 64, ^uint64(0): 64} {
		if got := connectionCap(descriptors); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", descriptors, got, want)
		}
	}
}

// Every wait for a client has its bound, and what net/http has to say goes to the log.
//
// Mutations: a timeout left out; ErrorLog left out of the server, or of the metrics.
func TestEveryWaitIsBoundedAndErrorsGoToTheLog(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	bad := prometheus.NewRegistry()
	bad.MustRegister(broken{})
	s, err := Start(Options{Address: ":0", Metrics: bad, Instance: &instance{}, Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := s.http
	if h.ReadHeaderTimeout == 0 || h.ReadTimeout == 0 || h.WriteTimeout == 0 || h.IdleTimeout == 0 || h.MaxHeaderBytes == 0 {
		t.Errorf("%v %v %v %v %d", h.ReadHeaderTimeout, h.ReadTimeout, h.WriteTimeout, h.IdleTimeout, h.MaxHeaderBytes)
	}
	h.ErrorLog.Print("http: accept error")
	res, err := http.Get("http://" + s.Address() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if strings.Contains(string(body), "/var/lib") {
		t.Errorf("an error's text was given to anybody: %s", body)
	}
	for _, want := range []string{"http: accept error", "some metrics cannot be gathered"} {
		found := logs.FilterMessageSnippet(want).All()
		if len(found) == 0 || found[0].LoggerName != "http" || found[0].Level != zapcore.WarnLevel {
			t.Errorf("%q is not in the log: %v", want, logs.All())
		}
	}
	if h.ErrorLog == log.Default() {
		t.Error("the standard logger")
	}
}

type broken struct{}

func (broken) Describe(c chan<- *prometheus.Desc) {}
func (broken) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(prometheus.NewDesc("x", "x", nil, nil), errors.New("open /var/lib/secret"))
}
