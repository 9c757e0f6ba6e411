//go:build unix

package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Mutations seen to fail this test: private.Folder and private.Tighten left out of Start; a lock that follows links.
func TestDataIsForThisUserAloneAndNoLinkIsFollowed(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := filepath.Join(t.TempDir(), "data")
	for range 2 { // the second time with files of a former run, made open
		b := start(t, Options{DataDir: dir})
		c := client(t, b.Addrs())
		if _, err := os.Stat(filepath.Join(dir, "marked")); err != nil {
			if err := b.Cluster().CreateTopic("a", 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		produce(t, c, "a", "1")
		c.Close()
		if info, err := os.Stat(filepath.Join(dir, "data")); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("while it runs: %v, %v", info.Mode(), err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			info, infoErr := entry.Info()
			if err := errors.Join(err, infoErr); err != nil {
				return err
			}
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("others can use %s: %s", path, info.Mode())
			}
			if path != dir && strings.HasPrefix(path, filepath.Join(dir, "data")) {
				return os.Chmod(path, info.Mode().Perm()|0o055)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "marked"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"lock", "data"} {
		dir := t.TempDir()
		target := filepath.Join(t.TempDir(), "target")
		if name == "data" {
			if err := os.Mkdir(target, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if b, err := Start(Options{DataDir: dir}); err == nil {
			b.Close()
			t.Errorf("%s: a link was followed", name)
		} else if !strings.Contains(err.Error(), "symbolic link") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
