package state

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/weirstream/weir/internal/filelock"
	"github.com/weirstream/weir/internal/private"
)

// LockDir makes a folder when it is absent and takes its lock for this process, until Close or until the process ends.
// When somebody else has it and keeps it for 3s, the error is a *LockedError.
func LockDir(dir string) (io.Closer, error) {
	if err := private.Folder(dir); err != nil {
		return nil, fmt.Errorf("make the state folder: %w%s", err, remedy(err))
	}
	lock, err := filelock.Take(filepath.Join(dir, ".lock"))
	if held, ok := errors.AsType[*filelock.HeldError](err); ok {
		return nil, &LockedError{dir, held.PID}
	}
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w%s", err, remedy(err))
	}
	if err := private.Tighten(dir); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the state folder: %w%s", err, remedy(err))
	}
	return lock, nil
}
