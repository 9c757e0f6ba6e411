// Package secretfile reads files that hold passwords, tokens and keys, and minds who else may read or write them.
//
// Whoever can write such a file chooses the identity that this program takes, so one that others can write is refused.
// One that others can read is common (Kubernetes mounts secrets with mode 0644, as links to links) and is warned of.
// Links are followed: what counts is the file that was read in the end. Systems without Unix permissions are not judged.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Limit is the size in bytes of the largest file that Read takes.
const Limit = 1 << 20

// Read returns what a file holds, and a warning when others than its owner can read it.
func Read(path string) (data []byte, warning string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	info, err := f.Stat() // of what was opened, whatever the name means by now
	if err != nil {
		return nil, "", err
	}
	if warning, err = judge(path, info); err != nil {
		return nil, "", err
	}
	data, err = ReadAll(f, path, Limit)
	return data, warning, err
}

// Check is Read without reading.
func Check(path string) (warning string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return judge(path, info)
}

// ReadAll reads up to limit bytes, and refuses more: a device or a pipe may have no end.
func ReadAll(r io.Reader, path string, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("%s: has more than %d KiB: is it the right file?", path, limit>>10)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

func judge(path string, info fs.FileInfo) (warning string, err error) {
	const byOthers = 0o022
	mode := info.Mode()
	switch {
	case mode.IsDir():
		return "", fmt.Errorf("%s is a folder: name a file", path)
	case !permissions || !mode.IsRegular(): // a pipe is its maker's
		return "", nil
	case mode.Perm()&byOthers != 0:
		return "", &WritableError{path, mode.Perm()}
	case mode.Perm()&0o004 != 0:
		return fmt.Sprintf("%s holds a secret, and every user of this machine can read it (mode %#o): chmod o-r, or mount it with mode 0400",
			path, mode.Perm()), nil
	case mode.Perm()&0o040 != 0:
		return fmt.Sprintf("%s holds a secret, and others of its group can read it (mode %#o): chmod g-r if they should not",
			path, mode.Perm()), nil
	}
	return "", nil
}

// WritableError says that others than its owner can write a file that holds a secret.
type WritableError struct {
	Path string
	Mode fs.FileMode
}

func (e *WritableError) Error() string {
	return fmt.Sprintf("%s holds a secret, and others than its owner can write it (mode %#o): chmod go-w, and make sure that it holds what you wrote",
		e.Path, e.Mode)
}

// IsWritable says whether an error is that of a file that others can write.
func IsWritable(err error) bool {
	var w *WritableError
	return errors.As(err, &w)
}
