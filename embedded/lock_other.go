//go:build !unix

package embedded

import (
	"os"

	"github.com/weirstream/weir/internal/private"
)

// lockFile does not lock here: this system has no flock.
func lockFile(path string) (*os.File, error) {
	return private.Open(path, os.O_RDWR|os.O_CREATE)
}
