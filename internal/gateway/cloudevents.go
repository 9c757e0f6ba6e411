package gateway

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/kafka"
)

// isCloudEvent says whether a request is a CloudEvent over HTTP: binary by its headers, structured or a batch by its type.
func isCloudEvent(r *http.Request) bool {
	form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Header.Get("Ce-Specversion") != "" || strings.HasPrefix(form, "application/cloudevents")
}

// cloudForms are the types of a structured event and of a batch; other formats than JSON, as XML, are none that is taken.
var cloudForms = []string{cloudevents.ApplicationCloudEventsJSON, cloudevents.ApplicationCloudEventsBatchJSON}

// postCloudEvents takes CloudEvents 1.0. The data is the record's value, and the attributes are headers as in the binary mode of CloudEvents'
// binding for Kafka: ce_id, ce_source and so on, and content-type. The id is the event's id; the extension partitionkey is its key.
func (g *Gateway) postCloudEvents(w http.ResponseWriter, r *http.Request) {
	form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if strings.HasPrefix(form, "application/cloudevents") && !slices.Contains(cloudForms, form) {
		mediaType.of("Content-Type %q is not taken", form).todo("send the event as %s, several as %s, or its attributes as headers ce-*", cloudForms[0], cloudForms[1]).write(w)
		return
	}
	within := g.oneEvent(form == cloudevents.ApplicationCloudEventsBatchJSON)
	if strings.HasPrefix(form, "application/cloudevents") {
		within.most += int64(g.Limits.Event) // in base64 it is a third longer
	}
	q, data, leave, p := g.receive(w, r, within)
	if p != nil {
		p.write(w)
		return
	}
	defer leave()
	r.Body = io.NopCloser(bytes.NewReader(data))
	if form != cloudevents.ApplicationCloudEventsBatchJSON {
		var one *cloudevents.Event
		var err error
		if form == cloudevents.ApplicationCloudEventsJSON {
			one, err = structured(data)
		} else if err = decodeAttributes(r.Header); err == nil {
			if one, err = cehttp.NewEventFromHTTPRequest(r); err == nil {
				asTheyCame(one, r.Header.Get("Ce-Source"), r.Header.Get("Ce-Dataschema"))
			}
		}
		if err != nil {
			invalid.of("the request is no CloudEvent: %v", err).write(w)
			return
		}
		e, p := q.cloudEvent(one, -1)
		if p != nil {
			p.write(w)
			return
		}
		g.answerOne(w, g.publishAll(q, []*event{e})[0])
		return
	}
	if data = bytes.Trim(data, " \t\r\n"); !bytes.HasPrefix(data, []byte("[")) {
		malformed.of("the batch of CloudEvents is no array").todo("send an array, or one event as %s", cloudForms[0]).write(w)
		return
	}
	list, p := elements(data, g.Limits.Events)
	if p != nil {
		p.write(w)
		return
	}
	events := make([]*event, len(list))
	for i, document := range list {
		one, err := structured(document)
		if err != nil {
			p = invalid.of("it is no CloudEvent: %v", err)
		} else {
			events[i], p = q.cloudEvent(one, i)
		}
		if p != nil {
			events[i] = &event{bad: p}
		}
	}
	g.answerMany(w, g.publishAll(q, events))
}

// structured reads an event in the structured mode. What the SDK is careless with is settled before it reads the event: it takes data with the space
// before it, the last of members that come twice, one of data and data_base64 where there are both, and the whole part of a number; and it knows few types of
// data for JSON, so that data are read here.
func structured(document []byte) (*cloudevents.Event, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return nil, jsonscan.Plain(err)
	}
	if members == nil {
		return nil, errors.New("it is null")
	}
	if err := checkNames(document, "data"); err != nil {
		return nil, err
	}
	for name, value := range members {
		value = bytes.TrimSpace(value)
		if members[name] = value; name == "data" {
			continue
		}
		switch c := value[0]; {
		case c == 'n': // an attribute that is null is not set
			delete(members, name)
		case c == '-' || c >= '0' && c <= '9':
			if _, err := strconv.ParseInt(string(value), 10, 32); err != nil {
				return nil, fmt.Errorf("%s is %s, and numbers of CloudEvents are whole, of 32 bits: send it as a text", name, value)
			}
		case c == '{' || c == '[':
			return nil, fmt.Errorf("%s is an object or an array, and attributes of CloudEvents are texts, whole numbers, true or false", name)
		}
	}
	data, base64 := members["data"], members["data_base64"]
	if data != nil && base64 != nil {
		return nil, errors.New("it has data and data_base64, of which one is meant")
	}
	if base64 != nil && base64[0] != '"' {
		return nil, errors.New("data_base64 is no text")
	}
	delete(members, "data")
	tidy, err := joined(members)
	if err != nil {
		return nil, err
	}
	e := cloudevents.New()
	if err := e.UnmarshalJSON(tidy); err != nil {
		return nil, err
	}
	source, _ := textOf(members["source"]) // no text is no source
	dataSchema, _ := textOf(members["dataschema"])
	asTheyCame(&e, source, dataSchema)
	switch {
	case data == nil:
	case isJSON(&e):
		e.DataEncoded = data
		if e.DataContentType() == "" { // what is implied here is not in a record
			e.SetDataContentType(jsonType)
		}
	case string(data) == "null":
		return nil, fmt.Errorf("its data are null, which %q has no form for: to delete a key leave datacontenttype out", e.DataContentType())
	case data[0] != '"':
		return nil, fmt.Errorf("its data are no text, and %q is no JSON: send them as a text, or as data_base64", e.DataContentType())
	default:
		text, err := textOf(data)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		e.DataEncoded = []byte(text)
	}
	return &e, nil
}

// dataMedia is the media type of an event's data, "" for none.
func dataMedia(e *cloudevents.Event) string { return strings.ToLower(e.DataMediaType()) }

// asTheyCame has the event say its source and the place of its schema as they were sent: as the SDK writes URLs out, "a b" is "a%20b", another source.
func asTheyCame(e *cloudevents.Event, source, dataSchema string) {
	c, ok := e.Context.(*cloudevents.EventContextV1)
	if !ok {
		return
	}
	if c.Source.String() != "" {
		c.Source.URL = url.URL{Opaque: source} // which is written out as it is
	}
	if scheme, rest, ok := strings.Cut(dataSchema, ":"); ok && c.DataSchema != nil && c.DataSchema.IsAbs() {
		c.DataSchema.URL = url.URL{Scheme: scheme, Opaque: rest}
	}
}

// isJSON says whether the data of an event are JSON, which they are where nothing else is said.
func isJSON(e *cloudevents.Event) bool {
	media := dataMedia(e)
	if media == "" {
		return !e.DataBase64
	}
	_, subtype, _ := strings.Cut(media, "/")
	return subtype == "json" || strings.HasSuffix(subtype, "+json")
}

// joined is the object of members. Their values stay as they are, which json.Marshal would make compact.
func joined(members map[string]json.RawMessage) ([]byte, error) {
	document := []byte{'{'}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		if len(document) > 1 {
			document = append(document, ',')
		}
		document = append(append(append(document, quoted...), ':'), members[name]...)
	}
	return append(document, '}'), nil
}

// decodeAttributes puts the values of attributes in the place of what stands for them in the headers of the binary mode (section 3.1.3.2 of
// CloudEvents' binding for HTTP), which the SDK does not: a value may be quoted, and what is no printable ASCII is percent-encoded. A sign
// that begins no escape stands for itself, for senders that encode nothing.
func decodeAttributes(headers http.Header) error {
	for name, values := range headers {
		attribute, ok := strings.CutPrefix(name, "Ce-")
		if !ok {
			continue
		}
		if strings.Trim(strings.ToLower(attribute), "abcdefghijklmnopqrstuvwxyz0123456789") != "" || attribute == "" {
			return fmt.Errorf("the header %s names no attribute: such names are of letters and digits", strings.ToLower(name))
		}
		if len(values) > 1 {
			return fmt.Errorf("the header %s comes %d times", strings.ToLower(name), len(values))
		}
		decoded := make([]string, len(values))
		for i, value := range values {
			if decoded[i] = unescaped(unquoted(value)); !utf8.ValidString(decoded[i]) {
				return fmt.Errorf("the header %s is no UTF-8 when its escapes are decoded", strings.ToLower(name))
			}
		}
		headers[name] = decoded
	}
	return nil
}

// unquoted is what a quoted string of HTTP holds; another value is as it is.
func unquoted(value string) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	var b strings.Builder
	inner := value[1 : len(value)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}

// unescaped decodes percent-encoding once.
func unescaped(value string) string {
	var b strings.Builder
	for len(value) > 0 {
		if len(value) >= 3 && value[0] == '%' {
			if c, err := hex.DecodeString(value[1:3]); err == nil {
				b.Write(c)
				value = value[3:]
				continue
			}
		}
		b.WriteByte(value[0])
		value = value[1:]
	}
	return b.String()
}

// cloudEvent makes an event of a CloudEvent. n is its place in the request, -1 where it is the only one.
func (q *request) cloudEvent(in *cloudevents.Event, n int) (*event, *Problem) {
	if in.SpecVersion() != cloudevents.CloudEventsVersionV1 {
		return nil, invalid.of("specversion is %q, and 1.0 is taken", in.SpecVersion())
	}
	if err := in.Validate(); err != nil {
		return nil, invalid.of("the CloudEvent is not valid: %s", strings.TrimSpace(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	e := q.event(in.Data(), n)
	e.source, e.form = in.Source(), asBytes
	e.id = cmp.Or(e.id, in.ID())
	switch media := dataMedia(in); {
	case isJSON(in):
		e.form = asJSON
	case isProtobuf(media):
		e.form = asMessage
	}
	e.null = e.form == asJSON && string(bytes.TrimSpace(e.value)) == "null"
	// Without data it is a notification. A message of no bytes is one with nothing set.
	e.absent = e.value == nil && e.form != asMessage
	headers := slices.DeleteFunc(slices.Clone(q.headers), func(h kafka.Header) bool { return ofCloudEvents(h.Key) }) // what these are the event says
	add := func(name, value string) {
		if value != "" {
			headers = append(headers, kafka.Header{Key: name, Value: []byte(value)})
		}
	}
	add("ce_specversion", in.SpecVersion())
	add("ce_id", in.ID())
	add("ce_source", in.Source())
	add("ce_type", in.Type())
	add("ce_subject", in.Subject())
	add("ce_dataschema", in.DataSchema())
	if at := in.Context.AsV1().Time; at != nil { // also the year 1, which is the zero of some languages
		add("ce_time", at.Format(time.RFC3339Nano))
	}
	names := make([]string, 0, len(in.Extensions()))
	for name := range in.Extensions() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text := fmt.Sprint(in.Extensions()[name])
		if name == "partitionkey" && e.key == nil {
			e.key = []byte(text)
		}
		add("ce_"+name, text)
	}
	add("content-type", in.DataContentType())
	if !slices.ContainsFunc(headers, func(h kafka.Header) bool { return ofTrace(h.Key) }) { // the event's, which does not replace the request's own
		parent, _ := in.Extensions()[headerTrace].(string)
		state, _ := in.Extensions()[headerState].(string)
		headers = append(headers, traced([]string{parent}, []string{state})...)
	}
	e.headers = headers
	return e, nil
}

func isProtobuf(media string) bool {
	switch media {
	case "application/x-protobuf", "application/protobuf", "application/vnd.google.protobuf":
		return true
	}
	return false
}
