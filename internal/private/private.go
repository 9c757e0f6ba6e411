// Package private keeps folders and files for this user alone: modes 0700 and 0600, and no symbolic link followed.
//
// State and the embedded broker's data hold what the records hold. What an earlier version left open is closed at start.
// Whoever may write into such a folder could lead this program by a link to truncate a file elsewhere. The folder above may
// be a link, and when it exists it keeps its mode: it is the operator's, and may be a mount or hold other things.
package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The modes.
const (
	FolderMode fs.FileMode = 0o700
	FileMode   fs.FileMode = 0o600
)

// Folder makes a folder, or takes one that exists.
func Folder(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), FolderMode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, FolderMode); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return &LinkError{dir}
	case !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
	}
	return SetMode(dir, info.Mode(), FolderMode)
}

// Tighten gives everything in a folder its mode, and refuses links. Only this user can write into the folder by now.
func Tighten(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return SetMode(path, info.Mode(), FolderMode)
		case info.Mode()&fs.ModeSymlink != 0:
			return &LinkError{path}
		}
		return SetMode(path, info.Mode(), FileMode)
	})
}

// SetMode takes others' rights away. Some file systems have no modes, and some folders belong to another user who shares
// them with a group: they stay as they are, unless everybody can write.
func SetMode(path string, have, want fs.FileMode) error {
	if !Permissions || have.Perm()&^want == 0 {
		return nil
	}
	err := os.Chmod(path, have.Perm()&want)
	if err != nil && have.Perm()&0o002 != 0 {
		return fmt.Errorf("every user can write to %s, and this cannot be changed: %w", path, err)
	}
	return nil
}

// Open opens a file without following a link, and makes it for this user alone.
func Open(path string, flag int) (*os.File, error) {
	f, err := openNoFollow(path, flag)
	if err != nil {
		if info, statErr := os.Lstat(path); statErr == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, &LinkError{path}
		}
		return nil, err
	}
	return f, nil
}

// LinkError says that a name is a symbolic link.
type LinkError struct{ Path string }

func (e *LinkError) Error() string {
	return fmt.Sprintf("%s is a symbolic link, which is not followed in a state folder: put what it leads to in its place, "+
		"or link the whole state folder", e.Path)
}
