//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/integration/internal/job"
	"github.com/weirstream/weir/internal/oracle"
	"github.com/weirstream/weir/state"
)

// programs are the reference job as users build it, the same with the hooks for faults compiled in, and one that forgets which
// orders it has seen. They are built for the first scenario.
var (
	programDir string
	plain      = func() string { return filepath.Join(programDir, "totals") }
	hooked     = func() string { return filepath.Join(programDir, "totals-weirfault") }
	forgetful  = func() string { return filepath.Join(programDir, "forgetful") }
)

var build = sync.OnceValue(func() (err error) {
	if programDir, err = os.MkdirTemp("", "weir-integration-"); err != nil {
		return err
	}
	for _, build := range [][]string{
		{"build", "-o", plain(), "../examples/totals"},
		{"build", "-tags", "weirfault", "-o", hooked(), "../examples/totals"},
		{"build", "-o", forgetful(), "./forgetful"},
	} {
		if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(build, " "), err, out)
		}
	}
	return nil
})

// instance is a process of the reference job, now or formerly running.
type instance struct {
	job.Process
	name string
	job  string // the program, "" for the reference job
	dir  string // state folder
	args []string
	env  []string // of every launch
	log  string

	down bool // it may be, or must be, ended
	lost bool // it was killed once, and what it had counted is lost
}

// launch starts the process. Environment in env turns on hooks, and takes the program that has them.
func (i *instance) launch(t *testing.T, env ...string) {
	t.Helper()
	program := i.job
	switch {
	case program != "":
	case len(env) > 0:
		program = hooked()
	default:
		program = plain()
	}
	log, err := os.OpenFile(i.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	fmt.Fprintf(log, "---- %s %v\n", filepath.Base(program), env)
	cmd := exec.Command(program, append([]string{"run"}, i.args...)...)
	cmd.Env = slices.Concat(os.Environ(), i.env, env)
	cmd.Stdout, cmd.Stderr = log, log
	if err := i.Start(cmd); err != nil {
		t.Fatal(err)
	}
	i.down = false
}

// kill ends the process as a power cut does, and waits until it is gone.
func (i *instance) kill() {
	if i.Started() {
		i.lost = i.lost || i.Running()
		i.down = true
		i.Kill()
	}
}

// ended waits until the process ends by itself.
func (i *instance) ended(within time.Duration) bool {
	if !i.Ended(within) {
		return false
	}
	i.down = true
	i.lost = i.lost || i.Code < 0
	return true
}

// endBound is for an end in order. One takes 5 s at most, which processors' tests hold in fake time. Here the machine may be busy, and what
// hangs does so for ever or for a minute.
const endBound = 45 * time.Second

// stop asks for an orderly end, which must come, and with exit code 0.
func (i *instance) stop() error {
	if !i.Running() {
		return fmt.Errorf("%s had ended before it was asked to, with exit code %d:\n%s", i.name, i.Code, i.tail(10))
	}
	i.Signal(syscall.SIGTERM)
	if !i.ended(endBound) {
		i.Signal(syscall.SIGQUIT) // for the stacks
		i.ended(2 * time.Second)
		i.kill()
		return fmt.Errorf("%s did not stop within %s:\n%s", i.name, endBound, i.tail(40))
	}
	if i.Code != 0 {
		return fmt.Errorf("%s stopped with exit code %d:\n%s", i.name, i.Code, i.tail(20))
	}
	return nil
}

// tail is the last lines of the instance's log, without those of each dead letter.
func (i *instance) tail(lines int) string {
	all, _ := os.ReadFile(i.log)
	var told []string
	for line := range strings.Lines(string(all)) {
		if !strings.Contains(line, "  dead letter  ") {
			told = append(told, line)
		}
	}
	return strings.Join(told[max(0, len(told)-lines):], "")
}

// counts sums what the instance said of itself whenever it stopped; ok is false when it could not always do so. It does not know either when
// its last commit was not answered in time: that may have taken effect.
func (i *instance) counts() (sum oracle.Counts, ok bool) {
	all, err := os.ReadFile(i.log)
	if err != nil || i.lost {
		return sum, false
	}
	answered := true
	for line := range strings.Lines(string(all)) {
		if strings.Contains(line, "  tasks given up  ") {
			answered = strings.Contains(line, `"committed": true`)
		}
		_, said, found := strings.Cut(line, "  stopped  ")
		if !found {
			continue
		}
		if !answered {
			return sum, false
		}
		var c struct {
			Processed, Filtered, Deduplicated int64
			DeadLettered                      int64 `json:"dead_lettered"`
		}
		if err := json.Unmarshal([]byte(said), &c); err != nil {
			return sum, false
		}
		sum.Processed += c.Processed
		sum.Filtered += c.Filtered
		sum.Deduplicated += c.Deduplicated
		sum.DeadLettered += c.DeadLettered
		ok = true
	}
	return sum, ok
}

func (i *instance) logged(text string) bool {
	all, _ := os.ReadFile(i.log)
	return bytes.Contains(all, []byte(text))
}

// id is what the instance's transactional ids contain.
func (i *instance) id(topology string) string {
	for n, arg := range i.args {
		if arg == "--group.instance.id" {
			return i.args[n+1]
		}
	}
	b, _ := os.ReadFile(filepath.Join(state.TopologyDir(i.dir, topology), ".instance-id"))
	return strings.TrimSpace(string(b))
}

// httpAddress is the value of the instance's --http.
func (i *instance) httpAddress() string {
	for n, arg := range i.args {
		if arg == "--http" {
			return i.args[n+1]
		}
	}
	return ""
}

// metric sums the samples of a metric whose line contains all of the words.
func (i *instance) metric(ctx context.Context, name string, words ...string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.httpAddress()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return 0, err
	}
	return job.Sum(body.String(), name, words...)
}

func removePrograms() {
	if programDir != "" {
		_ = os.RemoveAll(programDir)
	}
}
