//go:build !unix

package private

import (
	"io/fs"
	"os"
)

const Permissions = false

// openNoFollow looks first: these systems cannot open and refuse a link in one step.
func openNoFollow(path string, flag int) (*os.File, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, &LinkError{path}
	}
	return os.OpenFile(path, flag, FileMode)
}
