package command

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
)

const orders = "order.placed.v1"

// live starts a gateway on an embedded broker that has a topic, and returns its address when it answers.
func live(t *testing.T, flags string) (address string, end func() error) {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err == nil {
		err = client.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: orders, Partitions: 1, ReplicationFactor: 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	address = kafkatest.FreeAddress(t)
	end = start(t, fmt.Sprintf("weir gateway run --http %s --brokers %s %s", address, broker.Addrs()[0], flags))
	until(t, "the gateway answers", func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, "GET /openapi.json HTTP/1.0\r\n\r\n")
		line, err := bufio.NewReader(conn).ReadString('\n')
		return err == nil && !strings.Contains(line, " 503 ") // which is the answer while it starts
	})
	return address, end
}

// until waits for what must come.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A file of clients that changes while a gateway waits for its brokers at the start is read again when they are there.
//
// Mutation seen to fail it: the file as it is when the watch begins.
func TestAChangeOfTheClientsDuringTheStartIsSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clients.yaml")
	write := func(key string) {
		t.Helper()
		if err := os.WriteFile(file, fmt.Appendf(nil, "clients: [{name: shop, keys: [%q], topics: [order.]}]\n# %s\n", gateway.HashKey(key), key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	p := &process{options: runOptions{clients: file}}
	if err := p.secrets(); err != nil {
		t.Fatal(err)
	}
	write("another")
	if !p.file.Changed() {
		t.Error("it is not seen")
	}
}

// The file of clients holds from when it is changed on, without a restart: who is taken out of it is refused, who is new comes in, and a file
// that is wrong changes nothing, and is a problem in /healthz until it is mended.
//
// Mutations seen to fail it: watch that reads once; a wrong file that lets nobody in; health without the file.
func TestAChangeOfTheClientsHoldsAtOnce(t *testing.T) {
	t.Cleanup(func(every time.Duration) func() { return func() { watchEvery = every } }(watchEvery))
	watchEvery = 20 * time.Millisecond
	file := filepath.Join(t.TempDir(), "clients.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	client := func(name, key string) string {
		return fmt.Sprintf("clients:\n  - {name: %s, keys: [%q], topics: [order.]}\n", name, gateway.HashKey(key))
	}
	write(client("shop", "one"))
	probes := kafkatest.FreeAddress(t)
	address, end := live(t, "--clients "+file+" --probes-http "+probes)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	health := func() string {
		t.Helper()
		res, err := (&http.Client{Transport: transport}).Get("http://" + probes + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return string(text)
	}
	post := func(key string) int {
		t.Helper()
		q, _ := http.NewRequest("POST", "http://"+address+"/topics/"+orders+"/events?key=k", strings.NewReader("{}"))
		q.Header.Set("X-Api-Key", key)
		res, err := transport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res.StatusCode
	}
	if one, another := post("one"), post("another"); one != 200 || another != 401 {
		t.Errorf("%d and %d", one, another)
	}
	write(client("billing", "another"))
	until(t, "the new client comes in", func() bool { return post("another") == 200 })
	if one := post("one"); one != 401 {
		t.Errorf("a client that is no more: %d", one)
	}
	write("clients: [{name: wrong}]\n")
	write("klients: []\n# longer than before\n")
	for range 10 {
		time.Sleep(watchEvery)
		if another := post("another"); another != 200 {
			t.Fatalf("after a wrong file: %d", another)
		}
	}
	until(t, "health says that the file is wrong", func() bool { return strings.Contains(health(), "klients") })
	write(client("shop", "third"))
	until(t, "a good file holds after a wrong one", func() bool { return post("third") == 200 })
	until(t, "health is good again", func() bool { return strings.Contains(health(), `"healthy":true`) })
	if err := end(); err != nil {
		t.Error(err)
	}
}

// At SIGTERM a gateway ends by itself though clients have streams open: it answers what they had sent, and says why it takes no more.
//
// Mutation seen to fail it: an end without Drain.
func TestAGatewayEndsThoughStreamsAreOpen(t *testing.T) {
	address, end := live(t, "")
	in, send := io.Pipe()
	defer send.Close()
	q, _ := http.NewRequestWithContext(context.Background(), "POST", "http://"+address+"/topics/"+orders+"/events?key=k", in)
	q.Header.Set("Content-Type", "application/x-ndjson")
	go func() { _, _ = io.WriteString(send, "1\n2\n") }()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for range 2 {
		if !lines.Scan() || !strings.Contains(lines.Text(), `"status":200`) {
			t.Fatal(lines.Text(), lines.Err())
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if !lines.Scan() || !strings.Contains(lines.Text(), "not-written") {
		t.Errorf("the last answer is %q, %v", lines.Text(), lines.Err())
	}
}
