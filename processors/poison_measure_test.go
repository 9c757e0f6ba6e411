//go:build unix

package processors

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

var (
	others       = flag.Int("others", 0, "beside how many records TestWhatOnePoisonRecordCostsTheOthers has one rejected; 0: it is left out")
	othersRounds = flag.Int("others-rounds", 5, "how often it does so, and how often without the one, in turn")
)

// TestWhatOnePoisonRecordCostsTheOthers measures the processor time of an instance, and of the simulated cluster with it, for many records with a rejected one in
// their middle, and without it: go test ./processors -run TestWhatOnePoisonRecordCostsTheOthers -others 1000000 -v -timeout 1h. That the others pass, and the one is a letter, it checks.
func TestWhatOnePoisonRecordCostsTheOthers(t *testing.T) {
	if *others == 0 {
		t.Skip("give -others")
	}
	var spent [2][]time.Duration
	for round := range 2 * *othersRounds {
		bad := (round + round/2) % 2 // 0 1 1 0: what comes first has no advantage
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			g.job.parts = []topology.Part{topology.RetryLater(time.Minute)}
			g.job.node = func(j *job, ctx topology.Context, key, value string) error {
				if value == "poison" {
					return topology.Reject(errors.New("told to"))
				}
				return remember(j, ctx, key, value)
			}
			for i := range *others {
				if bad == 1 && i == *others/2 {
					g.send(0, "bad poison")
				}
				g.send(0, fmt.Sprintf("k%d %d", i%1000, i))
			}
			runtime.GC()
			before := processorTime()
			g.start()
			for g.instLag() > 0 {
				time.Sleep(time.Second)
			}
			spent[bad] = append(spent[bad], processorTime()-before)
			if n, letters := len(g.cluster.Committed(at(jobOut, 0))), len(g.cluster.Committed(at(jobDead, 0))); n != *others || letters != bad {
				t.Errorf("%d outputs and %d letters of %d records and %d", n, letters, *others, bad)
			}
		})
	}
	for bad, all := range spent {
		slices.Sort(all)
		t.Logf("%d records and %d poison: %v of processor time in the middle of %v", *others, bad, all[len(all)/2], all)
	}
}

// instLag is how many records are not committed yet.
func (g *rig) instLag() int64 {
	if !g.inst.Ready() {
		return 1
	}
	return g.inst.Stats().Lag
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
