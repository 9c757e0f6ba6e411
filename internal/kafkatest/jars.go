//go:build unix

package kafkatest

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"github.com/weirstream/weir/internal/fetched"
)

// Version is the version of Kafka that is started.
const Version = "4.3.1"

//go:embed pom.xml
var pom []byte

//go:embed log4j2.properties
var log4j []byte

// cached returns the folder of Kafka's jars, and whether it is there.
func cached() (dir string, have bool) {
	sum := sha256.Sum256(pom)
	return fetched.Folder("kafka", Version, sum[:])
}

// jars returns the folder of Kafka's jars and fetches them when they are not there.
func jars(ctx context.Context) (string, error) {
	dir, have := cached()
	if have {
		return dir, nil
	}
	return dir, fetched.Make(dir, func(part string) (string, error) {
		libs, err := fetch(ctx, part)
		if err != nil {
			return "", fmt.Errorf("fetch the jars of Kafka %s: %w", Version, err)
		}
		return libs, nil
	})
}

func fetch(ctx context.Context, part string) (libs string, err error) {
	if err := os.WriteFile(filepath.Join(part, "pom.xml"), pom, 0o600); err != nil {
		return "", err
	}
	libs = filepath.Join(part, "libs")
	if err := fetched.Maven(ctx, part, "dependency:copy-dependencies", "-DoutputDirectory="+libs); err != nil {
		return "", err
	}
	if found, err := filepath.Glob(filepath.Join(libs, "kafka_*.jar")); err != nil || len(found) == 0 {
		return "", fmt.Errorf("mvn left no jar of Kafka in %s", libs)
	}
	return libs, os.WriteFile(filepath.Join(libs, "log4j2.properties"), log4j, 0o600)
}
