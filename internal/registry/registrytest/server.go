// Package registrytest runs Weir's schema registry in a test, over an embedded broker.
package registrytest

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	server "github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/registry"
)

// Start runs a registry until the end of the test, and returns its server, which the test may close, and a client of it.
func Start(t testing.TB) (*httptest.Server, *registry.Client) {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	wire, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	log, err := server.OpenLog(t.Context(), wire, "_schemas", 1, "http://127.0.0.1:1", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	web := httptest.NewServer(server.New(log, http.DefaultClient, zap.NewNop()))
	t.Cleanup(web.Close)
	return web, Client(t, web.URL)
}

// Client is a client of a registry until the end of the test, which remembers no failures.
func Client(t testing.TB, url string) *registry.Client {
	t.Helper()
	c, err := registry.New(registry.Config{URLs: []string{url}, NotFoundFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Imported registers a schema as another registry has it, under the id that it has there, also one that is not taken as a new one.
func Imported(t testing.TB, client *registry.Client, r registry.Registered) {
	t.Helper()
	r.Subject, r.Version = cmp.Or(r.Subject, fmt.Sprintf("imported-%d", r.ID)), max(r.Version, 1)
	err := client.SetMode(t.Context(), r.Subject, "IMPORT", true)
	if err == nil {
		err = client.RegisterAs(t.Context(), &r)
	}
	if err == nil {
		err = client.ResetMode(t.Context(), r.Subject)
	}
	if err != nil {
		t.Fatal(err)
	}
}
