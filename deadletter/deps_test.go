package deadletter

import (
	"os/exec"
	"strings"
	"testing"
)

// Whoever reads dead letters needs an envelope, not a Kafka client: the package imports the standard library and Weir's own
// small packages. Mutation: deadletter imports internal/kafka.
func TestDeadLettersNeedNoKafkaClient(t *testing.T) {
	list, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	for dep := range strings.Lines(string(list)) {
		switch strings.TrimSpace(dep) {
		case "", "github.com/weirstream/weir/deadletter", "github.com/weirstream/weir/internal/record", "github.com/weirstream/weir/internal/provenance":
		default:
			t.Errorf("deadletter depends on %s", dep)
		}
	}
}
