package embedded

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirstream/weir/internal/filelock"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("WEIR_TEST_BROKER_DIR"); dir != "" {
		serve(dir)
	}
	goleak.VerifyTestMain(m)
}

// serve is the broker in a process of its own: it prints its address and waits to be killed.
func serve(dir string) {
	b, err := Start(Options{DataDir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(b.Addrs()[0])
	_, _ = os.Stdin.Read(make([]byte, 1)) // ends with the parent
	os.Exit(0)
}

func start(t *testing.T, opts Options) *Broker {
	t.Helper()
	b, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// client makes a franz-go client, so that the broker is judged by one that shares no code with Weir's own.
func client(t *testing.T, addrs []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func produce(t *testing.T, c *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := c.ProduceSync(timeout(t), &kgo.Record{Topic: topic, Key: []byte("k" + v), Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// values reads n values of a topic from its start.
func values(t *testing.T, addrs []string, topic string, n int) []string {
	t.Helper()
	c := client(t, addrs, kgo.DisableFetchSessions(), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	var got []string
	for len(got) < n {
		fetches := c.PollFetches(timeout(t))
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got
}

// Mutation: open asks kfake for new ports; or gives it no data folder.
func TestRestartKeepsPortAndData(t *testing.T) {
	b := start(t, Options{DataDir: t.TempDir(), Brokers: 2})
	if err := b.Cluster().CreateTopic("a", 1, nil); err != nil {
		t.Fatal(err)
	}
	before := b.Addrs()
	c := client(t, before)
	produce(t, c, "a", "1")
	for range 3 {
		if err := b.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	if after := b.Addrs(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("addresses %v became %v", before, after)
	}
	produce(t, c, "a", "2") // the same client goes on
	if got := values(t, before, "a", 2); fmt.Sprint(got) != "[1 2]" {
		t.Errorf("got %q", got)
	}
}

func TestRestartUnderLoadLosesNothing(t *testing.T) {
	b := start(t, Options{DataDir: t.TempDir()})
	if err := b.Cluster().CreateTopic("a", 1, nil); err != nil {
		t.Fatal(err)
	}
	// A restart takes as long as the machine is busy: the client never gives up.
	c := client(t, b.Addrs(), kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
		kgo.RequestRetries(math.MaxInt32), kgo.RetryTimeout(5*time.Minute), kgo.UnknownTopicRetries(-1))
	const n = 3000
	done := make(chan error, n)
	for i := range n {
		c.Produce(t.Context(), &kgo.Record{Topic: "a", Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) { done <- err })
		if i == 0 {
			done <- <-done // the client gives up when a restart meets its producer id's initialisation, so that comes first
		}
		if i%1000 == 500 {
			if err := b.Restart(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range n {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	got := values(t, b.Addrs(), "a", n)
	for i := range n {
		if got[i] != fmt.Sprint(i) {
			t.Fatalf("record %d is %s", i, got[i])
		}
	}
	if len(got) != n {
		t.Errorf("%d records of %d", len(got), n)
	}
}

func TestDataOutlivesTheBroker(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		b := start(t, Options{DataDir: dir})
		if i == 0 {
			if err := b.Cluster().CreateTopic("a", 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		c := client(t, b.Addrs())
		produce(t, c, "a", fmt.Sprint(i))
		if got := values(t, b.Addrs(), "a", i+1); len(got) != i+1 {
			t.Errorf("got %q", got)
		}
		c.Close()
		_ = b.Close()
	}
}

// Mutation: kfake's data folder in memory.
func TestAcknowledgedDataOutlivesKillMinus9(t *testing.T) {
	dir := t.TempDir()
	broker, addr := spawn(t, dir)
	c := client(t, []string{addr}, kgo.AllowAutoTopicCreation())
	// Made through the wire: the test has no hold of the other process.
	admin(t, c, "a", 1)
	produce(t, c, "a", "1", "2", "3")
	c.Close()
	if err := broker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = broker.Wait()
	b := start(t, Options{DataDir: dir})
	if got := values(t, b.Addrs(), "a", 3); fmt.Sprint(got) != "[1 2 3]" {
		t.Errorf("got %q", got)
	}
}

// The lock of a process that was killed may outlive it by a moment: whoever meets it waits.
//
// Mutations: filelock does not lock; it tries once only.
func TestDataFolderIsLockedAgainstASecondBroker(t *testing.T) {
	pause := filelock.BetweenTries
	defer func() { filelock.BetweenTries = pause }()
	filelock.BetweenTries = func() { time.Sleep(time.Millisecond) }
	dir := t.TempDir()
	b := start(t, Options{DataDir: dir})
	if _, err := Start(Options{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "another process") || !strings.Contains(err.Error(), dir) {
		t.Errorf("in the same process: %v", err)
	}
	if err := b.Restart(); err != nil {
		t.Error(err)
	}
	_ = b.Close()

	other, _ := spawn(t, dir)
	if _, err := Start(Options{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("in another process: %v", err)
	}
	waits := 0
	filelock.BetweenTries = func() {
		if waits++; waits == 2 {
			_ = other.Process.Kill()
			_ = other.Wait()
		}
		time.Sleep(time.Millisecond)
	}
	if start(t, Options{DataDir: dir}); waits < 2 {
		t.Errorf("%d waits", waits)
	}
}

// What only tells of a busy machine is no warning to a user of the demo; what tells of lost data is.
//
// Mutations: kfake's level taken as it is; every warning taken for one of those.
func TestABusyMachineIsNoWarning(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	l := logger{zap.New(core)}
	l.Logf(kfake.LogLevelWarn, "txn: EndTxn slow pid=%d epoch=%d elapsed=%dms batches=%d groups=%d", 1, 0, 6, 2, 1)
	l.Logf(kfake.LogLevelWarn, "persist %s: %v", "pids.log", "no space left on device")
	l.Logf(kfake.LogLevelError, "fatal")
	l.Logf(kfake.LogLevelInfo, "up")
	var levels []string
	for _, e := range logs.All() {
		levels = append(levels, e.Level.String())
	}
	if got := strings.Join(levels, " "); got != "debug warn error debug" {
		t.Errorf("logged at %s", got)
	}
}

func TestOnlyLoopbackIsListenedOnByDefault(t *testing.T) {
	for _, addr := range start(t, Options{Brokers: 3}).Addrs() {
		host, _, err := net.SplitHostPort(addr)
		if err != nil || !net.ParseIP(host).IsLoopback() {
			t.Errorf("listens on %s", addr)
		}
	}
	for _, addr := range []string{"0.0.0.0:0", ":9092", "[::]:0", "127.0.0.1", "127.0.0.1:x"} {
		if b, err := Start(Options{Addr: addr}); err == nil {
			_ = b.Close()
			t.Errorf("%s is accepted", addr)
		}
	}
}

func TestClientsAreToldTheAddressThatWasAskedFor(t *testing.T) {
	b := start(t, Options{Addr: "127.0.0.2:0"})
	if host, _, _ := net.SplitHostPort(b.Addrs()[0]); host != "127.0.0.2" {
		t.Errorf("listens on %s", host)
	}
	if err := b.Cluster().CreateTopic("a", 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, client(t, b.Addrs()), "a", "1")
}

func TestAPortInUseIsAnError(t *testing.T) {
	b := start(t, Options{})
	dir := t.TempDir()
	if _, err := Start(Options{Addr: b.Addrs()[0], DataDir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	start(t, Options{DataDir: dir}) // the lock was given back
}

func TestRestartWithoutDataIsRefused(t *testing.T) {
	b := start(t, Options{})
	if err := b.Restart(); err == nil {
		t.Error("restarted")
	}
	b = start(t, Options{DataDir: t.TempDir()})
	_ = b.Close()
	if err := b.Restart(); err == nil {
		t.Error("restarted when closed")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestLogGoesWhereItIsWanted(t *testing.T) {
	core, lines := observer.New(zap.DebugLevel)
	b := start(t, Options{Log: zap.New(core)})
	send(t, b.Addrs()[0], "\x00\x00\x00\x0a\x00\x03\x00\x0c\x00\x00\x00\x00\xff\xff") // metadata, cut short
	eventually(t, "the broker says that it does not understand", func() bool { return lines.Len() > 0 })
}

// Mutation: guard left out of listen: the process ends.
func TestWhatIsNotKafkaIsShutOut(t *testing.T) {
	b := start(t, Options{})
	for _, bytes := range []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",                     // TLS
		"\x00\x00\x00\x08\x7f\xff\x00\x00\x00\x00\x00\x00",                 // a kind that does not exist
		"\x00\x00\x00\x00\x00\x03\x00\x0c\x00\x00\x00\x00",                 // no size
		"\x00\x00\x00\x0a\x00\x03\x00\x0c\x00\x00\x00\x00\xff\xff",         // cut short
		"\x00\x00\x00\x0c\x00\x03\xff\xff\x00\x00\x00\x00\xff\xff\x00\x00", // version -1
		"\x00\x00\x00\x0c\x00\x03\x7f\xff\x00\x00\x00\x00\xff\xff\x00\x00", // version 32767
	} {
		conn := send(t, b.Addrs()[0], bytes)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
			t.Errorf("%q: %v", bytes, err)
		}
	}
	admin(t, client(t, b.Addrs()), "a", 1)
}

func send(t *testing.T, addr, bytes string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte(bytes)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestDataFolderThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Options{DataDir: filepath.Join(file, "dir")}); err == nil {
		t.Error("started")
	}
}

// spawn starts a broker in a process of its own.
func spawn(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WEIR_TEST_BROKER_DIR="+dir)
	stdin, err := cmd.StdinPipe() // held open: the child ends when it closes
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}
