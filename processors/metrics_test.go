package processors

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/internal/plan"
)

// TestARegistryTakesInstancesOfSeveralTopologies, and of one topology a single one, unless a label tells them apart.
//
// Mutation seen to fail it: desc without its constant label.
func TestARegistryTakesInstancesOfSeveralTopologies(t *testing.T) {
	registry := prometheus.NewRegistry()
	register := func(name string, reg prometheus.Registerer) error {
		i := &Instance{engine: &engine{graph: &graph{plan: &plan.Plan{Topology: name}}, opts: Options{Metrics: reg}}}
		i.metrics = newMetrics(i.engine)
		i.metrics.snapshot = newSnapshot(i)
		return i.metrics.register()
	}
	for _, name := range []string{"orders", "clicks"} {
		if err := register(name, registry); err != nil {
			t.Error(err)
		}
	}
	if register("orders", registry) == nil {
		t.Error("two instances of a topology have the same metrics")
	}
	registry = prometheus.NewRegistry()
	for _, instance := range []string{"1", "2"} {
		if err := register("orders", prometheus.WrapRegistererWith(prometheus.Labels{"instance": instance}, registry)); err != nil {
			t.Error(err)
		}
	}
}
