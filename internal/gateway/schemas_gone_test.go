package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/zap"

	"github.com/weirstream/weir/gateway/rpc"
	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
	schemaserver "github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/registry"
)

// asked asks the registry for what is known of a subject, as an event does when that is old.
func (g *Gateway) asked(name string) {
	g.schemas.mu.Lock()
	known := g.schemas.known[name]
	g.schemas.mu.Unlock()
	g.schemas.ask(name, known)
}

// everyForm publishes one event in each form that there is, and returns the answers by the name of the form.
func (r *rig) everyForm(topic string) map[string]string {
	r.t.Helper()
	events, v2, v3 := "/topics/"+topic+"/events", "/topics/"+topic, "/v3/clusters/"+r.cluster()+"/topics/"+topic+"/records"
	const value = `{"n":1}`
	wire := base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x00\x01\x02"))
	answers := map[string]string{}
	for name, c := range map[string]struct{ path, body, form string }{
		"ours":                   {events + "?key=k", value, jsonType},
		"an array":               {events + "?key=k", "[" + value + "]", jsonType},
		"an atomic array":        {events + "?key=k&atomic=true", "[" + value + "]", jsonType},
		"lines":                  {events + "?key=k", value + "\n", ndjsonType},
		"a message":              {events + "?key=k", "\x08\x01", "application/x-protobuf"},
		"a CloudEvent":           {events, `{"specversion":"1.0","id":"e1","source":"/shop","type":"t","partitionkey":"k","data":` + value + `}`, "application/cloudevents+json"},
		"a CloudEvent of bytes":  {events, `{"specversion":"1.0","id":"e2","source":"/shop","type":"t","partitionkey":"k","datacontenttype":"text/plain","data":"any"}`, "application/cloudevents+json"},
		"a batch of CloudEvents": {events, `[{"specversion":"1.0","id":"e3","source":"/shop","type":"t","partitionkey":"k","data":` + value + `}]`, "application/cloudevents-batch+json"},
		"v2 json":                {v2, `{"records":[{"key":"k","value":` + value + `}]}`, "application/vnd.kafka.json.v2+json"},
		"v2 binary":              {v2, `{"records":[{"key":"aw==","value":"` + wire + `"}]}`, "application/vnd.kafka.binary.v2+json"},
		"v2 avro":                {v2, `{"value_schema_id":1,"records":[{"value":` + value + `,"partition":0}]}`, "application/vnd.kafka.avro.v2+json"},
		"v2 avro, the text":      {v2, `{"value_schema":` + fmt.Sprintf("%q", schemaOfN) + `,"records":[{"value":` + value + `,"partition":0}]}`, "application/vnd.kafka.avro.v2+json"},
		"v3":                     {v3, `{"key":{"data":"k"},"value":{"data":` + value + `}}`, jsonType},
		"v3 json":                {v3, `{"key":{"data":"k"},"value":{"type":"JSON","data":` + value + `}}`, jsonType},
		"v3 text":                {v3, `{"key":{"type":"STRING","data":"k"},"value":{"type":"STRING","data":"any"}}`, jsonType},
		"v3 binary":              {v3, `{"key":{"type":"BINARY","data":"aw=="},"value":{"type":"BINARY","data":"` + wire + `"}}`, jsonType},
		"v3 avro":                {v3, `{"key":{"data":"k"},"value":{"type":"AVRO","data":` + value + `}}`, jsonType},
		"v3 avro by id":          {v3, `{"key":{"data":"k"},"value":{"type":"AVRO","schema_id":1,"data":` + value + `}}`, jsonType},
		"a tombstone":            {events + "?key=k", "null", jsonType},
		"a line of null":         {events + "?key=k", "null\n", ndjsonType},
		"v2, a tombstone":        {v2, `{"records":[{"key":"k","value":null}]}`, "application/vnd.kafka.json.v2+json"},
		"v3, a tombstone":        {v3, `{"key":{"data":"k"}}`, jsonType},
		"a batch of v3":          {v3 + ":batch", `{"entries":[{"id":"1","key":{"data":"k"},"value":{"data":` + value + `}}]}`, jsonType},
	} {
		_, answers[name], _ = r.post(c.path, c.body, "Content-Type", c.form)
	}
	h2, url := r.h2()
	client := rpc.NewEventsClient(h2, url, connect.WithGRPC())
	for name, e := range map[string]*rpc.Event{
		"JSON": {Key: []byte("k"), Value: &rpc.Event_Json{Json: value}}, "a message": {Key: []byte("k"), Value: &rpc.Event_Protobuf{Protobuf: []byte("\x08\x01")}},
		"a record": {Key: []byte("k"), Value: &rpc.Event_Record{Record: []byte("any")}}, "a tombstone": {Key: []byte("k"), Value: &rpc.Event_Tombstone{Tombstone: true}},
	} {
		one, err := client.Publish(r.t.Context(), connect.NewRequest(&rpc.PublishRequest{Topic: topic, Event: e}))
		answers["gRPC, "+name] = fmt.Sprint(one, err)
		batch, err := client.PublishBatch(r.t.Context(), connect.NewRequest(&rpc.PublishBatchRequest{Topic: topic, Events: []*rpc.Event{e}}))
		answers["a batch by gRPC, "+name] = fmt.Sprint(batch.Msg, err)
		stream := client.PublishStream(r.t.Context())
		err = errors.Join(stream.Send(&rpc.PublishStreamRequest{Topic: topic, Event: e}), stream.CloseRequest())
		result, failure := stream.Receive()
		answers["a stream by gRPC, "+name] = fmt.Sprint(result, errors.Join(err, failure, stream.CloseResponse()))
	}
	return answers
}

const schemaOfN = `{"type":"record","name":"N","fields":[{"name":"n","type":"long"}]}`

// A topic whose schema is gone takes nothing, in no form, rather than values that no schema has checked: where it is declared that there is a schema, where
// all versions of the subject were deleted, of values or of keys, and where this gateway has checked events by one. A topic that never had a schema takes any
// JSON, and one whose schema is back takes events by it. It is so with a registry that is asked and with the topic that is read.
//
// Mutations seen to fail it: no question for deleted versions; had not kept; a declaration not asked; a schema of keys left out; a tombstone taken; a registry's 404 for a
// wrong URL taken for its word.
func TestATopicWhoseSchemaIsGoneTakesNothing(t *testing.T) {
	for _, from := range []string{"registry", "topic"} {
		t.Run(from, func(t *testing.T) {
			var api http.Handler
			var wrongURL bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if wrongURL { // as Confluent's answers for what is no resource
					w.WriteHeader(http.StatusNotFound)
					_, _ = io.WriteString(w, `{"error_code":404,"message":"HTTP 404 Not Found"}`)
					return
				}
				api.ServeHTTP(w, q)
			}))
			t.Cleanup(server.Close)
			asks, err := registry.New(registry.Config{URLs: []string{server.URL}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(asks.Close)
			const never, promised, keyed = "order.never.v1", "order.promised.v1", "order.keyed.v1"
			r := newRig(t, func(c *Config) {
				log, err := schemaserver.OpenLog(t.Context(), c.Client, "_schemas", 1, "http://127.0.0.1:1", zap.NewNop())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(log.Close)
				peers := &http.Client{}
				t.Cleanup(peers.CloseIdleConnections)
				api = schemaserver.New(log, peers, zap.NewNop())
				if c.Schemas = registry.Source(asks); from == "topic" {
					read, err := OpenTopicSchemas(t.Context(), c.Client, zap.NewNop())
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(read.Close)
					c.Schemas = read
				}
				if err := c.Client.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: never, Partitions: 1, ReplicationFactor: 1}, {Name: promised, Partitions: 1, ReplicationFactor: 1}, {Name: keyed, Partitions: 1, ReplicationFactor: 1}}); err != nil {
					t.Fatal(err)
				}
				declare(t, c.Client, declared.Event{Version: 1, Topic: promised, Schema: true})
			})
			register := func(subject, text string) {
				t.Helper()
				if _, err := asks.Register(t.Context(), subject, registry.Schema{Type: registry.Avro, Text: text}); err != nil {
					t.Fatal(err)
				}
			}
			drop := func(subject string, permanent bool) {
				t.Helper()
				if _, err := asks.DeleteSubject(t.Context(), subject, permanent); err != nil {
					t.Fatal(err)
				}
			}
			takes := func(what, topic string) {
				t.Helper()
				if status, body, _ := r.post("/topics/"+topic+"/events?key=k", `{"n":1}`); status != 200 {
					t.Errorf("%s: %d %s", what, status, body)
				}
			}
			refuses := func(what, topic string, why ...string) {
				t.Helper()
				before, _ := r.read(topic)
				for form, answer := range r.everyForm(topic) {
					if !slices.ContainsFunc(why, func(why string) bool { return strings.Contains(answer, why) }) {
						t.Errorf("%s, %s: %s, want %q", what, form, answer, why)
					}
				}
				if after, _ := r.read(topic); len(after) != len(before) {
					t.Errorf("%s: %d events are written, the last %q", what, len(after)-len(before), after[len(after)-1].Value)
				}
			}
			refuses("declared", promised, "is declared with a schema", "has no schema", "is not the latest of subject") // a request may name a schema
			takes("never", never)
			value, key := orders+"-value", keyed+"-key"
			register(value, schemaOfN)
			register(key, `"string"`)
			r.gate.asked(value)
			takes("a schema", orders)
			takes("a schema of keys", keyed)
			drop(value, false)
			drop(key, false)
			for range 2 {
				r.gate.asked(value)
				r.gate.asked(key)
				refuses("deleted", orders, "has no version that can be used")
				if status, body, h := r.post("/topics/"+keyed+"/events?key=k", `{}`); status != 503 || h.Get("Retry-After") == "" || !strings.Contains(body, "weir schema register") {
					t.Errorf("no schema of keys: %d %s", status, body)
				}
				r.gate.schemas = newSchemas(t.Context(), r.gate.schemas.source, zap.NewNop()) // as of a gateway that begins
			}
			register(value, schemaOfN)
			r.gate.asked(value)
			takes("the schema is back", orders)
			if from == "registry" {
				wrongURL = true
				r.gate.schemas = newSchemas(t.Context(), r.gate.schemas.source, zap.NewNop())
				if status, body, _ := r.post("/topics/"+never+"/events?key=k", `{}`); status != 503 {
					t.Errorf("nothing is at the registry's URL: %d %s", status, body)
				}
				wrongURL = false
				r.gate.schemas = newSchemas(t.Context(), r.gate.schemas.source, zap.NewNop())
				takes("a schema", orders)
			}
			drop(value, false)
			drop(value, true)
			r.gate.asked(value)
			refuses("forgotten by the registry", orders, "any more, by whose schema this gateway has checked events")
			r.gate.schemas = newSchemas(t.Context(), r.gate.schemas.source, zap.NewNop())
			takes("nobody knows of a schema", orders)
		})
	}
}

// flickers is a registry that is away at will. Its subjects have schemas that take anything.
type flickers struct {
	source
	mu   sync.Mutex
	away map[string]bool // subjects
}

func (f *flickers) Latest(ctx context.Context, subject string) (*registry.Registered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away[subject] {
		return nil, registry.NewError("get "+subject, registry.ErrAway, errors.New("gone"))
	}
	return f.source.Latest(ctx, subject)
}

func (f *flickers) set(subject string, away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away[subject] = away
}

// Within a stream or a batch nothing is written after an event that could not be checked because the registry was away, though it is back by then: sent again,
// the first would come after the second. A bad event is passed over as ever.
//
// Mutations seen to fail it: an order that failures of the registry do not end, in each of the four places.
func TestNothingOvertakesAnEventThatCouldNotBeChecked(t *testing.T) {
	const value, key = orders + "-value", orders + "-key"
	schemas := &flickers{source: source{}, away: map[string]bool{}}
	r := newRig(t, func(c *Config) { c.Schemas = schemas })
	declare(t, r.client, declared.Event{Version: 1, Topic: orders, Keyless: true})
	for r.gate.declarations.Of(orders) == nil { // it is followed
		time.Sleep(time.Millisecond)
	}
	// One after the other: the registry is back for the second.
	away := func(on bool) {
		schemas.set(value, on)
		r.gate.schemas.mu.Lock()
		delete(r.gate.schemas.known, value)
		r.gate.schemas.mu.Unlock()
	}
	type stream struct {
		send  func(n int)
		next  func() string
		close func()
	}
	over := func(path, form, event string) stream {
		in, out := io.Pipe()
		q, _ := http.NewRequest("POST", r.server.URL+path, in)
		q.Header.Set("Content-Type", form)
		answered := make(chan *json.Decoder, 1)
		var answers *json.Decoder
		go func() {
			res, err := r.server.Client().Do(q)
			if err != nil {
				close(answered)
				return
			}
			t.Cleanup(func() { _ = res.Body.Close() })
			answered <- json.NewDecoder(res.Body)
		}()
		return stream{
			send: func(n int) { _, _ = fmt.Fprintf(out, event+"\n", n) },
			next: func() string {
				if answers == nil {
					if answers = <-answered; answers == nil {
						return "no answer"
					}
				}
				var a json.RawMessage
				if err := answers.Decode(&a); err != nil {
					return err.Error()
				}
				return string(a)
			},
			close: func() { _ = out.Close() },
		}
	}
	h2, url := r.h2()
	client := rpc.NewEventsClient(h2, url, connect.WithGRPC())
	rpcStream := func() stream {
		s := client.PublishStream(t.Context())
		return stream{
			send: func(n int) {
				_ = s.Send(&rpc.PublishStreamRequest{Topic: orders, Number: uint64(n), Event: jsonEvent(n)})
			},
			next:  func() string { a, err := s.Receive(); return fmt.Sprint(a, err) },
			close: func() { _ = s.CloseRequest(); _ = s.CloseResponse() },
		}
	}
	v3 := "/v3/clusters/" + r.cluster() + "/topics/" + orders + "/records"
	for name, open := range map[string]func() stream{
		"lines": func() stream { return over("/topics/"+orders+"/events?key=k", ndjsonType, `{"n":%d}`) },
		"v3": func() stream {
			return over(v3, jsonType, `{"key":{"data":"k"},"value":{"type":"JSON","data":{"n":%d}}}`)
		},
		"v3, by schema":    func() stream { return over(v3, jsonType, `{"key":{"data":"k"},"value":{"data":{"n":%d}}}`) },
		"a stream by gRPC": rpcStream,
	} {
		s := open()
		for n, on := range []bool{false, true, false, false} {
			away(on)
			s.send(n)
			if answer := s.next(); strings.Contains(answer, "not tried") != (n > 1) || strings.Contains(answer, "is not known") != (n == 1) {
				t.Errorf("%s, event %d: %s", name, n, answer)
			}
		}
		s.close()
	}
	// Together: the registry is away for the keys only, and the second event has none.
	schemas.set(key, true)
	r.gate.schemas.mu.Lock()
	clear(r.gate.schemas.known)
	r.gate.schemas.mu.Unlock()
	before, _ := r.read(orders)
	check := func(what, answer string) {
		t.Helper()
		if after, _ := r.read(orders); len(after) != len(before) || !strings.Contains(answer, "not tried") {
			t.Errorf("%s: %s, and %d records are written", what, answer, len(after)-len(before))
		}
	}
	batch, err := client.PublishBatch(t.Context(), connect.NewRequest(&rpc.PublishBatchRequest{Topic: orders, Events: []*rpc.Event{jsonEvent(1), {Value: &rpc.Event_Json{Json: "{}"}}}}))
	check("a batch", fmt.Sprint(batch, err))
	_, body, _ := r.post(v3+":batch", `{"entries":[{"id":"1","key":{"data":"k"},"value":{"data":{}}},{"id":"2","value":{"data":{}}}]}`)
	check("a batch of v3", body)
	_, body, _ = r.post(v3, `{"key":{"data":"k"},"value":{"data":{}}} {"value":{"data":{}}}`)
	check("v3", body)
}
