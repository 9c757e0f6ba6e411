// Package deadletter is the envelope of a failed record: which headers say why it failed, and how they are written and
// read.
//
// A dead letter has the key and the value of its record, and its headers in their order. After them come the headers of
// KIP-1034, which Kafka Streams writes too, and Weir's own; all values are text:
//
//	__streams.errors.exception, .message           Go type of the error, and its text
//	__streams.errors.stacktrace                    of a panic
//	__streams.errors.topic, .partition, .offset    where the record stood
//	weir.errors.topic.id                           the cluster's id of that topic
//	weir.errors.topology, .node, .attempts         where it failed, and after how many tries
//	weir.errors.timestamp                          of the record, milliseconds since the epoch
//	weir.errors.reason                             the kind of the failure, in one word
//	weir.errors.limit, .limit.size, .limit.max     the setting of the limit that the record is over, what it has, what is allowed
//	weir.errors.last.offset, .records              of a batch that could not be taken apart: its last offset, and how many it has
//	weir.errors.cut                                bytes of the record's value, when the dead letter does not hold it whole
//	weir.errors.key.size, .key.sha256              of the record's key, when the dead letter does not even hold that
//	weir.errors.failures                           how often it has failed; written from the second time on
//	weir.errors.group, .fingerprint                the consumer group; what failures of one kind share, see Fingerprint
//	weir.errors.time, .first.time                  when it failed, milliseconds since the epoch; the first time, from the second on
//	weir.errors.redrives                           how often it was redriven; written from the first redrive on
//	weir.errors.first.topic, .partition, .offset   where it stood the first time; written from the second time on
//	weir.errors.first.topic.id                     the id of that topic
//
// A dead letter that is read again by a topology on its topic, and fails again, has each of these once: they tell of the
// last failure, and where the record stood the first time. In any other topic such headers are what a producer wrote, and
// nothing is believed of them: headers named weir.* and __streams.errors.* are kept as original.weir.* and so on. So a dead
// letter that was replayed with its headers, and fails again, does not grow with each round either.
//
// ReadAny reads the letters of other systems too: of Kafka Streams, Spring, Kafka Connect, share groups and Confluent's rules.
//
// The topic of a dead letter should stamp what it holds with the time of writing (message.timestamp.type=LogAppendTime, as
// the topics have that Weir creates): with the record's own time, the letter of a record older than the topic's retention
// would be deleted at once.
//
// A record that is too large for its dead-letter topic is cut: the letter holds the beginning of the value; or, where that
// is too much too, neither value nor headers of the record and no reason; or, where the key is too much, only its length and
// its hash. weir.errors.cut says so, and __streams.errors.topic, .partition and .offset say where the whole record is, until
// its retention.
package deadletter
