package processors

import (
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/simkafka"
)

// An offset that Weir's own tool has set to where the state is is no disagreement. It is reported as that, with who and why.
//
// Mutation: reportOrigin without ParseSet.
func TestWhoSetAnOffsetIsReported(t *testing.T) {
	const own = "an offset was set by weir offsets reset"
	for _, c := range []struct {
		name, metadata string
		own            int
	}{
		{"by the tool", offsets.Set{Read: -1, Who: "eve@host", Why: "over the holidays"}.String(), 1},
		{"by an instance", offsets.Mark{}.String(), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.begun()
				g.cluster.CommitOffset(jobGroup, at(jobIn, 0), kafka.CommittedOffset{Offset: 3, Metadata: c.metadata})
				g.start()
				g.send(0, "a 4")
				time.Sleep(time.Second)
				g.sees(at(jobLog, 0), "a 123", "a 1234")
				if got := g.logged(zapcore.InfoLevel, own); got != c.own {
					t.Errorf("reported %d times as the tool's, want %d", got, c.own)
				}
				for _, e := range g.logs.FilterMessage(own).All() {
					if m := e.ContextMap(); m["who"] != "eve@host" || m["why"] != "over the holidays" {
						t.Errorf("%v", m)
					}
				}
			})
		})
	}
}

// An offset that another program has set where no state says anything of the input cannot be refused, since there is nothing to compare it
// with: the start warns of it. Weir's own does not.
//
// Mutation seen to fail it: reportOrigin without the case.
func TestAStrangersOffsetWithoutStateIsWarnedOf(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		const warning = "no state says how far the input was read"
		g.stateless()
		g.send(0, "a 1", "a 2", "a 3")
		g.start()
		g.stop()
		g.committed(at(jobIn, 0), 3)
		g.start()
		g.stop()
		if n := g.logged(zapcore.WarnLevel, warning); n != 0 {
			t.Errorf("%d warnings of Weir's own offsets", n)
		}
		g.cluster.SetOffset(jobGroup, at(jobIn, 0), 1)
		g.start()
		g.send(0, "a 4")
		g.stop()
		if n := g.logged(zapcore.WarnLevel, warning); n != 1 {
			t.Errorf("%d warnings", n)
		}
	})
}
