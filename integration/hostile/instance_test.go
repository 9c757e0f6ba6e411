//go:build unix

package hostile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/integration/internal/job"
)

// program is the reference job as users build it; built says whether it was wanted.
var built atomic.Bool
var program = sync.OnceValues(func() (string, error) {
	built.Store(true)
	dir, err := os.MkdirTemp("", "weir-hostile-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "totals")
	if out, err := exec.Command("go", "build", "-o", path, "../../examples/totals").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build examples/totals: %w\n%s", err, out)
	}
	return path, nil
})

// instance is a process of the reference job, or the place for one: its settings, state folder and log.
type instance struct {
	job.Process
	flags   map[string]string
	env     []string
	wrapper []string // a shell that changes limits before it becomes the program, for instance
	dir     string   // state
	log     string
	addr    string // of HTTP

	credential *syscall.Credential // whose process it is, nil for ours

	life int64 // where the present life begins in the log
}

// launch starts the process. What differs are flags for this life only; "" takes one away.
func (i *instance) launch(t *testing.T, differs ...string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(i.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	fmt.Fprintf(log, "---- %v\n", differs)
	i.life, _ = log.Seek(0, io.SeekEnd)
	flags := maps.Clone(i.flags)
	for n := 0; n < len(differs); n += 2 {
		flags[differs[n]] = differs[n+1]
	}
	args := append(slices.Clone(i.wrapper), path, "run")
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if flags[name] != "" {
			args = append(args, "--"+name+"="+flags[name])
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), i.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.credential}
	if err := i.Start(cmd); err != nil {
		t.Fatal(err)
	}
}

// kill ends the process, also one that was stopped by a signal.
func (i *instance) kill() {
	i.Signal(syscall.SIGCONT)
	i.Kill()
}

// mustEnd waits until the process has ended by itself, with an exit code and with words in its last log lines.
func (i *instance) mustEnd(t *testing.T, within time.Duration, code int, words string) {
	t.Helper()
	if !i.Ended(within) {
		t.Fatalf("the instance still runs after %s, it should have ended with exit code %d; it says:\n%s", within, code, i.tail(8))
	}
	if i.Code != code || !regexp.MustCompile(words).MatchString(i.lifeLog()) {
		t.Fatalf("exit code %d, wanted %d and words like %q:\n%s", i.Code, code, words, i.tail(8))
	}
}

// stopBound is for an end in order. One takes 5 s at most, which processors' tests hold in fake time. Here the machine may be busy, and what
// hangs does so for ever or for a minute.
const stopBound = 45 * time.Second

// stop asks for an orderly end.
func (i *instance) stop(t *testing.T) {
	t.Helper()
	i.Signal(syscall.SIGTERM)
	if !i.Ended(stopBound) {
		i.Signal(syscall.SIGQUIT) // for the stacks
		i.Ended(2 * time.Second)
		t.Fatalf("the instance did not stop within %s:\n%s", stopBound, i.tail(40))
	}
	if i.Code != 0 {
		t.Fatalf("the instance stopped with exit code %d:\n%s", i.Code, i.tail(10))
	}
}

// lifeLog is what the process has said since it was started.
func (i *instance) lifeLog() string { return i.logFrom(i.life) }

func (i *instance) logFrom(at int64) string {
	all, _ := os.ReadFile(i.log)
	return string(all[min(at, int64(len(all))):])
}

// logSize is where the log ends now.
func (i *instance) logSize() int64 {
	info, err := os.Stat(i.log)
	if err != nil {
		return 0
	}
	return info.Size()
}

// tail is the end of the log, lines cut.
func (i *instance) tail(lines int) string {
	all := strings.Split(strings.TrimRight(i.lifeLog(), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	for n, line := range all {
		if len(line) > 600 {
			all[n] = line[:600] + " ..."
		}
	}
	return strings.Join(all, "\n")
}

var client = &http.Client{Timeout: 10 * time.Second}

func (i *instance) get(path string) (status int, body []byte, err error) {
	res, err := client.Get("http://" + i.addr + path)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// health is what /healthz says.
func (i *instance) health() (well bool, problems string, err error) {
	status, body, err := i.get("/healthz")
	return status == http.StatusOK, string(bytes.TrimSpace(body)), err
}

// metrics are the samples of /metrics.
type metrics string

func (i *instance) metrics() (metrics, error) {
	status, body, err := i.get("/metrics")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("/metrics: status %d", status)
	}
	if err != nil {
		return "", err
	}
	return metrics(body), nil
}

// sum adds the samples of a metric whose labels contain all of the words.
func (m metrics) sum(name string, words ...string) float64 {
	sum, _ := job.Sum(string(m), name, words...)
	return sum
}

// eventually asks until it holds. The answer is what to say when it never does.
func eventually(t *testing.T, within time.Duration, what string, holds func(context.Context) (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		ok, last := holds(ctx)
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for %s; the last answer: %.1500s", within, what, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// logged waits until the log says something like the words since a place in it.
func (i *instance) logged(t *testing.T, since int64, within time.Duration, words string) {
	t.Helper()
	like := regexp.MustCompile(words)
	eventually(t, within, fmt.Sprintf("words like %q in the log", words), func(context.Context) (bool, string) {
		return like.MatchString(i.logFrom(since)), i.tail(5)
	})
}

// says waits until /healthz is unwell with words.
func (i *instance) says(t *testing.T, within time.Duration, words string) {
	t.Helper()
	like := regexp.MustCompile(words)
	eventually(t, within, fmt.Sprintf("/healthz to be unwell with words like %q", words), func(context.Context) (bool, string) {
		well, problems, err := i.health()
		if err != nil {
			return false, err.Error()
		}
		return !well && like.MatchString(problems), problems
	})
}

// readyWithin waits until a process says that it is ready.
func readyWithin(t *testing.T, i *instance, within time.Duration) {
	t.Helper()
	eventually(t, within, "/readyz", func(context.Context) (bool, string) {
		if !i.Running() {
			t.Fatalf("the process has ended with exit code %d:\n%s", i.Code, i.tail(10))
		}
		status, body, err := i.get("/readyz")
		return status == 200, fmt.Sprintf("%s %v; the log ends with\n%s", body, err, i.tail(3))
	})
}
