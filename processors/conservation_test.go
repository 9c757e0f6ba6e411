package processors

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestEveryRecordIsCountedOnce: the four counts add up to the records consumed, also when transactions are done again,
// and the metrics say the same.
//
// Mutations tried: counts not cleared by redo; count called before the commit; outcomes swapped in call.run.
func TestEveryRecordIsCountedOnce(t *testing.T) {
	faults := simkafka.Random(0.1)
	cfg := simkafka.Config{Faults: func(c simkafka.Call, r *rand.Rand) simkafka.Fault {
		f := faults(c, r)
		if c.Op == simkafka.OpCommit && f.Mode != simkafka.Pass {
			f.Mode = simkafka.Before // an instance cannot count what it is not told of
		}
		return f
	}}
	bubble(t, 2, cfg, func(g *rig) {
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			_ = remember(j, ctx, key, value)
			switch value[0] {
			case 'f':
				return ctx.Drop(topology.Filtered)
			case 'd':
				return ctx.Drop(topology.Duplicate)
			case 'r':
				return topology.Reject(errors.New("no"))
			case 'e':
				if ctx.Record().Attempt < 2 {
					return errors.New("not yet")
				}
			}
			return nil
		}
		g.start()
		want := map[string]float64{}
		kinds := []string{"processed", "filtered", "deduplicated", "rejected", "error"}
		for i := range 100 {
			kind := kinds[i%len(kinds)]
			switch kind {
			case "error":
				want["processed"]++
			case "rejected":
				want["dead_lettered"]++
			default:
				want[kind]++
			}
			g.send(int32(i%2), fmt.Sprint("key ", kind))
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(5 * time.Minute)
		g.committed(at(jobIn, 0), 50)
		g.committed(at(jobIn, 1), 50)
		g.counted(40, 20, 20, 20)
		if g.inst.Stats().Aborts == 0 {
			t.Error("nothing was aborted: nothing is shown")
		}
		families, err := g.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != "weir_records_total" {
				continue
			}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "outcome" && m.GetCounter().GetValue() != want[l.GetValue()] {
						t.Errorf("weir_records_total{outcome=%q} is %v, want %v", l.GetValue(), m.GetCounter().GetValue(), want[l.GetValue()])
					}
				}
			}
		}
	})
}
