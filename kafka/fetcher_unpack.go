package kafka

import (
	"cmp"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"github.com/IBM/sarama"
)

var errOldFormat = errors.New("the records are in the message format from before Kafka 0.11, which is not supported")

// unpack turns what a broker answered for a partition into a Batch: records from the wanted offset on that are not
// markers and not of aborted transactions. Position is the wanted offset when the answer holds no whole batch beyond
// it; cut says that it ends within a batch and holds none before.
//
// The records share memory with the answer: their keys and values are not copied.
func unpack(tp TopicPartition, wanted int64, block *sarama.FetchResponseBlock) (b Batch, cut bool, err error) {
	b = Batch{TopicPartition: tp, Position: wanted, LeaderEpoch: -1, HighWatermark: block.HighWaterMarkOffset, LastStableOffset: block.LastStableOffset}
	cut = block.Partial
	if len(block.RecordsSet) == 0 {
		b.Position = max(b.Position, emptiedTo(block))
	}
	records, headers := 0, 0
	for _, set := range block.RecordsSet {
		if set.RecordBatch == nil {
			return b, false, errOldFormat
		}
		if !set.RecordBatch.Control {
			records += len(set.RecordBatch.Records)
		}
		for _, r := range set.RecordBatch.Records {
			headers += len(r.Headers)
		}
	}
	if records > 0 {
		b.Records = make([]Record, 0, records)
	}
	slab := make([]Header, 0, headers)
	aborted := abortedOf(block)
	for _, set := range block.RecordsSet {
		rb := set.RecordBatch
		if rb.PartialTrailingRecord {
			// Only here when nothing but emptied batches came before it, which sarama has left out.
			b.Position = max(b.Position, rb.FirstOffset)
			cut = true
			continue
		}
		if !aborted.skip(rb) && !rb.Control {
			slab = unpackBatch(&b, rb, wanted, slab)
		}
		b.Position = max(b.Position, rb.LastOffset()+1)
	}
	return b, cut, nil
}

// emptiedTo is the offset behind the batches that sarama has left out of an answer, because compaction has emptied them,
// or 0 when there were none. It is good for an answer without any other batch. sarama has it for its own consumer only;
// without it the position would be stepped on an offset a request, and batches and the gap before them may be millions.
func emptiedTo(block *sarama.FetchResponseBlock) int64 {
	next := reflect.ValueOf(block).Elem().FieldByName("recordsNextOffset")
	if !next.IsValid() || next.Type() != reflect.TypeFor[*int64]() || next.IsNil() {
		return 0
	}
	return next.Elem().Int()
}

// recordStruct is what a record takes besides its bytes.
const recordStruct = int(unsafe.Sizeof(Record{}))

func unpackBatch(b *Batch, rb *sarama.RecordBatch, wanted int64, slab []Header) []Header {
	first := int64(-1)
	if !rb.FirstTimestamp.IsZero() {
		first = rb.FirstTimestamp.UnixMilli()
	}
	for _, r := range rb.Records {
		offset := rb.FirstOffset + r.OffsetDelta
		if offset < wanted {
			continue // batches are stored and sent whole, the wanted offset may be in the midst of one
		}
		timestamp := first
		if rb.LogAppendTime {
			timestamp = rb.MaxTimestamp.UnixMilli()
		} else if first >= 0 {
			timestamp += int64(r.TimestampDelta / time.Millisecond)
		}
		b.Bytes += len(r.Key) + len(r.Value) + recordStruct
		from := len(slab)
		for _, h := range r.Headers {
			slab = append(slab, Header{Key: string(h.Key), Value: h.Value})
			b.Bytes += len(h.Key) + len(h.Value)
		}
		var own []Header
		if len(slab) > from {
			own = slab[from:len(slab):len(slab)]
		}
		b.Records = append(b.Records, Record{Offset: offset, Timestamp: timestamp, Key: r.Key, Value: r.Value, Headers: own})
	}
	return slab
}

// aborted tells batches of aborted transactions from others. The broker lists the transactions that overlap its answer
// by producer and first offset; a producer has one at a time, and its abort marker ends it.
type aborted struct {
	coming []*sarama.AbortedTransaction
	open   map[int64]bool // by producer id
}

func abortedOf(block *sarama.FetchResponseBlock) aborted {
	if len(block.AbortedTransactions) == 0 {
		return aborted{}
	}
	coming := slices.Clone(block.AbortedTransactions)
	slices.SortFunc(coming, func(a, b *sarama.AbortedTransaction) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return aborted{coming: coming, open: map[int64]bool{}}
}

// skip is to be called with every batch, in order.
func (a *aborted) skip(rb *sarama.RecordBatch) bool {
	if a.open == nil || !rb.IsTransactional {
		return false
	}
	for len(a.coming) > 0 && a.coming[0].FirstOffset <= rb.LastOffset() {
		a.open[a.coming[0].ProducerID] = true
		a.coming = a.coming[1:]
	}
	if rb.Control {
		if isAbortMarker(rb) {
			delete(a.open, rb.ProducerID)
		}
		return false
	}
	return a.open[rb.ProducerID]
}

// isAbortMarker reads the key of a control record: a version, then its kind, of which 0 is abort.
func isAbortMarker(rb *sarama.RecordBatch) bool {
	return len(rb.Records) > 0 && len(rb.Records[0].Key) >= 4 && binary.BigEndian.Uint16(rb.Records[0].Key[2:]) == 0
}
