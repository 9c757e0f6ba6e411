package kafka

import (
	"strings"

	"github.com/IBM/sarama"
)

// verdict is what an answer to a produce request means for its batch. Every code is the record's or the world's: a
// record's is tooLarge or refused, and leads to a dead letter; whatever else fails is the world's, and no record suffers
// for it.
type verdict int8

const (
	acknowledged  verdict = iota
	resend                // nothing wrong with the batch or its leader: send it again
	resendMoved           // ask who leads the partition, then send it again
	resendUnknown         // the same, but not for long: the topic may just not be there
	recreated             // the topic has another id than the one that was written to
	tooLarge              // the batch is over a limit that a part of it may not be over
	refused               // a record is at fault; which one, the answer or splitting the batch tells
	outOfOrder            // explained if an older batch failed, or else records that were acknowledged are gone
	broken                // the transaction cannot go on
	fenced                // another producer has the transactional id
	blocked               // the partition takes nothing from us: wait until that is mended
	blockedTopic          // the whole topic does not
	blockedAll            // no topic does
)

// ofRecord says that a record is to blame.
func (v verdict) ofRecord() bool { return v == tooLarge || v == refused }

// does is what the sink and the engine do then, as docs/guarantees.md says it.
func (v verdict) does() string {
	return [...]string{
		acknowledged:  "It is written.",
		resend:        "It is sent again; if that does not help for long, the partitions concerned wait.",
		resendMoved:   "It is sent again, to the leader of then; if that does not help for long, the partitions concerned wait.",
		resendUnknown: "It is sent again for 5s, since brokers hear of a new topic one after the other; then the partitions concerned wait.",
		recreated:     "The transaction is done again, into the new topic.",
		tooLarge:      "The batch is split; a record that is too large alone becomes a dead letter.",
		refused:       "The record becomes a dead letter.",
		outOfOrder:    "The transaction is done again.",
		broken:        "The transaction is done again.",
		fenced:        "The worker starts again from what Kafka holds.",
		blocked:       "The partitions concerned wait.",
		blockedTopic:  "The partitions that write to the topic wait.",
		blockedAll:    "All partitions of the worker wait.",
	}[v]
}

// answer is one code of Kafka's protocol as an answer to a produce request.
type answer struct {
	code    int16
	name    string
	verdict verdict
	remedy  string // what a person can do about it; {topic} and {partition} are filled in
}

// answers is the one table of all codes. docs/guarantees.md shows it. A code that is missing, or that is not meant to
// answer a produce request, is the world's: to wait loses nothing, and a dead letter for it would be a lie.
//
// The codes and names are those of Kafka 4.3 (org.apache.kafka.common.protocol.Errors).
var answers = [...]answer{
	{-1, "UNKNOWN_SERVER_ERROR", blocked, "the broker failed at it: see its log"},
	{0, "NONE", acknowledged, ""},
	{1, "OFFSET_OUT_OF_RANGE", blocked, ""},
	{2, "CORRUPT_MESSAGE", resend, "the batch was damaged on the way, again and again: look for a faulty network card or disk"},
	{3, "UNKNOWN_TOPIC_OR_PARTITION", resendUnknown, "make topic {topic} again, with at least as many partitions as before (fewer are taken after a restart), or allow this principal to DESCRIBE it"},
	{4, "INVALID_FETCH_SIZE", blocked, ""},
	{5, "LEADER_NOT_AVAILABLE", resendMoved, "bring a broker back that has a replica of {partition}"},
	{6, "NOT_LEADER_OR_FOLLOWER", resendMoved, "the brokers do not agree on who leads {partition}: see their logs"},
	{7, "REQUEST_TIMED_OUT", resendMoved, "bring the replicas of {partition} back: the leader waits for them in vain"},
	{8, "BROKER_NOT_AVAILABLE", resendMoved, "bring a broker back that has a replica of {partition}"},
	{9, "REPLICA_NOT_AVAILABLE", resendMoved, "bring a broker back that has a replica of {partition}"},
	{10, "MESSAGE_TOO_LARGE", tooLarge, ""},
	{11, "STALE_CONTROLLER_EPOCH", blocked, ""},
	{12, "OFFSET_METADATA_TOO_LARGE", blocked, ""},
	{13, "NETWORK_EXCEPTION", resendMoved, "see the log of the broker that leads {partition}"},
	{14, "COORDINATOR_LOAD_IN_PROGRESS", resend, "the coordinator reads its log: wait, or see the log of its broker"},
	{15, "COORDINATOR_NOT_AVAILABLE", resend, "bring back the brokers that hold __transaction_state"},
	{16, "NOT_COORDINATOR", resend, "the brokers do not agree on the coordinator: see their logs"},
	{17, "INVALID_TOPIC_EXCEPTION", blockedTopic, "{topic} is a topic that clients may not write to: give the output another name"},
	{18, "RECORD_LIST_TOO_LARGE", tooLarge, ""},
	{19, "NOT_ENOUGH_REPLICAS", resend, "bring back brokers with replicas of {partition}, or lower min.insync.replicas of {topic}"},
	{20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", resend, "bring back brokers with replicas of {partition}, or lower min.insync.replicas of {topic}"},
	{21, "INVALID_REQUIRED_ACKS", blocked, ""},
	{22, "ILLEGAL_GENERATION", blocked, ""},
	{23, "INCONSISTENT_GROUP_PROTOCOL", blocked, ""},
	{24, "INVALID_GROUP_ID", blocked, ""},
	{25, "UNKNOWN_MEMBER_ID", blocked, ""},
	{26, "INVALID_SESSION_TIMEOUT", blocked, ""},
	{27, "REBALANCE_IN_PROGRESS", blocked, ""},
	{28, "INVALID_COMMIT_OFFSET_SIZE", blocked, ""},
	{29, "TOPIC_AUTHORIZATION_FAILED", blockedTopic, "allow this principal to WRITE to and DESCRIBE topic {topic}"},
	{30, "GROUP_AUTHORIZATION_FAILED", blocked, ""},
	{31, "CLUSTER_AUTHORIZATION_FAILED", blockedAll, "allow this principal to IDEMPOTENT_WRITE on the cluster"},
	{32, "INVALID_TIMESTAMP", refused, ""},
	{33, "UNSUPPORTED_SASL_MECHANISM", blocked, ""},
	{34, "ILLEGAL_SASL_STATE", blocked, ""},
	{35, "UNSUPPORTED_VERSION", blocked, ""},
	{36, "TOPIC_ALREADY_EXISTS", blocked, ""},
	{37, "INVALID_PARTITIONS", blocked, ""},
	{38, "INVALID_REPLICATION_FACTOR", blocked, ""},
	{39, "INVALID_REPLICA_ASSIGNMENT", blocked, ""},
	{40, "INVALID_CONFIG", blocked, ""},
	{41, "NOT_CONTROLLER", blocked, ""},
	{42, "INVALID_REQUEST", blocked, ""},
	{43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", blockedTopic, "{topic} keeps an old message format: have a broker of Kafka 4 hold it"},
	{44, "POLICY_VIOLATION", blockedTopic, "a policy of the cluster refuses records for {topic}: ask who set it up"},
	{45, "OUT_OF_ORDER_SEQUENCE_NUMBER", outOfOrder, ""},
	{46, "DUPLICATE_SEQUENCE_NUMBER", acknowledged, ""},
	{47, "INVALID_PRODUCER_EPOCH", fenced, ""},
	{48, "INVALID_TXN_STATE", broken, ""},
	{49, "INVALID_PRODUCER_ID_MAPPING", fenced, ""},
	{50, "INVALID_TRANSACTION_TIMEOUT", blocked, ""},
	{51, "CONCURRENT_TRANSACTIONS", resend, "the transaction before is not ended everywhere: bring back the brokers that lead its partitions"},
	{52, "TRANSACTION_COORDINATOR_FENCED", blocked, ""},
	{53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", blockedAll, "allow this principal to WRITE to and DESCRIBE the transactional ids"},
	{54, "SECURITY_DISABLED", blocked, ""},
	{55, "OPERATION_NOT_ATTEMPTED", blocked, ""},
	{56, "KAFKA_STORAGE_ERROR", resendMoved, "the disk of the broker that leads {partition} failed: mend it, or move the partition"},
	{57, "LOG_DIR_NOT_FOUND", blocked, ""},
	{58, "SASL_AUTHENTICATION_FAILED", blocked, ""},
	{59, "UNKNOWN_PRODUCER_ID", broken, ""},
	{60, "REASSIGNMENT_IN_PROGRESS", blocked, ""},
	{61, "DELEGATION_TOKEN_AUTH_DISABLED", blocked, ""},
	{62, "DELEGATION_TOKEN_NOT_FOUND", blocked, ""},
	{63, "DELEGATION_TOKEN_OWNER_MISMATCH", blocked, ""},
	{64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", blocked, ""},
	{65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", blocked, ""},
	{66, "DELEGATION_TOKEN_EXPIRED", blocked, ""},
	{67, "INVALID_PRINCIPAL_TYPE", blocked, ""},
	{68, "NON_EMPTY_GROUP", blocked, ""},
	{69, "GROUP_ID_NOT_FOUND", blocked, ""},
	{70, "FETCH_SESSION_ID_NOT_FOUND", blocked, ""},
	{71, "INVALID_FETCH_SESSION_EPOCH", blocked, ""},
	{72, "LISTENER_NOT_FOUND", blocked, ""},
	{73, "TOPIC_DELETION_DISABLED", blocked, ""},
	{74, "FENCED_LEADER_EPOCH", resendMoved, "the brokers do not agree on who leads {partition}: see their logs"},
	{75, "UNKNOWN_LEADER_EPOCH", resendMoved, "the brokers do not agree on who leads {partition}: see their logs"},
	{76, "UNSUPPORTED_COMPRESSION_TYPE", blockedTopic, "the brokers do not take this compression.type for {topic}: set another"},
	{77, "STALE_BROKER_EPOCH", blocked, ""},
	{78, "OFFSET_NOT_AVAILABLE", blocked, ""},
	{79, "MEMBER_ID_REQUIRED", blocked, ""},
	{80, "PREFERRED_LEADER_NOT_AVAILABLE", blocked, ""},
	{81, "GROUP_MAX_SIZE_REACHED", blocked, ""},
	{82, "FENCED_INSTANCE_ID", blocked, ""},
	{83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", blocked, ""},
	{84, "ELECTION_NOT_NEEDED", blocked, ""},
	{85, "NO_REASSIGNMENT_IN_PROGRESS", blocked, ""},
	{86, "GROUP_SUBSCRIBED_TO_TOPIC", blocked, ""},
	{87, "INVALID_RECORD", refused, ""},
	{88, "UNSTABLE_OFFSET_COMMIT", blocked, ""},
	{89, "THROTTLING_QUOTA_EXCEEDED", resend, "raise the quota of this client, or wait"},
	{90, "PRODUCER_FENCED", fenced, ""},
	{91, "RESOURCE_NOT_FOUND", blocked, ""},
	{92, "DUPLICATE_RESOURCE", blocked, ""},
	{93, "UNACCEPTABLE_CREDENTIAL", blocked, ""},
	{94, "INCONSISTENT_VOTER_SET", blocked, ""},
	{95, "INVALID_UPDATE_VERSION", blocked, ""},
	{96, "FEATURE_UPDATE_FAILED", blocked, ""},
	{97, "PRINCIPAL_DESERIALIZATION_FAILURE", blocked, ""},
	{98, "SNAPSHOT_NOT_FOUND", blocked, ""},
	{99, "POSITION_OUT_OF_RANGE", blocked, ""},
	{100, "UNKNOWN_TOPIC_ID", recreated, "make topic {topic} again"},
	{101, "DUPLICATE_BROKER_REGISTRATION", blocked, ""},
	{102, "BROKER_ID_NOT_REGISTERED", blocked, ""},
	{103, "INCONSISTENT_TOPIC_ID", recreated, "make topic {topic} again"},
	{104, "INCONSISTENT_CLUSTER_ID", blocked, ""},
	{105, "TRANSACTIONAL_ID_NOT_FOUND", blocked, ""},
	{106, "FETCH_SESSION_TOPIC_ID_ERROR", blocked, ""},
	{107, "INELIGIBLE_REPLICA", blocked, ""},
	{108, "NEW_LEADER_ELECTED", blocked, ""},
	{109, "OFFSET_MOVED_TO_TIERED_STORAGE", blocked, ""},
	{110, "FENCED_MEMBER_EPOCH", blocked, ""},
	{111, "UNRELEASED_INSTANCE_ID", blocked, ""},
	{112, "UNSUPPORTED_ASSIGNOR", blocked, ""},
	{113, "STALE_MEMBER_EPOCH", blocked, ""},
	{114, "MISMATCHED_ENDPOINT_TYPE", blocked, ""},
	{115, "UNSUPPORTED_ENDPOINT_TYPE", blocked, ""},
	{116, "UNKNOWN_CONTROLLER_ID", blocked, ""},
	{117, "UNKNOWN_SUBSCRIPTION_ID", blocked, ""},
	{118, "TELEMETRY_TOO_LARGE", blocked, ""},
	{119, "INVALID_REGISTRATION", blocked, ""},
	{120, "TRANSACTION_ABORTABLE", broken, ""},
	{121, "INVALID_RECORD_STATE", blocked, ""},
	{122, "SHARE_SESSION_NOT_FOUND", blocked, ""},
	{123, "INVALID_SHARE_SESSION_EPOCH", blocked, ""},
	{124, "FENCED_STATE_EPOCH", blocked, ""},
	{125, "INVALID_VOTER_KEY", blocked, ""},
	{126, "DUPLICATE_VOTER", blocked, ""},
	{127, "VOTER_NOT_FOUND", blocked, ""},
	{128, "INVALID_REGULAR_EXPRESSION", blocked, ""},
	{129, "REBOOTSTRAP_REQUIRED", blocked, ""},
	{130, "STREAMS_INVALID_TOPOLOGY", blocked, ""},
	{131, "STREAMS_INVALID_TOPOLOGY_EPOCH", blocked, ""},
	{132, "STREAMS_TOPOLOGY_FENCED", blocked, ""},
	{133, "SHARE_SESSION_LIMIT_REACHED", blocked, ""},
}

// firstAnswer is the code of answers[0]; they have no gaps.
const firstAnswer = -1

// answerFor is the row of a code.
func answerFor(code sarama.KError) answer {
	if i := int(code) - firstAnswer; i >= 0 && i < len(answers) {
		return answers[i]
	}
	return answer{code: int16(code), verdict: blocked}
}

// verdictOf says what an answer to a produce request means.
func verdictOf(code sarama.KError) verdict { return answerFor(code).verdict }

// remedyFor says what a person can do about a code for a partition.
func remedyFor(code sarama.KError, tp TopicPartition) string {
	remedy := answerFor(code).remedy
	if remedy == "" {
		remedy = "see the log of the broker that leads {partition}"
	}
	return strings.NewReplacer("{topic}", tp.Topic, "{partition}", tp.String()).Replace(remedy)
}

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
