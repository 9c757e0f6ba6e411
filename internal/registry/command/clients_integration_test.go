//go:build integration && unix

package command_test

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/registry/registrytest"
)

//go:embed testdata/confluent_kafka.py
var python string

// Confluent's own client for Python, with its serializers of all three types, works against the server unchanged: what it registers
// it finds again, and it is refused with the codes that it knows. The line of docs/schemas.md for curl is run too.
//
// Mutations seen to fail it: an empty list of references is another schema than none; no contract of the version before; no schemas written out.
func TestConfluentsClientForPythonWorksUnchanged(t *testing.T) {
	cluster := theCluster(t)
	s := &server{t: t, binary: build(t), topic: fmt.Sprint("schemas-of-python-", time.Now().UnixNano()), brokers: strings.Join(cluster.Addrs(), ","), addr: kafkatest.FreeAddress(t)}
	s.start()
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	if out, err := registrytest.Confluent(t, python, "http://"+s.addr).CombinedOutput(); err != nil {
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
