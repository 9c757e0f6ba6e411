//go:build !unix

package embedded

import "os"

// lockFile does not lock here: this system has no flock.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
