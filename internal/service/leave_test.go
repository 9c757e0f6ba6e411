package service

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/turnstile"
)

// From the signal on a process is not ready, and what it answers ends its connections, over HTTP/1.1 and HTTP/2, while it serves on for the delay. Only then it drains.
//
// Mutations seen to fail it: each answer over HTTP/2 with GOAWAY; none; no Leave; a drain before the delay; ready all the while; a turnstile that answers; no delay.
func TestAProcessThatIsToldToEndSaysSoFirst(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(version, func(t *testing.T) {
			door, err := Listen("127.0.0.1:0", nil)
			if err != nil {
				t.Fatal(err)
			}
			drained := make(chan struct{})
			api := &API{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }),
				Drain: func(context.Context) { close(drained) }, Health: ready{}}
			door.refuse = func(*turnstile.Head) []byte {
				return []byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nturnstile")
			}
			if version == "HTTP/2.0" {
				door.refuse = nil
			}
			door.Serve(api.Handler, 10, zap.NewNop())
			watch := newWatch(door, nil, &silentCluster{}, ready{}, zap.NewNop())
			client := &http.Client{Transport: &http.Transport{Protocols: new(http.Protocols)}}
			client.Transport.(*http.Transport).Protocols.SetHTTP1(version == "HTTP/1.1")
			client.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(version == "HTTP/2.0")
			defer client.CloseIdleConnections()
			ask := func() (body string, reused bool) {
				t.Helper()
				trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
				q, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", door.URL(), nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := client.Do(q)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				data, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				return string(data), reused
			}
			before := map[string]string{"HTTP/1.1": "turnstile", "HTTP/2.0": version}[version]
			for n := range 3 {
				if body, reused := ask(); body != before || reused != (n > 0) {
					t.Fatalf("%q, the connection of before: %t", body, reused)
				}
			}
			if why := watch.Unready(); why != nil {
				t.Errorf("not ready: %v", why)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			p := &Process{Log: zap.NewNop(), flags: Flags{delay: time.Hour}}
			go func() { ended <- p.attend(ctx, api, door, watch) }()
			cancel()
			for watch.Unready() == nil {
				time.Sleep(time.Millisecond)
			}
			ask() // on the connection of before
			fresh := false
			for range 3 {
				body, reused := ask()
				if body != version {
					t.Errorf("%q", body)
				}
				fresh = fresh || !reused
			}
			// What tells a client to go elsewhere comes with an answer, and over HTTP/2 in a frame beside it.
			for n := 0; n < 1000 && !fresh; n++ {
				time.Sleep(10 * time.Millisecond)
				_, reused := ask()
				fresh = !reused
			}
			if !fresh {
				t.Error("connections stay open")
			}
			for n := range 20 { // over HTTP/2 the one that was begun afterwards stays: no answer of it comes after a GOAWAY
				if _, reused := ask(); reused != (version == "HTTP/2.0") {
					t.Errorf("request %d, on the connection of before: %t", n, reused)
				}
			}
			select {
			case <-drained:
				t.Error("it drains before the delay is over")
			default:
			}
			_ = door.listener.Close() // the delay is over when nobody can come in any more
			<-ended
			<-drained
		})
	}
}

// The delay is over after its time, and one that would be too long for the end within 5 s is refused.
//
// Mutation seen to fail it: no bound.
func TestADelayIsBounded(t *testing.T) {
	door, err := Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	door.Serve(http.NotFoundHandler(), 10, zap.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := &Process{Log: zap.NewNop(), flags: Flags{delay: time.Millisecond}}
	if err := p.attend(ctx, &API{Health: ready{}}, door, newWatch(door, nil, &silentCluster{}, ready{}, zap.NewNop())); err != nil {
		t.Error(err)
	}
	for delay, want := range map[time.Duration]bool{0: true, mostDelay: true, mostDelay + 1: false, -1: false} {
		f := Flags{delay: delay}
		if err := f.checkDelay(); (err == nil) != want {
			t.Errorf("%s: %v", delay, err)
		}
	}
}
