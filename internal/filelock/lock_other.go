//go:build !unix

package filelock

import (
	"io"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// lockFile uses LevelDB's lock, which knows the ways of these systems, on a folder of its own.
func lockFile(path string) (io.Closer, error) { return storage.OpenFile(path+".d", false) }

// isHeld takes every failure for that of a lock: these systems report a sharing violation of the file.
func isHeld(error) bool { return true }
