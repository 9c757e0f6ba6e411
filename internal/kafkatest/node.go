//go:build unix

package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Node is one process of a cluster. Its methods are safe for concurrent use, and a call that changes nothing (Kill of a
// dead node) is no error.
type Node struct {
	// ID is the node.id. Addr is the address of a broker's plaintext listener, empty for a controller.
	ID   int32
	Addr string

	cluster *Cluster
	dir     string
	heap    string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended and is reaped
	paused bool
}

// Running says whether the process is there; a paused one is.
func (n *Node) Running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.runs()
}

func (n *Node) runs() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// launch starts the process and does not wait until it serves.
func (n *Node) launch() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.runs() {
		return nil
	}
	log, err := os.OpenFile(n.LogFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append(n.cluster.jvm(n.heap), n.cluster.opts.JVM...)
	cmd := exec.Command(n.cluster.java, append(args, "kafka.Kafka", filepath.Join(n.dir, "server.properties"))...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, log, log
	cmd.SysProcAttr = child()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start node %d: %w", n.ID, err)
	}
	n.cmd, n.exited, n.paused = cmd, make(chan struct{}), false
	n.cluster.reapers.Go(func() {
		_ = cmd.Wait()
		close(n.exited)
	})
	return nil
}

// jvm are the arguments before the class. Half the time of a start is the optimising compiler at work on code that runs
// once, so it is left out; and six collectors with a thread for every core are more than a test machine can use.
func (c *Cluster) jvm(heap string) []string {
	return append([]string{
		"-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
		"-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true",
		"-Dlog4j2.configurationFile=" + filepath.Join(c.libs, "log4j2.properties"),
		"-cp", filepath.Join(c.libs, "*"),
	}, c.classes...)
}

// LogFile is where the node's log goes.
func (n *Node) LogFile() string { return filepath.Join(n.dir, "server.log") }

// Kill ends the process with SIGKILL, as a crash of the machine's process would.
func (n *Node) Kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.runs() {
		return nil
	}
	if err := n.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill node %d: %w", n.ID, err)
	}
	<-n.exited
	return nil
}

// Stop ends the process in order: a broker first hands its partitions over. One that takes more than 30 s is killed,
// which is an error.
func (n *Node) Stop() error { return n.stop(30 * time.Second) }

func (n *Node) stop(patience time.Duration) error {
	n.mu.Lock()
	if !n.runs() {
		n.mu.Unlock()
		return nil
	}
	process, exited := n.cmd.Process, n.exited
	_ = process.Signal(syscall.SIGCONT)
	n.paused = false
	err := process.Signal(syscall.SIGTERM)
	n.mu.Unlock()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop node %d: %w", n.ID, err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-exited:
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("stop node %d: it still runs after %s", n.ID, patience), n.Kill())
	}
}

// Pause freezes the process with SIGSTOP: its connections stay open, and nothing is answered. Continue lets it go on.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP, true) }

// Continue lets a paused process go on.
func (n *Node) Continue() error { return n.signal(syscall.SIGCONT, false) }

func (n *Node) signal(sig syscall.Signal, paused bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.runs() {
		return fmt.Errorf("node %d does not run", n.ID)
	}
	if err := n.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("send %v to node %d: %w", sig, n.ID, err)
	}
	n.paused = paused
	return nil
}

// Start starts a node that was killed or stopped, on the same port with the same data, and waits until it serves.
func (n *Node) Start(ctx context.Context) error {
	if err := n.launch(); err != nil {
		return err
	}
	return n.cluster.awaitNode(ctx, n)
}

// Restart is Stop, then Start.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.Stop(); err != nil {
		return err
	}
	return n.Start(ctx)
}

// died describes a process that has ended by itself, from the end of its log.
func (n *Node) died() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.runs() {
		return nil
	}
	log, _ := os.ReadFile(n.LogFile())
	if len(log) > 2000 {
		log = log[len(log)-2000:]
	}
	state := "was not started"
	if n.cmd != nil {
		state = n.cmd.ProcessState.String()
	}
	return fmt.Errorf("node %d ended: %s; its log %s ends with:\n%s", n.ID, state, n.LogFile(), log)
}

func (n *Node) String() string { return "node " + strconv.Itoa(int(n.ID)) }
