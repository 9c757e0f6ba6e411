// Package streams has the benchmark's jobs on Kafka Streams, and builds them with Maven, once, into the user's cache folder.
package streams

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weirstream/weir/internal/fetched"
)

//go:embed pom.xml src
var sources embed.FS

// Version is that of Kafka Streams, as in pom.xml.
const Version = "4.3.1"

// ClassPath returns the class path of the jobs and builds them when they are not there.
func ClassPath(ctx context.Context) (string, error) {
	sum, err := hash()
	if err != nil {
		return "", err
	}
	dir, have := fetched.Folder("bench-streams", Version, sum)
	if !have {
		err = fetched.Make(dir, func(part string) (string, error) {
			err := os.CopyFS(part, sources)
			if err == nil {
				err = fetched.Maven(ctx, part, "package")
			}
			if err != nil {
				return "", fmt.Errorf("build the jobs on Kafka Streams: %w", err)
			}
			return filepath.Join(part, "target"), nil
		})
	}
	return filepath.Join(dir, "bench-streams.jar") + string(os.PathListSeparator) + filepath.Join(dir, "libs", "*"), err
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
