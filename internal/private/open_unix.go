//go:build unix

package private

import (
	"os"
	"syscall"
)

const Permissions = true

func openNoFollow(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag|syscall.O_NOFOLLOW, FileMode)
}
