//go:build unix

package weir_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// Clients that connect to the HTTP server, ask and stay, or say nothing, leave the pipeline its file descriptors.
//
// Mutation seen to fail this test: the cap of connections raised to 1000: the stores and the connections to brokers find no
// descriptor, and nothing comes out.
func TestIdleScrapesLeaveThePipelineItsFileDescriptors(t *testing.T) {
	c := newCluster(t)
	dir := t.TempDir()
	p := startCommand(t, exec.Command("sh", "-c", `ulimit -n 128 && exec "$0" "$@"`, totals,
		"run", "--brokers", c.addr, "--state-dir", dir, "--create-topics", "--http", ":0", "--workers", "2"))
	address := p.logged("serving metrics, health and readiness", "address")
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("an address without a host listens on %s", address)
	}
	p.logged("tasks assigned", "tasks")
	for i := range 200 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") // a full queue may refuse
		}
	}
	c.feed(50, 1)
	c.read("customer.total.v1", 50)
	// And it is still watched.
	if status, body := get(t, "http://"+address+"/metrics"); status != 200 || !strings.Contains(body, "process_open_fds") {
		t.Errorf("metrics: %d %.500s", status, body)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Standard error of a program that logs as JSON holds nothing but JSON, whatever its HTTP server meets.
//
// Mutation: ErrorLog left out of the HTTP server.
func TestTheLogIsJSONThroughout(t *testing.T) {
	c := newCluster(t)
	p := start(t, "run", "--brokers", c.addr, "--state-dir", t.TempDir(), "--create-topics", "--http", "127.0.0.1:0")
	address := p.logged("serving metrics, health and readiness", "address")
	for _, request := range []string{"\x16\x03\x01\x02\x00", "GET / HTTP/9.9\r\n\r\n", "GET /\x1b[31m HTTP/1.1\r\n\r\n"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
	p.signal(syscall.SIGTERM)
	p.exit()
	close(p.logs)
	for line := range p.logs {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("%v: %q", errors.Unwrap(err), line)
		}
	}
}
