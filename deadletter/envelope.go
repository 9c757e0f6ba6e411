package deadletter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/provenance"
)

// The names of the headers.
const (
	HeaderException      = "__streams.errors.exception"
	HeaderMessage        = "__streams.errors.message"
	HeaderStack          = "__streams.errors.stacktrace"
	HeaderTopic          = "__streams.errors.topic"
	HeaderPartition      = "__streams.errors.partition"
	HeaderOffset         = "__streams.errors.offset"
	HeaderTopicID        = "weir.errors.topic.id"
	HeaderTopology       = "weir.errors.topology"
	HeaderNode           = "weir.errors.node"
	HeaderAttempts       = "weir.errors.attempts"
	HeaderTimestamp      = "weir.errors.timestamp"
	HeaderReason         = "weir.errors.reason"
	HeaderCut            = "weir.errors.cut"
	HeaderFailures       = "weir.errors.failures"
	HeaderFirstTopic     = "weir.errors.first.topic"
	HeaderFirstTopicID   = "weir.errors.first.topic.id"
	HeaderFirstPartition = "weir.errors.first.partition"
	HeaderFirstOffset    = "weir.errors.first.offset"
	HeaderLimit          = "weir.errors.limit"
	HeaderLimitSize      = "weir.errors.limit.size"
	HeaderLimitMax       = "weir.errors.limit.max"
	HeaderLastOffset     = "weir.errors.last.offset"
	HeaderRecords        = "weir.errors.records"
	HeaderKeySize        = "weir.errors.key.size"
	HeaderKeyHash        = "weir.errors.key.sha256"
	HeaderGroup          = "weir.errors.group"
	HeaderFingerprint    = "weir.errors.fingerprint"
	HeaderTime           = "weir.errors.time"
	HeaderFirstTime      = "weir.errors.first.time"
	HeaderRedrives       = "weir.errors.redrives"
	// These are of records that are out of the way of others. HeaderParks names the changelog of the records that wait for this one;
	// HeaderReleases is in a redrive topic, and says that they need not any more, whatever became of it.
	HeaderDelays   = "weir.errors.delays" // how often the record was delayed
	HeaderDue      = "weir.errors.due"    // when it is tried again, in milliseconds since the epoch
	HeaderParks    = "weir.errors.parks"
	HeaderReleases = "weir.errors.releases"
)

// MaxMessage and MaxStack are the sizes in bytes to which a message and a stack trace are cut: the record itself must
// still fit into its topic.
const (
	MaxMessage = 4 << 10
	MaxStack   = 16 << 10
)

// Cause is why a record becomes a dead letter.
type Cause struct {
	Topology  string
	Group     string // the consumer group that read it; "" where there is none
	Node      string
	Topic     string // where the record stands
	TopicID   string // the cluster's id of that topic, "" where it is not known
	Partition int32
	Offset    int64
	Attempts  int
	Reason    string // the kind of the failure, in one word
	At        int64  // when it failed, in milliseconds since the epoch; 0 when it is not known
	Err       error
	Stack     []byte  // of a panic, or nil
	Excess    *Excess // the limit that the record is over, or nil
	// Letters says that Topic holds dead letters of Weir. Only there are the headers of an envelope facts; anywhere else
	// they are what a producer wrote, and are kept under Neutral.
	Letters bool
	// Copies says that Topic holds copies that a replay has made: what they say of that, in headers weir.replay.*, is a fact too.
	Copies bool
}

// Neutral is what stands before the name of a header that would be a fact if Weir had written it, and that the record came
// with: weir.* and __streams.errors.*.
const Neutral = "original."

// Headers returns the headers of the dead letter of a record with the headers given. The slice is new; the values of the
// original headers are shared.
func Headers(original []Header, c Cause) []Header { return c.explained(original, MaxMessage) }

// Named is Headers without the stack trace and with no more than the beginning of the message, for a dead letter that is too large with them:
// what failed where has its names all the same.
func Named(original []Header, c Cause) []Header {
	c.Stack = nil
	return c.explained(original, shortMessage)
}

// shortMessage is the size to which Named cuts a message: enough for what it begins with, in a few words.
const shortMessage = 256

// explained are headers that say why, with a message of at most so many bytes.
func (c *Cause) explained(original []Header, most int) []Header {
	out, earlier := c.strip(original, 27)
	text := func(key, value string) { out = append(out, Header{Key: key, Value: []byte(value)}) }
	text(HeaderException, typeName(c.Err))
	text(HeaderMessage, cut(message(c.Err), most))
	if len(c.Stack) > 0 {
		text(HeaderStack, cut(string(c.Stack), MaxStack))
	}
	out = c.position(out)
	text(HeaderTopology, c.Topology)
	text(HeaderNode, c.Node)
	text(HeaderAttempts, strconv.Itoa(c.Attempts))
	if c.Reason != "" {
		text(HeaderReason, c.Reason)
	}
	if c.Group != "" {
		text(HeaderGroup, c.Group)
	}
	text(HeaderFingerprint, Fingerprint(c.Node, c.Reason, message(c.Err)))
	return again(out, earlier)
}

// Minimal is Headers without the reason, for a dead letter that is too large with the names, too, and whole without them: only where the record
// stands, and where it stood the first time, and the topology: without that it cannot be redriven, and its key stays parked when it is discarded.
func Minimal(original []Header, c Cause) []Header {
	out, earlier := c.strip(original, 16)
	out = c.position(out)
	if c.Topology != "" {
		out = append(out, Header{Key: HeaderTopology, Value: []byte(c.Topology)})
	}
	return again(out, earlier)
}

// Bare is without the headers of the record, for a dead letter that is too large with them: where the record stands, and what failed by its names.
func Bare(original []Header, c Cause) []Header {
	_, earlier := c.strip(original, 0)
	out := c.position(make([]Header, 0, 19))
	for _, h := range [...]struct{ key, value string }{
		{HeaderTopology, c.Topology}, {HeaderNode, c.Node}, {HeaderReason, c.Reason}, {HeaderFingerprint, Fingerprint(c.Node, c.Reason, message(c.Err))},
	} {
		if h.value != "" {
			out = append(out, Header{Key: h.key, Value: []byte(h.value)})
		}
	}
	return again(out, earlier)
}

// Last is Bare for a dead letter that is too large with its key, too: it tells the key's length and SHA-256. It has some hundred bytes, whatever the
// record, and fits into every topic.
func Last(original []Header, c Cause, key []byte) []Header {
	out := Bare(original, c)
	if key == nil {
		return out
	}
	sum := sha256.Sum256(key)
	return append(out,
		Header{Key: HeaderKeySize, Value: strconv.AppendInt(nil, int64(len(key)), 10)},
		Header{Key: HeaderKeyHash, Value: hex.AppendEncode(nil, sum[:])})
}

// Cut adds to the headers of a dead letter how many bytes the value of its record has, because the letter has fewer, or
// lacks the record's headers. What was cut before keeps the size that it had then. The slice is that of headers, or new.
func Cut(headers []Header, size int) []Header {
	for i, h := range headers {
		if h.Key == HeaderCut {
			if before, err := strconv.Atoi(string(h.Value)); err != nil || before < size {
				headers[i].Value = strconv.AppendInt(nil, int64(size), 10)
			}
			return headers
		}
	}
	return append(headers, Header{Key: HeaderCut, Value: strconv.AppendInt(nil, int64(size), 10)})
}

// Timed adds to the headers of a dead letter the time of its record, in milliseconds since the epoch: the dead letter
// itself has the time at which it was written, so that it is kept as long as its topic keeps records, however old its
// record is. A record that has failed before keeps the time that it had the first time. The slice is that of headers, or
// new.
func Timed(headers []Header, timestamp int64) []Header {
	for _, h := range headers {
		if h.Key == HeaderTimestamp {
			return headers
		}
	}
	return append(headers, Header{Key: HeaderTimestamp, Value: strconv.AppendInt(nil, timestamp, 10)})
}

// position adds where the record stands, and which limit it is over.
func (c *Cause) position(out []Header) []Header {
	number := func(key string, n int64) {
		out = append(out, Header{Key: key, Value: strconv.AppendInt(nil, n, 10)})
	}
	out = append(out, Header{Key: HeaderTopic, Value: []byte(c.Topic)})
	if c.TopicID != "" {
		out = append(out, Header{Key: HeaderTopicID, Value: []byte(c.TopicID)})
	}
	number(HeaderPartition, int64(c.Partition))
	number(HeaderOffset, c.Offset)
	if c.At > 0 {
		number(HeaderTime, c.At)
	}
	if x := c.Excess; x != nil {
		out = append(out, Header{Key: HeaderLimit, Value: []byte(x.Limit)})
		number(HeaderLimitSize, x.Size)
		number(HeaderLimitMax, x.Max)
		if x.Last > c.Offset || x.Records > 1 {
			number(HeaderLastOffset, x.Last)
			number(HeaderRecords, int64(x.Records))
		}
	}
	return out
}

// strip copies the headers that are the record's own, with room for more, and returns the values of the envelope that it
// has. What only looks like an envelope is the record's own, under another name. It does not grow when a dead letter is
// replayed with its headers again and again: of each there is one, the latest.
func (c *Cause) strip(headers []Header, room int) (kept []Header, envelope map[string][]byte) {
	if c.Letters {
		return strip(headers, room)
	}
	kept = make([]Header, 0, len(headers)+room)
	for _, h := range headers {
		if provenance.Reserved(h.Key) && !(c.Copies && provenance.Replays(h.Key)) {
			h.Key = Neutral + h.Key
			if ours(h.Key[len(Neutral):]) {
				kept = slices.DeleteFunc(kept, func(other Header) bool { return other.Key == h.Key })
			}
		}
		kept = append(kept, h)
	}
	return kept, nil
}

// strip copies the headers that are not of the envelope, with room for more, and returns the values of the others.
func strip(headers []Header, room int) (kept []Header, envelope map[string][]byte) {
	kept = make([]Header, 0, len(headers)+room)
	for _, h := range headers {
		if !ours(h.Key) {
			kept = append(kept, h)
			continue
		}
		if envelope == nil {
			envelope = map[string][]byte{}
		}
		envelope[h.Key] = h.Value // of several the last counts, as everywhere in Kafka
	}
	return kept, envelope
}

func ours(key string) bool {
	switch key {
	case HeaderException, HeaderMessage, HeaderStack, HeaderTopic, HeaderPartition, HeaderOffset,
		HeaderTopology, HeaderNode, HeaderAttempts, HeaderTimestamp, HeaderReason, HeaderCut, HeaderFailures,
		HeaderFirstTopic, HeaderFirstPartition, HeaderFirstOffset, HeaderTopicID, HeaderFirstTopicID,
		HeaderDelays, HeaderDue, HeaderParks, HeaderReleases, HeaderGroup, HeaderFingerprint, HeaderTime, HeaderFirstTime, HeaderRedrives,
		HeaderLimit, HeaderLimitSize, HeaderLimitMax, HeaderLastOffset, HeaderRecords, HeaderKeySize, HeaderKeyHash:
		return true
	}
	return false
}

// again adds what is left of earlier failures: their number, whether the value was cut, and where the record stood at the
// first. What is not there, or damaged, is left out.
func again(out []Header, earlier map[string][]byte) []Header {
	if earlier == nil {
		return out
	}
	r := reader{envelope: earlier}
	failures := min(max(1, r.number(HeaderFailures, 32)), math.MaxInt32-1) + 1
	out = append(out, Header{Key: HeaderFailures, Value: strconv.AppendInt(nil, failures, 10)})
	r.err = nil
	if size := r.number(HeaderCut, 64); earlier[HeaderCut] != nil && r.err == nil {
		out = append(out, Header{Key: HeaderCut, Value: strconv.AppendInt(nil, size, 10)})
	}
	r.err = nil
	if at := r.number(HeaderTimestamp, 64); earlier[HeaderTimestamp] != nil && r.err == nil {
		out = Timed(out, at)
	}
	for _, h := range [...]struct{ to, from string }{{HeaderRedrives, HeaderRedrives}, {HeaderFirstTime, firstTime(earlier)}} {
		r.err = nil
		if n := r.number(h.from, 64); earlier[h.from] != nil && r.err == nil {
			out = append(out, Header{Key: h.to, Value: strconv.AppendInt(nil, n, 10)})
		}
	}
	r.err = nil
	topic, partition, offset := r.origin()
	if r.position(topic, partition, offset); r.err != nil || len(earlier[topic]) == 0 || len(earlier[topic]) > maxTopic {
		return out
	}
	for _, h := range [...]struct{ to, from string }{
		{HeaderFirstTopic, topic}, {HeaderFirstTopicID, topicID(topic)}, {HeaderFirstPartition, partition}, {HeaderFirstOffset, offset},
	} {
		if value, ok := earlier[h.from]; ok && len(value) <= maxTopic {
			out = append(out, Header{Key: h.to, Value: value})
		}
	}
	return out
}

// topicID is the header with the id of the topic that a header names.
func topicID(topic string) string {
	if topic == HeaderFirstTopic {
		return HeaderFirstTopicID
	}
	return HeaderTopicID
}

// firstTime is the header that says when a record failed first.
func firstTime(envelope map[string][]byte) string {
	if _, ok := envelope[HeaderFirstTime]; ok {
		return HeaderFirstTime
	}
	return HeaderTime
}

// Redriven returns the headers with which a dead letter goes back to the topology that it failed in: its own, with one redrive more.
// The slice is new; values are shared.
func Redriven(headers []Header) []Header {
	out := make([]Header, 0, len(headers)+1)
	n := int64(0)
	for _, h := range headers {
		switch h.Key {
		case HeaderDelays, HeaderDue, HeaderParks, HeaderReleases: // they begin again
			continue
		}
		if h.Key != HeaderRedrives {
			out = append(out, h)
		} else if before, err := strconv.ParseInt(string(h.Value), 10, 32); err == nil {
			n = before
		}
	}
	return append(out, Header{Key: HeaderRedrives, Value: strconv.AppendInt(nil, n+1, 10)})
}

// Delayed adds to the headers of a record that is out of the way for a while how often it was that, and until when, in milliseconds
// since the epoch. The slice is that of headers, or new.
func Delayed(headers []Header, delays int, due int64) []Header {
	return append(headers, Header{Key: HeaderDelays, Value: strconv.AppendInt(nil, int64(delays), 10)},
		Header{Key: HeaderDue, Value: strconv.AppendInt(nil, due, 10)})
}

// Parks adds to the headers of a dead letter the changelog of the records that wait for it. The slice is that of headers, or new.
func Parks(headers []Header, changelog string) []Header {
	return append(headers, Header{Key: HeaderParks, Value: []byte(changelog)})
}

// Released returns the headers of what tells a topology that nothing needs to wait for a dead letter any more. The slice is new.
func Released(headers []Header) []Header {
	out := make([]Header, 0, 8)
	for _, h := range headers {
		switch h.Key {
		case HeaderTopic, HeaderTopicID, HeaderPartition, HeaderOffset, HeaderFirstTopic, HeaderFirstTopicID, HeaderFirstPartition, HeaderFirstOffset:
			out = append(out, h)
		}
	}
	return append(out, Header{Key: HeaderReleases, Value: []byte("1")})
}

// ReleasedAt is Released where the dead letter itself is gone, and only known where its record was read first.
func ReleasedAt(first Position) []Header {
	c := Cause{Topic: first.Topic, Partition: first.Partition, Offset: first.Offset}
	return Released(c.position(nil))
}

// maxTopic is the length of the longest name of a topic.
const maxTopic = 249

// typeName is the Go type of what failed: the first error of the chain with an exported type, because the others only
// wrap, or the last one.
func typeName(err error) (name string) {
	if err == nil {
		return "unknown"
	}
	defer func() {
		if recover() != nil { // an Unwrap method may be anybody's
			name = reflect.TypeOf(err).String()
		}
	}()
	for e := err; ; {
		t := reflect.TypeOf(e)
		name := t
		if t.Kind() == reflect.Pointer {
			name = t.Elem()
		}
		if r, _ := utf8.DecodeRuneInString(name.Name()); unicode.IsUpper(r) {
			return t.String()
		}
		wrapper, ok := e.(interface{ Unwrap() error })
		if !ok {
			return t.String()
		}
		inner := wrapper.Unwrap()
		if inner == nil {
			return t.String()
		}
		e = inner
	}
}

// message is the text of an error, whose method may be anybody's.
func message(err error) (text string) {
	if err == nil {
		return "no error given"
	}
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("its Error method panics: %v", p)
		}
	}()
	return err.Error()
}

// cut shortens text to at most limit bytes of valid UTF-8, and says so at the end.
func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	mark := fmt.Sprintf(" ... (cut from %d bytes)", len(text))
	end := limit - len(mark)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
