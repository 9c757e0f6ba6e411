//go:build unix

package registrytest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
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

// Ask has a program answer questions, each a line of JSON on its standard input, and returns what it writes.
func Ask[Q any](t testing.TB, program *exec.Cmd, questions []Q) *bytes.Buffer {
	t.Helper()
	var in, out, messages bytes.Buffer
	for _, q := range questions {
		line, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		in.Write(append(line, '\n'))
	}
	program.Stdin, program.Stdout, program.Stderr = &in, &out, &messages
	if err := program.Run(); err != nil {
		t.Fatalf("%v\n%s", err, messages.Bytes())
	}
	return &out
}
