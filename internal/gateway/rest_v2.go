package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// Confluent's REST API v2, as far as producers use it: POST /topics/{topic} with records in one of five embedded formats.

const v2Type = "application/vnd.kafka.v2+json"

// Codes of Confluent's API.
const (
	codeNoTopic       = 40401
	codeNoPartition   = 40402
	codeNoKeySchema   = 42201
	codeNoValueSchema = 42202
	codeConversion    = 42203
	codeBadSchema     = 42205
	codePayload       = 42206
	codeSerialization = 42207
	codeBatch         = 42208
	codeKafka         = 50002
	codeRetriable     = 50003
)

// restError is an error body of v2 and v3.
type restError struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// restCode is the code of a problem in Confluent's API.
func restCode(p *Problem) int {
	switch p.Type {
	case noTopic.urn():
		return codeNoTopic
	case badSchema.urn():
		return codeBadSchema
	case invalid.urn():
		return codeSerialization
	case conflict.urn():
		return codeBatch
	case unavailable.urn(), notWritten.urn():
		return codeRetriable
	}
	return p.Status
}

func restMessage(p *Problem) string {
	text := p.Detail
	if p.Path != nil && *p.Path != "" {
		text = fmt.Sprintf("%s (at %s)", text, *p.Path)
	}
	if p.Remedy != "" {
		text += ": " + p.Remedy
	}
	return text
}

func v2Fail(w http.ResponseWriter, p *Problem, code int) {
	p.headers(w)
	writeAs(w, v2Type, p.Status, restError{code, restMessage(p)})
}

// v2Body is a request.
type v2Body struct {
	KeySchema     *string    `json:"key_schema,omitempty"`
	KeySchemaID   *int       `json:"key_schema_id,omitempty"`
	ValueSchema   *string    `json:"value_schema,omitempty"`
	ValueSchemaID *int       `json:"value_schema_id,omitempty"`
	Records       []v2Record `json:"records" minItems:"1"`
}

type v2Record struct {
	Key       json.RawMessage `json:"key,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
	Partition *int32          `json:"partition,omitempty"`
}

// v2Answer is the answer.
type v2Answer struct {
	KeySchemaID   *int       `json:"key_schema_id"`
	ValueSchemaID *int       `json:"value_schema_id"`
	Offsets       []v2Offset `json:"offsets"`
}

type v2Offset struct {
	Partition *int32  `json:"partition"`
	Offset    *int64  `json:"offset"`
	Code      *int    `json:"error_code"`
	Error     *string `json:"error"`
}

// v2Formats are the embedded formats, with the type of schema of those that need one.
var v2Formats = map[string]registry.Type{"binary": "", "json": "", "avro": registry.Avro, "jsonschema": registry.JSON, "protobuf": registry.Protobuf}

// v2Format is the embedded format of a content type, as application/vnd.kafka.avro.v2+json.
func v2Format(contentType string) (string, bool) {
	form, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", false
	}
	switch form {
	case jsonType, "application/vnd.kafka+json", v2Type:
		return "binary", true // as theirs
	}
	format, ok := strings.CutPrefix(form, "application/vnd.kafka.")
	if format, ok = strings.CutSuffix(format, ".v2+json"); !ok {
		return "", false
	}
	_, ok = v2Formats[format]
	return format, ok
}

func (g *Gateway) postV2(w http.ResponseWriter, r *http.Request) {
	q, p := g.begin(r.Context(), r.Header, r.PathValue("topic"))
	if p == nil {
		p = q.read(r.URL.RawQuery, r.Header, batchTerms)
	}
	if p != nil {
		v2Fail(w, p, restCode(p))
		return
	}
	format, ok := v2Format(r.Header.Get("Content-Type"))
	if !ok {
		p := mediaType.of("Content-Type %q is not taken here", r.Header.Get("Content-Type")).todo("send application/vnd.kafka.{binary,json,avro,jsonschema,protobuf}.v2+json")
		v2Fail(w, p, p.Status)
		return
	}
	var in v2Body
	leave, p := g.readDocument(w, r, q, &in, v2Opaque...)
	if p != nil {
		v2Fail(w, p, v2BodyCode(p))
		return
	}
	defer leave()
	if len(in.Records) == 0 || len(in.Records) > g.Limits.Events {
		p := invalid.of("the request has %d records, 1 to %d are allowed", len(in.Records), g.Limits.Events)
		v2Fail(w, p, 422)
		return
	}
	valueSchema, keySchema, code, p := g.v2Schemas(q, format, &in)
	if p != nil {
		v2Fail(w, p, code)
		return
	}
	events := make([]*event, len(in.Records))
	for i := range in.Records {
		e, p := v2Event(&in.Records[i], format, valueSchema, keySchema)
		if p != nil {
			e = &event{bad: p}
		}
		e.headers, e.id = q.headers, q.eventID(i)
		events[i] = e
	}
	var valueID, keyID *int
	if valueSchema != nil {
		valueID = &[]int{valueSchema.Registered().ID}[0]
	}
	if keySchema != nil {
		keyID = &[]int{keySchema.Registered().ID}[0]
	}
	answers := g.publishAll(q, events)
	q.body.answering() // of what was sent nothing is needed any more
	for i := range answers {
		if p := answers[i].Error; p != nil && p.Status == http.StatusTooManyRequests { // one for all
			v2Fail(w, p, 429)
			return
		}
	}
	w.Header().Set("Content-Type", v2Type)
	w.WriteHeader(http.StatusOK)
	head, _ := json.Marshal(v2Answer{KeySchemaID: keyID, ValueSchemaID: valueID, Offsets: []v2Offset{}})
	_, err := w.Write(bytes.TrimSuffix(head, []byte("[]}")))
	if err == nil {
		err = writeList(w, len(answers), func(i int) *v2Offset { return v2Result(&answers[i]) })
	}
	if err == nil {
		_, _ = io.WriteString(w, "}\n") // else the client has gone
	}
}

func v2Result(a *Answer) *v2Offset {
	if a.Error == nil {
		return &v2Offset{Partition: a.Partition, Offset: a.Offset}
	}
	code, text := restCode(a.Error), restMessage(a.Error)
	return &v2Offset{Code: &code, Error: &text}
}

func v2BodyCode(p *Problem) int {
	if p.Type == malformed.urn() {
		return codePayload
	}
	return p.Status
}

// readDocument reads a body that is one JSON document. leave gives the place up that the request has taken.
func (g *Gateway) readDocument(w http.ResponseWriter, r *http.Request, q *request, into any, opaque ...string) (leave func(), p *Problem) {
	data, leave, p := g.readBody(w, r, q, single{most: g.Limits.Body})
	if p != nil {
		return nil, p
	}
	if err := unmarshal(data, into, opaque...); err != nil {
		leave()
		p := malformed.of("the body is not the JSON that is wanted: %v", err)
		p.Status = http.StatusUnprocessableEntity
		return nil, p
	}
	return leave, nil
}

// v2Schemas are those of values and keys, which formats with schemas need.
func (g *Gateway) v2Schemas(q *request, format string, in *v2Body) (value, key *values.Schema, code int, p *Problem) {
	t := v2Formats[format]
	if t == "" {
		if in.KeySchemaID != nil || in.KeySchema != nil || in.ValueSchemaID != nil || in.ValueSchema != nil {
			return nil, nil, codeBadSchema, plainData(format)
		}
		return nil, nil, 0, nil
	}
	hasKeys, hasValues := false, false
	for i := range in.Records {
		hasKeys = hasKeys || given(in.Records[i].Key)
		hasValues = hasValues || given(in.Records[i].Value)
	}
	find := func(subject string, id *int, text *string) (*values.Schema, *Problem) {
		if id != nil {
			return g.schemas.byID(subject, *id)
		}
		return g.schemas.byText(subject, t, *text)
	}
	if hasKeys {
		if in.KeySchemaID == nil && in.KeySchema == nil {
			return nil, nil, codeNoKeySchema, invalid.of("Request includes keys but does not include key schema").todo("send key_schema_id or key_schema")
		}
		if key, p = find(q.topic.keyName, in.KeySchemaID, in.KeySchema); p != nil {
			return nil, nil, v2SchemaCode(p), p
		}
	}
	if hasValues {
		if in.ValueSchemaID == nil && in.ValueSchema == nil {
			return nil, nil, codeNoValueSchema, invalid.of("Request includes values but does not include value schema").todo("send value_schema_id or value_schema")
		}
		if value, p = find(q.topic.valueName, in.ValueSchemaID, in.ValueSchema); p != nil {
			return nil, nil, v2SchemaCode(p), p
		}
	}
	for _, s := range []*values.Schema{value, key} {
		if s != nil && s.Registered().Type != t {
			return nil, nil, codeBadSchema, badSchema.of("schema %d is %s, and the records are %s", s.Registered().ID, s.Registered().Type, t)
		}
	}
	return value, key, 0, nil
}

func v2SchemaCode(p *Problem) int {
	if p.Status >= 500 {
		return restCode(p)
	}
	return codeBadSchema
}

func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// v2Event makes an event of a record. Of the format json keys are documents, as Confluent's proxy writes them.
func v2Event(in *v2Record, format string, value, key *values.Schema) (*event, *Problem) {
	e := &event{partition: -1, null: !given(in.Value), schema: value, keySchema: key}
	if in.Partition != nil {
		if e.partition = *in.Partition; e.partition < 0 {
			return nil, invalid.of("partition %d is below 0", *in.Partition)
		}
	}
	switch format {
	case "binary":
		e.form = asBytes
		var p *Problem
		if e.key, p = fromBase64(in.Key); p == nil {
			e.value, p = fromBase64(in.Value)
		}
		return e, p
	case "json":
		e.value = in.Value
		if given(in.Key) {
			e.key, e.keyText = compacted(in.Key), true
		}
		return e, nil
	}
	e.value = in.Value
	if given(in.Key) {
		var p *Problem
		if e.key, p = encode(key, "", in.Key); p != nil {
			return nil, p.ofKey()
		}
	}
	return e, nil
}

const binaryRemedy = `send base64, or say what the data are: by the Content-Type, as application/vnd.kafka.json.v2+json, or by "type", as JSON, in v3`

func fromBase64(raw json.RawMessage) ([]byte, *Problem) {
	if !given(raw) {
		return nil, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, invalid.of("binary data is a text in base64").todo(binaryRemedy)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, invalid.of("binary data is no base64: %v", err).todo(binaryRemedy)
	}
	return data, nil
}

func compacted(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}
