package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/weirstream/weir/gateway/rpc"
	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/registry"
)

// linesOf is one schema in each type.
var linesOf = map[registry.Type]string{
	registry.Avro: `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"lines","default":[],"type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"amount","type":"long"}]}}}]}`,
	registry.Protobuf: `syntax = "proto3"; import "buf/validate/validate.proto"; message Order { string id = 1 [(buf.validate.field).required = true]; repeated Line lines = 2; }
		message Line { int64 amount = 1 [(buf.validate.field).required = true]; }`,
	registry.JSON: `{"type":"object","properties":{"id":{"type":"string"},"lines":{"type":"array","items":{"type":"object","properties":{"amount":{"type":"integer"}},"required":["amount"],"additionalProperties":false}}},
		"required":["id"],"additionalProperties":false}`,
}

// refusedValue sends a value in each form that there is, and gives the place that each answer says, or what it has instead.
func (r *rig) refusedValue(kind registry.Type, value string) map[string]string {
	r.t.Helper()
	places := map[string]string{}
	cloud := []string{"Ce-Specversion", "1.0", "Ce-Id", "e", "Ce-Source", "/s", "Ce-Type", "t", "Content-Type", jsonType}
	structured := `{"specversion":"1.0","id":"e","source":"/s","type":"t","data":` + value + `}`
	quoted, _ := json.Marshal(value)
	events := "/topics/" + orders + "/events?key=k"
	connectTo, v3 := "/weir.gateway.v1.Events/", "/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records"
	whole := json.Valid([]byte(value)) // else it cannot be in an envelope
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		envelope   bool
	}{
		"one":                {events, value, []string{"Content-Type", jsonType}, false},
		"an array":           {events, "[" + value + "," + value + "]", []string{"Content-Type", jsonType}, true},
		"atomic":             {events + "&atomic=true", value + "\n" + value, []string{"Content-Type", ndjsonType}, false},
		"lines":              {events, value + "\n", []string{"Content-Type", ndjsonType}, false},
		"CloudEvent":         {events, value, cloud, false},
		"structured":         {events, structured, []string{"Content-Type", "application/cloudevents+json"}, true},
		"CloudEvents":        {events, "[" + structured + "]", []string{"Content-Type", "application/cloudevents-batch+json"}, true},
		"Connect":            {connectTo + "Publish", fmt.Sprintf(`{"topic":%q,"event":{"key":"aw==","json":%s}}`, orders, quoted), []string{"Content-Type", jsonType}, false},
		"a batch of Connect": {connectTo + "PublishBatch", fmt.Sprintf(`{"topic":%q,"events":[{"key":"aw==","json":%s}]}`, orders, quoted), []string{"Content-Type", jsonType}, false},
		"v2":                 {"/topics/" + orders, `{"value_schema_id":7,"records":[{"value":` + value + `}]}`, []string{"Content-Type", "application/vnd.kafka." + v2FormatOf(kind) + ".v2+json"}, true},
		"v3":                 {v3, `{"value":{"data":` + value + `}}`, []string{"Content-Type", jsonType}, true},
		"a batch of v3":      {v3 + ":batch", `{"entries":[{"id":"1","value":{"data":` + value + `}}]}`, []string{"Content-Type", jsonType}, true},
	} {
		if c.envelope && !whole {
			continue
		}
		_, body, _ := r.post(c.path, c.body, c.headers...)
		if len(body) > 10_000 {
			places[name] = fmt.Sprintf("an answer of %d bytes", len(body))
			continue
		}
		if places[name] = body; strings.HasPrefix(name, "v") || strings.HasSuffix(name, "v3") { // theirs have no place but the text
			if at := between(body, " (at ", ")"); strings.Contains(body, " (at ") {
				places[name] = at
			} else if strings.Contains(body, "42207") {
				places[name] = ""
			}
			continue
		}
		var answer struct {
			Path    *string
			Error   *Problem
			Results []struct {
				Error   *Problem
				Problem *rpc.Problem
			}
			Details []struct{ Debug *rpc.Problem }
		}
		if json.Unmarshal([]byte(body), &answer) != nil {
			continue
		}
		at := answer.Path
		switch {
		case answer.Error != nil:
			at = answer.Error.Path
		case len(answer.Results) > 0 && answer.Results[0].Error != nil:
			at = answer.Results[0].Error.Path
		case len(answer.Results) > 0 && answer.Results[0].Problem != nil:
			at = &answer.Results[0].Problem.Path
		case len(answer.Details) > 0 && answer.Details[0].Debug != nil:
			at = &answer.Details[0].Debug.Path
		}
		if at != nil {
			places[name] = *at
		}
	}
	return places
}

func v2FormatOf(kind registry.Type) string {
	for format, of := range v2Formats {
		if of == kind {
			return format
		}
	}
	return ""
}

// A refused value has its place, the same whatever its form and the type of its schema, and an answer is short however long what it is about.
//
// Mutations seen to fail it: a missing property at the object that lacks it; places made of the error's text; a place that is the whole value's left out.
func TestARefusedValueHasItsPlaceInEachForm(t *testing.T) {
	long := strings.Repeat("<", 100_000)
	for kind, text := range linesOf {
		r := newRig(t, func(c *Config) {
			c.Schemas = source{orders + "-value": {ID: 7, Subject: orders + "-value", Schema: registry.Schema{Type: kind, Text: text}}}
		})
		for value, want := range map[string]string{
			`{}`:                                   "/id",
			`{"lines":[]}`:                         "/id",
			`{"id":"a","lines":[{"amount":1},{}]}`: "/lines/1/amount",
			`{"id":"a","zzz":1}`:                   "/zzz",
			`{"id":"a","lines":[{"amount":1,"zzz":1}]}`:        "/lines/0/zzz",
			`{"id":"a","lines":[{"amount":1},{"amount":"x"}]}`: "/lines/1/amount",
			`{"id":"a","a/b~c":1}`:                             "/a~1b~0c",
			`{"id":"a","x: y]z":1}`:                            "/x: y]z",
			`{"id":"a","é":1}`:                                 "/é",
			`{"id":"a","id":"b"}`:                              "/id",
			`{"id":5,"lines":[{"amount":"x"}]}`:                "/id",
			`5`:                                                "",
			`V`:                                                "",
			"\uFEFF{}":                                         "",
			`{"id":"a","lines":[{"amount":1},{"amount":}]}`:                         "/lines/1/amount",
			`{"id":"a","` + long + `":1}`:                                           "",
			`{"id":"a","lines":[{"amount":1,"` + long + `":1}]}`:                    "/lines/0",
			`{"id":"a","lines":[{"amount":"` + long + `"}]}`:                        "/lines/0/amount",
			`{"id":"a","lines":[{"amount":1` + strings.Repeat("0", 100_000) + `}]}`: "/lines/0/amount",
		} {
			for form, got := range r.refusedValue(kind, value) {
				if got != want {
					t.Errorf("%s, %s, %.60s: at %.300q, want %q", kind, form, value, got, want)
				}
			}
		}
	}
}

// So has one that lacks the field that is declared as its key, or has no text there.
//
// Mutation seen to fail it: a field of a message that is not set without its place.
func TestADeclaredFieldThatIsMissingHasItsPlace(t *testing.T) {
	for kind, text := range map[registry.Type]string{
		registry.Avro:     `{"type":"record","name":"O","fields":[{"name":"a","default":null,"type":["null",{"type":"record","name":"A","fields":[{"name":"k","type":["null","string"],"default":null}]}]}]}`,
		registry.Protobuf: `syntax = "proto3"; message O { A a = 1; message A { optional string k = 1; } }`,
		registry.JSON:     `{"type":"object"}`,
		"":                "",
	} {
		r := newRig(t, func(c *Config) {
			if kind != "" {
				c.Schemas = source{orders + "-value": {ID: 7, Subject: orders + "-value", Schema: registry.Schema{Type: kind, Text: text}}}
			}
		})
		declare(t, r.client, declared.Event{Version: 1, Topic: orders, Key: "a.k"})
		for r.gate.declarations.Of(orders) == nil { // it is followed
			select {
			case <-time.After(5 * time.Millisecond):
			case <-t.Context().Done():
				t.Fatal("the declaration is never known")
			}
		}
		for value, want := range map[string]string{`{"a":{}}`: "/a/k", `{"a":{"k":null}}`: "/a/k", `{}`: "/a"} {
			_, body, _ := r.post("/topics/"+orders+"/events", value)
			var p Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Path == nil || *p.Path != want && *p.Path != "/a/k" {
				t.Errorf("%s, %s: %s, want %s", kind, value, body, want)
			}
		}
	}
}

// Whatever a request says is repeated in part only.
//
// Mutations seen to fail it: no bound of a problem's text; no bound of the id of a batch's entry; Connect's own codec.
func TestAnAnswerIsShortWhateverItRepeats(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Schemas = schemasOfTest })
	long := strings.Repeat("<\u2028", 50_000)
	digits := strings.Repeat("7", 200_000)
	events, v2, v3, service := "/topics/"+orders+"/events?key=k", "/topics/"+orders, "/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records", "/weir.gateway.v1.Events/"
	for name, c := range map[string]struct{ path, body, form string }{
		"a value":                {events, `"` + long + `"`, jsonType},
		"a name":                 {events, `{"` + long + `":1}`, jsonType},
		"a number":               {events, digits, jsonType},
		"a message":              {"/topics/order.state.v1/events?key=k", `{"` + long + `":1}`, jsonType},
		"a text in a message":    {"/topics/order.state.v1/events?key=k", `{"name":` + digits + `}`, jsonType},
		"no JSON":                {"/topics/order.state.v1/events?key=k", `{"` + long + `":1`, jsonType},
		"v2, a name":             {v2, `{"` + long + `":1}`, "application/vnd.kafka.avro.v2+json"},
		"v2, a value":            {v2, `{"value_schema_id":7,"records":[{"value":{"` + long + `":1}}]}`, "application/vnd.kafka.avro.v2+json"},
		"v2, a schema":           {v2, `{"value_schema":"` + long + `","records":[{"value":1}]}`, "application/vnd.kafka.avro.v2+json"},
		"v3, a name":             {v3, `{"` + long + `":1}`, jsonType},
		"v3, a type":             {v3, `{"value":{"type":"` + long + `","data":1}}`, jsonType},
		"v3, a header":           {v3, `{"headers":[{"name":"` + long + `","value":"?"}]}`, jsonType},
		"v3, a subject":          {v3, `{"value":{"subject":"` + long + `","data":1}}`, jsonType},
		"v3, a schema":           {v3, `{"value":{"type":"AVRO","schema":"` + long + `","data":1}}`, jsonType},
		"v3, an entry":           {v3 + ":batch", `{"entries":[{"id":"` + long + `","value":{"data":1}}]}`, jsonType},
		"a CloudEvent's version": {events, `{"specversion":"` + long + `","id":"1","source":"/s","type":"t","data":1}`, "application/cloudevents+json"},
		"a CloudEvent's data":    {events, `{"specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"` + long + `","data":1}`, "application/cloudevents+json"},
		"a CloudEvent's name":    {events, `{"specversion":"1.0","id":"1","source":"/s","type":"t","` + long + `":1,"data":1}`, "application/cloudevents+json"},
		"a CloudEvent's id":      {events, `{"specversion":"1.0","id":"` + long + `","source":"/s","type":"t","data":` + orderJSON + `}`, "application/cloudevents+json"},
		"Connect, a topic":       {service + "Publish", `{"topic":"` + long + `"}`, jsonType},
		"Connect, no topic":      {service + "Publish", `{"topic":` + digits + `}`, jsonType},
		"Connect, no event":      {service + "Publish", `{"topic":"` + orders + `","event":"` + long + `"}`, jsonType + "; charset=utf-8"},
		"Connect, a message":     {service + "Publish", `{"topic":"order.state.v1","event":{"key":"aw==","protobuf":"","message":"` + long + `"}}`, jsonType},
		"Connect, an id":         {service + "Publish", `{"topic":"` + orders + `","event":{"key":"aw==","id":"` + long + `","json":"{}"}}`, jsonType},
	} {
		if status, body, _ := r.post(c.path, c.body, "Content-Type", c.form); status == http.StatusOK && !strings.Contains(body, "error_code") || len(body) > 8000 {
			t.Errorf("%s: %d, %d bytes: %.200s", name, status, len(body), body)
		}
	}
}

// A request of the service without a topic is told so, and not that the topic may not be published to.
//
// Mutation seen to fail it: who may not publish is asked first.
func TestARequestWithoutATopicIsToldSo(t *testing.T) {
	clients, err := ParseClients([]byte("clients: [{name: shop, keys: [\"" + HashKey("secret") + "\"], topics: [order.]}]"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Clients = clients })
	h2, url := r.h2()
	request := connect.NewRequest(&rpc.PublishRequest{Event: jsonEvent(1)})
	request.Header().Set("X-Api-Key", "secret")
	_, err = rpc.NewEventsClient(h2, url, connect.WithGRPC()).Publish(t.Context(), request)
	if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "names no topic") {
		t.Errorf("%v", err)
	}
}

// What many refused events say is counted while it waits for its client. Where there is no room for it they say less, and each says its place all the same.
//
// Mutations seen to fail it: what is said not counted; what was counted not given back; the body counted while it is answered.
func TestWhatRefusedEventsSayHasABound(t *testing.T) {
	const events, waiting = 2000, 650 << 10
	r := newRig(t, func(c *Config) {
		c.Schemas, c.Limits = schemasOfTest, Limits{Waiting: waiting}
	})
	array := "[" + strings.Repeat(`{"`+strings.Repeat("name", 20)+`":1},`, events-1) + `{"id":1}]`
	for path, body := range map[string]string{
		"/topics/" + orders + "/events?key=k":                                  array,
		"/weir.gateway.v1.Events/PublishBatch":                                 `{"topic":"` + orders + `","events":[` + strings.Repeat(`{"key":"aw==","json":"{\"`+strings.Repeat("name", 20)+`\":1}"},`, events-1) + `{"json":"5"}]}`,
		"/topics/" + orders:                                                    `{"value_schema_id":7,"records":[` + strings.Repeat(`{"value":{"`+strings.Repeat("name", 20)+`":1}},`, events-1) + `{"value":5}]}`,
		"/v3/clusters/" + r.cluster() + "/topics/" + orders + "/records:batch": `{"entries":[` + entries(events) + `]}`,
	} {
		form := jsonType
		if path == "/topics/"+orders {
			form = "application/vnd.kafka.avro.v2+json"
		}
		most := int64(0)
		for range 3 {
			// A client that does not read: the answer fills what lies between.
			w := &stuck{discard: discard{h: http.Header{}}, seen: func() { most = max(most, r.gate.bodies.Load()) }}
			q, err := http.NewRequest("POST", path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			q.RemoteAddr, q.Host = "127.0.0.1:1", "127.0.0.1"
			q.Header.Set("Content-Type", form)
			r.gate.ServeHTTP(w, q)
			if n := strings.Count(w.text.String(), "name"); n < events-1 || w.largest > 64<<10 && !strings.HasPrefix(path, "/weir") {
				t.Fatalf("%s: %d names, %d bytes at once: %.300s", path, n, w.largest, w.text.String())
			}
			if !strings.Contains(w.text.String(), "send it with fewer others") {
				t.Errorf("%s: %d bytes, and none says less", path, w.text.Len())
			}
		}
		bound := int64(2*waiting - len(body))
		if strings.HasPrefix(path, "/weir") { // what is said has the room of the body
			bound = 2 * waiting
		}
		if left := r.gate.bodies.Load(); most > bound || most < events*eventCost || left != 0 {
			t.Errorf("%s: %d bytes are counted, and %d when all is answered", path, most, left)
		}
	}
}

func entries(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"id":"%d","value":{"data":{"%s":1}}}`, i, strings.Repeat("name", 20))
	}
	return strings.Join(list, ",")
}

// stuck is an answer that is looked at when it is written.
type stuck struct {
	discard
	seen    func()
	text    strings.Builder
	largest int
}

func (s *stuck) Write(b []byte) (int, error) {
	s.seen()
	s.largest = max(s.largest, len(b))
	return s.text.Write(b)
}

// A list that is made in pieces is what it would be as a whole.
//
// Mutation seen to fail it: no comma between pieces.
func TestAListInPiecesIsTheList(t *testing.T) {
	for _, n := range []int{0, 1, listPiece - 1, listPiece, listPiece + 1, 5*listPiece + 3} {
		all, odd := []int{}, []int{}
		for i := range n {
			if all = append(all, i); i%2 == 1 && i >= listPiece {
				odd = append(odd, i)
			}
		}
		var got, gotOdd strings.Builder
		err := errors.Join(writeList(&got, n, func(i int) *int { return &i }), writeList(&gotOdd, n, func(i int) *int {
			if i%2 == 1 && i >= listPiece {
				return &i
			}
			return nil
		}))
		want, _ := json.Marshal(all)
		wantOdd, _ := json.Marshal(odd)
		if err != nil || got.String() != string(want) || gotOdd.String() != string(wantOdd) {
			t.Errorf("%d: %v %s, %s", n, err, got.String(), gotOdd.String())
		}
	}
}
