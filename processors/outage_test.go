package processors

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// What a codec cannot get is no fault of a record: its partition waits, however long, says so in health, and goes on by itself; others
// pass. The tries are none of the node's.
func TestARecordWaitsForWhatItsCodecNeeds(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 2, First: time.Second, Max: time.Second})}
		var there, others atomic.Bool
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if !there.Load() && strings.HasPrefix(value, "strange") {
				if ctx.Record().Attempt != 1 {
					others.Store(true)
				}
				return fmt.Errorf("decode: %w: the registry is away", codecs.ErrUnavailable)
			}
			return remember(j, ctx, key, value)
		}
		g.start()
		g.send(0, "a strange", "a known")
		g.send(1, "b known", "b known")
		time.Sleep(time.Hour)
		g.committed(at(jobIn, 1), 2)
		g.committed(at(jobIn, 0), 0)
		if waits := g.waits(); len(waits) != 1 || !strings.Contains(waits[0], "/0 at 0 since") || !strings.Contains(waits[0], "the registry is away") {
			t.Errorf("health says %q", waits)
		}
		if others.Load() {
			t.Error("the node was told of another attempt than the first")
		}
		there.Store(true)
		time.Sleep(time.Minute)
		g.committed(at(jobIn, 0), 2)
		g.counted(4, 0, 0, 0)
		if waits := g.waits(); len(waits) > 0 {
			t.Errorf("health still says %q", waits)
		}
	})
}
