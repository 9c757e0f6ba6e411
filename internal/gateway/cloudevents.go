package gateway

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/weirstream/weir/internal/kafka"
)

// isCloudEvent says whether a request is a CloudEvent over HTTP: binary by its headers, structured or a batch by its type.
func isCloudEvent(r *http.Request) bool {
	form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Header.Get("Ce-Specversion") != "" || strings.HasPrefix(form, "application/cloudevents")
}

// postCloudEvents takes CloudEvents 1.0. The data is the record's value, and the attributes are headers as in the binary mode of CloudEvents'
// binding for Kafka: ce_id, ce_source and so on, and content-type. The id is the event's id; the extension partitionkey is its key.
func (g *Gateway) postCloudEvents(w http.ResponseWriter, r *http.Request) {
	q, data, leave, p := g.receive(w, r)
	if p != nil {
		p.write(w)
		return
	}
	defer leave()
	r.Body = io.NopCloser(bytes.NewReader(data))
	form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if form != cloudevents.ApplicationCloudEventsBatchJSON {
		one, err := cehttp.NewEventFromHTTPRequest(r)
		if err != nil {
			invalid.of("the request is no CloudEvent: %v", err).write(w)
			return
		}
		e, p := q.cloudEvent(one)
		if p != nil {
			p.write(w)
			return
		}
		g.answerOne(w, g.publishAll(r.Context(), q, []*event{e})[0])
		return
	}
	list, err := cehttp.NewEventsFromHTTPRequest(r)
	if err != nil {
		invalid.of("the request is no batch of CloudEvents: %v", err).write(w)
		return
	}
	if len(list) > g.Limits.Events {
		tooLarge.of("the batch has %d events, %d are allowed", len(list), g.Limits.Events).write(w)
		return
	}
	events := make([]*event, len(list))
	for i := range list {
		if events[i], p = q.cloudEvent(&list[i]); p != nil {
			p.Detail = fmt.Sprintf("event %d: %s", i, p.Detail)
			p.write(w)
			return
		}
	}
	g.answerMany(w, g.publishAll(r.Context(), q, events))
}

// cloudEvent makes an event of a CloudEvent.
func (q *request) cloudEvent(in *cloudevents.Event) (*event, *Problem) {
	if in.SpecVersion() != cloudevents.CloudEventsVersionV1 {
		return nil, invalid.of("specversion is %q, and 1.0 is taken", in.SpecVersion())
	}
	if err := in.Validate(); err != nil {
		return nil, invalid.of("the CloudEvent is not valid: %s", strings.TrimSpace(strings.ReplaceAll(err.Error(), "\n", " ")))
	}
	e := &event{key: q.key, keyText: true, value: in.Data(), id: in.ID(), partition: -1, form: asBytes}
	switch media := in.DataMediaType(); {
	case media == "" || media == jsonType || strings.HasSuffix(media, "+json"):
		e.form = asJSON
	case isProtobuf(media):
		e.form = asMessage
	}
	e.null = e.value == nil || e.form == asJSON && string(bytes.TrimSpace(e.value)) == "null"
	headers := slices.Clone(q.headers)
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
	if !in.Time().IsZero() {
		add("ce_time", in.Time().Format(time.RFC3339Nano))
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
		if name == headerTrace || name == headerState {
			if !slices.ContainsFunc(headers, func(h kafka.Header) bool { return h.Key == name }) {
				add(name, text)
			}
			continue
		}
		add("ce_"+name, text)
	}
	add("content-type", in.DataContentType())
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
