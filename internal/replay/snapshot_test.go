package replay

import (
	"testing"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
)

// oneBatch is a partition that is read at once.
type oneBatch []kafka.Record

func (b oneBatch) Start(tp kafka.TopicPartition, _ kafka.Position, deliver func(kafka.Batch)) {
	deliver(kafka.Batch{TopicPartition: tp, Records: b, Position: int64(len(b))})
}
func (oneBatch) Stop(kafka.TopicPartition)         {}
func (oneBatch) Release(kafka.TopicPartition, int) {}

// TestASnapshotEndsWithTheLastTransactionOfItsOffsets, also where the offsets went back in between.
//
// Mutation: belongs that ends at the first transaction of later offsets.
func TestASnapshotEndsWithTheLastTransactionOfItsOffsets(t *testing.T) {
	var log oneBatch
	for i, at := range []int64{10, -1, 20, 90, 91, -1, 0, 10, 40, -1} { // an offset that the state had, -1 for a record in the middle of a transaction
		r := kafka.Record{Offset: int64(i), Key: []byte("k"), Value: []byte("v")}
		if at >= 0 {
			r.Headers = []kafka.Header{{Key: offsets.Header, Value: offsets.Positions{"in": {Offset: at, Epoch: -1}}.Encode(offsets.Owner{Topology: "t"})}}
		}
		log = append(log, r)
	}
	for limit, want := range map[int64]int64{-1: 0, 0: 7, 20: 8, 40: 9, 91: 9} {
		got, err := belongs(t.Context(), log, kafka.TopicPartition{Topic: "log"}, 0, int64(len(log)), map[string]int64{"in": limit})
		if err != nil || got != want {
			t.Errorf("up to offset %d: the log up to %d, want %d: %v", limit, got, want, err)
		}
	}
}
