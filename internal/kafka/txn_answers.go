package kafka

import "github.com/IBM/sarama"

// coordinatorAnswer is what an answer of a coordinator means that asking again would not change.
type coordinatorAnswer struct {
	class  Class
	stale  bool   // the group has a newer generation: ErrStaleGeneration, and no class
	remedy string // of Blocked: what a person can do; {id} is the transactional id
}

// coordinatorAnswers are the codes of coordinators that are not just asked again, for all requests of a transaction and for
// offsets. A code that is missing is the world's: Blocked. None is a record's. docs/guarantees.md shows the table.
//
// request repeats, until its time is up: COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR,
// REQUEST_TIMED_OUT, BROKER_NOT_AVAILABLE, NETWORK_EXCEPTION, KAFKA_STORAGE_ERROR, CONCURRENT_TRANSACTIONS.
var coordinatorAnswers = map[sarama.KError]coordinatorAnswer{
	sarama.ErrIllegalGeneration:   {stale: true},
	sarama.ErrRebalanceInProgress: {stale: true},
	errStaleMemberEpoch:           {stale: true},

	sarama.ErrProducerFenced:           {class: Fenced},
	sarama.ErrInvalidProducerEpoch:     {class: Fenced},
	sarama.ErrInvalidProducerIDMapping: {class: Fenced},
	sarama.ErrUnknownMemberId:          {class: Fenced},
	sarama.ErrFencedInstancedId:        {class: Fenced},
	errFencedMemberEpoch:               {class: Fenced},

	sarama.ErrInvalidTxnState:   {class: Abortable},
	sarama.ErrUnknownProducerID: {class: Abortable},
	sarama.ErrUnknown:           {class: Abortable},
	errTransactionAbortable:     {class: Abortable},

	// The program or its settings: nothing that an operator of the cluster does will help.
	sarama.ErrInvalidTransactionTimeout: {class: Fatal},
	sarama.ErrUnsupportedVersion:        {class: Fatal},
	sarama.ErrInvalidGroupId:            {class: Fatal},
	sarama.ErrOffsetMetadataTooLarge:    {class: Fatal},
	sarama.ErrInvalidCommitOffsetSize:   {class: Fatal},

	sarama.ErrTransactionalIDAuthorizationFailed: {class: Blocked, remedy: "allow this principal to WRITE to and DESCRIBE transactional id {id}"},
	sarama.ErrGroupAuthorizationFailed:           {class: Blocked, remedy: "allow this principal to READ the group"},
	sarama.ErrClusterAuthorizationFailed:         {class: Blocked, remedy: "allow this principal to IDEMPOTENT_WRITE on the cluster"},
	sarama.ErrTopicAuthorizationFailed:           {class: Blocked, remedy: "allow this principal to READ the inputs"},
	sarama.ErrUnknownTopicOrPartition:            {class: Blocked, remedy: "an input was deleted: make it again"},
}
