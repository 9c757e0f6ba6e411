package kafka

import (
	"fmt"
	"time"
)

// TopicPartition names one partition of one topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// Header is one header of a record. Keys may repeat; order is kept.
type Header struct {
	Key   string
	Value []byte
}

// Record is a record as it was read. Its slices belong to the Batch that carries it: they are never written to and
// live as long as somebody holds them.
type Record struct {
	Offset    int64
	Timestamp int64 // milliseconds since the epoch, -1 when the record has none
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
}

// Time is the record's timestamp.
func (r *Record) Time() time.Time { return time.UnixMilli(r.Timestamp) }

// Batch is what a Fetcher delivers for one partition: a run of records in offset order and how far reading has come.
// Position counts control records, aborted records and records that compaction removed, so it reaches the end of the
// partition even where the last offset is no record. A Batch without records moves the position only.
type Batch struct {
	TopicPartition
	Records          []Record
	Position         int64 // the offset after everything read, delivered or passed over
	HighWatermark    int64 // the end of the partition, transactions that are still open included
	LastStableOffset int64 // the end for a read-committed reader
	Bytes            int   // what the batch counts against the partition's read-ahead until it is released
	// Err ends the partition's delivery: an *OffsetOutOfRangeError, or a fatal answer such as a denied authorisation.
	// Nothing more comes for the partition until it is started again.
	Err error
}

// Outgoing is a record to be written. The sink takes Key, Value and Headers over until the record is acknowledged or
// dropped: the caller must not write to them again.
type Outgoing struct {
	TopicPartition
	Timestamp int64 // milliseconds since the epoch
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
	// Origin is the caller's own name for what caused this record. It comes back in a RefusedError.
	Origin int64
}

// Member identifies a member of a consumer group in one generation. Offsets are committed in its name, so that the
// broker refuses those of a member that it has already replaced (KIP-447).
type Member struct {
	Group      string
	ID         string
	InstanceID string // group.instance.id, empty without static membership
	Generation int32
}
