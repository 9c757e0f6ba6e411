package main_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	// go test takes a result from its cache unless something that the test imports has changed, and what the binaries
	// under test are built from is not seen otherwise.
	_ "github.com/weirstream/weir/internal/demo"
)

// The binary as it is, and with faults compiled in.
var weir, faulty string

func TestMain(m *testing.M) {
	if signal.Ignored(syscall.SIGHUP) { // under nohup: what this process catches, those that it starts do not ignore
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	dir, err := os.MkdirTemp("", "weir-test-")
	if err == nil {
		weir, faulty = filepath.Join(dir, "weir"), filepath.Join(dir, "faulty")
		for path, tags := range map[string]string{weir: "", faulty: "weirfault"} {
			if out, e := exec.Command("go", "build", "-tags", tags, "-o", path, ".").CombinedOutput(); e != nil {
				err = errors.Join(err, fmt.Errorf("build: %w\n%s", e, out))
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := errors.Join(goleak.Find(goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")), os.RemoveAll(dir)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// demo is a demo as a process of its own. Temporary folders are made in temp.
type demo struct {
	t      *testing.T
	cmd    *exec.Cmd
	temp   string
	stderr strings.Builder
	first  chan time.Duration // when the first line was there
	second chan struct{}      // closed when the second is: it feeds
	hello  string             // the first line, when second is closed
	lines  []string           // of standard output; complete after exit
	ended  chan struct{}
}

func start(t *testing.T, binary string, env []string, args ...string) *demo {
	t.Helper()
	d := &demo{t: t, temp: t.TempDir(), cmd: exec.Command(binary, append([]string{"demo"}, args...)...), first: make(chan time.Duration, 1), second: make(chan struct{}), ended: make(chan struct{})}
	d.cmd.Env = append(append(os.Environ(), "TMPDIR="+d.temp), env...)
	d.cmd.Stderr = &d.stderr
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		out := bufio.NewScanner(stdout)
		for out.Scan() {
			d.lines = append(d.lines, out.Text())
			switch len(d.lines) {
			case 1:
				d.hello = out.Text()
				d.first <- time.Since(began)
			case 2:
				close(d.second)
			}
		}
		_ = d.cmd.Wait() // ProcessState tells
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
	})
	return d
}

func (d *demo) exit() (code int, output string) {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(time.Minute):
		d.t.Fatal("the demo has not ended within a minute")
	}
	return d.cmd.ProcessState.ExitCode(), strings.Join(d.lines, "\n")
}

func (d *demo) signal(signals ...os.Signal) {
	d.t.Helper()
	for _, sig := range signals {
		if err := d.cmd.Process.Signal(sig); err != nil {
			d.t.Fatal(err)
		}
	}
}

// insist repeats a signal until the process has ended: one that comes soon after the first is no second one.
func (d *demo) insist(sig os.Signal) {
	d.t.Helper()
	for {
		if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			d.t.Fatal(err)
		}
		select {
		case <-d.ended:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *demo) expectNothingLeft() {
	d.t.Helper()
	left, err := os.ReadDir(d.temp)
	if err != nil || len(left) > 0 {
		d.t.Errorf("left in the temporary folder: %v %v", left, err)
	}
}

type summary struct {
	RecordsIn    int64    `json:"records_in"`
	Processed    int64    `json:"processed"`
	Filtered     int64    `json:"filtered"`
	Deduplicated int64    `json:"deduplicated"`
	DeadLettered int64    `json:"dead_lettered"`
	Outputs      int64    `json:"outputs"`
	P50          int64    `json:"p50_ms"`
	Correct      bool     `json:"correct"`
	Differences  []string `json:"differences"`
}

func parse(t *testing.T, output string) summary {
	t.Helper()
	var s summary
	if err := json.Unmarshal([]byte(output), &s); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return s
}

func TestADemoEndsByItselfWithASummaryThatAddsUp(t *testing.T) {
	t.Parallel()
	d := start(t, weir, nil, "--for", "3s", "--rate", "2000", "--output", "json")
	code, out := d.exit()
	s := parse(t, out)
	if code != 0 || !s.Correct || s.Processed+s.Filtered+s.Deduplicated+s.DeadLettered != s.RecordsIn {
		t.Errorf("exit code %d: %s\n%s", code, out, d.stderr.String())
	}
	if s.RecordsIn < 3000 || s.Deduplicated == 0 || s.DeadLettered == 0 || s.P50 <= 0 || s.Differences == nil {
		t.Errorf("not what a demo of 3s at 2000/s shows: %s", out)
	}
	d.expectNothingLeft()
}

// Mutation seen to fail this test: every of a display without a terminal raised to ten seconds.
func TestADemoShowsSomethingWithin5sAndALineEachSecond(t *testing.T) {
	t.Parallel()
	d := start(t, weir, nil, "--for", "3s")
	select {
	case took := <-d.first:
		if took > 5*time.Second {
			t.Errorf("first output after %s", took)
		}
	case <-time.After(10 * time.Second):
		t.Error("no output after 10s")
	}
	code, out := d.exit()
	if code != 0 || strings.Count(out, " running: in ") < 2 || !strings.Contains(out, "= records in") || strings.Contains(out, "\x1b") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if d.stderr.Len() > 0 {
		t.Errorf("standard error: %s", d.stderr.String())
	}
}

// Mutation seen to fail this test: Main that does not ask for SIGHUP.
func TestCtrlCAndAClosedTerminalEndADemoInOrder(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGHUP} {
		d := start(t, weir, nil)
		<-d.first
		d.signal(sig)
		if code, out := d.exit(); code != 0 {
			t.Errorf("%v: exit code %d:\n%s\n%s", sig, code, out, d.stderr.String())
		}
		d.expectNothingLeft()
	}
}

// Mutation seen to fail this test: OnAbort left out.
func TestASecondSignalEndsADemoAtOnceAndLeavesNothing(t *testing.T) {
	t.Parallel()
	// The end in order waits for the next commit.
	d := start(t, weir, nil, "--commit-interval", "30s")
	<-d.second
	d.insist(syscall.SIGTERM)
	if code, out := d.exit(); code != 143 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	d.expectNothingLeft()
}

func TestADemoGoesOnWithItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outputs := int64(0)
	for run := range 2 {
		code, out := start(t, weir, nil, "--for", "1s", "--data-dir", dir, "--output", "json").exit()
		s := parse(t, out)
		if code != 0 || s.RecordsIn < 500 {
			t.Errorf("run %d: exit code %d: %s", run, code, out)
		}
		if outputs += s.Processed; s.Outputs != outputs {
			t.Errorf("run %d: %d outputs in all, want %d", run, s.Outputs, outputs)
		}
	}
}

// TestADemoCountsInWhatIsSentBackIntoItsInput: the operator's part of it, with the command that all readers of the input see. The job has announced itself, so a
// redrive into it need not warn that nobody is known to read it.
//
// Mutation seen to fail it: a demo whose instance does not announce itself.
func TestADemoCountsInWhatIsSentBackIntoItsInput(t *testing.T) {
	t.Parallel()
	d := start(t, weir, nil, "--rate", "2000")
	<-d.second
	broker := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(d.hello)
	for try := 0; ; try++ {
		out, err := exec.Command(weir, "dlq", "redrive", "--brokers", broker, "--topic", "order.placed.v1.dlq", "--all", "--json").Output()
		var r struct {
			Selected int
			Notes    []string
		}
		if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil {
			t.Fatalf("%q: %v: %s", d.hello, err, out)
		}
		if r.Selected > 0 && len(r.Notes) == 0 {
			break
		}
		if try == 100 {
			t.Fatalf("a redrive notes %q", r.Notes)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for done := 0; done == 0; {
		out, err := exec.Command(weir, "dlq", "redrive", "--brokers", broker, "--topic", "order.placed.v1.dlq", "--all", "--to", "origin", "--execute", "--json").Output()
		var r struct{ Done int }
		if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil {
			t.Fatalf("%q: %v: %s", d.hello, err, out)
		}
		done = r.Done
	}
	d.signal(os.Interrupt)
	code, out := d.exit()
	if code != 0 || !strings.Contains(out, "= records in") || !strings.Contains(out, "dead letters were sent back into order.placed.v1, and are counted in") {
		t.Errorf("exit code %d:\n%s\n%s", code, out, d.stderr.String())
	}
}

// The mutations of this test are compiled in: a job that loses one output, or one dead letter.
func TestADemoFindsWhatItsJobLoses(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"every-output": "customer.total.v1 has",
		"every-letter": "bad records are not in order.placed.v1.dlq",
	} {
		d := start(t, faulty, []string{"WEIR_FAULT_BREAK=" + rule}, "--for", "2s", "--output", "json")
		code, out := d.exit()
		s := parse(t, out)
		if code != 1 || s.Correct || !strings.Contains(strings.Join(s.Differences, "\n"), want) {
			t.Errorf("%s: exit code %d: %s", rule, code, out)
		}
		if !strings.Contains(d.stderr.String(), "\nweir: the result is not what the input makes") {
			t.Errorf("%s: %s", rule, d.stderr.String())
		}
	}
}

func TestADemoRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--rate 0":                "weir: --rate: give a number of records a second from 1 to 1000000",
		"--for -1s":               "weir: --for: give a duration such as 10s",
		"--for 10":                `weir: --for: "10" is not allowed: time: missing unit in duration "10"`,
		"--http 1":                `weir: --http: "1" is not allowed: give HOST:PORT, or :PORT for this machine only`,
		"--sed 1":                 "weir: unknown flag --sed: did you mean --seed?",
		"--data-dir /dev/null/x":  "weir: embedded broker: mkdir /dev/null: not a directory",
		"--brokers localhost:909": "weir: unknown flag --brokers: --help lists all flags",
	} {
		d := start(t, weir, nil, strings.Fields(args)...)
		if code, _ := d.exit(); code == 0 || d.stderr.String() != want+"\n" {
			t.Errorf("%s: exit code %d: %s", args, code, d.stderr.String())
		}
	}
}
