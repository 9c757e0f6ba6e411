package processors

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// keyText tells a key or value that is not there from an empty one.
func keyText(b []byte) string {
	if b == nil {
		return "nil"
	}
	return fmt.Sprintf("%q", b)
}

// TestKeysAndTimestampsGoThroughTheEngineAsTheyAre: records with no key, an empty one and some, with no timestamp, an old, a
// present and a future one, through every way out of a node: an emit under the record's key or another, a tombstone, an
// emit after an edge, a dead letter. Outputs have the time of their record; only a record without one gets the present.
//
// Mutations: stage uses now for the timestamp; time() takes > for >=, or cuts a timestamp ahead of the clock; an empty key
// for none, or none for an empty one; the record's key for the emit's; a tombstone with an empty value; partitionFor
// without the remainder, by the count of the input, with an empty key as with none, or 0 without a key; a dead letter with
// an empty key for none.
func TestKeysAndTimestampsGoThroughTheEngineAsTheyAre(t *testing.T) {
	const inputs, outputs = 3, 2
	bubble(t, inputs, simkafka.Config{}, func(g *rig) {
		const same, other, empty, gone, blank, edged = "out.same.v1", "out.other.v1", "out.empty.v1", "out.gone.v1", "out.blank.v1", "out.edged.v1"
		ways := []string{same, other, empty, gone, blank, edged}
		for _, name := range ways {
			g.topic(name, outputs, nil)
		}
		g.job.define = func() *topology.Topology {
			in := topology.Stream(jobIn, codecs.String())
			out := map[string]*topology.StreamOf[string]{}
			for _, name := range ways {
				out[name] = topology.Stream(name, codecs.String())
			}
			edge := topology.Edge[string]("edge")
			return topology.Define(jobGroup,
				topology.Node("node", topology.On(in, func(ctx topology.Context, key, value string) error {
					if value == "bad" {
						return topology.Reject(errors.New("no"))
					}
					out[same].Emit(ctx, key, value)
					out[other].Emit(ctx, "k-"+key, value)
					out[empty].Emit(ctx, "", value)
					out[gone].Tombstone(ctx, key)
					out[blank].Emit(ctx, key, "")
					edge.Emit(ctx, key, value)
					return nil
				}), topology.Emits(out[same], out[other], out[empty], out[gone], out[blank], edge)),
				topology.Node("after", topology.On(edge, func(ctx topology.Context, key, value string) error {
					out[edged].Emit(ctx, key, value)
					return nil
				}), topology.Emits(out[edged])))
		}
		g.start()

		type written struct{ key, value string }
		type slot struct {
			tp   kafka.TopicPartition
			want []written
			time []int64 // -1: the present
		}
		slots := map[kafka.TopicPartition]*slot{}
		want := func(topic string, partition int32, key, value []byte, timestamp int64) {
			tp := at(topic, partition)
			if slots[tp] == nil {
				slots[tp] = &slot{tp: tp}
			}
			slots[tp].want = append(slots[tp].want, written{keyText(key), keyText(value)})
			slots[tp].time = append(slots[tp].time, timestamp)
		}
		began := time.Now().UnixMilli()
		n := 0
		for _, key := range [][]byte{nil, {}, []byte("a"), []byte("gina"), []byte("b")} {
			for _, timestamp := range []int64{-1, 0, 1, 1000, began - 30*86400_000, began, began + 3600_000} {
				for _, value := range []string{"v", "bad", ""} {
					p := int32(n % inputs) // not where the key belongs: a record's own place is that of its input
					n++
					data := []byte(value)
					g.cluster.Produce(at(jobIn, p), kafka.Record{Key: key, Value: data, Timestamp: timestamp})
					time.Sleep(300 * time.Millisecond) // so that the order over the inputs is known
					// The model: a key hashes to a partition of the output, and without one the input's number wraps round.
					to := func(key []byte, count int32) int32 {
						if key == nil {
							return p % count
						}
						return partitioner.Murmur2.Partition(key, count)
					}
					if value == "bad" {
						want(jobDead, to(key, inputs), key, data, timestamp)
						continue
					}
					want(same, to(key, outputs), key, data, timestamp)
					prefixed := []byte("k-" + string(key))
					want(other, to(prefixed, outputs), prefixed, data, timestamp)
					bare := []byte{}
					if len(key) == 0 {
						bare = key // the key of the emit is that of the record, which may be none
					}
					want(empty, to(bare, outputs), bare, data, timestamp)
					want(gone, to(key, outputs), key, nil, timestamp)
					want(blank, to(key, outputs), key, []byte{}, timestamp)
					want(edged, to(key, outputs), key, data, timestamp)
				}
			}
		}
		time.Sleep(5 * time.Second)
		for _, topic := range append(ways, jobDead) {
			for p := range g.cluster.Partitions(topic) {
				tp := at(topic, p)
				s := slots[tp]
				if s == nil {
					s = &slot{tp: tp}
				}
				got := g.cluster.Committed(tp)
				if len(got) != len(s.want) {
					t.Errorf("%s holds %d records, want %d", tp, len(got), len(s.want))
					continue
				}
				for i, r := range got {
					if w := (written{keyText(r.Key), keyText(r.Value)}); w != s.want[i] {
						t.Errorf("%s record %d is %v, want %v", tp, i, w, s.want[i])
					}
					switch wanted := s.time[i]; {
					case topic == jobDead:
						// Its time may be cut to the present, and the brokers may stamp it; the envelope's tests say more.
					case wanted >= 0 && r.Timestamp != wanted:
						t.Errorf("%s record %d has timestamp %d, want its record's, %d", tp, i, r.Timestamp, wanted)
					case wanted < 0 && (r.Timestamp < began || r.Timestamp > time.Now().UnixMilli()):
						t.Errorf("%s record %d has timestamp %d, want the present, from %d on", tp, i, r.Timestamp, began)
					}
				}
			}
		}
	})
}

// TestStateIsStampedWithThePresent: a changelog's retention and compaction look at its own records' time, whatever the time
// of the input.
//
// Mutation: drain takes the timestamp of the record.
func TestStateIsStampedWithThePresent(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		g.start()
		began := time.Now().UnixMilli()
		for _, timestamp := range []int64{-1, 1, began - 400*86400_000, began + 3600_000} {
			g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte("a"), Value: []byte("1"), Timestamp: timestamp})
			time.Sleep(time.Second)
		}
		changes := g.cluster.Committed(at(jobLog, 0))
		if len(changes) != 4 {
			t.Errorf("%d changes", len(changes))
		}
		for i, r := range changes {
			if r.Timestamp < began || r.Timestamp > time.Now().UnixMilli() {
				t.Errorf("change %d has timestamp %d, want the present, from %d on", i, r.Timestamp, began)
			}
		}
	})
}
