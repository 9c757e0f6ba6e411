package deadletter

import "github.com/weirstream/weir/internal/record"

// Header is one header of a record: its Key, a string, and its Value, a []byte. Keys may repeat. It is the same type as
// topology.Header.
type Header = record.Header

// TopicPartition names one partition of one topic: its Topic, a string, and its Partition, an int32.
type TopicPartition = record.TopicPartition

// Excess says which limit a record is over, for which it was not read whole. Limit is the name of the setting, such as
// max.record.bytes, or on.corrupt.batch for records that are damaged in the log; Size, an int64, is what the record has of
// what the limit counts, as far as it was read, and Max, an int64, what is allowed. It may stand for a range of records that
// could not be taken apart: Last, an int64, is then the offset of the last one, and Records, an int, how many there are; for
// a single record they are its own offset and 1.
type Excess = record.Excess
