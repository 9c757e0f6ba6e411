package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ownPrefix is what the names of Weir's own headers begin with.
const ownPrefix = "weir.errors."

// ErrNoEnvelope says that a record has no headers that say where it came from: it is not a dead letter.
var ErrNoEnvelope = errors.New("the record has no header " + HeaderTopic)

// Letter is an envelope that was read. What a header is missing for is zero: one that was too large has no reason, and those of
// other systems (see ReadAny) name no topology.
type Letter struct {
	System    System   // what has written it
	Headers   []Header // those of the record, without the envelope's
	Exception string
	Message   string
	Stack     string
	Position  Position // where the record stood when it failed last
	TopicID   string   // the cluster's id of that topic, "" where it is not known
	Topology  string
	Group     string // the consumer group that read it, "" where the letter does not say
	Node      string
	Attempts  int
	Timestamp int64  // of the record when it failed first, milliseconds since the epoch; 0 when it is not known
	Reason    string // the kind of the failure, in one word
	// Fingerprint is shared by failures of one kind: see Fingerprint. It is worked out where the letter does not say it.
	Fingerprint string
	Cut         bool     // its topic did not take the whole record: the value is not whole, and Headers may be empty
	ValueSize   int64    // of the record, when it was cut
	KeySize     int64    // of the record, when its topic did not even take the key: the letter has none
	KeyHash     string   // SHA-256 of that key, in hexadecimal digits
	Excess      *Excess  // the limit that the record is over, and for which it was not read whole; nil: none
	Redrives    int      // how often it was redriven into its topology
	Delays      int      // how often it was delayed since it was read first, or redriven
	Due         int64    // when a record that is delayed is tried again, milliseconds since the epoch
	Parks       string   // the changelog of the records of its key that wait for it, "" where none do
	Releases    bool     // it is no record, but says that nothing waits for it any more
	At          int64    // when it failed last, milliseconds since the epoch; 0 when it is not known
	FirstAt     int64    // when it failed first, as At
	Failures    int      // how often it has failed: 1 or more
	First       Position // where it stood when it failed first
	// FirstTopicID is the id of that topic, "" where it is not known: letters of earlier builds do not say it.
	FirstTopicID string
}

// Position is a place in a topic.
type Position struct {
	TopicPartition
	Offset int64
}

// Read opens the envelope of a dead letter of Weir, or of Kafka Streams. It is for topics that Weir owns, where the headers are facts: see
// ReadAny for others. Its error is ErrNoEnvelope, or says which header is no number.
func Read(headers []Header) (Letter, error) {
	kept, envelope := strip(headers, 0)
	if _, ok := envelope[HeaderTopic]; !ok {
		return Letter{}, ErrNoEnvelope
	}
	r := reader{envelope: envelope}
	l := Letter{
		System:    KafkaStreams,
		Headers:   kept,
		Exception: string(envelope[HeaderException]),
		Message:   string(envelope[HeaderMessage]),
		Stack:     string(envelope[HeaderStack]),
		Position:  r.position(HeaderTopic, HeaderPartition, HeaderOffset),
		Topology:  string(envelope[HeaderTopology]),
		Node:      string(envelope[HeaderNode]),
		Attempts:  int(r.number(HeaderAttempts, 32)),
		Failures:  max(1, int(r.number(HeaderFailures, 32))),
	}
	l.Group, l.Fingerprint = string(envelope[HeaderGroup]), string(envelope[HeaderFingerprint])
	l.Redrives = int(r.number(HeaderRedrives, 32))
	l.Delays, l.Due = int(r.number(HeaderDelays, 32)), r.number(HeaderDue, 64)
	l.Parks = string(envelope[HeaderParks])
	_, l.Releases = envelope[HeaderReleases]
	l.At, l.FirstAt = r.number(HeaderTime, 64), r.number(firstTime(envelope), 64)
	l.Timestamp = r.number(HeaderTimestamp, 64)
	_, l.Cut = envelope[HeaderCut]
	l.ValueSize = r.number(HeaderCut, 64)
	l.Reason = string(envelope[HeaderReason])
	if l.Fingerprint == "" {
		l.Fingerprint = Fingerprint(l.Node, l.Reason, l.Message)
	}
	l.KeySize = r.number(HeaderKeySize, 64)
	l.KeyHash = string(envelope[HeaderKeyHash])
	if limit, ok := envelope[HeaderLimit]; ok {
		l.Excess = &Excess{Limit: string(limit), Size: r.number(HeaderLimitSize, 64), Max: r.number(HeaderLimitMax, 64),
			Last: l.Position.Offset, Records: 1}
		if _, ok := envelope[HeaderLastOffset]; ok {
			l.Excess.Last, l.Excess.Records = r.number(HeaderLastOffset, 64), int(r.number(HeaderRecords, 32))
		}
	}
	l.First = r.position(r.origin())
	for name := range envelope {
		if strings.HasPrefix(name, ownPrefix) {
			l.System = Weir
		}
	}
	topic, _, _ := r.origin()
	l.TopicID, l.FirstTopicID = string(envelope[HeaderTopicID]), string(envelope[topicID(topic)])
	return l, r.err
}

// reader keeps the first error, so that a letter is read as far as it can be.
type reader struct {
	envelope map[string][]byte
	err      error
}

// origin names the headers that say where the record stood when it failed first: headers of its own from the second
// failure on.
func (r *reader) origin() (topic, partition, offset string) {
	if _, ok := r.envelope[HeaderFirstTopic]; ok {
		return HeaderFirstTopic, HeaderFirstPartition, HeaderFirstOffset
	}
	return HeaderTopic, HeaderPartition, HeaderOffset
}

func (r *reader) position(topic, partition, offset string) Position {
	return Position{
		TopicPartition: TopicPartition{
			Topic:     string(r.envelope[topic]),
			Partition: int32(r.number(partition, 32)),
		},
		Offset: r.number(offset, 64),
	}
}

func (r *reader) number(key string, bits int) int64 {
	value, ok := r.envelope[key]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(string(value), 10, bits)
	if err != nil {
		if r.err == nil {
			r.err = fmt.Errorf("header %s is no number: %q", key, value)
		}
		return 0
	}
	return n
}
