// Package filelock locks a file for one process, or for one holder in it.
//
// A lock ends with its process, however that ends. The file stays, so that nobody locks one that is being removed. It is
// this user's alone, and a symbolic link in its place is refused, as package private does.
package filelock

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/private"
)

// tries is how often a lock is tried, BetweenTries apart. The kernel may release the locks of a process that was killed a
// moment after it is gone, and its successor may be there by then. So a lock is tried for 3s.
const tries = 60

// BetweenTries waits between two tries. Tests replace it.
var BetweenTries = func() { time.Sleep(50 * time.Millisecond) }

// HeldError says that somebody else holds a lock.
type HeldError struct {
	Path string
	PID  int // of the holder, 0 when it is not known
	Err  error
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s is locked by somebody else (pid %d): %v", e.Path, e.PID, e.Err)
}
func (e *HeldError) Unwrap() error { return e.Err }

// Take locks a file, which it creates when it is absent, until Close or until the process ends. When somebody else has the
// lock and keeps it for 3s, the error is a *HeldError.
func Take(path string) (io.Closer, error) {
	lock, err := Await(isHeld, func() (io.Closer, error) { return lockFile(path) })
	switch {
	case err == nil:
		WritePID(path)
		return lock, nil
	case isHeld(err):
		return nil, &HeldError{path, ReadPID(path), err}
	}
	return nil, err
}

// Await calls take until somebody else's lock is not in its way any more, or 3s have passed. It is for locks that others
// take, such as LevelDB's.
func Await[T any](isHeld func(error) bool, take func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		taken, err := take()
		if err == nil || !isHeld(err) || try == tries {
			return taken, err
		}
		BetweenTries()
	}
}

// WritePID leaves the process id in a lock file, for the text of somebody else's error. Nothing depends on it.
func WritePID(path string) {
	f, err := private.Open(path, os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	_ = f.Close()
}

// ReadPID returns what WritePID has left, or 0.
func ReadPID(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return pid
}
