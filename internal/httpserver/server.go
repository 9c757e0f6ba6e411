// Package httpserver serves an instance's /metrics, /livez, /readyz and /healthz.
//
// The listener is open before the instance joins its group, so that an address in use is an error at once. /livez
// answers 503 only where a restart of the process helps, /readyz until the instance has restored its state and runs, and
// /healthz when it has problems, with each of them; all as JSON.
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

	"github.com/weirstream/weir/processors"
)

// Instance is what the server asks. It must allow calls from several goroutines.
type Instance interface {
	Live() bool                   // false where a restart helps
	Ready() bool                  // in its group, all tasks running
	Health() []processors.Problem // empty is healthy
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
		var problems []string
		for _, p := range instance.Health() {
			problems = append(problems, p.String())
		}
		healthy := len(problems) == 0
		answer(w, healthy, health{Healthy: healthy, Problems: problems})
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		live := instance.Live()
		answer(w, live, liveness{live})
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

type liveness struct {
	Live bool `json:"live"`
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
