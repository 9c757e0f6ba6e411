//go:build unix

package kafkatest

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Version is the version of Kafka that is started.
const Version = "4.3.1"

//go:embed pom.xml
var pom []byte

//go:embed log4j2.properties
var log4j []byte

// cached returns the folder of Kafka's jars, and whether it is there. Its name changes with the pom, and it gets that
// name only when it is complete.
func cached() (dir string, have bool) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir = filepath.Join(cache, "weir", fmt.Sprintf("kafka-%s-%.4x", Version, sha256.Sum256(pom)))
	_, err = os.Stat(dir)
	return dir, err == nil
}

// jars returns the folder of Kafka's jars and fetches them when they are not there. Of several processes that want
// them at once, one fetches.
func jars(ctx context.Context) (string, error) {
	dir, have := cached()
	if have {
		return dir, nil
	}
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
	if _, have := cached(); have {
		return dir, nil // fetched while we waited
	}
	if err := fetch(ctx, dir); err != nil {
		return "", fmt.Errorf("fetch the jars of Kafka %s: %w", Version, err)
	}
	return dir, nil
}

func fetch(ctx context.Context, dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("mvn is not in the PATH: install Maven")
	}
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return err
	}
	defer os.RemoveAll(part)
	pomFile := filepath.Join(part, "pom.xml")
	if err := os.WriteFile(pomFile, pom, 0o600); err != nil {
		return err
	}
	libs := filepath.Join(part, "libs")
	cmd := exec.CommandContext(ctx, mvn, "-B", "-q", "-f", pomFile, "dependency:copy-dependencies", "-DoutputDirectory="+libs)
	cmd.Dir = part
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	if found, err := filepath.Glob(filepath.Join(libs, "kafka_*.jar")); err != nil || len(found) == 0 {
		return fmt.Errorf("%v left no jar of Kafka in %s", cmd.Args, libs)
	}
	if err := os.WriteFile(filepath.Join(libs, "log4j2.properties"), log4j, 0o600); err != nil {
		return err
	}
	return os.Rename(libs, dir)
}
