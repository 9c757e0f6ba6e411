package weir_test

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/processors"
)

var graph = orders.Totals

type alarm struct{}

func (alarm) OnDeadLettered(l processors.DeadLettered) {
	slog.Error("dead letter", "topic", l.Topic, "partition", l.Partition, "offset", l.Offset, "why", l.Err)
}

func serve(ctx context.Context) error {
	return weir.Run(ctx, graph, weir.Options{
		Brokers:  []string{"127.0.0.1:9092"},
		StateDir: "/var/lib/totals",
		Metrics:  prometheus.DefaultRegisterer,
		Hooks:    []processors.Hook{alarm{}},
		Settings: map[string]string{"transaction.timeout.ms": "15000"}, // any other setting, by its name
	})
}

// What the README shows of Run is what stands here, compiled, and its options are taken.
//
// Mutation tried: another name of a field in the README.
func TestTheReadmeEmbedsWhatCompiles(t *testing.T) {
	readme, err1 := os.ReadFile("README.md")
	file, err2 := os.ReadFile("readme_test.go")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Embed it\n")
	code := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(section)
	if code == nil || !strings.Contains(string(file), code[1]) {
		t.Errorf("the README shows what is not compiled: %q", code)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(done); err != nil {
		t.Error(err)
	}
}
