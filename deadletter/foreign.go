package deadletter

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// System is what has written a dead letter.
type System string

// The systems. A letter that names none of them is of System "".
const (
	Weir          System = "weir"
	KafkaStreams  System = "kafka-streams"  // KIP-1034: __streams.errors.*
	Spring        System = "spring"         // Spring for Apache Kafka: kafka_dlt-*
	Connect       System = "kafka-connect"  // __connect.errors.*, where errors.deadletterqueue.context.headers.enable is set
	ShareGroup    System = "share-group"    // KIP-1191: __dlq.errors.*
	ConfluentRule System = "confluent-rule" // rules of Confluent's serializers: __rule.*
)

// dialect is how a system writes its envelope: the names of headers, "" for what it does not tell.
type dialect struct {
	system                   System
	prefix                   string // of all its headers
	topic, partition, offset string
	timestamp                string // of the record
	exceptions               []string
	message, stack           string
	group, node, attempts    string
	binary                   bool // numbers are big-endian, not text
}

var dialects = [...]dialect{
	{system: KafkaStreams, prefix: "__streams.errors.", topic: "topic", partition: "partition", offset: "offset",
		exceptions: []string{"exception"}, message: "message", stack: "stacktrace"},
	// The exception is mostly the listener container's, and its cause is what the listener threw.
	{system: Spring, prefix: "kafka_dlt-", topic: "original-topic", partition: "original-partition", offset: "original-offset", timestamp: "original-timestamp",
		exceptions: []string{"exception-cause-fqcn", "exception-fqcn", "key-exception-fqcn"}, message: "exception-message", stack: "exception-stacktrace",
		group: "original-consumer-group", binary: true},
	{system: Connect, prefix: "__connect.errors.", topic: "topic", partition: "partition", offset: "offset",
		exceptions: []string{"exception.class.name"}, message: "exception.message", stack: "exception.stacktrace", node: "connector.name"},
	{system: ShareGroup, prefix: "__dlq.errors.", topic: "topic", partition: "partition", offset: "offset",
		message: "message", group: "group", attempts: "delivery.count"},
	{system: ConfluentRule, prefix: "__rule.", topic: "topic", message: "exception", node: "name"},
}

// ReadAny opens the envelope of a dead letter, whichever system has written it: the one whose headers come last. Of the headers of the record itself
// nothing is believed, also where they look like those of another system. What such a letter says is cut to the sizes of Weir's own, a topic
// that cannot be the name of one is left out, and a partition or an offset that it does not say, or not as a number, is -1. Its fingerprint is that of
// the exception's class and the message. The error is ErrNoEnvelope, or says what is wrong with a header; the letter is read as far as it can be.
func ReadAny(headers []Header) (Letter, error) {
	written, at := (*dialect)(nil), -1
	for i := range dialects {
		d := &dialects[i]
		for n := len(headers) - 1; n > at; n-- {
			if headers[n].Key == d.prefix+d.topic {
				written, at = d, n
			}
		}
	}
	if written == nil {
		return Letter{}, ErrNoEnvelope
	}
	if written.system == KafkaStreams {
		for _, h := range headers[at:] {
			if strings.HasPrefix(h.Key, ownPrefix) { // which Kafka Streams would not write after its own
				return Read(headers)
			}
		}
	}
	return written.read(headers)
}

func (d *dialect) read(headers []Header) (l Letter, err error) {
	first, last := map[string][]byte{}, map[string][]byte{}
	for _, h := range headers {
		name, own := strings.CutPrefix(h.Key, d.prefix)
		if !own {
			l.Headers = append(l.Headers, h)
			continue
		}
		if _, again := last[name]; !again {
			first[name] = h.Value
		}
		last[name] = h.Value // Spring adds to those of an earlier failure
	}
	text := func(name string, most int) string {
		if name == "" {
			return ""
		}
		return cut(string(last[name]), most)
	}
	for _, name := range d.exceptions {
		l.Exception = cmp.Or(l.Exception, text(name, MaxMessage))
	}
	l.System, l.Failures = d.system, 1
	l.Message, l.Stack = text(d.message, MaxMessage), text(d.stack, MaxStack)
	l.Group, l.Node = text(d.group, MaxMessage), text(d.node, MaxMessage)
	l.Fingerprint = Fingerprint("", l.Exception, l.Message)
	var errs [7]error
	l.Position, errs[0] = d.position(last)
	var unsaid error
	if l.First, unsaid = d.position(first); unsaid != nil { // an earlier failure that says no place is none
		l.First = l.Position
	}
	if value, ok := last[d.timestamp]; ok && d.timestamp != "" {
		l.Timestamp, errs[1] = d.number(d.timestamp, value, 8)
		l.Timestamp = max(0, l.Timestamp)
	}
	if value, ok := last[d.attempts]; ok && d.attempts != "" {
		n, err := d.number(d.attempts, value, 4)
		l.Attempts, errs[2] = int(max(0, n)), err
	}
	return l, errors.Join(errs[:]...)
}

// position is where a record stood, as far as it is said.
func (d *dialect) position(of map[string][]byte) (p Position, err error) {
	p.Partition, p.Offset = -1, -1
	var errs [3]error
	if p.Topic = string(of[d.topic]); !topicName(p.Topic) {
		p.Topic, errs[0] = "", fmt.Errorf("header %s%s is no name of a topic: %.300q", d.prefix, d.topic, of[d.topic])
	}
	if value, ok := of[d.partition]; ok && d.partition != "" {
		n, err := d.number(d.partition, value, 4)
		p.Partition, errs[1] = int32(n), err
	}
	if value, ok := of[d.offset]; ok && d.offset != "" {
		p.Offset, errs[2] = d.number(d.offset, value, 8)
	}
	return p, errors.Join(errs[:]...)
}

// number reads a number of so many bytes, and is -1 for what is none.
func (d *dialect) number(name string, value []byte, size int) (int64, error) {
	n := int64(-1)
	switch {
	// Digits are text, also where numbers are not: as a number they would be more than there can be of partitions or offsets.
	case !d.binary || strings.Trim(string(value), "0123456789") == "":
		parsed, err := strconv.ParseInt(string(value), 10, size*8)
		if err == nil {
			n = parsed
		}
	case len(value) == size && size == 4:
		n = int64(int32(binary.BigEndian.Uint32(value)))
	case len(value) == size:
		n = int64(binary.BigEndian.Uint64(value))
	}
	if n < 0 || size == 4 && n > math.MaxInt32 {
		return -1, fmt.Errorf("header %s%s is no number: %.40q", d.prefix, name, value)
	}
	return n, nil
}

// topicName says whether a topic may be called so.
func topicName(name string) bool {
	return name != "" && len(name) <= maxTopic && name != "." && name != ".." &&
		strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}
