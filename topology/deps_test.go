package topology_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNoKafkaClientBelow lists what a program gets with topology and codecs: no Kafka client. Seen to fail: an import of
// kafka in runtime.go.
func TestNoKafkaClientBelow(t *testing.T) {
	mustNotLink(t, []string{"github.com/IBM/sarama", "github.com/twmb/franz-go", "github.com/lovoo/goka",
		"github.com/weirstream/weir/internal/kafka", "github.com/weirstream/weir/processors"}, ".", "../codecs", "./topologytest")
}

// TestTheLanguageLinksNoDatabase: the engine opens databases, and what declares a store knows its type only.
//
// Mutation seen to fail: an import of state in store_at.go.
func TestTheLanguageLinksNoDatabase(t *testing.T) {
	mustNotLink(t, []string{"github.com/syndtr/goleveldb", "github.com/weirstream/weir/state"}, ".")
}

func mustNotLink(t *testing.T, unwanted []string, packages ...string) {
	t.Helper()
	list, err := exec.Command("go", append([]string{"list", "-deps"}, packages...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, list)
	}
	for dep := range strings.Lines(string(list)) {
		dep = strings.TrimSpace(dep)
		for _, u := range unwanted {
			if dep == u || strings.HasPrefix(dep, u+"/") {
				t.Errorf("%v: depends on %s", packages, dep)
			}
		}
	}
}
