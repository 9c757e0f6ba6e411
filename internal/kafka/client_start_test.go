package kafka

import (
	"context"
	"fmt"
	"io"
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

	"github.com/weirstream/weir/internal/kafkatest"
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
	addr := kafkatest.FreeAddress(t)
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
	addr := kafkatest.FreeAddress(t)
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

// A load balancer in front of brokers that are away takes connections and closes them, as a broker does that wants another
// security.protocol. The log says the latter, and the start goes on.
//
// Mutation seen to fail this test: a connection that is closed in the handshake ends the start.
func TestAStartWaitsBehindAProxyWithoutABroker(t *testing.T) {
	cluster := fake(t)
	var seen atomic.Int64
	addr := listen(t, func(c net.Conn) {
		if seen.Add(1) <= 6 {
			_ = c.Close()
			return
		}
		broker, err := net.Dial("tcp", cluster.ListenAddrs()[0])
		if err != nil {
			_ = c.Close()
			return
		}
		go func() { _, _ = io.Copy(broker, c); _ = broker.Close() }()
		go func() { _, _ = io.Copy(c, broker); _ = c.Close() }()
	})
	core, logged := observer.New(zap.WarnLevel)
	c, err := Dial(t.Context(), Config{Brokers: []string{addr}}, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if all := logged.All(); len(all) == 0 || !strings.Contains(fmt.Sprint(all[0].ContextMap()), "does it want another security.protocol here?") {
		t.Errorf("logged %v", all)
	}
}

func TestAStartThatIsCancelledEndsAtOnce(t *testing.T) {
	began := make(chan struct{})
	core, _ := observer.New(zap.InfoLevel)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Dial(ctx, Config{Brokers: []string{kafkatest.FreeAddress(t)}, RetryBackoff: time.Minute}, zap.New(core, zap.Hooks(closes(began))))
		done <- err
	}()
	<-began
	cancel()
	if err := <-done; err == nil {
		t.Error("connected to nothing")
	}
}

// An address that does not answer is named, with the reason, while others do: before or after the first answer.
//
// Mutations: bootstrap cancels the others with the first answer; it does not report.
func TestDeadAddressesAreNamedBesideOnesThatAnswer(t *testing.T) {
	cluster := fake(t)
	refused, silent := kafkatest.FreeAddress(t), listen(t, func(net.Conn) {})
	core, seen := observer.New(zap.WarnLevel)
	told := make(chan struct{})
	log := zap.New(core, zap.Hooks(closes(told)))
	c, err := Dial(t.Context(), Config{Brokers: []string{refused, silent, cluster.ListenAddrs()[0]}, ConnectTimeout: 300 * time.Millisecond}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	<-told
	if n := seen.Len(); n != 1 {
		t.Fatalf("%d warnings", n)
	}
	want := fmt.Sprint([]any{refused + ": connection refused", silent + ": connected, but no answer in time"})
	if got := fmt.Sprint(seen.All()[0].ContextMap()["dead"]); got != want {
		t.Errorf("it names %s, want %s", got, want)
	}
}
