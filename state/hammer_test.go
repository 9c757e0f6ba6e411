//go:build unix

package state

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const hammerTurns = 12

// TestHelperHammers is no test: it is each of the processes below.
func TestHelperHammers(t *testing.T) {
	dir, dies := os.Getenv("STATE_TEST_HAMMER"), os.Getenv("STATE_TEST_DIES") != ""
	if dir == "" {
		return
	}
	inside := filepath.Join(dir, "inside")
	for turn := 0; turn < hammerTurns; {
		lock, err := LockDir(dir)
		var locked *LockedError
		if errors.As(err, &locked) {
			continue // the machine is busy
		}
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		f, err := os.OpenFile(inside, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			fmt.Println("overlap:", err)
		} else {
			f.Close()
		}
		os.Remove(inside)
		if turn++; dies && turn == hammerTurns/2 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		if err := lock.Close(); err != nil {
			fmt.Println("error:", err)
		}
	}
	fmt.Println("turns:", hammerTurns)
}

// Several processes take the lock again and again, and some are killed with it in hand: it is never held twice, and never
// lost.
//
// Mutations: no flock; Close leaves the process id.
func TestALockThatManyProcessesHammerIsHeldByOneAtATime(t *testing.T) {
	dir := t.TempDir()
	var processes sync.WaitGroup
	for n := range 4 {
		dies := n%2 == 1
		processes.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestHelperHammers$")
			cmd.Env = append(os.Environ(), "STATE_TEST_HAMMER="+dir)
			if dies {
				cmd.Env = append(cmd.Env, "STATE_TEST_DIES=1")
			}
			out, err := cmd.CombinedOutput()
			text := string(out)
			if strings.Contains(text, "overlap") || strings.Contains(text, "error") {
				t.Errorf("process %d: %.500s", n, text)
			}
			if !dies && (err != nil || !strings.Contains(text, fmt.Sprint("turns: ", hammerTurns))) {
				t.Errorf("process %d came to no end: %v: %.500s", n, err, text)
			}
			if dies && err == nil {
				t.Errorf("process %d was not killed: %.500s", n, text)
			}
		})
	}
	processes.Wait()
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatalf("when all are gone: %v", err)
	}
	lock.Close()
	// Nobody holds it, so it names nobody: a later error must not blame a process that is long gone.
	if text, err := os.ReadFile(filepath.Join(dir, ".lock")); err != nil || len(text) > 0 {
		t.Errorf("the lock that was let go says %q, %v", text, err)
	}
}
