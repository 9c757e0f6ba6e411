package processors

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestAServiceThatIsDownIsLeftAlone: after its failures no call is made until its pause is over, then one; records wait meanwhile, on all
// partitions, and none becomes a dead letter. What a record is rejected for does not count, nor does a call that is ended with its task.
// A call that panics or ends its goroutine counts, and blocks nobody.
func TestAServiceThatIsDownIsLeftAlone(t *testing.T) {
	for _, how := range []string{"error", "panic", "exit"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, 2, simkafka.Config{}, func(g *rig) {
				service := topology.Service("cards", topology.Breaker{Failures: 3, Pause: time.Minute})
				var down atomic.Bool
				var calls atomic.Int64
				down.Store(true)
				g.job.added = func(*job) []topology.Part { return []topology.Part{topology.Uses(service)} }
				g.job.parts = []topology.Part{topology.Retry(topology.Backoff{Attempts: 4, First: time.Second, Max: time.Second})}
				g.job.node = func(j *job, ctx topology.Context, key, value string) error {
					err := service.Do(ctx, func(context.Context) error {
						calls.Add(1)
						switch {
						case value == "rejected":
							return topology.Reject(errors.New("no such card"))
						case !down.Load():
							return nil
						case how == "panic":
							panic("told to")
						case how == "exit":
							runtime.Goexit()
						}
						return errors.New("connection refused")
					})
					if err != nil {
						return err
					}
					return remember(j, ctx, key, value)
				}
				g.start()
				g.send(0, "a rejected", "a rejected", "a rejected", "a rejected", "a 1", "a 2")
				g.send(1, "b 1")
				time.Sleep(30 * time.Second)
				if n := calls.Load(); n < 7 || n > 9 { // four that are rejected, three failures, and those that were followed by a rejection
					t.Errorf("%d calls", n)
				}
				time.Sleep(time.Hour)
				if n := calls.Load(); n < 7+20 || n > 7+61 {
					t.Errorf("%d calls in an hour, with a pause of a minute", n-7)
				}
				g.counted(0, 0, 0, 4)
				if kinds := problemsOf(g.inst); !slices.Contains(kinds, ProblemBlocked) || how == "error" && !strings.Contains(strings.Join(healthOf(g.inst), " "), "cards is down") {
					t.Errorf("problems %q: %q", kinds, healthOf(g.inst))
				}
				down.Store(false)
				time.Sleep(3 * time.Minute)
				g.emitted("a 1", "a 2", "b 1")
				if p := healthOf(g.inst); len(p) > 0 {
					t.Errorf("problems at the end: %q", p)
				}
			})
		})
	}
}
