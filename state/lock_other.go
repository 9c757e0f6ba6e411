//go:build !unix

package state

import (
	"io"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// lockFile uses LevelDB's lock, which knows the ways of these systems, on a folder of that name.
func lockFile(file string) (io.Closer, error) { return storage.OpenFile(file, false) }

// isHeld takes every failure for that of a lock: these systems tell it by a sharing violation of the file.
func isHeld(error) bool { return true }
