//go:build unix

package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/private"
)

// work uses a topology's folder as an instance does, with enough writes for SSTables, a new manifest and a log.
func work(t *testing.T, state string) {
	t.Helper()
	dir := TopologyDir(state, "topology")
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := InstanceID(dir); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, Options{Dir: StoreDir(state, "topology", "store", 0), CacheBytes: 1})
	for i := range 24 {
		if err := commit(s, int64(i+1), strings.Repeat("k", i+1), strings.Repeat("v", 100_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// everybody lists what others than this user can use in any way.
func everybody(t *testing.T, dir string) (shared []string, files int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			files++
		}
		if info.Mode().Perm()&0o077 != 0 {
			shared = append(shared, path+" "+info.Mode().String())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return shared, files
}

// Mutations seen to fail this test: own does nothing; MkdirAll with 0755; tighten not called at the start.
func TestStateIsForThisUserAlone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	state := filepath.Join(t.TempDir(), "state")
	work(t, state)
	shared, files := everybody(t, state)
	if len(shared) > 0 || files < 6 {
		t.Errorf("%d files; others can use %q", files, shared)
	}
	// An earlier version left everything open to be read.
	err := filepath.WalkDir(filepath.Join(state, "topology"), func(path string, entry fs.DirEntry, err error) error {
		if entry.IsDir() {
			return errors.Join(err, os.Chmod(path, 0o755))
		}
		return errors.Join(err, os.Chmod(path, 0o644))
	})
	if err != nil {
		t.Fatal(err)
	}
	work(t, state)
	if shared, _ := everybody(t, state); len(shared) > 0 {
		t.Errorf("after a start others can still use %q", shared)
	}
}

// A state folder that exists is the operator's: it may be /tmp, or a mount.
func TestAStateFolderThatExistsKeepsItsMode(t *testing.T) {
	state := t.TempDir()
	if err := os.Chmod(state, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(state, link); err != nil {
		t.Fatal(err)
	}
	work(t, link)
	if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Every name that this package opens may be a link that somebody put there. None is followed: the file that it leads to stays
// as it is, and the error names the link.
//
// Mutations seen to fail this test: openNoFollow without O_NOFOLLOW and tighten without its case for links, which truncates
// the file under .lock and LOCK; the temporary file of the instance's id opened with O_TRUNC.
func TestNoLinkIsFollowed(t *testing.T) {
	const precious = "precious\n"
	state := filepath.Join(t.TempDir(), "state")
	work(t, state)
	var names []string
	err := filepath.WalkDir(state, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(state, path)
		if name != "." {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, "topology/.instance-id.new", "topology/store/0/000999.log", "topology/store/0/LOG.old", "topology/store/0/CURRENT.bak")
	for _, name := range names {
		dir := t.TempDir()
		state := filepath.Join(dir, "state")
		work(t, state)
		target, path := filepath.Join(dir, "target"), filepath.Join(state, name)
		if info, err := os.Lstat(path); err == nil && info.IsDir() {
			if err := os.Rename(path, target); err != nil {
				t.Fatal(err)
			}
		} else if err := errors.Join(os.RemoveAll(path), os.WriteFile(target, []byte(precious), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		topology := TopologyDir(state, "topology")
		lock, err := LockDir(topology)
		if err == nil {
			_, err = InstanceID(topology)
			lock.Close()
		}
		var link *private.LinkError
		if !errors.As(err, &link) || link.Path != path {
			t.Errorf("%s: %v", name, err)
		}
		// Whoever comes to the parts without the lock is told the same.
		opened, openErr := openStore(Options{Dir: StoreDir(state, "topology", "store", 0)}, stringCodec{})
		if openErr == nil {
			opened.Close()
		}
		if strings.HasPrefix(name, "topology/store/0") && openErr == nil {
			t.Errorf("%s: the database was opened", name)
		}
		_, _ = InstanceID(topology)
		if data, err := os.ReadFile(target); err == nil && string(data) != precious {
			t.Errorf("%s: the file that it leads to holds %q", name, data)
		}
	}
}
