//go:build unix

// Package fetched fills folders in the user's cache with what Maven, pip and npm fetch or make, once: the jars of Kafka, programs of the
// benchmark, and clients in other languages that tests use.
package fetched

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Folder is where the folder of a name and version is, made from sources with a checksum, whose first bytes are part of its name: other
// sources have another folder. It is complete if it is there.
func Folder(name, version string, sum []byte) (dir string, have bool) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir = filepath.Join(cache, "weir", fmt.Sprintf("%s-%s-%.4x", name, version, sum))
	_, err = os.Stat(dir)
	return dir, err == nil
}

// Make makes a folder that is not there. Of several processes that want it at once, one does. fill works in an empty folder, which
// is removed afterwards, and returns the part of it that becomes the folder.
func Make(dir string, fill func(part string) (whole string, err error)) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return nil // made while we waited
	}
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(part)
	whole, err := fill(part)
	if err != nil {
		return err
	}
	return os.Rename(whole, dir)
}

// Maven runs it in a folder. Its output is part of the error.
func Maven(ctx context.Context, dir string, args ...string) error {
	return run(ctx, dir, "mvn", "install Maven", append([]string{"-B", "-q"}, args...)...)
}

// Pip puts packages of Python into a folder, for PYTHONPATH.
func Pip(ctx context.Context, dir string, requirements ...string) error {
	return run(ctx, dir, "python3", "install Python 3 with pip",
		append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--target", dir}, requirements...)...)
}

// Npm puts packages of JavaScript into a folder, for NODE_PATH. No script of theirs is run.
func Npm(ctx context.Context, dir string, packages ...string) error {
	return run(ctx, dir, "npm", "install Node.js with npm",
		append([]string{"install", "--prefix", dir, "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"}, packages...)...)
}

func run(ctx context.Context, dir, name, remedy string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("%s is not in the PATH: %s", name, remedy)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}
