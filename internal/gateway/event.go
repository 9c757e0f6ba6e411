package gateway

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/provenance"
	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// form is what the bytes of an event's value are.
type form int8

const (
	asJSON    form = iota // a document, which the topic's schema encodes where there is one
	asBytes               // what the record is to hold
	asMessage             // a Protobuf message with nothing before it
)

// event is what a producer hands over, whatever form it came in.
type event struct {
	key       []byte // nil for none
	keyText   bool   // the key is text: where keys have a schema, it is a document or a string of one
	value     []byte
	form      form
	null      bool // a tombstone instead of a value
	absent    bool // no value: it was not said that the key is to be deleted
	id        string
	spare     string // the id of an event that has no other, "" for none
	source    string // of a CloudEvent, whose id is one of its source only
	headers   []kafka.Header
	partition int32      // -1: that of the key
	at        *time.Time // nil: now
	message   string     // of a Protobuf schema, "" for the first
	schema    *values.Schema
	keySchema *values.Schema // as the request names them; nil: the subject's
	bad       *Problem       // why it could not be read: it is none
}

// print tells key and value from others, as they were sent, and an event of one source from that of another. It is called when admit has found the key.
func (e *event) print() place {
	parts := [][]byte{e.key}
	if !e.null {
		parts = append(parts, e.value)
	}
	if e.source != "" {
		parts = append(parts, []byte(e.source), nil)
	}
	return hashed(parts...)
}

// The headers by which a record says what the gateway knows of it. A producer's own of these names are dropped, as are Weir's reserved ones.
const (
	HeaderEventID = "event-id"
	headerTrace   = "traceparent"
	headerState   = "tracestate"
)

// Bounds of what has no setting.
const (
	maxKey    = 64 << 10
	maxID     = 256
	maxHeader = 16 << 10 // of a header's name and value
)

// ours says whether a header is none that a producer may set.
func ours(name string) bool {
	return provenance.Reserved(name) || name == HeaderEventID || name == framing.KeyHeader || name == framing.ValueHeader
}

// admit checks an event and makes its record. The schema's id is 0 where the topic has none.
func (g *Gateway) admit(t *topic, d *declared.Event, e *event) (r kafka.Outgoing, schemaID int, p *Problem) {
	at := time.Now()
	if e.at != nil {
		if p := t.times.look(*e.at, at); p != nil {
			return r, 0, p
		}
		at = *e.at
	}
	r.Topic, r.Timestamp, r.Headers = t.cluster, at.UnixMilli(), e.headers
	if p := g.bounds(e); p != nil {
		return r, 0, p
	}
	schema, p := g.schemaOf(t, d, e)
	if p != nil {
		return r, 0, p
	}
	if r.Value, p = valueOf(t, schema, e); p != nil {
		return r, 0, p
	}
	if p := fromFields(d, schema, e, r.Value); p != nil {
		return r, 0, p
	}
	if e.id == "" {
		e.id = e.spare
	}
	if len(e.id) > maxID {
		return r, 0, tooLarge.of("the event id has %d bytes, %d are allowed", len(e.id), maxID)
	}
	if len(e.key) == 0 && (d == nil || !d.Keyless) && e.partition < 0 {
		return r, 0, invalid.of("the event has no key, and topic %s is partitioned by its entity's key", t.name).todo("%s", giveKey(d, e))
	}
	if len(e.key) == 0 && t.compacted {
		return r, 0, invalid.of("the event has no key, and topic %s is compacted: it keeps one record of each key", t.name).todo("%s", giveKey(d, e))
	}
	if d != nil && d.Idempotency == declared.Once && e.id == "" {
		return r, 0, invalid.of("the event has no id, and topic %s takes each id once", t.name).todo("give the id by the header Idempotency-Key, or in the message of a stream")
	}
	if r.Key, p = g.key(t, d, e); p != nil {
		return r, 0, p
	}
	if e.id != "" {
		r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], kafka.Header{Key: HeaderEventID, Value: []byte(e.id)})
	}
	switch {
	case e.partition >= t.partitions:
		return r, 0, noTopic.of("topic %s has no partition %d", t.name, e.partition).todo("leave the partition out: the key says it")
	case e.partition >= 0:
		r.Partition = e.partition
	case len(r.Key) > 0:
		r.Partition = g.Partitioner.Partition(r.Key, t.partitions)
	default:
		r.Partition = int32(g.spread.Add(1) % uint32(t.partitions))
	}
	if schema != nil {
		schemaID = schema.Registered().ID
	}
	return r, schemaID, nil
}

// giveKey is what to do about an event without a key.
func giveKey(d *declared.Event, e *event) string {
	const give = "give the key with the event, in our own form by the query parameter key or the header Weir-Key"
	switch {
	case d == nil || d.Key == "":
		return give + ", or declare the field that holds it"
	case e.null, e.absent:
		return give + ": without a value there is no field that could be read"
	case e.form == asBytes:
		return fmt.Sprintf("%s: of bytes without a schema the declared field %s cannot be read", give, d.Key)
	}
	return give
}

func (g *Gateway) bounds(e *event) *Problem {
	switch {
	case len(e.value) == 0 && e.form == asJSON && !e.null && !e.absent:
		return invalid.of("the event has no value").todo("give it as a JSON document, a Protobuf message, the record's bytes, or a tombstone")
	case len(e.value) > g.Limits.Event:
		return tooLarge.of("the event has %d bytes, %d are allowed", len(e.value), g.Limits.Event)
	case len(e.key) > maxKey:
		return tooLarge.of("the key has %d bytes, %d are allowed", len(e.key), maxKey)
	case len(e.headers) > g.Limits.Headers:
		return tooLarge.of("the event has %d headers, %d are allowed", len(e.headers), g.Limits.Headers)
	}
	for _, h := range e.headers {
		if len(h.Key)+len(h.Value) > maxHeader {
			return tooLarge.of("a header has %d bytes, %d are allowed", len(h.Key)+len(h.Value), maxHeader)
		}
	}
	return nil
}

// schemaOf is the schema that a value is encoded with, nil where there is none. Without one nothing is taken where it is declared that there is one. A tombstone
// is encoded by none, and is refused as a value would be: a deletion is not taken back when the schema is there again.
func (g *Gateway) schemaOf(t *topic, d *declared.Event, e *event) (schema *values.Schema, p *Problem) {
	if schema = e.schema; schema == nil {
		schema, p = g.promised(t, t.valueName, d != nil && d.Schema)
	}
	if p != nil || e.null {
		return nil, p
	}
	return schema, nil
}

// promised is the schema of one of a topic's subjects; declared says that there is one, and is refused while there is none.
func (g *Gateway) promised(t *topic, subject string, declared bool) (*values.Schema, *Problem) {
	schema, p := g.schemas.of(subject)
	if p == nil && schema == nil && declared {
		p = notWritten.of("topic %s is declared with a schema, and subject %s has none", t.name, subject).
			todo("register the schema under the subject (weir event apply does, with the file that declares the event), then send the event again")
	}
	return schema, p
}

// valueOf makes the record's value.
func valueOf(t *topic, schema *values.Schema, e *event) ([]byte, *Problem) {
	switch {
	case e.null && !t.compacted && !t.keeps:
		return nil, notWritten.of("null deletes a key, which only a compacted topic takes, and whether %s is one is not known: its settings cannot be read", t.name).
			todo("allow the gateway's principal to DESCRIBE_CONFIGS the topic %s", t.cluster)
	case e.null && !t.compacted:
		return nil, invalid.of("null deletes a key, which only a compacted topic takes; %s is none", t.name).at("")
	case e.absent && schema != nil:
		return nil, invalid.of("the event has no data, and topic %s has a schema", t.name).todo("send the data, which the schema of subject %s takes", t.valueName)
	case e.absent && !t.keeps:
		return nil, invalid.of("the event has no data, and its record would delete the key in a compacted topic, which %s is or may be", t.name).todo("%s", deleteKey)
	case e.null, e.absent:
		return nil, nil
	case schema == nil && e.form == asMessage:
		return nil, invalid.of("topic %s has no Protobuf schema", t.name).todo("register the schema under subject %s-value", t.cluster)
	case schema == nil && e.form == asJSON:
		return e.value, checkJSON(e.value)
	case schema == nil:
		return e.value, nil
	case e.form == asJSON:
		return encode(schema, e.message, e.value)
	case e.form == asMessage:
		return message(schema, e.message, e.value)
	}
	return e.value, framed(schema, e.value)
}

// deleteKey is what to do about an event without data.
const deleteKey = `send the data; if the key is to be deleted, say so: with "data": null in application/cloudevents+json, or the body null of Content-Type application/json`

// message puts before a Protobuf message what says its schema, and checks it.
func message(schema *values.Schema, name string, bare []byte) ([]byte, *Problem) {
	if schema.Registered().Type != registry.Protobuf {
		return nil, invalid.of("the topic's schema is %s, and the body is Protobuf", schema.Registered().Type)
	}
	m, err := schema.Message(name)
	if err != nil {
		return nil, invalid.of("%v", err)
	}
	value := framing.AppendIndexes(framing.AppendID(nil, schema.Registered().ID), protovalue.Indexes(m))
	value = append(value, bare...)
	_, rest, _, err := framing.Read(value, nil)
	if err != nil {
		return nil, ofValue(err)
	}
	document, err := schema.JSON(value, rest, false)
	if err == nil {
		_, err = schema.AppendBare(nil, m, document) // the rules in the schema
	}
	if err != nil {
		return nil, ofValue(err)
	}
	return value, nil
}

// framed checks bytes that say themselves which schema they were written with: it must be the topic's.
func framed(schema *values.Schema, value []byte) *Problem {
	frame, rest, _, err := framing.Read(value, nil)
	if err != nil {
		return ofValue(fmt.Errorf("the topic has a schema: %w", err))
	}
	if r := schema.Registered(); frame.GUID != "" && frame.GUID != r.GUID || frame.GUID == "" && frame.ID != r.ID {
		return ofValue(fmt.Errorf("the value was written with schema %s, and the topic's is %d", frame, r.ID))
	}
	if _, err := schema.JSON(value, rest, false); err != nil {
		return ofValue(err)
	}
	return nil
}

// key makes the record's key: where keys have a schema, by that.
func (g *Gateway) key(t *topic, d *declared.Event, e *event) ([]byte, *Problem) {
	if len(e.key) == 0 {
		return nil, nil
	}
	schema := e.keySchema
	if schema == nil {
		var p *Problem
		if schema, p = g.promised(t, t.keyName, d != nil && d.KeySchema); p != nil {
			return nil, p
		}
	}
	if schema == nil {
		return e.key, nil
	}
	if !e.keyText {
		if p := framed(schema, e.key); p != nil {
			return nil, p.ofKey()
		}
		return e.key, nil
	}
	if !utf8.Valid(e.key) {
		return nil, invalid.of("the key is not UTF-8, and keys of topic %s have a schema", t.name)
	}
	if text, err := json.Marshal(string(e.key)); err == nil {
		if key, p := encode(schema, "", text); p == nil {
			return key, nil
		}
	}
	key, p := encode(schema, "", e.key)
	if p != nil {
		return nil, p.ofKey()
	}
	return key, nil
}

// checkJSON refuses what is no JSON, with the place.
func checkJSON(value []byte) *Problem {
	if json.Valid(value) && utf8.Valid(value) {
		return nil
	}
	p := ofValue(jsonscan.Check(value)) // which takes less, and nothing that is no JSON
	p.Detail = clipped("the value is no JSON: " + p.Detail)
	return p
}
