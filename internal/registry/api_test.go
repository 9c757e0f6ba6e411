package registry_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a server over the topic of a broker.
func open(t *testing.T, broker *embedded.Broker) *registry.Registry {
	t.Helper()
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := registry.OpenLog(t.Context(), client, "_schemas", 1, "http://127.0.0.1:1", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		log.Close()
		_ = client.Close()
	})
	peers := &http.Client{} // nobody listens at the address of the servers before
	t.Cleanup(peers.CloseIdleConnections)
	return registry.New(log, peers, zap.NewNop())
}

// Each file is one registry, asked one question after the other; `restart` reads everything back from the topic, and what follows
// is asked of that.
func TestAnswers(t *testing.T) {
	datadriven.Walk(t, "testdata/answers", func(t *testing.T, path string) {
		broker, err := embedded.Start(embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = broker.Close() })
		server := open(t, broker)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "restart" {
				server = open(t, broker)
				for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(5 * time.Millisecond) {
					w := httptest.NewRecorder()
					server.ServeHTTP(w, httptest.NewRequest("GET", "/subjects", nil))
					if w.Code == 200 {
						return "read"
					}
				}
				return "the topic is not read"
			}
			target := d.CmdArgs[0].String()
			w := httptest.NewRecorder()
			server.ServeHTTP(w, httptest.NewRequest(d.Cmd, target, strings.NewReader(d.Input)))
			body, _ := io.ReadAll(w.Body)
			return fmt.Sprintf("%d %s", w.Code, body)
		})
	})
}
