package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstream/weir/internal/private"
)

// InstanceID returns the id that is kept in a folder, and makes one when there is none. The folder must be locked by
// the caller. A file that cannot be read or holds no id is an error: with another id the instance could not end the
// transactions that it left open.
func InstanceID(dir string) (string, error) {
	file := filepath.Join(dir, ".instance-id")
	data, err := readOwn(file)
	if errors.Is(err, fs.ErrNotExist) {
		id := strings.ToLower(rand.Text())
		if err := writeFile(file, id+"\n"); err != nil {
			return "", fmt.Errorf("keep the instance's id: %w%s", err, remedy(err))
		}
		return id, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the instance's id: %w%s", err, remedy(err))
	}
	id, whole := strings.CutSuffix(string(data), "\n")
	if !whole || !validID(id) {
		return "", fmt.Errorf("%s holds no instance id: write the former id into it (letters, digits, '.', '-' and '_', "+
			"and a line end), or delete it to get a new one", file)
	}
	return id, nil
}

// HasInstanceID says whether an id is kept in a folder.
func HasInstanceID(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".instance-id"))
	return err == nil
}

const clusterFile = ".cluster-id"

// ClusterID is the id of the cluster that the state in a folder belongs to, "" where that is not noted. The folder must be
// locked by the caller.
func ClusterID(dir string) (string, error) {
	data, err := readOwn(filepath.Join(dir, clusterFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the id of the cluster: %w%s", err, remedy(err))
	}
	return strings.TrimSpace(string(data)), nil
}

// NoteCluster keeps the id of the cluster that the state in a folder belongs to.
func NoteCluster(dir, id string) error {
	if err := writeFile(filepath.Join(dir, clusterFile), id+"\n"); err != nil {
		return fmt.Errorf("keep the id of the cluster: %w%s", err, remedy(err))
	}
	return nil
}

func readOwn(path string) ([]byte, error) {
	f, err := private.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<10))
}

func validID(id string) bool {
	return id != "" && len(id) <= 200 && element("x"+id) == "x"+id
}

// writeFile leaves the whole content under the name or nothing, also when the machine goes down.
func writeFile(file, content string) error {
	temp := file + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a start that was interrupted
		return err
	}
	f, err := private.Open(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp, file)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// syncDir makes a rename durable. Systems that cannot sync a folder need not.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}
