package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/provenance"
)

// event is what a producer hands over, whatever form it came in.
type event struct {
	key     []byte // nil for none
	value   []byte // JSON as it was sent
	null    bool   // a tombstone instead of a value
	id      string
	headers []kafka.Header
}

// The headers by which a record says what the gateway knows of it. A producer's own of these names are dropped, as are Weir's reserved ones.
const (
	HeaderEventID = "event-id"
	headerTrace   = "traceparent"
	headerState   = "tracestate"
)

// ours says whether a header is none that a producer may set.
func ours(name string) bool {
	return provenance.Reserved(name) || name == HeaderEventID || name == "__key_schema_id" || name == "__value_schema_id"
}

// admit checks an event and makes its record.
func (g *Gateway) admit(t *topic, e *event) (kafka.Outgoing, *Problem) {
	r := kafka.Outgoing{Timestamp: time.Now().UnixMilli(), Key: e.key, Value: e.value, Headers: e.headers}
	r.Topic = t.cluster
	switch {
	case len(e.value) > g.Limits.Event:
		return r, tooLarge.of("the event has %d bytes, %d are allowed", len(e.value), g.Limits.Event)
	case len(e.headers) > g.Limits.Headers:
		return r, tooLarge.of("the event has %d headers, %d are allowed", len(e.headers), g.Limits.Headers)
	case len(e.key) == 0:
		return r, invalid.of("the event has no key, and topic %s is partitioned by its entity's key", t.name).
			todo("give the key by the query parameter key or the header Weir-Key")
	case e.null && !t.compacted:
		return r, invalid.of("null deletes a key, which only a compacted topic takes; %s is none", t.name)
	case e.null:
		r.Value = nil
	default:
		if p := checkJSON(e.value); p != nil {
			return r, p
		}
	}
	if e.id != "" {
		r.Headers = append(r.Headers, kafka.Header{Key: HeaderEventID, Value: []byte(e.id)})
	}
	r.Partition = g.Partitioner.Partition(r.Key, t.partitions)
	return r, nil
}

// checkJSON refuses what is no JSON, with the place.
func checkJSON(value []byte) *Problem {
	if !utf8.Valid(value) {
		return invalid.of("the value is not UTF-8")
	}
	if json.Valid(value) {
		return nil
	}
	var any json.RawMessage
	d := json.NewDecoder(bytes.NewReader(value))
	if err := d.Decode(&any); err != nil {
		return invalid.of("the value is no JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return invalid.of("after the JSON value, at byte %d, stands something else", d.InputOffset())
}
