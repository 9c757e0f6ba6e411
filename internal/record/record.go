// Package record has the types of what stands in a topic: a record, its headers, and its place. It is below all other
// packages and imports none of them, so that a package that only reads or writes records, such as deadletter, needs no
// Kafka client, and so that a header is one type from the fetch to a node and to the sink.
//
// Other packages give these types names of their own, by alias: package topology and package deadletter for users, package
// kafka beside the types of the wire.
package record

import (
	"cmp"
	"fmt"
	"time"
)

// TopicPartition names one partition of one topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// Compare orders by topic, then by partition.
func (tp TopicPartition) Compare(other TopicPartition) int {
	return cmp.Or(cmp.Compare(tp.Topic, other.Topic), cmp.Compare(tp.Partition, other.Partition))
}

// Header is one header of a record. Keys may repeat; order is kept.
type Header struct {
	Key   string
	Value []byte
}

// Record is a record as it was read. Its slices belong to what carries it, a batch of a fetch: they are never written to
// and live as long as somebody holds them.
type Record struct {
	Offset    int64
	Timestamp int64 // milliseconds since the epoch, -1 when the record has none
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
	// Excess is set when a limit cut the record. Key, Value and Headers are then what was kept of it, maybe nothing.
	Excess *Excess
}

// Excess says which limit a record is over, or a whole range of records that could not be taken apart: those at
// Record.Offset to Last. It is dealt with as one bad record.
type Excess struct {
	Limit string // the setting: max.record.bytes, ..., max.answer.bytes, or OnCorruptBatch
	Size  int64  // what the limit counts, as far as it was read
	Max   int64  // the limit
	Last  int64  // the last offset that this stands for
	// Records is how many records the batch says that the range holds, 1 for a single one.
	Records int
}

// OnCorruptBatch is the Limit of a range that is damaged in the log and was passed over, as this setting wants it.
const OnCorruptBatch = "on.corrupt.batch"

// Next is the offset after the record, or after the range that it stands for.
func (r *Record) Next() int64 {
	if r.Excess != nil {
		return r.Excess.Last + 1
	}
	return r.Offset + 1
}

// Time is the record's timestamp.
func (r *Record) Time() time.Time { return time.UnixMilli(r.Timestamp) }
