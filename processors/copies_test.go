package processors

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
)

// fetchesFrom notes from which offsets readers of a topic begin.
type fetchesFrom struct {
	Wire
	mu    sync.Mutex
	begun map[kafka.TopicPartition][]int64
}

func (f *fetchesFrom) NewFetcher() (Fetcher, error) {
	inner, err := f.Wire.NewFetcher()
	return notedFetcher{inner, f}, err
}

type notedFetcher struct {
	Fetcher
	of *fetchesFrom
}

func (n notedFetcher) Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch)) {
	n.of.mu.Lock()
	n.of.begun[tp] = append(n.of.begun[tp], from.Offset)
	n.of.mu.Unlock()
	n.Fetcher.Start(tp, from, deliver)
}

// A copy that could not hear of its changelog for longer than that remembers deletions is built anew: what it read again would leave it with
// keys that are gone. How long that was follows from what it knew before, not from when it could write again.
//
// Mutations, each seen to fail: drain without the look at asOf; prove that takes the time of now for that of the question.
func TestACopyThatWasCutOffForLongIsBuiltAnew(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.job.node = recall
		g.cluster.DeleteTopic(jobLog)
		g.topic(jobLog, 2, map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "60000"})
		g.opts.Standby = 1
		_, stop := g.second()
		settled()
		g.start()
		g.send(0, "a 1", "b 1")
		time.Sleep(5 * time.Minute)
		if st := g.inst.Stats(); len(st.Copies) != 1 || !st.Copies[0].Warm {
			t.Fatalf("there is no copy: %+v", st)
		}
		if n := g.logged(zapcore.WarnLevel, "a copy of state stopped"); n > 0 {
			t.Errorf("a copy that hears of its changelog has stopped %d times", n)
		}
		g.process.CutOff()
		g.cluster.Produce(at(jobLog, 0), record("a", ""), record("b", "new"))
		time.Sleep(70 * time.Second)
		g.cluster.Compact(jobLog)
		g.cluster.Forget(jobLog)
		g.process.Reconnect()
		time.Sleep(2 * time.Minute)
		stop()
		time.Sleep(20 * time.Second)
		g.send(0, "a ?", "b ?")
		time.Sleep(5 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "b 1", "a nothing", "b new")
	})
}

// An instance keeps a copy of the task of the other one. When that stops the task goes on here, and of its changelog only what the
// copy lacked is read. The copy's database is not even closed: its journal would be read again, and its keys for their filter.
//
// Mutations, each seen to fail: a copy that is closed when its task comes; a restorer that opens what was handed over.
func TestATaskGoesOnFromItsCopy(t *testing.T) {
	noted := &fetchesFrom{begun: map[kafka.TopicPartition][]int64{}}
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.opts.Standby = 1
		g.wrap = func(w Wire) Wire { noted.Wire = w; return noted }
		second, stop := g.second()
		settled()
		var want []string
		for k := range 20 {
			want = append(want, fmt.Sprintf("a %d", k))
			g.send(0, want[k])
			time.Sleep(200 * time.Millisecond) // a commit each
		}
		g.start()
		time.Sleep(20 * time.Second)
		tp := at(jobLog, 0)
		if st := g.inst.Stats(); len(st.Tasks) != 1 || len(st.Copies) != 1 || st.Copies[0] != (CopyStats{Warm: true}) {
			t.Errorf("a task and a warm copy of task 0_0 are wanted: %+v", st)
		}
		if st := second.Stats(); len(st.Tasks) != 1 || len(st.Copies) != 1 || st.Copies[0] != (CopyStats{Partition: 1, Warm: true}) {
			t.Errorf("the other instance: %+v", st)
		}
		_, _, end := g.cluster.Bounds(tp)
		g.r.take()
		stop()
		time.Sleep(20 * time.Second)
		if st := g.inst.Stats(); len(st.Tasks) != 2 || len(st.Copies) != 0 {
			t.Errorf("after the other one is gone: %+v", st)
		}
		if calls := g.r.take(); strings.Contains(calls, "open store") || strings.Contains(calls, "close store") || !strings.Contains(calls, "assigned") {
			t.Errorf("a store that was open is opened again, or nothing was recorded:\n%s", calls)
		}
		noted.mu.Lock()
		begun := noted.begun[tp]
		noted.mu.Unlock()
		if len(begun) == 0 || begun[0] != 0 {
			t.Errorf("the copy was read from %v", begun)
		}
		for _, from := range begun[1:] {
			if from < end {
				t.Errorf("%s was read from offset %d again, and the copy had it up to %d", tp, from, end)
			}
		}
		g.send(0, "a 20")
		settled()
		g.sees(at(jobOut, 0), append(want, "a 20")...)
	})
}
