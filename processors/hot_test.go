//go:build !race

// Under the race detector sync.Pool forgets things on purpose, and what uses one allocates.

package processors

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/simkafka"
)

// hotWire hands out records from memory and takes outputs for written: what is left is the engine's own work.
type hotWire struct {
	Wire
	batches []kafka.Batch
}

func (w *hotWire) NewSink(context.Context, string) (Sink, error) {
	return &hotSink{ends: map[kafka.TopicPartition]int64{}}, nil
}

func (w *hotWire) NewFetcher() (Fetcher, error) { return &hotFetcher{wire: w}, nil }

type hotSink struct {
	ends map[kafka.TopicPartition]int64
}

func (s *hotSink) Append(r *kafka.Outgoing) error { s.ends[r.TopicPartition]++; return nil }
func (s *hotSink) Expect(string, string)          {}
func (s *hotSink) Flush(context.Context) error    { return nil }
func (s *hotSink) End(tp kafka.TopicPartition) int64 {
	if n := s.ends[tp]; n > 0 {
		return n
	}
	return -1
}
func (s *hotSink) LeaderEpoch(kafka.TopicPartition) int32 { return 0 }
func (s *hotSink) Offsets(context.Context, kafka.Member, map[kafka.TopicPartition]kafka.CommittedOffset) error {
	return nil
}
func (s *hotSink) Commit(context.Context) error { return nil }
func (s *hotSink) Abort(context.Context) error  { return nil }
func (s *hotSink) Throttled() time.Duration     { return 0 }
func (s *hotSink) Close() error                 { return nil }

type hotFetcher struct {
	wire    *hotWire
	feeders sync.WaitGroup
}

func (f *hotFetcher) Start(tp kafka.TopicPartition, _ kafka.Position, deliver func(kafka.Batch)) {
	f.feeders.Go(func() {
		for _, b := range f.wire.batches {
			if b.TopicPartition == tp {
				deliver(b)
			}
		}
	})
}
func (f *hotFetcher) Stop(kafka.TopicPartition)         { f.feeders.Wait() }
func (f *hotFetcher) Release(kafka.TopicPartition, int) {}
func (f *hotFetcher) Close() error                      { f.feeders.Wait(); return nil }

// hotIn is the input of the reference job.
const hotIn = "order.placed.v1"

// hotRun runs the reference job over n records of one partition, for that many keys, and returns what that allocated.
func hotRun(t testing.TB, n, keys int) (allocations, bytes float64) {
	t.Helper()
	cluster := simkafka.New(simkafka.Config{})
	for topic, config := range map[string]map[string]string{
		hotIn: nil, "customer.total.v1": nil, hotIn + ".dlq": nil, "customer-totals-totals-changelog": {"cleanup.policy": "compact"},
	} {
		if err := cluster.CreateTopic(kafka.TopicSpec{Name: topic, Partitions: 1, Config: config}); err != nil {
			t.Fatal(err)
		}
	}
	wire := &hotWire{Wire: simWire{cluster.Process("hot")}}
	const batch = 1000
	for from := 0; from < n; from += batch {
		b := kafka.Batch{TopicPartition: at(hotIn, 0), HighWatermark: int64(n), LastStableOffset: int64(n), LeaderEpoch: -1}
		for i := from; i < min(n, from+batch); i++ {
			key := fmt.Sprintf("customer-%07d", i*7919%keys)
			b.Records = append(b.Records, kafka.Record{Offset: int64(i), Timestamp: 1000, Key: []byte(key), Value: fmt.Appendf(nil,
				`{"event_id":"%032x","seq":%d,"customer":"%s","amount_cents":%d,"currency":"EUR","channel":"web"}`, i, i/keys+1, key, i%10000)})
			b.Position = int64(i) + 1
		}
		wire.batches = append(wire.batches, b)
	}
	p, err := orders.Totals.Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRangeRun(p, Options{Wire: wire, StateDir: t.TempDir(), InstanceID: "hot", Workers: 1, Log: zap.NewNop(),
		CommitInterval: 50 * time.Millisecond}, []span{{at(hotIn, 0), 0, int64(n)}})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := r.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs), float64(after.TotalAlloc - before.TotalAlloc)
}

// TestARecordAllocatesLittle: the reference job, from a fetched record to a committed one, without the wire. What a start
// allocates is taken out by the difference of two runs. The key and the two strings of the order are left.
//
// Mutations: stage that copies the key; advance that stores what the input waits for; Run that does not take its arena back; settle that
// does not.
func TestARecordAllocatesLittle(t *testing.T) {
	const few, many, keys = 20_000, 120_000, 5000
	fewTimes, fewBytes := hotRun(t, few, keys)
	manyTimes, manyBytes := hotRun(t, many, keys)
	times, bytes := (manyTimes-fewTimes)/(many-few), (manyBytes-fewBytes)/(many-few)
	t.Logf("%.2f allocations and %.0f bytes a record", times, bytes)
	if times > 3.2 || bytes > 100 {
		t.Errorf("%.2f allocations and %.0f bytes a record", times, bytes)
	}
}

// BenchmarkRecord is the engine's time for a record of the reference job, without the wire.
func BenchmarkRecord(b *testing.B) {
	b.ReportAllocs()
	hotRun(b, b.N, 100_000)
}
