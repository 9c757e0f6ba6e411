package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	lderrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/weirstream/weir/internal/keyed"
)

// TopicChangedError says that a database belongs to another changelog topic than the one given: the topic was deleted
// and made again. What the database holds is of no use to the new topic: SetAside it, and open a new one.
type TopicChangedError struct {
	Dir        string // the folder of the database
	Have, Want string // topic ids
}

func (e *TopicChangedError) Error() string {
	return fmt.Sprintf("the database in %s belongs to the changelog with topic id %s, and the changelog now has id %s: "+
		"the topic was deleted and made again", e.Dir, e.Have, e.Want)
}

// CorruptError says that a database is damaged. Close the store, SetAside its folder, open it again and restore it from
// the changelog.
type CorruptError struct {
	Dir string
	Err error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the database in %s is damaged: %v", e.Dir, e.Err)
}
func (e *CorruptError) Unwrap() error { return e.Err }

// UndecodableError says that the store's codec cannot read a value that the store holds: the codec, or the type of its
// values, is another one than when the value was written. The record that met it is not at fault.
type UndecodableError = keyed.UndecodableError

// LockedError says that somebody else holds a folder.
type LockedError struct {
	Dir string
	PID int // of the holder, 0 when it is not known
}

func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID == os.Getpid() {
		return fmt.Sprintf("%s is in use by this process already", e.Dir)
	}
	if e.PID != 0 {
		holder = fmt.Sprintf("the process with pid %d", e.PID)
	}
	return fmt.Sprintf("%s is in use by %s: stop it, or give this one another state folder", e.Dir, holder)
}

// FormatError says that a database was written by a version of this program whose format this one does not know.
type FormatError struct {
	Dir        string
	Have, Know int
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("the database in %s has format %d, and this program knows format %d: run the newer program, or "+
		"move the folder away and let it be restored", e.Dir, e.Have, e.Know)
}

// isCorrupt tells damage from everything else that can go wrong with files. A file that the database counts on and that
// is gone is damage; one that may not be read, and a disk that is full or failing, are not.
func isCorrupt(err error) bool {
	var inDatabase *lderrors.ErrCorrupted
	var inStorage *storage.ErrCorrupted
	return errors.As(err, &inDatabase) || errors.As(err, &inStorage) || errors.Is(err, fs.ErrNotExist)
}

// remedy is what an operator can do about an error of the file system, to be appended to its text.
func remedy(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return " (nothing that was committed is lost: free space on the disk, or move the state folder to a larger one, and start again)"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return " (nothing is lost: give this user the right to read and write the folder, and start again)"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return " (raise the limit of open files)"
	case errors.Is(err, syscall.EIO):
		return " (the disk fails: look at the system's log)"
	}
	return ""
}
