package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// Confluent's REST API v3, as far as producers use it: records of a topic, one after the other in one streamed request, or as a batch.

// v3Record is a record of a request.
type v3Record struct {
	Partition *int32     `json:"partition_id,omitempty"`
	Headers   []v3Header `json:"headers,omitempty"`
	Key       *v3Data    `json:"key,omitempty"`
	Value     *v3Data    `json:"value,omitempty"`
	Timestamp *time.Time `json:"timestamp,omitempty"`
}

type v3Header struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"` // base64
}

type v3Data struct {
	Type            string          `json:"type,omitempty"`
	Subject         string          `json:"subject,omitempty"`
	SubjectStrategy string          `json:"subject_name_strategy,omitempty"`
	SchemaID        *int            `json:"schema_id,omitempty"`
	SchemaVersion   *int            `json:"schema_version,omitempty"`
	Schema          *string         `json:"schema,omitempty"`
	Data            json.RawMessage `json:"data"`

	schema *values.Schema // by which the data was encoded, nil for none
}

// forget leaves of a record what its answer says of it.
func (r *v3Record) forget() {
	r.Headers = nil
	for _, d := range []*v3Data{r.Key, r.Value} {
		if d != nil {
			d.Data, d.Schema = nil, nil
		}
	}
}

// v3Answer is how a record ended.
type v3Answer struct {
	ID        string    `json:"id,omitempty"` // of a batch's entry
	Code      int       `json:"error_code"`
	Message   string    `json:"message,omitempty"`
	Cluster   string    `json:"cluster_id,omitempty"`
	Topic     string    `json:"topic_name,omitempty"`
	Partition *int32    `json:"partition_id,omitempty"`
	Offset    *int64    `json:"offset,omitempty"`
	Timestamp string    `json:"timestamp,omitempty"`
	Key       *v3Stored `json:"key,omitempty"`
	Value     *v3Stored `json:"value,omitempty"`
}

type v3Stored struct {
	Type          string `json:"type,omitempty"`
	Subject       string `json:"subject,omitempty"`
	SchemaID      int    `json:"schema_id,omitempty"`
	SchemaVersion int    `json:"schema_version,omitempty"`
	Size          int    `json:"size"`
}

func v3Fail(w http.ResponseWriter, p *Problem) {
	p.headers(w)
	writeJSON(w, p.Status, restError{restCode(p), restMessage(p)})
}

// v3Code is the code of a record that failed: those of HTTP, and Confluent's where there is one.
func v3Failed(id string, p *Problem) v3Answer {
	return v3Answer{ID: id, Code: restCode(p), Message: restMessage(p)}
}

// beginV3 checks the cluster of the path too.
func (g *Gateway) beginV3(r *http.Request, t terms) (*request, *Problem) {
	q, p := g.begin(r.Context(), r.Header, r.PathValue("topic"))
	if p == nil {
		p = q.read(r.URL.RawQuery, r.Header, t)
	}
	if p != nil {
		return nil, p
	}
	cluster, p := g.cluster()
	if p == nil && r.PathValue("cluster") != cluster {
		p = noResource.of("there is no cluster %s", strconv.Quote(r.PathValue("cluster"))).todo("GET /v3/clusters tells the id of the cluster")
	}
	return q, p
}

// cluster is the id of the cluster.
func (g *Gateway) cluster() (string, *Problem) {
	if id := g.clusterID.Load(); id != nil {
		return *id, nil
	}
	ctx, cancel := context.WithTimeout(g.patience, lookUpWithin)
	defer cancel()
	id, err := g.Client.ClusterID(ctx)
	if err != nil {
		return "", notWritten.of("the cluster cannot be asked for its id: %v", err)
	}
	g.clusterID.Store(&id)
	return id, nil
}

func (g *Gateway) getV3Clusters(w http.ResponseWriter, r *http.Request) {
	id, p := g.cluster()
	if p != nil {
		v3Fail(w, p)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"kind": "KafkaClusterList", "data": []map[string]string{{"kind": "KafkaCluster", "cluster_id": id}}})
}

// postV3 takes JSON documents one after the other, and answers each.
func (g *Gateway) postV3(w http.ResponseWriter, r *http.Request) {
	q, p := g.beginV3(r, noTerms)
	if p != nil {
		v3Fail(w, p)
		return
	}
	if form, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); form != jsonType && r.Header.Get("Content-Type") != "" || err != nil && form != "" {
		v3Fail(w, mediaType.of("Content-Type %q is not taken here", r.Header.Get("Content-Type")).todo("send application/json"))
		return
	}
	body, p := g.open(w, r, 0)
	if p != nil {
		v3Fail(w, p)
		return
	}
	defer body.close()
	d := newDuplex(w, r, body)
	// A document is bounded: the decoder would read on for its end.
	limited := &bounded{r: body, limit: int64(2 * g.Limits.Event)}
	counted := &documents{r: limited, held: body.held, ctx: r.Context(), most: 2 * limited.limit} // it is read into a buffer that doubles
	decoder := json.NewDecoder(counted)
	type answer struct {
		cost  int64
		chunk *chunk
		in    *v3Record
		bad   *Problem
	}
	answers := make(chan answer, chunksAhead*8)
	written := make(chan struct{})
	go func() {
		defer close(written)
		encoder, gone, begun := encoderTo(w), false, false
		for a := range answers {
			out := v3Answer{}
			if a.bad != nil {
				out = v3Failed("", a.bad)
			} else {
				a.chunk.wait(g.patience) // the sink gives up in the end
				out = g.v3Answer("", q, a.in, &a.chunk.answers[0])
			}
			answer := min(a.cost, eventCost)
			body.held.give(a.cost - answer)
			if gone {
				body.held.give(answer)
				continue
			}
			if !begun {
				begun = true
				d.begin(jsonType)
				w.WriteHeader(http.StatusOK)
			}
			_ = d.SetWriteDeadline(time.Now().Add(g.Limits.Silence))
			gone = encoder.Encode(out) != nil || len(answers) == 0 && d.Flush() != nil
			_ = d.SetWriteDeadline(time.Time{})
			body.held.give(answer)
		}
		if !begun {
			d.begin(jsonType)
			v3Fail(w, malformed.of("the body has no record"))
		}
	}()
	order := &order{}
	for n := 0; ; n++ {
		limited.left = limited.limit
		var document json.RawMessage
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		a := answer{in: &v3Record{}}
		if err == nil {
			var long bool
			if a.cost, long, err = counted.took(len(document)); long { // its buffer is as long as the document
				rest, _ := io.ReadAll(decoder.Buffered())
				decoder = json.NewDecoder(io.MultiReader(bytes.NewReader(rest), counted))
			}
		}
		refused := g.still(q)
		if refused != nil {
			a.bad = refused
		} else if err != nil {
			a.bad = ofDocument(err)
		} else if wrong := unmarshal(document, a.in, v3Opaque); wrong != nil { // it is whole, so others follow it
			a.bad = malformed.of("the record is not of the form that is wanted: %v", wrong)
		} else if e, p := g.v3Event(q, a.in, n); p != nil {
			a.bad = p
			order.refused(p)
		} else {
			a.chunk = g.newChunk(q.client, q.topic, g.declarations.Of(q.topic.name), order)
			a.chunk.add(e)
			a.chunk.submit(g.patience, true)
		}
		a.in.forget()
		answers <- a
		if err != nil || refused != nil {
			break
		}
	}
	close(answers)
	<-written
	d.end()
}

// ofDocument is the problem of documents that cannot be read on.
func ofDocument(err error) *Problem {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed.of("the body is no JSON: %v", err)
	}
	return ofBody(err)
}

// v3Batch is the body of records:batch.
type v3Batch struct {
	Entries []struct {
		ID string `json:"id"`
		v3Record
	} `json:"entries" minItems:"1"`
}

// v3Batched is the answer to it.
type v3Batched struct {
	Successes []v3Answer `json:"successes"`
	Failures  []v3Answer `json:"failures"`
}

func (g *Gateway) postV3Batch(w http.ResponseWriter, r *http.Request) {
	q, p := g.beginV3(r, batchTerms)
	if p != nil {
		v3Fail(w, p)
		return
	}
	var in v3Batch
	leave, p := g.readDocument(w, r, q, &in, v3Opaque)
	if p != nil {
		v3Fail(w, p)
		return
	}
	defer leave()
	seen := map[string]bool{}
	for i := range in.Entries {
		switch id := in.Entries[i].ID; {
		case id == "" || seen[id]:
			p = invalid.of("entry %d has the id %q: each needs one of its own", i, id)
		case len(id) > maxID: // it is answered
			p = invalid.of("the id of entry %d has %d bytes, %d are allowed", i, len(id), maxID)
		}
		seen[in.Entries[i].ID] = true
	}
	if len(in.Entries) == 0 || len(in.Entries) > g.Limits.Events {
		p = invalid.of("the request has %d entries, 1 to %d are allowed", len(in.Entries), g.Limits.Events)
	}
	if p != nil {
		v3Fail(w, p)
		return
	}
	events := make([]*event, len(in.Entries))
	for i := range in.Entries {
		if events[i], p = g.v3Event(q, &in.Entries[i].v3Record, i); p != nil {
			events[i] = &event{bad: p}
		}
	}
	answers := g.publishAll(q, events)
	for i := range in.Entries {
		in.Entries[i].forget()
	}
	q.body.answering()
	list := func(bad bool) func(i int) *v3Answer {
		return func(i int) *v3Answer {
			if bad != (answers[i].Error != nil) {
				return nil
			}
			out := g.v3Answer(in.Entries[i].ID, q, &in.Entries[i].v3Record, &answers[i])
			return &out
		}
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusMultiStatus)
	_, _ = io.WriteString(w, `{"successes":`)
	_ = writeList(w, len(answers), list(false))
	_, _ = io.WriteString(w, `,"failures":`)
	_ = writeList(w, len(answers), list(true))
	_, _ = io.WriteString(w, "}\n") // the client may have gone
}

// v3Event makes an event of a record. n is its place in the request.
func (g *Gateway) v3Event(q *request, in *v3Record, n int) (*event, *Problem) {
	e := &event{partition: -1, null: true, id: q.eventID(n), headers: q.headers}
	if in.Partition != nil {
		if e.partition = *in.Partition; e.partition < 0 {
			return nil, invalid.of("partition_id %d is below 0", *in.Partition)
		}
	}
	e.at = in.Timestamp
	if len(in.Headers) > g.Limits.Headers {
		return nil, tooLarge.of("the event has %d headers, %d are allowed", len(in.Headers), g.Limits.Headers)
	}
	var own []kafka.Header
	for _, h := range in.Headers {
		if ours(h.Name) {
			continue
		}
		header := kafka.Header{Key: h.Name}
		if h.Value != nil {
			var err error
			if header.Value, err = base64.StdEncoding.DecodeString(*h.Value); err != nil {
				return nil, invalid.of("the value of header %q is no base64", h.Name)
			}
		}
		own = append(own, header)
	}
	if len(own) > 0 {
		var p *Problem
		if e.headers, p = merge(q.headers, own); p != nil {
			return nil, p
		}
	}
	if in.Key != nil && given(in.Key.Data) {
		var p *Problem
		var form form
		if e.key, form, e.keySchema, p = g.v3Bytes(q, in.Key, "-key"); p != nil {
			return nil, p.ofKey()
		}
		if form == asJSON && e.keySchema != nil {
			if e.key, p = encode(e.keySchema, "", e.key); p != nil {
				return nil, p.ofKey()
			}
		} else {
			e.keyText = form == asJSON || strings.EqualFold(in.Key.Type, "STRING")
			if form == asJSON { // one key however it is written
				e.key = compacted(e.key)
			}
		}
	}
	if in.Value != nil && given(in.Value.Data) {
		e.null = false
		var p *Problem
		if e.value, e.form, e.schema, p = g.v3Bytes(q, in.Value, "-value"); p != nil {
			return nil, p
		}
	}
	return e, nil
}

// v3Bytes are the data of a key or value. It notes in the data what the answer says of them: data that names no type has that of the schema that
// it names, or the subject's, as with Confluent's, and is JSON where there is none.
func (g *Gateway) v3Bytes(q *request, in *v3Data, of string) (data []byte, as form, schema *values.Schema, p *Problem) {
	defer func() { in.schema = schema }()
	subject := q.topic.cluster + of
	if in.Subject != "" && in.Subject != subject || in.SubjectStrategy != "" && in.SubjectStrategy != "TOPIC_NAME" {
		return nil, 0, nil, badSchema.of("the subject is %s", subject).todo("leave subject and subject_name_strategy out")
	}
	names := in.SchemaID != nil || in.SchemaVersion != nil || in.Schema != nil
	t, kind := registry.Type(""), strings.ToUpper(in.Type)
	if names && (kind == "BINARY" || kind == "STRING" || kind == "JSON") {
		return nil, 0, nil, plainData(kind)
	}
	switch kind {
	case "BINARY":
		data, p = fromBase64(in.Data)
		return data, asBytes, nil, p
	case "STRING":
		text, err := textOf(in.Data)
		if err != nil {
			return nil, 0, nil, invalid.of("data of type STRING is a text: %v", err)
		}
		return []byte(text), asBytes, nil, nil
	case "JSON":
		return in.Data, asJSON, nil, nil
	case "":
		if !names {
			if schema, p = g.schemas.of(subject); p == nil {
				in.Type = v3Type(schema)
			}
			return in.Data, asJSON, schema, p
		}
	case "AVRO", "PROTOBUF":
		t = registry.Type(kind)
	case "JSONSCHEMA":
		t = registry.JSON
	default:
		return nil, 0, nil, invalid.of("type %q is none of BINARY, JSON, STRING, AVRO, JSONSCHEMA and PROTOBUF", in.Type)
	}
	switch {
	case in.SchemaID != nil:
		schema, p = g.schemas.byID(subject, *in.SchemaID)
	case in.Schema != nil:
		schema, p = g.schemas.byText(subject, t, *in.Schema)
	default:
		schema, p = g.schemas.of(subject)
		if p == nil && schema == nil {
			p = badSchema.of("subject %s has no schema", subject)
		}
	}
	if p == nil && in.SchemaVersion != nil && schema.Registered().Version != *in.SchemaVersion {
		p = badSchema.of("version %d is not the latest of subject %s", *in.SchemaVersion, subject)
	}
	if p == nil && t != "" && schema.Registered().Type != t {
		p = badSchema.of("schema %d is %s, and the data is %s", schema.Registered().ID, schema.Registered().Type, t)
	}
	if p == nil && t == "" {
		in.Type = v3Type(schema)
	}
	return in.Data, asJSON, schema, p
}

// plainData is the problem of data of a type without schemas beside which a schema is named: one of the two is not meant.
func plainData(kind string) *Problem {
	return badSchema.of("the request names a schema, and data of the type %s has none", kind).
		todo("leave the schema out, or say by which type of schemas the data is encoded: Avro, JSON Schema or Protobuf")
}

// v3Type is what Confluent's API calls the form of data that a schema encodes.
func v3Type(schema *values.Schema) string {
	switch {
	case schema == nil:
		return "JSON"
	case schema.Registered().Type == registry.JSON:
		return "JSONSCHEMA"
	}
	return cmp.Or(string(schema.Registered().Type), "AVRO")
}

// v3Answer is the answer to a record.
func (g *Gateway) v3Answer(id string, q *request, in *v3Record, a *Answer) v3Answer {
	if a.Error != nil {
		return v3Failed(id, a.Error)
	}
	cluster, _ := g.cluster() // it is known by now
	out := v3Answer{ID: id, Code: http.StatusOK, Cluster: cluster, Topic: q.topic.name, Partition: a.Partition, Offset: a.Offset}
	if !q.topic.times.brokers { // what they say is not asked for
		out.Timestamp = time.UnixMilli(a.time).UTC().Format(time.RFC3339Nano)
	}
	stored := func(d *v3Data, size, id int) *v3Stored {
		if d == nil {
			return nil
		}
		s := &v3Stored{Type: strings.ToUpper(d.Type), Size: size, SchemaID: id}
		if d.schema != nil {
			r := d.schema.Registered()
			s.Subject, s.SchemaID, s.SchemaVersion = r.Subject, r.ID, r.Version
		}
		return s
	}
	out.Key, out.Value = stored(in.Key, a.keySize, 0), stored(in.Value, a.valueSize, a.SchemaID)
	return out
}
