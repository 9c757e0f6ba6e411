package service

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/turnstile"
)

// Bounds of what a client may take of a connection. Bodies have bounds of their own, since a stream may last for ever.
const (
	headerWithin = 5 * time.Second
	answerWithin = time.Minute
	idleFor      = 2 * time.Minute
	maxHeader    = 64 << 10
	maxFrame     = 64 << 10  // of HTTP/2: a connection keeps the memory of its longest
	maxAhead     = 512 << 10 // that a connection of HTTP/2 takes of bodies before they are read
)

var protocols = []string{"h2", "http/1.1"}

// Door serves a handler at an address until it is closed.
type Door struct {
	listener net.Listener
	tls      *tls.Config
	server   *http.Server
	served   chan error
	scheme   string
	body     time.Duration    // that a body may take, 0 for any
	refuse   turnstile.Refuse // nil for none; with Become another one may take its place
	serving  atomic.Pointer[serving]
	leaving  atomic.Bool
}

// serving is what answers now.
type serving struct {
	handler http.Handler
	refuse  turnstile.Refuse
}

// Listen opens the address, so that one in use is an error at once.
func Listen(address string, conf *tls.Config) (*Door, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	d := &Door{listener: l, scheme: "http", served: make(chan error, 1)}
	if conf != nil {
		conf = conf.Clone()
		conf.NextProtos = protocols
		d.scheme, d.tls = "https", conf
	}
	return d, nil
}

// Address is where the door is; the port is the real one when 0 was asked for.
func (d *Door) Address() string { return d.listener.Addr().String() }

// URL is the door's for clients on this machine.
func (d *Door) URL() string { return d.scheme + "://" + d.Address() }

// Serve begins to serve, so many connections at most. Failed has the error when it cannot go on.
func (d *Door) Serve(h http.Handler, connections int, log *zap.Logger) {
	d.serving.Store(&serving{h, d.refuse})
	listener, track := httpserver.Limit(d.listener, connections)
	switch {
	case d.tls != nil: // around the limit: the server asks connections whether they are TLS
		listener = tls.NewListener(listener, d.tls)
	case d.refuse != nil:
		listener, track = turnstile.Listen(listener, d.refusal, turnstile.Timeouts{Header: headerWithin, Answer: answerWithin, Idle: idleFor}, track)
	}
	d.server = &http.Server{Handler: http.HandlerFunc(d.handle), ConnState: track, ConnContext: d.connected, ReadHeaderTimeout: headerWithin, ReadTimeout: d.body, WriteTimeout: answerWithin, IdleTimeout: idleFor, MaxHeaderBytes: maxHeader,
		Protocols: new(http.Protocols)}
	d.server.Protocols.SetHTTP1(true)
	d.server.Protocols.SetHTTP2(true)
	d.server.Protocols.SetUnencryptedHTTP2(true) // gRPC on loopback
	d.server.HTTP2 = &http.HTTP2Config{MaxReadFrameSize: maxFrame, MaxReceiveBufferPerConnection: maxAhead, MaxReceiveBufferPerStream: maxAhead}
	d.server.ErrorLog, _ = zap.NewStdLogAt(log.Named("http"), zap.WarnLevel)
	go func() { d.served <- d.server.Serve(listener) }()
}

// Leave has every answer from now on say that its connection ends, so that clients go elsewhere before the door is closed: by Connection: close over HTTP/1.1,
// and over HTTP/2 by GOAWAY, which net/http makes of it. It sends that ahead of the answer, which some clients then do not read, so over HTTP/2 only connections
// of before are told, once each: who comes in afterwards has come here all the same, and is told when the door is closed.
func (d *Door) Leave() { d.leaving.Store(true) }

type lateKey struct{}

// connected marks connections that begin while the door is left.
func (d *Door) connected(ctx context.Context, _ net.Conn) context.Context {
	if d.leaving.Load() {
		return context.WithValue(ctx, lateKey{}, true)
	}
	return ctx
}

// Become has another handler answer from now on, and refuse in a turnstile where there is one.
func (d *Door) Become(h http.Handler, refuse turnstile.Refuse) { d.serving.Store(&serving{h, refuse}) }

func (d *Door) handle(w http.ResponseWriter, r *http.Request) {
	if d.leaving.Load() && (r.ProtoMajor < 2 || r.Context().Value(lateKey{}) == nil) {
		w.Header().Set("Connection", "close")
	}
	d.serving.Load().handler.ServeHTTP(w, r)
}

// refusal leaves requests to the handler while the door is left: a turnstile's answers leave connections open.
func (d *Door) refusal(h *turnstile.Head) []byte {
	now := d.serving.Load()
	if now.refuse == nil || d.leaving.Load() {
		return nil
	}
	return now.refuse(h)
}

// Failed gives the error with which serving ended by itself.
func (d *Door) Failed() <-chan error { return d.served }

// Close answers what is under way, as long as ctx allows, and ends.
func (d *Door) Close(ctx context.Context) {
	if d.server == nil {
		_ = d.listener.Close()
		return
	}
	if d.server.Shutdown(ctx) != nil {
		_ = d.server.Close() // who is still there has had his time
	}
}
