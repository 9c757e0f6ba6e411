package state

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/weirstream/weir/internal/private"
)

// The kernel may let the locks of a process that was killed go a moment after it is gone, and its successor may be there
// by then. So a lock is tried for 3s.
const lockTries = 60

var betweenLockTries = func() { time.Sleep(50 * time.Millisecond) }

// awaitLock calls take until somebody else's lock is not in its way any more, or long enough.
func awaitLock[T any](isHeld func(error) bool, take func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		taken, err := take()
		if err == nil || !isHeld(err) || try == lockTries {
			return taken, err
		}
		betweenLockTries()
	}
}

// LockDir makes a folder when it is absent and takes its lock for this process, until Close or until the process ends.
// When somebody else has it and keeps it for 3s, the error is a *LockedError.
func LockDir(dir string) (io.Closer, error) {
	if err := private.Folder(dir); err != nil {
		return nil, fmt.Errorf("make the state folder: %w%s", err, remedy(err))
	}
	file := filepath.Join(dir, ".lock")
	held, err := awaitLock(isHeld, func() (io.Closer, error) { return lockFile(file) })
	if err != nil {
		if isHeld(err) {
			return nil, &LockedError{dir, readPID(file)}
		}
		return nil, fmt.Errorf("lock the state folder: %w%s", err, remedy(err))
	}
	if err := private.Tighten(dir); err != nil {
		_ = held.Close()
		return nil, fmt.Errorf("the state folder: %w%s", err, remedy(err))
	}
	writePID(file)
	return held, nil
}
