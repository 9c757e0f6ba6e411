package processors

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestARecordSlowerThanItsTransactionHasItsEffectOnce: the cluster aborts a transaction after its timeout and fences its
// producer, which the engine notices at its next request. Records that take just less than that, just more and much more,
// alone, first, last, several, and with a backlog after them, are all done, once, in bounded time.
//
// Mutations: abandon does not set cautious, or for one transaction only; due, or work, ignores it; work looks at the clock
// after many records only.
func TestARecordSlowerThanItsTransactionHasItsEffectOnce(t *testing.T) {
	const timeout = 10 * time.Second
	for name, slow := range map[string]map[int]time.Duration{
		"just below":    {5: timeout - 500*time.Millisecond},
		"just above":    {5: timeout + 500*time.Millisecond},
		"much above":    {5: 45 * time.Second},
		"the first":     {0: timeout + time.Second},
		"the last":      {39: timeout + time.Second},
		"one by one":    {4: 12 * time.Second, 5: 12 * time.Second, 6: 12 * time.Second},
		"far apart":     {1: 12 * time.Second, 38: 12 * time.Second},
		"all a little":  littleSlow(40, 700*time.Millisecond),
		"many together": {3: 4 * time.Second, 4: 4 * time.Second, 5: 4 * time.Second, 6: 4 * time.Second, 7: 4 * time.Second},
	} {
		for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
			t.Run(fmt.Sprint(name, " ", guarantee), func(t *testing.T) {
				bubble(t, 1, simkafka.Config{TransactionTimeout: timeout}, func(g *rig) {
					g.opts.Guarantee = guarantee
					runs := 0
					g.job.node = func(j *job, ctx topology.Context, key, value string) error {
						runs++
						time.Sleep(slow[int(ctx.Record().Offset)]) // of the bubble's clock
						return count(j, ctx, key, value)
					}
					g.start()
					const records = 40
					var want []string
					for i := range records {
						g.send(0, "a x")
						want = append(want, fmt.Sprintf("a %d", i+1))
					}
					var total time.Duration
					for _, d := range slow {
						total += d
					}
					time.Sleep(4*total + 30*time.Second) // each at most a few times
					g.committed(at(jobIn, 0), records)
					g.sees(at(jobOut, 0), want...)
					g.counted(records, 0, 0, 0)
					if got := replayed(g.cluster.Committed(at(jobLog, 0)))["a"]; got != fmt.Sprint(records) {
						t.Errorf("the state is %q", got)
					}
					if s := g.inst.Stats(); name == "all a little" && s.Aborts > 0 {
						t.Errorf("%d aborts: the commits were not looked for between slow records", s.Aborts)
					}
					if health := g.inst.Health(); len(health) > 0 {
						t.Errorf("at the end: %q", health)
					}
				})
			})
		}
	}
}

func littleSlow(records int, each time.Duration) map[int]time.Duration {
	slow := map[int]time.Duration{}
	for i := range records {
		slow[i] = each
	}
	return slow
}
