package processors

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestInputsOfATaskAreMergedByTime: of what has arrived, each record is the oldest that is next in its input, the first
// input's when there are several, however the fetcher cuts what it delivers. A first record holds the node up until
// everything is there.
//
// Mutations tried: work that stays with its input for a slice; that looks at the others every 16 records; that does not look
// into the inbox; oldest with <= in the place of <.
func TestInputsOfATaskAreMergedByTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		topics := []string{jobIn, jobOther, "event.third.v1"}[:rapid.IntRange(2, 3).Draw(rt, "inputs")]
		// Mostly in order, as producers write, with some that are late.
		times := map[string][]int64{}
		for _, topic := range topics {
			now := int64(1)
			for range rapid.IntRange(0, 400).Draw(rt, "records") {
				now += rapid.Int64Range(0, 3).Draw(rt, "step")
				times[topic] = append(times[topic], now-rapid.SampledFrom([]int64{0, 0, 0, 5}).Draw(rt, "late"))
			}
		}
		fetch, bytes := rapid.IntRange(1, 300).Draw(rt, "fetch"), rapid.SampledFrom([]int{300, 16 << 20}).Draw(rt, "commit bytes")
		interval := rapid.SampledFrom([]time.Duration{100 * time.Millisecond, 20 * time.Second}).Draw(rt, "interval")
		var mu sync.Mutex
		var got []string
		var held string
		bubble(t, 1, simkafka.Config{FetchRecords: fetch, ReadAhead: 1 << 20}, func(g *rig) {
			g.opts.CommitBytes, g.opts.CommitInterval = bytes, interval
			for _, topic := range topics[1:] {
				g.topic(topic, 1, nil)
			}
			hold := make(chan struct{})
			g.job.more = func(j *job) []topology.NodeSpec {
				var parts []topology.Part
				for _, topic := range topics {
					parts = append(parts, topology.On(topology.Stream(topic, codecs.Bytes()), func(ctx topology.Context, key string, _ []byte) error {
						if key == "hold" {
							<-hold
							return nil
						}
						mu.Lock()
						defer mu.Unlock()
						at := int64(noTimestamp)
						if r := ctx.Record(); !r.Timestamp.IsZero() {
							at = r.Timestamp.UnixMilli()
						}
						got = append(got, fmt.Sprint(ctx.Record().Topic, " ", ctx.Record().Offset, " at ", at))
						return nil
					}))
				}
				return []topology.NodeSpec{topology.Node("node", append(parts, topology.DeadLetter(jobDead))...)}
			}
			produce := func(topic string) {
				for _, ts := range times[topic] {
					g.cluster.Produce(at(topic, 0), kafka.Record{Key: []byte("k"), Value: []byte{}, Timestamp: ts})
				}
			}
			g.cluster.Produce(at(topics[0], 0), kafka.Record{Key: []byte("hold"), Value: []byte{}, Timestamp: -1})
			produce(topics[0]) // some come together with the one that holds everything up
			g.start()
			for _, topic := range topics[1:] {
				produce(topic)
			}
			time.Sleep(5 * time.Second) // everything lies in the inbox
			close(hold)
			time.Sleep(time.Minute)
			held = fmt.Sprint(g.inst.Health())
		})
		var want []string
		next := map[string]int{}
		for {
			var best string
			for _, topic := range topics {
				if n := next[topic]; n < len(times[topic]) && (best == "" || times[topic][n] < times[best][next[best]]) {
					best = topic
				}
			}
			if best == "" {
				break
			}
			offset := next[best]
			if best == topics[0] {
				offset++ // after the one that held everything up
			}
			want = append(want, fmt.Sprint(best, " ", offset, " at ", times[best][next[best]]))
			next[best]++
		}
		if !slices.Equal(got, want) {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					rt.Fatalf("record %d of %d is %s, want %s; after %v", i, len(want), got[i], want[i], got[max(0, i-3):i])
				}
			}
			rt.Fatalf("%d records of %d; %s", len(got), len(want), held)
		}
	})
}
