package state

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// LockDir makes a folder when it is absent and takes its lock for this process, until Close or until the process ends.
// When somebody else has it, the error is a *LockedError.
func LockDir(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the state folder: %w%s", err, remedy(err))
	}
	file := filepath.Join(dir, ".lock")
	held, err := lockFile(file)
	if err != nil {
		if isHeld(err) {
			return nil, &LockedError{dir, readPID(file)}
		}
		return nil, fmt.Errorf("lock the state folder: %w%s", err, remedy(err))
	}
	writePID(file)
	return held, nil
}
