package processors

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/internal/plan"
)

var update = flag.Bool("update", false, "write docs anew")

// docs/metrics.md has every metric of an instance, in its own words.
//
// Mutation seen to fail it: another help of a metric; a metric left out of collectors.
func TestDocsListEveryMetric(t *testing.T) {
	i := &Instance{engine: &engine{graph: &graph{plan: &plan.Plan{Topology: "t"}}}}
	i.metrics = newMetrics(i.engine)
	i.metrics.snapshot = newSnapshot(i)
	described := make(chan *prometheus.Desc, 100)
	for _, c := range append(i.metrics.collectors(), (&Managed{plan: i.graph.plan}).gauge()) {
		c.Describe(described)
	}
	close(described)
	parts := regexp.MustCompile(`fqName: "(\w+)", help: "(.*?)",.* constLabels: \{.*?\}, variableLabels: \{([^}]*)\}`)
	var rows []string
	for d := range described {
		m := parts.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s is read otherwise", d)
		}
		kind := "gauge"
		switch {
		case strings.HasSuffix(m[1], "_total"):
			kind = "counter"
		case m[1] == "weir_commit_duration_seconds":
			kind = "histogram"
		}
		labels := strings.Split(strings.ReplaceAll(m[3], " ", ""), ",")
		if !slices.Contains(labels, "topology") {
			labels = append([]string{"topology"}, labels...)
		}
		labels = slices.DeleteFunc(labels, func(l string) bool { return l == "" })
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", m[1], kind, strings.Join(labels, ", "), m[2]))
	}
	slices.Sort(rows)
	want := `# Metrics

<!-- Made from processors/metrics.go by: go test ./processors -run TestDocsListEveryMetric -update -->

What ` + "`/metrics`" + ` serves of an instance, besides what Go and the process say of themselves. Counts are added when the transaction of
their records is committed, so that they add up to the committed offsets.

| metric | kind | labels | |
| --- | --- | --- | --- |
` + strings.Join(rows, "\n") + "\n"
	path := filepath.Join("..", "docs", "metrics.md")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%v: docs/metrics.md is not what the code says: go test ./processors -run TestDocsListEveryMetric -update", err)
	}
}
