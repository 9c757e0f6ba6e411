package kafka

import "github.com/weirstream/weir/internal/record"

// What stands in a topic, as package record has it.
type (
	TopicPartition = record.TopicPartition
	Header         = record.Header
	Record         = record.Record
	Excess         = record.Excess
)

// OnCorruptBatch is the Limit of a range that is damaged in the log and was passed over.
const OnCorruptBatch = record.OnCorruptBatch

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

// Outgoing is a record to be written. The sink copies Key, Value and Headers when the record is appended: they are the caller's own
// again.
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
