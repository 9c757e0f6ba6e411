package kafka

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// Class says what the caller of the wire can do about an error.
type Class int8

const (
	// Fatal: nothing that a client does will help (unsupported version, settings that the cluster refuses). Stop, tell the
	// operator.
	Fatal Class = iota
	// Retriable: the wire has already retried within its deadline, and the operation has had no effect. For a sink: no
	// record of the open transaction will be visible once Abort has returned.
	Retriable
	// Abortable: the open transaction cannot be committed any more. Abort it and do the work again.
	Abortable
	// Fenced: another producer or member has taken the place of this one. Give everything up without committing.
	Fenced
	// Indefinite: whether a transaction was committed cannot be known any more. Forget everything in memory and start
	// again from what Kafka holds.
	Indefinite
	// Blocked: the cluster refuses what has nothing to do with a record, such as a topic that is not there or access that
	// is denied. Abort, wait, and try again: it passes when a person has mended it. Such errors are *BlockedError.
	Blocked
)

func (c Class) String() string {
	return [...]string{"fatal", "retriable", "abortable", "fenced", "indefinite", "blocked"}[c]
}

// Error is an error of the wire with its class.
type Error struct {
	Class Class
	Op    string // what was being done, to what: "commit offsets of customer-totals"
	Err   error
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns Blocked when there is a *BlockedError in err's chain, else the class of the first *Error, and Fatal
// when there is none.
func ClassOf(err error) Class {
	var b *BlockedError
	if errors.As(err, &b) {
		return Blocked
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Fatal
}

// RefusedError says that a broker refuses one record and will refuse it again: too large, a topic that does not take
// it, a timestamp out of range. Its neighbours are not at fault.
type RefusedError struct {
	TopicPartition
	Origin int64 // of the refused record
	Err    error
	// Limits are the settings that the record is over, as far as they are known: max.request.size and buffer.memory of
	// this client, max.message.bytes and segment.bytes of the topic. Empty when it was not refused for its size.
	Limits []string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("record for %s refused: %v", e.TopicPartition, e.Err)
}
func (e *RefusedError) Unwrap() error { return e.Err }

// BlockedError says that the cluster takes nothing for a partition, a topic, a group or a transactional id, whatever the
// record: a topic is missing, access is denied, too few replicas are in sync. No record is at fault. The caller waits and
// tries again.
type BlockedError struct {
	// TopicPartition is what cannot be written, or, for offsets, whose offset cannot be committed. Partition is -1 when it
	// is the whole topic; Topic is empty when it is everything that the sink does.
	TopicPartition
	// Also are other partitions that are known to be in the same state, for the same or another reason.
	Also   []TopicPartition
	Origin int64  // of the oldest record that waits for it, 0 when there is none
	Op     string // what was being done: "write to orders/3"
	Err    error
	Remedy string // what a person can do about it: "allow this principal to WRITE to topic orders"
}

// Error does not say the remedy: where an error is reported that has a place of its own.
func (e *BlockedError) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *BlockedError) Unwrap() error { return e.Err }

// Missing says whether the topic is not there, as far as this client can know.
func (e *BlockedError) Missing() bool { return errors.Is(e.Err, sarama.ErrUnknownTopicOrPartition) }

// OutputRecreatedError says that a topic was deleted and made again while a sink wrote to it. The next transaction goes to
// the new one.
type OutputRecreatedError struct {
	Topic    string
	Old, New string // topic ids
}

func (e *OutputRecreatedError) Error() string {
	return fmt.Sprintf("it was deleted and made again: its id was %s and is %s", e.Old, e.New)
}

// OffsetOutOfRangeError says that the wanted offset is not in the partition: retention or an operator removed it
// (Offset < Start), or the partition lost its end (Offset > End).
type OffsetOutOfRangeError struct {
	TopicPartition
	Offset, Start, End int64
}

func (e *OffsetOutOfRangeError) Error() string {
	return fmt.Sprintf("%s has offsets %d to %d, wanted %d", e.TopicPartition, e.Start, e.End, e.Offset)
}

// TopicRecreatedError says that the topic has another id than the position that was to be read from: it was deleted and
// created again, and the offset is a place in the old one.
type TopicRecreatedError struct {
	TopicPartition
	Offset int64
	Was    string // the id of the topic that Offset is a place in
	Is     string // the id of the topic that there is now
}

func (e *TopicRecreatedError) Error() string {
	return fmt.Sprintf("topic %s was deleted and created again: offset %d of %s is of the topic with id %s, now its id is %s", e.Topic, e.Offset, e.TopicPartition, e.Was, e.Is)
}

// TruncatedError says that the partition lost records that were already read, or passed over, and that others may have
// taken their offsets (unclean leader election).
type TruncatedError struct {
	TopicPartition
	Offset      int64 // the position that was to be read from
	LeaderEpoch int32 // of the record before it
	// The log still holds what was read up to End, the last of it in EndEpoch. Both are -1 when the broker does not know.
	End      int64
	EndEpoch int32
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("%s was truncated: records up to offset %d were read in leader epoch %d, of these the log still has those before offset %d (epoch %d)",
		e.TopicPartition, e.Offset, e.LeaderEpoch, e.End, e.EndEpoch)
}

// CorruptBatchError says that a batch of the partition's log is damaged on every broker that was asked, again and again.
// Offsets before Offset were delivered; reading may be continued at Next, which leaves out the damaged batch.
type CorruptBatchError struct {
	TopicPartition
	Offset, Next int64
	Bytes        []byte // of the batch as the last broker sent it, nil where none came; they are not to be written to
	Err          error
}

func (e *CorruptBatchError) Error() string {
	return fmt.Sprintf("%s is damaged at offsets %d to %d: %v", e.TopicPartition, e.Offset, e.Next-1, e.Err)
}
func (e *CorruptBatchError) Unwrap() error { return e.Err }

// ErrStaleGeneration is what a sink's Offsets answers when the group is already in a newer generation than the Member
// given. The transaction is unharmed: wait for the newer Member and call again, or abort if the partitions are gone.
var ErrStaleGeneration = errors.New("the group is in a newer generation")
