package service

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/turnstile"
)

// starting is a process of an API that says "open", and "early" until it is there; the turnstile of the former says "turnstile" of /turnstile.
func starting(t *testing.T, broker string) (url string, end context.CancelFunc, ended chan error) {
	t.Helper()
	text := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	p := &Process{Address: free.Addr().String(), Log: zap.NewNop(), flags: Flags{connections: 10}}
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	open := func(context.Context, Place) (*API, error) {
		return &API{Handler: text("open"), Refuse: func(h *turnstile.Head) []byte {
			if string(h.Target) != "/turnstile" {
				return nil
			}
			return []byte("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nturnstile")
		}}, nil
	}
	go func() {
		ended <- p.Serve(ctx, kafka.Config{Brokers: []string{broker}, StartupTimeout: time.Hour}, Start{Early: text("early"), Refuse: true, Open: open})
	}()
	return "http://" + p.Address, cancel, ended
}

// said is what is answered at a URL, "" where nobody answers.
func said(t *testing.T, url string) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), "GET", url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	fresh := &http.Transport{}
	defer fresh.CloseIdleConnections()
	res, err := fresh.RoundTrip(q)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

// While no broker has answered, requests are answered by what is there early; then by the API, with its turnstile. A signal meanwhile ends the process without an error.
//
// Mutations seen to fail it: nothing served before the brokers answer; the early handler kept; its turnstile kept.
func TestRequestsAreAnsweredBeforeTheBrokersAre(t *testing.T) {
	for _, comes := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		url, end, ended := starting(t, address)
		for said(t, url) != "early" {
			time.Sleep(time.Millisecond)
		}
		if text := said(t, url+"/turnstile"); text != "early" {
			t.Errorf("%q", text)
		}
		if comes {
			broker, err := embedded.Start(embedded.Options{Addr: address})
			if err != nil {
				t.Fatal(err)
			}
			for said(t, url) != "open" {
				time.Sleep(time.Millisecond)
			}
			if text := said(t, url+"/turnstile"); text != "turnstile" {
				t.Errorf("%q", text)
			}
			defer broker.Close()
		}
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if text := said(t, url); text != "" {
			t.Errorf("it still answers: %q", text)
		}
	}
}

// An address in use is an error at once, also while brokers are away.
//
// Mutation seen to fail it: the brokers before the address.
func TestAnAddressInUseIsAnErrorAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := &Process{Address: l.Addr().String(), Log: zap.NewNop(), flags: Flags{connections: 10}}
	err = p.Serve(t.Context(), kafka.Config{Brokers: []string{"127.0.0.1:1"}, StartupTimeout: time.Hour}, Start{})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "--http") {
		t.Error(err)
	}
}
