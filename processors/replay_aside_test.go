package processors

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/topology"
)

// TestWaitsInPlaceAreBounded: a record of a shadow waits in its place for each delay of its node, for 10 seconds at most, and a partition for a minute in all since such a wait
// has helped last. What fails then is a letter at once, so that a range of records that all fail comes to its end.
//
// Mutations, each seen to fail it: delays as they are declared; no bound of them all; waited that nothing takes back, or that each record does that passes.
func TestWaitsInPlaceAreBounded(t *testing.T) {
	const none, all = "1s", "1s 10s 1s 10s 1s" // before the second try, and before those after a delay
	parks(t, nil, func(g *rig, n *failing) {
		values := []string{"b1", "b2", "heals", "b3", "b4", "b5", "good", "late", "b6"}
		want := map[string]string{"b1": all, "b2": all, "heals": "1s 10s", "b3": all, "b4": all, "b5": all, "good": "", "late": none, "b6": none}
		for i, value := range values {
			n.set(value, value != "good")
			g.send(0, fmt.Sprintf("k%d %s", i, value))
		}
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			if value == "heals" && len(n.numbers(value)) == 2 {
				n.set(value, false)
			}
			return n.node(j, ctx, key, value)
		}
		began := time.Now()
		g.process = g.cluster.Process("shadow")
		opts := g.opts
		opts.Wire, opts.StateDir, opts.InstanceID, opts.Log = simWire{g.process}, g.dir, "shadow", zap.NewNop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		tp := at(jobIn, 0)
		var done Progress
		err := RunRanges(ctx, g.job.plan(t), opts, Replay{
			Ranges: []Range{{TopicPartition: tp, From: 0, To: int64(len(values))}}, Moved: func(p Progress) { done = p },
			Resume: func(context.Context) (map[kafka.TopicPartition]Progress, error) { return nil, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		time.Sleep(2 * time.Second) // until the last marker is there
		for _, value := range values {
			n.calls.mu.Lock()
			waits := retries(n.calls.times[value])
			n.calls.mu.Unlock()
			if got := fmt.Sprint(waits); got != "["+want[value]+"]" {
				t.Errorf("%s was tried after %s, want %s", value, got, want[value])
			}
		}
		if took > 3*time.Minute {
			t.Errorf("it took %s", took)
		}
		var letters []string
		for _, r := range g.cluster.Committed(at(jobDead, 0)) {
			letters = append(letters, string(r.Value))
		}
		if !slices.Equal(letters, []string{"b1", "b2", "b3", "b4", "b5", "late", "b6"}) || done.DeadLettered != 7 || done.Processed != 2 || done.Delayed+done.Parked != 0 {
			t.Errorf("letters %q; %+v", letters, done.ReplayCounts)
		}
	})
}
