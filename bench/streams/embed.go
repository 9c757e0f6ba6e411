// Package streams has the benchmark's jobs on Kafka Streams, and builds them with Maven, once, into the user's cache folder.
package streams

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

//go:embed pom.xml src
var sources embed.FS

// Version is that of Kafka Streams, as in pom.xml.
const Version = "4.3.1"

// ClassPath returns the class path of the jobs and builds them when they are not there. Of several processes that want
// them at once, one builds. The folder's name changes with the sources, and it gets that name only when it is complete.
func ClassPath(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum, err := hash()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "weir", fmt.Sprintf("bench-streams-%s-%.4x", Version, sum))
	path := filepath.Join(dir, "bench-streams.jar") + string(os.PathListSeparator) + filepath.Join(dir, "libs", "*")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return path, nil
	}
	if err := build(ctx, dir); err != nil {
		return "", fmt.Errorf("build the jobs on Kafka Streams: %w", err)
	}
	return path, nil
}

func hash() ([]byte, error) {
	h := sha256.New()
	err := fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := sources.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", path, len(text), text)
		return err
	})
	return h.Sum(nil), err
}

func build(ctx context.Context, dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("mvn is not in the PATH: install Maven")
	}
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err := os.CopyFS(part, sources); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, "-B", "-q", "package")
	cmd.Dir = part
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return os.Rename(filepath.Join(part, "target"), dir)
}
