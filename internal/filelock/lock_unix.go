//go:build unix

package filelock

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/weirstream/weir/internal/private"
)

type fileLock struct{ f *os.File }

func lockFile(path string) (io.Closer, error) {
	f, err := private.Open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return fileLock{f}, nil
}

func isHeld(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// Close removes the process id, so that no error names a process that is long gone, and releases the lock.
func (l fileLock) Close() error {
	_ = l.f.Truncate(0)
	return l.f.Close()
}
