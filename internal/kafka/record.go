package kafka

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

// Record is a record as it was read. Its slices belong to the Batch that carries it: they are never written to and
// live as long as somebody holds them.
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

// Position is a place in a partition, and what it is known to be a place in. Make one with At, or by name of all fields:
// in the zero value the epoch is a known one.
type Position struct {
	Offset int64 // of the next record
	// LeaderEpoch is that of the record before, -1 when it is not known. A log that was truncated behind the reader's back
	// is noticed by it.
	LeaderEpoch int32
	// TopicID is the cluster's id of the topic, as in TopicInfo, "" when it is not known. A topic that was deleted and
	// created again is noticed by it.
	TopicID string
}

// At is the position at an offset about which nothing else is known.
func At(offset int64) Position { return Position{Offset: offset, LeaderEpoch: -1} }

// CommittedOffset is an offset as a consumer group commits it for a partition.
type CommittedOffset struct {
	Offset      int64  // of the next record, -1 where nothing is committed
	LeaderEpoch int32  // of the record before it, -1 when it is not known
	Metadata    string // what the committer added; Kafka's tools add nothing
}

// NoOffset is what is committed where nothing is.
var NoOffset = CommittedOffset{Offset: -1, LeaderEpoch: -1}

// Batch is what a Fetcher delivers for one partition: a run of records in offset order and how far reading has come.
// Position counts control records, aborted records and records that compaction removed, so it reaches the end of the
// partition even where the last offset is no record. A Batch without records moves the position only.
type Batch struct {
	TopicPartition
	Records          []Record
	Position         int64  // the offset after everything read, delivered or passed over
	LeaderEpoch      int32  // of the last record batch before Position, and of every record here; -1 when it is not known
	TopicID          string // the id of the topic that this was read from, "" when it is not known
	HighWatermark    int64  // the end of the partition, transactions that are still open included
	LastStableOffset int64  // the end for a read-committed reader
	Bytes            int    // what the batch counts against the partition's read-ahead until it is released
	Vanished         bool   // the broker has no batch from the position before on: compaction may have removed the last ones
	// Err ends the partition's delivery: an *OffsetOutOfRangeError, a *TopicRecreatedError, a *TruncatedError, a
	// *CorruptBatchError, a *BlockedError where access is denied, or a fatal answer. Nothing more comes for the partition until it is
	// started again.
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
