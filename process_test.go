package weir_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

// totals is the binary of the reference job.
var totals string

func TestMain(m *testing.M) {
	if signal.Ignored(syscall.SIGHUP) { // under nohup: what this process catches, those that it starts do not ignore
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	dir, err := os.MkdirTemp("", "weir-test-")
	if err == nil {
		totals = filepath.Join(dir, "totals")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", totals, "./examples/totals").CombinedOutput(); err != nil {
			err = fmt.Errorf("build the reference job: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := errors.Join(goleak.Find(lingering), os.RemoveAll(dir)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// LevelDB drains its buffer pool for a second after it was closed.
var lingering = goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")

// process is the reference job as a process of its own.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	logs  chan string // lines of standard error
	ended chan struct{}
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startCommand(t, exec.Command(totals, args...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, logs: make(chan string, 1000), ended: make(chan struct{})}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			select {
			case p.logs <- lines.Text():
			default: // nobody reads so many
			}
		}
		_ = p.cmd.Wait() // ProcessState tells
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// logged waits for a line of the log and returns its field.
func (p *process) logged(message, field string) string {
	p.t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case text := <-p.logs:
			var line map[string]any
			if json.Unmarshal([]byte(text), &line) == nil && line["msg"] == message {
				return fmt.Sprint(line[field])
			}
		case <-deadline:
			p.t.Fatalf("no %q in the log within a minute", message)
		}
	}
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// insist repeats a signal until the process has ended: one that comes soon after the first is no second one.
func (p *process) insist(sig os.Signal) {
	p.t.Helper()
	for {
		if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			p.t.Fatal(err)
		}
		select {
		case <-p.ended:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// A process that is stopped ends within 5s; processors' tests hold that in fake time. Here the machine may be busy, and what
// hangs does so for ever or for a minute.
const endsWithin = 45 * time.Second

// exit waits for the end and returns the exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(endsWithin):
		p.t.Fatalf("the process has not ended within %s", endsWithin)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Mutations seen to fail this test: Main without cancel on the first signal; Main that does not ask for SIGHUP.
func TestSIGTERMCommitsLeavesTheGroupAndExits0Within5s(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP, os.Interrupt} {
		c := newCluster(t)
		p := start(t, "run", "--brokers", c.addr, "--state-dir", t.TempDir(), "--create-topics", "--http", "127.0.0.1:0", "--commit-interval", "1s")
		address := p.logged("serving metrics, health and readiness", "address")
		p.logged("tasks assigned", "tasks")
		c.feed(200, 1)
		c.read("customer.total.v1", 200)
		if status, body := get(t, "http://"+address+"/readyz"); status != 200 {
			t.Errorf("readyz: %d %s", status, body)
		}
		if status, body := get(t, "http://"+address+"/healthz"); status != 200 {
			t.Errorf("healthz: %d %s", status, body)
		}
		// The outputs are visible a moment before the commit that brought them is counted.
		c.until("the metrics count what was committed", func() bool {
			_, body := get(t, "http://"+address+"/metrics")
			return strings.Contains(body, `weir_records_total{outcome="processed",topology="customer-totals"} 200`)
		})
		if _, body := get(t, "http://"+address+"/metrics"); !strings.Contains(body, "go_goroutines") || !strings.Contains(body, "process_resident_memory_bytes") {
			t.Errorf("metrics: %.2000s", body)
		}
		c.feed(200, 2) // in the middle of a transaction of a second
		left := make(chan struct{}, 1)
		c.Cluster().ControlKey(int16(kmsg.LeaveGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
			left <- struct{}{}
			return nil, nil, false
		})
		p.signal(sig)
		if code := p.exit(); code != 0 {
			t.Errorf("%v: exit code %d", sig, code)
		}
		select {
		case <-left:
		default:
			t.Errorf("%v: the group was not left", sig)
		}
		// What was committed is what was written: nothing was done twice, and nothing is half done.
		second := start(t, "run", "--brokers", c.addr, "--state-dir", t.TempDir())
		second.logged("tasks assigned", "tasks")
		outputs := c.read("customer.total.v1", 400)
		seen := map[string]bool{}
		for _, o := range outputs {
			if seen[o] {
				t.Errorf("%v: %s was written twice", sig, o)
			}
			seen[o] = true
		}
		second.signal(syscall.SIGTERM)
		if code := second.exit(); code != 0 {
			t.Errorf("%v: exit code %d of the second instance", sig, code)
		}
	}
}

// Mutation seen to fail this test: Main that ignores the second signal.
func TestASecondSignalExitsAtOnce(t *testing.T) {
	for sig, want := range map[os.Signal]int{syscall.SIGTERM: 143, os.Interrupt: 130, syscall.SIGHUP: 129} {
		c := newCluster(t)
		// A broker that does not answer holds the first signal's orderly end up for seconds.
		asked, release := make(chan struct{}, 10), make(chan struct{})
		c.Cluster().ControlKey(int16(kmsg.LeaveGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
			asked <- struct{}{}
			<-release
			return nil, nil, false
		})
		p := start(t, "run", "--brokers", c.addr, "--state-dir", t.TempDir(), "--create-topics")
		p.logged("tasks assigned", "tasks")
		p.signal(syscall.SIGTERM)
		<-asked
		p.insist(sig)
		// An end in order, 3.5s later at most, would have exit code 0.
		if code := p.exit(); code != want {
			t.Errorf("%v: exit code %d, want %d", sig, code, want)
		}
		close(release)
	}
}

// Mutation seen to fail this test: leaveWithin of processors raised to a minute.
func TestSIGTERMExits0Within5sEvenWhenNoBrokerAnswers(t *testing.T) {
	c := newCluster(t)
	release := make(chan struct{})
	defer close(release)
	p := start(t, "run", "--brokers", c.addr, "--state-dir", t.TempDir(), "--create-topics")
	p.logged("tasks assigned", "tasks")
	asked := make(chan struct{}, 100)
	c.Cluster().Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		asked <- struct{}{}
		<-release
		return nil, nil, false
	})
	<-asked
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestErrorsOfAProcessAreOneLineWithItsName(t *testing.T) {
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"run", "totals: no brokers: give --brokers HOST:PORT, WEIR_BROKERS, or brokers in the config file\n", 2},
		{"run --brokers 127.0.0.1:1 --startup-timeout 1ms --log-level error", "totals: connect to Kafka: no broker answered within 1ms (startup-timeout); the last try: 127.0.0.1:1: connection refused\n", 1},
		{"demo", "totals: unknown command \"demo\" of totals. There are: completion, dlq, help, offsets, replay, run, state, status, topology, version\n", 2},
	} {
		cmd := exec.Command(totals, strings.Fields(c.args)...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		if stderr.String() != c.want || len(out) > 0 || cmd.ProcessState.ExitCode() != c.code {
			t.Errorf("%s: exit code %d, %q, %q", c.args, cmd.ProcessState.ExitCode(), stderr.String(), out)
		}
	}
}

// A probe that finds nobody would have a process killed that waits for its cluster.
//
// Mutation seen to fail this test: the HTTP server started after the connection to Kafka.
func TestProbesAreAnsweredWhileNoBrokerIsThere(t *testing.T) {
	p := start(t, "run", "--brokers", "127.0.0.1:1", "--state-dir", t.TempDir(), "--http", "127.0.0.1:0")
	address := p.logged("serving metrics, health and readiness", "address")
	p.logged("no broker answers yet, trying again", "left")
	if status, body := get(t, "http://"+address+"/livez"); status != 200 {
		t.Errorf("livez: %d %s", status, body)
	}
	if status, body := get(t, "http://"+address+"/readyz"); status != 503 {
		t.Errorf("readyz: %d %s", status, body)
	}
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
