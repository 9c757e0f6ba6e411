package kafka

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// closes returns a hook that closes a channel with the first line of a log.
func closes(first chan struct{}) func(zapcore.Entry) error {
	var once sync.Once
	return func(zapcore.Entry) error {
		once.Do(func() { close(first) })
		return nil
	}
}

// Mutations: start returns after the first try (no broker is found); start does not log.
func TestAStartWaitsForTheFirstBroker(t *testing.T) {
	addr := freeAddr(t)
	core, seen := observer.New(zap.InfoLevel)
	began := make(chan struct{})
	log := zap.New(core, zap.Hooks(closes(began)))
	done := make(chan error, 1)
	go func() {
		c, err := Dial(t.Context(), Config{Brokers: []string{addr}}, log)
		if err == nil {
			err = c.Close()
		}
		done <- err
	}()
	<-began // it has said that no broker answers
	port, err := strconv.Atoi(addr[strings.LastIndex(addr, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	fake(t, kfake.Ports(port))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	first := seen.All()[0]
	if first.Message != "no broker answers yet, trying again" || !strings.Contains(first.ContextMap()["error"].(string), "connection refused") {
		t.Errorf("logged %v %v", first.Message, first.ContextMap())
	}
}

// Mutation: start goes on whatever StartupTimeout is (the test's own deadline ends it, with another text).
func TestAStartWithoutABrokerEndsWithTheReasons(t *testing.T) {
	addr := freeAddr(t)
	_, err := tryDial(t, Config{Brokers: []string{addr}, StartupTimeout: 300 * time.Millisecond})
	if err == nil || ClassOf(err) != Retriable {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"no broker answered within 300ms (startup-timeout)", addr + ": connection refused"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

// Mutation: misfit returns false (the start goes on for its minute, and the test's deadline ends it).
func TestAStartDoesNotWaitForAListenerThatWantsAnotherProtocol(t *testing.T) {
	// So does a broker with TLS, whatever it was sent.
	var seen atomic.Int64
	addr := listen(t, func(c net.Conn) {
		seen.Add(1)
		_ = c.Close()
	})
	_, err := tryDial(t, Config{Brokers: []string{addr}})
	if err == nil || !strings.Contains(err.Error(), "does it want another security.protocol here?") {
		t.Fatalf("got %v", err)
	}
	if n := seen.Load(); n != misfitsAtStart {
		t.Errorf("tried %d times", n)
	}
}

func TestAStartThatIsCancelledEndsAtOnce(t *testing.T) {
	began := make(chan struct{})
	core, _ := observer.New(zap.InfoLevel)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Dial(ctx, Config{Brokers: []string{freeAddr(t)}, RetryBackoff: time.Minute}, zap.New(core, zap.Hooks(closes(began))))
		done <- err
	}()
	<-began
	cancel()
	if err := <-done; err == nil {
		t.Error("connected to nothing")
	}
}
