package kafka

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Mutation: Append does not look at buffered; or cost is size alone.
func TestMemoryIsBoundedWhileABrokerStalls(t *testing.T) {
	cfg := fastConfig()
	cfg.Sink.BufferMemory, cfg.Sink.MaxRequestSize, cfg.Sink.BatchSize = 100_000, 50_000, 10_000
	test := newSinkTest(t, cfg, kfake.SeedTopics(4, "out"))
	s := test.sink("tx")
	test.append(s, "out", 0, "first")
	test.ok(s.Flush(t.Context()))
	_, release := silence(t, test.cluster, kmsg.Produce)
	var appended atomic.Int64
	done := make(chan error, 1)
	go func() {
		for i := range 6000 {
			if err := s.Append(text("out", int32(i%4), strconv.Itoa(i))); err != nil {
				done <- err
				return
			}
			appended.Add(1)
		}
		done <- nil
	}()
	// Blocked, the count stands still.
	for last, same := int64(-1), 0; same < 10; {
		n := appended.Load()
		if same++; n != last || n == 0 {
			last, same = n, 0
		}
		<-time.After(50 * time.Millisecond)
	}
	if n := appended.Load(); n < 3200 || n > 3900 {
		t.Fatalf("%d records of about 28 bytes of memory fit into 100000", n)
	}
	release()
	test.ok(<-done)
	if s.buffered > 100_200 {
		t.Fatalf("%d bytes", s.buffered)
	}
	test.ok(s.Commit(test.within(10 * time.Second)))
	if s.buffered != 0 {
		t.Fatalf("%d bytes left", s.buffered)
	}
}

// Mutation: room does not count the record that it makes room for.
func TestLargeRecordsDoNotOvershootTheMemory(t *testing.T) {
	cfg := fastConfig()
	cfg.Sink.BufferMemory, cfg.Sink.MaxRequestSize = 100_000, 90_000
	test := newSinkTest(t, cfg, kfake.SeedTopics(2, "out"))
	s := test.sink("tx")
	most := 0
	for i := range 50 {
		test.append(s, "out", int32(i%2), string(make([]byte, 1+i*1700)))
		most = max(most, s.buffered)
	}
	if most > 100_000+2*(batchOverhead+recordCost)+20 || most < 80_000 {
		t.Errorf("%d bytes waited", most)
	}
	test.ok(s.Commit(test.within(10 * time.Second)))
}

// deaf makes a cluster read nothing any more once the channel is closed, until the test ends.
func deaf(t *testing.T, from <-chan struct{}) kfake.Opt {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	return kfake.ListenFn(func(network, addr string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		return &deafListener{l, from, release}, err
	})
}

type deafListener struct {
	net.Listener
	from, release <-chan struct{}
}

func (l *deafListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetReadBuffer(4096)
	return &deafConn{c, l.from, l.release}, nil
}

type deafConn struct {
	net.Conn
	from, release <-chan struct{}
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.from:
		<-c.release
	default:
	}
	return n, err
}

// Mutations, each fails: pause does not look at s.ctx; the connections are closed only after the tasks have ended.
func TestCloseEndsBlockedCallsAndWaitsForNoBroker(t *testing.T) {
	for name, block := range map[string]func(*Sink) error{
		"append": func(s *Sink) error {
			for {
				if err := s.Append(text("out", 0, string(make([]byte, 100_000)))); err != nil {
					return err
				}
			}
		},
		"flush": func(s *Sink) error {
			for range 200 {
				if err := s.Append(text("out", 0, string(make([]byte, 100_000)))); err != nil {
					return err
				}
			}
			return s.Flush(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := fastConfig()
			cfg.RequestTimeout, cfg.Sink.DeliveryTimeout = never, 2*never
			cfg.Sink.BufferMemory, cfg.Sink.MaxRequestSize, cfg.Sink.BatchSize = 40<<20, 4<<20, 2<<20
			from := make(chan struct{})
			test := newSinkTest(t, cfg, deaf(t, from))
			test.ok(test.cluster.CreateTopic("out", 1, map[string]string{"max.message.bytes": "10000000"}))
			s := test.sink("")
			test.append(s, "out", 0, "first")
			test.ok(s.Flush(t.Context()))
			close(from)
			br := s.brokers[test.cluster.LeaderFor("out", 0)]
			done := make(chan error, 1)
			go func() { done <- block(s) }()
			// Blocked means: one request is being written, and others wait behind it.
			for len(br.queue) < 2 {
				<-time.After(5 * time.Millisecond)
			}
			began := time.Now()
			test.ok(s.Close())
			if err := <-done; ClassOf(err) != Retriable {
				t.Fatalf("got %v, want retriable", err)
			}
			promptly(t, began)
		})
	}
}

// Mutation: dispatch does not look at deadlines; or expired leaves the connection, and Abort waits for the answer.
func TestABrokerThatDoesNotAnswerIsGivenUpInTime(t *testing.T) {
	cfg := fastConfig()
	cfg.RequestTimeout, cfg.Sink.DeliveryTimeout, cfg.Sink.TransactionTimeout = never, 2*never, 500*time.Millisecond
	test := newSinkTest(t, cfg, kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	_, release := silence(t, test.cluster, kmsg.Produce)
	test.append(s, "out", 0, "lost")
	began := time.Now()
	if err := s.Flush(t.Context()); ClassOf(err) != Retriable {
		t.Fatalf("got %v, want retriable", err)
	}
	if took := time.Since(began); took < 350*time.Millisecond {
		t.Fatalf("given up after %v, want 4/5 of transaction.timeout.ms", took)
	}
	promptly(t, began)
	// The coordinator may have timed the transaction out too, which fences us.
	err := s.Abort(test.within(10 * time.Second))
	release()
	if err != nil && ClassOf(err) != Fenced {
		t.Fatal(err)
	}
	again := test.sink("tx")
	test.append(again, "out", 0, "kept")
	test.ok(again.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, "kept")
}
