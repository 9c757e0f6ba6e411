//go:build unix

package registrytest

import (
	"context"
	"crypto/sha256"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/fetched"
)

const confluentVersion = "2.16.1"

// Confluent is Python that is to run a program with Confluent's own client, confluent-kafka, and its serializers, which pip fetches once.
func Confluent(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	sum := sha256.Sum256([]byte(confluentVersion))
	dir, have := fetched.Folder("confluent-kafka", confluentVersion, sum[:])
	if !have {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		err := fetched.Make(dir, func(part string) (string, error) {
			return part, fetched.Pip(ctx, part, "confluent-kafka[avro,json,protobuf]=="+confluentVersion)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("python3", append([]string{"-c", program}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}
