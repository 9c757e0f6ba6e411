package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/measure"
)

// Process is a running engine. It dies with the bench.
type Process struct {
	cmd    *exec.Cmd
	exited chan error
	err    error
}

// Start starts an engine's process on a job.
func (e Engine) Start(ctx context.Context, j job.Job) (*Process, error) {
	j = e.adapt(j)
	var cmd *exec.Cmd
	var err error
	if e.kind.run == nil {
		if cmd, err = streamsCommand(ctx, j, e.Guarantee); err != nil {
			return nil, err
		}
	} else if cmd, err = ownCommand(e.Name, j); err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return launch(cmd)
}

func ownCommand(name string, j job.Job) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	return exec.Command(self, "-engine", name, "-job", string(text)), err
}

func launch(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = child()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, exited: make(chan error, 1)}
	go func() { p.exited <- cmd.Wait() }()
	return p, nil
}

// Exited returns an error when the process has ended by itself, else nil.
func (p *Process) Exited() error {
	if p.err == nil {
		select {
		case err := <-p.exited:
			p.err = fmt.Errorf("the engine's process ended: %v", err)
		default:
		}
	}
	return p.err
}

// Usage is what the process has used so far.
func (p *Process) Usage() measure.Usage { return measure.UsageOf(p.cmd.Process.Pid) }

// Stop ends the process in order, or by force after 20 s, which is an error.
func (p *Process) Stop() error {
	if p.Exited() != nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.exited:
		p.err = fmt.Errorf("the engine's process ended: %v", err)
		return nil
	case <-time.After(20 * time.Second):
		p.Kill()
		return fmt.Errorf("the engine's process did not end within 20 s of SIGTERM")
	}
}

// Kill ends the process as a crash would.
func (p *Process) Kill() {
	if p.Exited() == nil {
		_ = p.cmd.Process.Kill()
		p.err = fmt.Errorf("the engine's process ended: %v", <-p.exited)
	}
}
