//go:build unix

package kafkatest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// Require ends the test when a cluster cannot be started here: it fails in CI (CI=true), where a test that does not run
// proves nothing, and skips elsewhere, with the reason.
func Require(t testing.TB) {
	t.Helper()
	err := Missing()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("CI must run this test: %v", err)
	default:
		t.Skipf("needs a real Kafka: %v", err)
	}
}

// Missing says what this machine lacks to start a cluster, or nil.
func Missing() error {
	if existing() != nil {
		return nil
	}
	_, _, err := java()
	if _, have := cached(); !have {
		if _, mvn := exec.LookPath("mvn"); mvn != nil {
			err = errors.Join(err, errors.New("mvn is not in the PATH: install Maven (Debian: apt-get install maven) to fetch Kafka's jars"))
		}
	}
	if err != nil {
		return fmt.Errorf("%w\n(or set WEIR_KAFKA_BROKERS to the addresses of a cluster that may be used)", err)
	}
	return nil
}

// java finds a Java that Kafka 4 runs on, and what it says of its build.
func java() (path, build string, err error) {
	const hint = "install one (Debian: apt-get install openjdk-17-jre-headless) or point JAVA_HOME to it"
	path, err = exec.LookPath("java")
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path, err = exec.LookPath(filepath.Join(home, "bin", "java"))
	}
	if err != nil {
		return "", "", fmt.Errorf("Java 17 or newer is needed and none is found: %s", hint)
	}
	out, err := exec.Command(path, "-version").CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("%s -version: %w", path, err)
	}
	version := regexp.MustCompile(`version "(\d+)`).FindSubmatch(out)
	if version == nil {
		return "", "", fmt.Errorf("%s -version says %q", path, out)
	}
	if n, err := strconv.Atoi(string(version[1])); err != nil || n < 17 {
		return "", "", fmt.Errorf("%s is version %s, and Kafka needs 17 or newer: %s", path, version[1], hint)
	}
	return path, string(out), nil
}
