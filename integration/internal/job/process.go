// Package job has what every test needs that runs the reference job as a process on a real Kafka: the process, its metrics, and
// a feed of orders.
package job

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Process is a process, running or ended; the zero value is one that was not started. It is used by one goroutine.
type Process struct {
	PID  int
	Code int // exit code once it has ended, -1 for a signal

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and was waited for
}

// Start starts a process in the place of one that has ended.
func (p *Process) Start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.PID, p.done, p.Code = cmd, cmd.Process.Pid, make(chan struct{}), 0
	go func(done chan struct{}) {
		defer close(done)
		_ = cmd.Wait()
		p.Code = cmd.ProcessState.ExitCode()
	}(p.done)
	return nil
}

// Started says whether there was a process at all.
func (p *Process) Started() bool { return p.cmd != nil }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal to a process that runs.
func (p *Process) Signal(s os.Signal) {
	if p.Running() {
		_ = p.cmd.Process.Signal(s)
	}
}

// Kill ends the process as a power cut does, and waits until it is gone.
func (p *Process) Kill() {
	if p.cmd != nil {
		p.Signal(os.Kill)
		<-p.done
	}
}

// Ended waits until the process has ended by itself, and says whether it did.
func (p *Process) Ended(within time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(within):
		return false
	}
}

// Sum adds the samples of a metric, in Prometheus' text form, whose labels contain all of the words.
func Sum(samples, name string, words ...string) (sum float64, err error) {
lines:
	for line := range strings.Lines(samples) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		fields := strings.Fields(line)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}
