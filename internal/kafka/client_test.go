package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirstream/weir/internal/kafkatest"
)

// fake starts an embedded cluster of one broker.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// everyKey makes silence hold requests of all kinds.
const everyKey kmsg.Key = -1

// silence makes the cluster silent: it answers no request of the key until release is called, at the latest at the end of
// the test. asked is closed when the first one is there.
//
// A cluster that is closed while it holds a request hangs, so the requests are waited for before it is.
func silence(t *testing.T, cluster *kfake.Cluster, key kmsg.Key) (asked <-chan struct{}, release func()) {
	t.Helper()
	first, over := make(chan struct{}), make(chan struct{})
	var (
		mu       sync.Mutex
		once     sync.Once
		released bool
		held     sync.WaitGroup
	)
	enter := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if !released {
			held.Add(1)
		}
		return !released
	}
	cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if enter() {
			once.Do(func() { close(first) })
			cluster.SleepControl(func() { <-over })
			held.Done()
		}
		return nil, nil, false
	})
	release = func() {
		mu.Lock()
		defer mu.Unlock()
		if !released {
			released = true
			close(over)
		}
	}
	t.Cleanup(func() {
		release()
		held.Wait()
	})
	return first, release
}

func dial(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := tryDial(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryDial(t *testing.T, cfg Config) (*Client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := Dial(ctx, cfg, zap.NewNop())
	if err == nil {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return c, err
}

// Mutation: reason returns e.Err.Error() in every case.
func TestUnreachableBrokersAreNamedEachWithItsReason(t *testing.T) {
	refused := kafkatest.FreeAddress(t)
	// A listener that accepts and says nothing, as a broker does that is stopped.
	silent := listen(t, func(net.Conn) {})
	closing := listen(t, func(c net.Conn) { _ = c.Close() })

	began := time.Now()
	_, err := tryDial(t, Config{Brokers: []string{refused, silent, closing, "no-such-host.invalid:9092"}, ConnectTimeout: 300 * time.Millisecond, StartupTimeout: time.Millisecond, RequestTimeout: never, Sink: SinkTuning{DeliveryTimeout: 2 * never}})
	if err == nil {
		t.Fatal("connected to nothing")
	}
	for _, want := range []string{
		"connect to Kafka: ",
		refused + ": connection refused",
		silent + ": connected, but no answer in time",
		closing + ": connected, but the broker closed the connection",
		"no-such-host.invalid:9092: host no-such-host.invalid cannot be resolved",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if ClassOf(err) != Retriable {
		t.Errorf("class %v", ClassOf(err))
	}
	// Mutation: cutConn passes sarama's deadlines on, which are those of requests.
	promptly(t, began)
}

// Mutation: flatten takes a ConnectError apart, and the code is no error of SASL any more.
func TestAuthenticationFailureIsFatalAmongUnreachableBrokers(t *testing.T) {
	refused := newConnectError("a:1", stageConnect, syscall.ECONNREFUSED)
	denied := newConnectError("b:1", stageLogin, sarama.Wrap(sarama.ErrSASLAuthenticationFailed, errors.New("invalid credentials")))
	for _, tc := range []struct {
		err  error
		want Class
	}{
		{refused, Retriable},
		{denied, Fatal},
		{errors.Join(refused, denied), Fatal},
		{fmt.Errorf("in vain: %w", errors.Join(refused, fmt.Errorf("and %w", denied))), Fatal},
	} {
		if got := connectClass(tc.err); got != tc.want {
			t.Errorf("%v: %v", tc.err, got)
		}
		if got := transient(tc.err); got != (tc.want == Retriable) {
			t.Errorf("%v: transient %v", tc.err, got)
		}
	}
}

// Mutation: bootstrap waits for every address.
func TestOneBrokerThatAnswersIsEnough(t *testing.T) {
	cluster := fake(t)
	silent := listen(t, func(net.Conn) {})
	began := time.Now()
	dial(t, Config{Brokers: []string{kafkatest.FreeAddress(t), silent, cluster.ListenAddrs()[0]}, ConnectTimeout: never})
	promptly(t, began)
}

// Mutation: roundTrip does not drop the connection when its context ends.
func TestAnAnswerThatDoesNotComeHoldsUpNobodyElse(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	_, release := hold(cluster)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Topics(ctx, []string{"a"}); err == nil || ClassOf(err) != Retriable {
		t.Fatalf("got %v", err)
	}
	release()
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.Topics(ctx, []string{"a"}); err != nil {
		t.Fatal(err)
	}
}

func TestCloseEndsCallsThatAreUnderWay(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c, err := Dial(t.Context(), Config{Brokers: cluster.ListenAddrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	held, _ := hold(cluster)
	done := make(chan error)
	go func() {
		_, err := c.Topics(t.Context(), []string{"a"})
		done <- err
	}()
	<-held
	_ = c.Close()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v", err)
	}
}

func TestLogOfTheProtocolIsAtDebugLevelOnly(t *testing.T) {
	cluster := fake(t)
	for _, level := range []zap.AtomicLevel{zap.NewAtomicLevelAt(zap.InfoLevel), zap.NewAtomicLevelAt(zap.DebugLevel)} {
		core, seen := observer.New(level)
		c, err := Dial(t.Context(), Config{Brokers: cluster.ListenAddrs()}, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if seen.FilterLevelExact(zap.DebugLevel).Len() != seen.Len() {
			t.Error("not all is at debug level")
		}
		if lines := seen.Len(); (lines > 0) != (level.Level() == zap.DebugLevel) {
			t.Errorf("%d lines at level %v", lines, level)
		}
	}
}

// listen accepts connections and leaves each to handle; they are closed at the test's end.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			handle(conn)
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// hold leaves requests for metadata unanswered until release is called, and reports the first one on held.
func hold(cluster *kfake.Cluster) (held <-chan struct{}, release func()) {
	var over atomic.Bool
	var once sync.Once
	first := make(chan struct{})
	cluster.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			return nil, nil, false
		}
		cluster.KeepControl()
		once.Do(func() { close(first) })
		return nil, nil, true
	})
	return first, func() { over.Store(true) }
}
