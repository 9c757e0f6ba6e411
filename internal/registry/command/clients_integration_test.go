//go:build integration && unix

package command_test

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/fetched"
	"github.com/weirstream/weir/internal/kafkatest"
)

//go:embed testdata/confluent_kafka.py
var python string

// Confluent's own client for Python, with its serializers of all three types, works against the server unchanged: what it registers
// it finds again, and it is refused with the codes that it knows. The line of docs/schemas.md for curl is run too.
//
// Mutation seen to fail it: an empty list of references is another schema than none.
func TestConfluentsClientForPythonWorksUnchanged(t *testing.T) {
	kafkatest.Require(t)
	const version = "2.16.1"
	sum := sha256.Sum256([]byte(version))
	dir, have := fetched.Folder("confluent-kafka", version, sum[:])
	if !have {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		err := fetched.Make(dir, func(part string) (string, error) {
			return part, fetched.Pip(ctx, part, "confluent-kafka[avro,json,protobuf]=="+version)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cluster := kafkatest.Start(t, kafkatest.Options{})
	s := &server{t: t, binary: build(t), topic: fmt.Sprint("schemas-of-python-", time.Now().UnixNano()), brokers: strings.Join(cluster.Addrs(), ","), addr: kafkatest.FreeAddress(t)}
	s.start()
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	cmd := exec.CommandContext(t.Context(), "python3", "-c", python, "http://"+s.addr)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	page, err := os.ReadFile("../../../docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^curl .*$`).FindString(string(page))
	line = strings.ReplaceAll(line, "http://127.0.0.1:8081", "--silent http://"+s.addr)
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil || !strings.Contains(string(out), `"version":1`) {
		t.Errorf("%s: %v, %s", line, err, out)
	}
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("the server ended with code %d", code)
	}
}
