package topology_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNoKafkaClientBelow lists what a program gets with topology and codecs: no Kafka client. Seen to fail: an import of
// kafka in runtime.go.
func TestNoKafkaClientBelow(t *testing.T) {
	list, err := exec.Command("go", "list", "-deps", ".", "../codecs", "./topologytest").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, list)
	}
	for dep := range strings.Lines(string(list)) {
		dep = strings.TrimSpace(dep)
		for _, client := range []string{"github.com/IBM/sarama", "github.com/twmb/franz-go", "github.com/lovoo/goka",
			"github.com/weirstream/weir/internal/kafka", "github.com/weirstream/weir/processors"} {
			if dep == client || strings.HasPrefix(dep, client+"/") {
				t.Errorf("depends on %s", dep)
			}
		}
	}
}
