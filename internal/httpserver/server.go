// Package httpserver serves an instance's /metrics, /healthz and /readyz.
//
// The listener is open before the instance joins its group, so that an address in use is an error at once. /healthz
// answers 503 with the problems when the instance has any, /readyz answers 503 until it has restored its state and
// runs, both as JSON.
package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Instance is what the server asks. It must allow calls from several goroutines.
type Instance interface {
	Ready() bool
	Health() []string // problems; empty is healthy
}

// Server is a running server.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan error
}

// Start listens on address and serves.
func Start(address string, metrics prometheus.Gatherer, instance Instance) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve http: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		problems := instance.Health()
		healthy := len(problems) == 0
		answer(w, healthy, health{Healthy: healthy, Problems: problems})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready := instance.Ready()
		answer(w, ready, readiness{ready})
	})
	s := &Server{
		// A client that sends its request byte by byte would hold a connection for ever.
		http:     &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second},
		listener: listener,
		done:     make(chan error, 1),
	}
	go func() { s.done <- s.http.Serve(listener) }()
	return s, nil
}

type health struct {
	Healthy  bool     `json:"healthy"`
	Problems []string `json:"problems,omitempty"`
}

type readiness struct {
	Ready bool `json:"ready"`
}

func answer(w http.ResponseWriter, ok bool, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the client has gone; nobody is left to tell
}

// Address is where the server listens; the port is the real one when 0 was asked for.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close answers what is under way, for half a second at most, and ends.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
