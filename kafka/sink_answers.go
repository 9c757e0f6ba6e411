package kafka

import "github.com/IBM/sarama"

// verdict is what a produce answer means for its batch.
type verdict int8

const (
	acknowledged  verdict = iota
	resend                // nothing wrong with the batch or its leader: send it again
	resendMoved           // ask who leads the partition, then send it again
	resendUnknown         // the same, but not for long: the topic may just not be there
	tooLarge              // the batch is over a limit that a part of it may not be over
	refused               // a record is at fault; which one, the answer or splitting the batch tells
	refusedAll            // the partition takes nothing from us
	outOfOrder            // explained if an older batch failed, or else records that were acknowledged are gone
	broken                // the transaction cannot go on
	fenced
	hopeless
)

// limitOf is the setting that a batch is over for which the broker answers so.
func limitOf(code sarama.KError) []string {
	switch code {
	case sarama.ErrMessageSizeTooLarge:
		return []string{"max.message.bytes"}
	case sarama.ErrMessageSetSizeTooLarge:
		return []string{"segment.bytes"}
	}
	return nil
}

// judge says what an answer to a produce request means. The codes are those of the versions up to 10 of the request.
func judge(code sarama.KError) verdict {
	switch code {
	case sarama.ErrNoError,
		sarama.ErrDuplicateSequenceNumber: // a repetition of what is already there
		return acknowledged

	case sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend,
		sarama.ErrInvalidMessage, // the checksum: damaged on the way
		sarama.ErrThrottlingQuotaExceeded,
		// A broker that has to ask the coordinator whether the partition is in the transaction (KIP-890) may answer in
		// the coordinator's words.
		sarama.ErrConcurrentTransactions, sarama.ErrOffsetsLoadInProgress,
		sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer:
		return resend

	case sarama.ErrNotLeaderForPartition, sarama.ErrLeaderNotAvailable, sarama.ErrFencedLeaderEpoch,
		sarama.ErrUnknownLeaderEpoch, sarama.ErrReplicaNotAvailable, sarama.ErrBrokerNotAvailable,
		sarama.ErrKafkaStorageError, // the leader's disk: another replica takes over
		sarama.ErrRequestTimedOut, sarama.ErrNetworkException:
		return resendMoved

	case sarama.ErrUnknownTopicOrPartition:
		return resendUnknown

	case sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge:
		return tooLarge

	case sarama.ErrInvalidRecord, sarama.ErrInvalidTimestamp, sarama.ErrPolicyViolation,
		sarama.ErrUnsupportedForMessageFormat:
		return refused

	case sarama.ErrTopicAuthorizationFailed, sarama.ErrInvalidTopic, sarama.ErrUnsupportedCompressionType:
		return refusedAll

	case sarama.ErrOutOfOrderSequenceNumber:
		return outOfOrder

	case sarama.ErrUnknownProducerID, sarama.ErrInvalidTxnState, sarama.ErrUnknown, errTransactionAbortable:
		return broken

	case sarama.ErrInvalidProducerEpoch, sarama.ErrProducerFenced, sarama.ErrInvalidProducerIDMapping:
		return fenced
	}
	return hopeless
}
