//go:build unix

package state

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/weirstream/weir/internal/private"
)

type fileLock struct{ f *os.File }

// lockFile takes a lock that the kernel lets go when the process dies, however it dies. The file stays.
func lockFile(file string) (io.Closer, error) {
	f, err := private.Open(file, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return fileLock{f}, nil
}

func isHeld(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// Close wipes the process id, so that no error names a process that is long gone, and lets the lock go.
func (l fileLock) Close() error {
	_ = l.f.Truncate(0)
	return l.f.Close()
}
