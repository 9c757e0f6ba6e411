package processors

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// What nodes ask for with the options of an Emit is in the log, and so are the headers that go along. What is committed in one
// transaction keeps headers of its own.
//
// Mutations seen to fail it: stage without the time, the partition, or the headers; outHeaders that uses its memory again.
func TestOptionsOfAnEmitReachTheLog(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		bubble(t, 3, simkafka.Config{}, func(g *rig) {
			g.opts.Guarantee = guarantee
			g.job.parts = []topology.Part{topology.PassHeaders("tenant")}
			g.job.node = func(j *job, ctx topology.Context, key, value string) error {
				n, _ := fmt.Sscan(value, new(int))
				if n == 0 {
					j.out.Emit(ctx, key, value)
					return nil
				}
				j.out.Emit(ctx, key, value, topology.WithHeader("n", []byte(value)), topology.At(time.UnixMilli(7)), topology.ToPartition(2))
				j.out.Tombstone(ctx, key, topology.WithHeader("n", []byte("-"+value)), topology.ToPartition(2))
				return nil
			}
			g.start()
			var records []kafka.Record
			for i := range 300 {
				r := record("a", fmt.Sprint(i))
				r.Headers = []kafka.Header{{Key: "tenant", Value: fmt.Append(nil, "t", i)}, {Key: "weir.x", Value: []byte("x")}, {Key: "other"}}
				records = append(records, r)
			}
			g.cluster.Produce(at(jobIn, 0), records...)
			plain := record("a", "plain")
			g.cluster.Produce(at(jobIn, 0), plain)
			time.Sleep(2 * time.Second)
			out := g.cluster.Committed(at(jobOut, 2))
			if len(out) != 600 {
				t.Fatalf("%d records on partition 2", len(out))
			}
			for i, r := range out {
				var headers []string
				for _, h := range r.Headers {
					headers = append(headers, h.Key+"="+string(h.Value))
				}
				want := fmt.Sprintf("tenant=t%d n=%d", i/2, i/2)
				if i%2 == 1 {
					want = fmt.Sprintf("tenant=t%d n=-%d", i/2, i/2)
				}
				if got := strings.Join(headers, " "); got != want || (i%2 == 0) != (r.Timestamp == 7) {
					t.Fatalf("record %d has %q at %d, want %q", i, got, r.Timestamp, want)
				}
			}
			for p := range int32(2) {
				for _, r := range g.cluster.Committed(at(jobOut, p)) {
					if string(r.Value) != "plain" || len(r.Headers) > 0 {
						t.Errorf("partition %d has %s with %v", p, r.Value, r.Headers)
					}
				}
			}
		})
	}
}

// A partition that the topic does not have fails the record: nothing of it is written, and its neighbours pass.
//
// Mutation seen to fail it: record without nowhere.
func TestAPartitionThatIsNotThereFailsTheRecord(t *testing.T) {
	bubble(t, 2, simkafka.Config{}, func(g *rig) {
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			j.store.Set(ctx, key, value)
			j.out.Emit(ctx, key, value)
			if value == "2" {
				j.out.Emit(ctx, key, value, topology.ToPartition(2))
			}
			return nil
		}
		g.start()
		g.send(0, "a 1", "a 2", "a 3")
		time.Sleep(5 * time.Second)
		g.sees(at(jobOut, 0), "a 1", "a 3")
		if dead := g.cluster.Committed(at(jobDead, 0)); len(dead) != 1 || string(dead[0].Value) != "2" {
			t.Errorf("dead letters: %v", dead)
		}
		g.committed(at(jobIn, 0), 3)
	})
}
