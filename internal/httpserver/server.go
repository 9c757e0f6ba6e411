// Package httpserver serves an instance's /metrics, /livez, /readyz and /healthz.
//
// The listener is open before the instance joins its group, so that an address in use is an error at once. /livez
// answers 503 only where a restart of the process helps, /readyz until the instance has restored its state and runs, and
// /healthz when it has problems; all as JSON. What the problems are, with paths and error texts, is for whoever asks on
// loopback or with a token.
//
// It must not cost the instance anything: connections are few, whatever clients do, and none is held by one that is slow.
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
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/termtext"
	"github.com/weirstream/weir/processors"
)

// Instance is what the server asks. It must allow calls from several goroutines.
type Instance interface {
	Live() bool                   // false where a restart helps
	Unready() []string            // why it is not in its group with all tasks running; empty is ready
	Health() []processors.Problem // empty is healthy
}

// Options of a Server.
type Options struct {
	// Address to listen on, HOST:PORT. Without a host it is loopback only.
	Address  string
	Metrics  prometheus.Gatherer
	Instance Instance
	// Token is the bearer token, or several, a line each, with which /healthz and /readyz give details beyond loopback. Empty: it never does.
	Token string
	// Connections at once; 0 is what the process's limit of file descriptors allows, 64 at most.
	Connections int
	Log         *zap.Logger // nil for none
}

// A request is a few hundred bytes, an answer some ten thousand. A client that takes longer than these over it, byte by byte
// perhaps, would hold a connection for ever.
const (
	headerWithin  = 5 * time.Second
	requestWithin = 10 * time.Second
	answerWithin  = 30 * time.Second
	idleFor       = 90 * time.Second // over the usual interval of a scrape, so that its connection stays
	maxHeader     = 16 << 10
)

// Server is a running server.
type Server struct {
	http     *http.Server
	listener net.Listener
	instance Instance
	token    string
	done     chan error
}

// Start listens and serves.
func Start(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	address, err := WithHost(o.Address)
	if err != nil {
		return nil, fmt.Errorf("serve http: %w", err)
	}
	inner, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve http: %w", err)
	}
	connections := o.Connections
	if connections == 0 {
		connections = connectionCap(descriptors())
	}
	listener := limit(inner, connections)
	log, err := zap.NewStdLogAt(o.Log.Named("http"), zap.WarnLevel)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve http: %w", err), inner.Close())
	}
	s := &Server{listener: listener, instance: o.Instance, token: o.Token, done: make(chan error, 1)}
	mux := http.NewServeMux()
	// A metric that cannot be gathered is left out, and why is for the log: promhttp would answer anybody with the error's text.
	gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := o.Metrics.Gather()
		if err != nil {
			o.Log.Named("http").Warn("some metrics cannot be gathered", zap.Error(err))
		}
		return families, nil
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(gather, promhttp.HandlerOpts{ErrorLog: log}))
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		live := o.Instance.Live()
		answer(w, live, liveness{live})
	})
	mux.HandleFunc("GET /readyz", s.ready)
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerWithin,
		ReadTimeout:       requestWithin,
		WriteTimeout:      answerWithin,
		IdleTimeout:       idleFor,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log,
		ConnState:         listener.track,
	}
	go func() { s.done <- s.http.Serve(listener) }()
	return s, nil
}

// WithHost puts loopback where no host is named: whoever wants others to reach it says so.
func WithHost(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// health gives a status to everybody, and what is wrong to whoever may know.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	problems := s.instance.Health()
	body := health{Healthy: len(problems) == 0}
	if s.detailed(r) {
		for _, p := range problems {
			body.Problems = append(body.Problems, p.String())
		}
	}
	answer(w, body.Healthy, body)
}

// ready gives a status to everybody, and why it is not to whoever may know.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	waits := s.instance.Unready()
	body := readiness{Ready: len(waits) == 0}
	if s.detailed(r) {
		body.Waits = waits
	}
	answer(w, body.Ready, body)
}

type health struct {
	Healthy  bool     `json:"healthy"`
	Problems []string `json:"problems,omitempty"` // on loopback, or with the token
}

type liveness struct {
	Live bool `json:"live"`
}

type readiness struct {
	Ready bool     `json:"ready"`
	Waits []string `json:"waits,omitempty"` // on loopback, or with the token
}

func answer(w http.ResponseWriter, ok bool, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(termtext.NewWriter(w)).Encode(body) // read with curl on a terminal; the client has gone; nobody is left to tell
}

// Address is where the server listens; the port is the real one when 0 was asked for.
func (s *Server) Address() string { return s.listener.Addr().String() }

// OnLoopback says whether only this machine can reach it.
func (s *Server) OnLoopback() bool { return isLoopback(s.Address()) }

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
