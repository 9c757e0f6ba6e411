//go:build unix

package embedded

import (
	"errors"
	"os"
	"syscall"

	"github.com/weirstream/weir/internal/private"
)

// lockFile opens a file and locks it until it is closed or the process ends, however it ends. It waits 3s for somebody
// else to let the lock go.
func lockFile(path string) (*os.File, error) {
	file, err := private.Open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	for try := 1; errors.Is(err, syscall.EWOULDBLOCK) && try < lockTries; try++ {
		betweenLockTries()
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("another process, or another broker of this one, uses it")
		}
		return nil, err
	}
	return file, nil
}
