package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/registry"
)

// source has schemas by subject.
type source map[string]*registry.Registered

func (s source) Latest(_ context.Context, subject string) (*registry.Registered, error) {
	if r := s[subject]; r != nil {
		return r, nil
	}
	return nil, registry.NewError("get "+subject, registry.ErrNotFound, errors.New("none"))
}

func (s source) ByID(_ context.Context, id int) (*registry.Registered, error) {
	for _, r := range s {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, registry.NewError("get", registry.ErrNotFound, errors.New("none"))
}

func (s source) ByGUID(context.Context, string) (*registry.Registered, error) {
	return nil, registry.NewError("get", registry.ErrNotFound, errors.New("none"))
}

var schemasOfTest = source{
	orders + "-value":      {ID: 7, Schema: registry.Schema{Type: registry.Avro, Text: `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"amount","type":"long"}]}}}]}`}},
	"order.state.v1-value": {ID: 8, Schema: registry.Schema{Type: registry.Protobuf, Text: "syntax = \"proto3\"; message State { string name = 1; message Inner { int32 n = 1; } }"}},
}

const (
	orderJSON = `{"id":"o1","lines":[{"amount":5}]}`
	orderWire = "\x00\x00\x00\x00\x07\x04o1\x02\x0a\x00"
)

// The same order in each form is the same record, and one that the schema does not take is refused with its place.
//
// Mutation seen to fail it: no schema asked for.
func TestTheSameEventInEachFormIsTheSameRecord(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Schemas = schemasOfTest })
	cluster, err := r.client.ClusterID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v3 := "/v3/clusters/" + cluster + "/topics/" + orders + "/records"
	wire := base64.StdEncoding.EncodeToString([]byte(orderWire))
	n := 0
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		want       string
	}{
		"ours":                   {"/topics/" + orders + "/events?key=k", orderJSON, nil, `"schema_id":7`},
		"v2 avro":                {"/topics/" + orders, `{"value_schema_id":7,"records":[{"value":` + orderJSON + `,"partition":1}]}`, []string{"Content-Type", "application/vnd.kafka.avro.v2+json"}, `"value_schema_id":7,"offsets":[{"partition":1,"offset":0,"error_code":null,"error":null}]`},
		"v2 avro, the text":      {"/topics/" + orders, `{"value_schema":` + fmt.Sprintf("%q", schemasOfTest[orders+"-value"].Text) + `,"records":[{"value":` + orderJSON + `,"partition":1}]}`, []string{"Content-Type", "application/vnd.kafka.avro.v2+json"}, `"value_schema_id":7`},
		"v2 binary":              {"/topics/" + orders, `{"records":[{"key":"aw==","value":"` + wire + `"}]}`, []string{"Content-Type", "application/vnd.kafka.binary.v2+json"}, `"error_code":null`},
		"v2 json":                {"/topics/" + orders, `{"records":[{"key":"k","value":` + orderJSON + `}]}`, []string{"Content-Type", "application/vnd.kafka.json.v2+json"}, `"error_code":null`},
		"v3 avro":                {v3, `{"key":{"type":"STRING","data":"k"},"value":{"type":"AVRO","data":` + orderJSON + `}}`, nil, `"error_code":200`},
		"v3 binary":              {v3, `{"key":{"type":"BINARY","data":"aw=="},"value":{"type":"BINARY","data":"` + wire + `"}}`, nil, `"error_code":200`},
		"v3 batch":               {v3 + ":batch", `{"entries":[{"id":"1","key":{"type":"STRING","data":"k"},"value":{"type":"AVRO","schema_id":7,"data":` + orderJSON + `}}]}`, nil, `"successes":[{"id":"1","error_code":200`},
		"a CloudEvent":           {"/topics/" + orders + "/events", orderJSON, []string{"Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Id", "e1", "Ce-Source", "/shop", "Ce-Type", "order", "Ce-Partitionkey", "k"}, `"schema_id":7`},
		"a structured one":       {"/topics/" + orders + "/events", `{"specversion":"1.0","id":"e2","source":"/shop","type":"order","partitionkey":"k","datacontenttype":"application/json","data":` + orderJSON + `}`, []string{"Content-Type", "application/cloudevents+json"}, `"schema_id":7`},
		"a batch of CloudEvents": {"/topics/" + orders + "/events", `[{"specversion":"1.0","id":"e3","source":"/shop","type":"order","partitionkey":"k","datacontenttype":"application/json","data":` + orderJSON + `}]`, []string{"Content-Type", "application/cloudevents-batch+json"}, `"schema_id":7`},
	} {
		status, body, _ := r.post(c.path, c.body, c.headers...)
		if status/100 != 2 || !strings.Contains(strings.ReplaceAll(body, `"offset":`+between(body, `"offset":`, `,`), `"offset":0`), c.want) {
			t.Errorf("%s: %d %s, want %s", name, status, body, c.want)
		}
		n++
	}
	records, _ := r.read(orders)
	if len(records) != n {
		t.Errorf("%d records, want %d", len(records), n)
	}
	for _, rec := range records {
		if string(rec.Value) != orderWire {
			t.Errorf("value %q, want %q", rec.Value, orderWire)
		}
		if key := string(rec.Key); key != "k" && key != `"k"` && key != "" {
			t.Errorf("key %q", key)
		}
	}
	if status, body, _ := r.post("/topics/order.state.v1/events?key=k", "\x0a\x02ok", "Content-Type", "application/x-protobuf"); status != 200 {
		t.Errorf("a message: %d %s", status, body)
	}
	if states, _ := r.read("order.state.v1"); len(states) != 1 || string(states[0].Value) != "\x00\x00\x00\x00\x08\x00\x0a\x02ok" {
		t.Errorf("the message is %q", states[0].Value)
	}
	for name, c := range map[string]struct {
		path, body, form, want string
		status                 int
	}{
		"ours":               {"/topics/" + orders + "/events?key=k", `{"id":"o1","lines":[{"amount":5},{"amount":"6"}]}`, jsonType, `"path":"/lines/1/amount"`, 422},
		"v2, no schema":      {"/topics/" + orders, `{"records":[{"value":{}}]}`, "application/vnd.kafka.avro.v2+json", `"error_code":42202`, 422},
		"v2, no key schema":  {"/topics/" + orders, `{"value_schema_id":7,"records":[{"key":"k","value":{}}]}`, "application/vnd.kafka.avro.v2+json", `"error_code":42201`, 422},
		"v2, another schema": {"/topics/" + orders, `{"value_schema":"{\"type\":\"string\"}","records":[{"value":"x"}]}`, "application/vnd.kafka.avro.v2+json", `"error_code":42205`, 422},
		"v2, no JSON":        {"/topics/" + orders, `{"records"`, "application/vnd.kafka.avro.v2+json", `"error_code":42206`, 422},
		"v2, a bad value":    {"/topics/" + orders, `{"value_schema_id":7,"records":[{"value":{"id":1},"partition":0}]}`, "application/vnd.kafka.avro.v2+json", `"error_code":42207`, 200},
		"v2, no partition":   {"/topics/" + orders, `{"records":[{"value":"` + wire + `","partition":9}]}`, "application/vnd.kafka.binary.v2+json", `"error_code":40401`, 200},
		"v2, no topic":       {"/topics/order.gone.v1", `{"records":[]}`, "application/vnd.kafka.binary.v2+json", `"error_code":40401`, 404},
		"v3, a bad value":    {v3, `{"value":{"type":"AVRO","data":{"id":1}},"partition_id":0}`, jsonType, `"error_code":42207`, 200},
		"v3, no JSON":        {v3, `{"value":`, jsonType, `"error_code":400`, 200},
		"v3, another form":   {v3, `{"value":7}`, jsonType, `"error_code":400`, 200},
		"v3, other cluster":  {"/v3/clusters/x/topics/" + orders + "/records", `{}`, jsonType, `"error_code":404`, 404},
		"no CloudEvent":      {"/topics/" + orders + "/events", `{"specversion":"1.0","source":"/shop","type":"order"}`, "application/cloudevents+json", "not valid", 422},
		"no message":         {"/topics/order.state.v1/events?key=k", "\xff", "application/x-protobuf", "invalid-event", 422},
	} {
		status, body, _ := r.post(c.path, c.body, "Content-Type", c.form)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", name, status, body, c.status, c.want)
		}
	}
	if again, _ := r.read(orders); len(again) != n {
		t.Errorf("what was refused has changed the topic: %d records, want %d", len(again), n)
	}
	var doc map[string]any
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil || doc["openapi"] != "3.1.0" {
		t.Errorf("/openapi.json: %v", err)
	}
}

// The answer of Confluent's API v3 says in which form a key and a value were taken, and by which schema; data that names no form has that of the
// subject's schema.
//
// Mutations seen to fail it: the type as it was asked for; no schema looked for where no type is named.
func TestAnswersOfV3SayTheFormOfTheirData(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Schemas = source{
			orders + "-key":   {ID: 5, Subject: orders + "-key", Version: 1, Schema: registry.Schema{Type: registry.Avro, Text: `"string"`}},
			orders + "-value": {ID: 7, Subject: orders + "-value", Version: 3, Schema: registry.Schema{Type: registry.JSON, Text: `{"type":"object"}`}},
		}
	})
	cluster, err := r.client.ClusterID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const bySchema = `"key":{"type":"AVRO","subject":"order.placed.v1-key","schema_id":5,"schema_version":1,"size":7},"value":{"type":"JSONSCHEMA","subject":"order.placed.v1-value","schema_id":7,"schema_version":3,"size":7}`
	for _, c := range []struct{ topic, record, want string }{
		{orders, `{"key":{"data":"k"},"value":{"data":{}}}`, bySchema},
		{orders, `{"key":{"type":"avro","data":"k"},"value":{"type":"JsonSchema","data":{}}}`, bySchema},
		{orders, `{"key":{"data":"k"},"value":{"type":"BINARY","data":"AAAAAAd7fQ=="}}`, `"value":{"type":"BINARY","schema_id":7,"size":7}`},
		{"order.state.v1", `{"key":{"data":"k"},"value":{"data":{}}}`, `"key":{"type":"JSON","size":3},"value":{"type":"JSON","size":2}`},
		{"order.state.v1", `{"key":{"type":"string","data":"k"},"value":{"type":"binary","data":"e30="}}`, `"key":{"type":"STRING","size":1},"value":{"type":"BINARY","size":2}`},
	} {
		status, body, _ := r.post("/v3/clusters/"+cluster+"/topics/"+c.topic+"/records", c.record)
		if status != 200 || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %s", c.record, status, body, c.want)
		}
	}
}

// One schema in several subjects has one id there, and a version in each: the answer has those of the record's topic.
//
// Mutation seen to fail it: the schema as it was compiled for the first of them.
func TestAnswersOfV3HaveTheSubjectOfTheTopic(t *testing.T) {
	state := schemasOfTest["order.state.v1-value"].Schema
	r := newRig(t, func(c *Config) {
		c.Schemas = source{
			orders + "-value":      {ID: 7, Subject: orders + "-value", Version: 2, Schema: state},
			"order.state.v1-value": {ID: 7, Subject: "order.state.v1-value", Version: 1, Schema: state},
		}
	})
	for range 2 { // also when both are known
		for topic, version := range map[string]int{orders: 2, "order.state.v1": 1} {
			for _, members := range []string{"", `"type":"PROTOBUF",`, `"schema_id":7,`, fmt.Sprintf(`"schema_version":%d,`, version)} {
				_, body, _ := r.post("/v3/clusters/"+r.cluster()+"/topics/"+topic+"/records", `{"key":{"data":"k"},"value":{`+members+`"data":{"name":"n"}}}`)
				if want := fmt.Sprintf(`"subject":"%s-value","schema_id":7,"schema_version":%d`, topic, version); !strings.Contains(body, want) {
					t.Errorf("%s: %s, want %s", members, body, want)
				}
			}
		}
	}
}

// A schema that a request names is looked at whatever type its data has, and where none is named.
//
// Mutations seen to fail it: data without a type by the subject's schema; plainData left out in v2 or v3; the type of a text as Avro's.
func TestASchemaThatIsNamedCounts(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Schemas = source{
			orders + "-key":   {ID: 5, Subject: orders + "-key", Version: 1, Schema: registry.Schema{Type: registry.Avro, Text: `"string"`}},
			orders + "-value": {ID: 7, Subject: orders + "-value", Version: 3, Schema: registry.Schema{Type: registry.JSON, Text: `{"type":"object"}`}},
		}
	})
	cluster, err := r.client.ClusterID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for of, good := range map[string]struct{ data, id, version, text, kind string }{
		"key":   {`"k"`, "5", "1", `"\"string\""`, "AVRO"},
		"value": {`{}`, "7", "3", `"{\"type\": \"object\"}"`, "JSONSCHEMA"},
	} {
		try := func(members string, code int, kind string) {
			t.Helper()
			record := `"` + of + `":{` + members + `"data":` + good.data + `}`
			if of == "value" {
				record = `"key":{"data":"k"},` + record
			} else {
				record += `,"value":{"data":{}}`
			}
			_, body, _ := r.post("/v3/clusters/"+cluster+"/topics/"+orders+"/records", "{"+record+"}")
			if !strings.Contains(body, fmt.Sprintf(`"error_code":%d,`, code)) || code == 200 && !strings.Contains(body, `"`+of+`":{"type":"`+kind+`"`) {
				t.Errorf("%s: %s, want %d %s", record, body, code, kind)
			}
		}
		for _, kind := range []string{"", `"type":"` + good.kind + `",`} {
			for _, members := range []string{"", `"schema_id":` + good.id + `,`, `"schema_version":` + good.version + `,`, `"schema":` + good.text + `,`, `"schema_id":` + good.id + `,"schema_version":` + good.version + `,`} {
				try(kind+members, 200, good.kind)
			}
			for _, members := range []string{`"schema_id":99,`, `"schema_id":8,`, `"schema_version":99,`, `"schema":"{bad",`, `"schema":"\"long\"",`, `"schema_id":` + good.id + `,"schema_version":99,`} {
				try(kind+members, 42205, "")
			}
		}
		for _, kind := range []string{"JSON", "binary", "STRING"} {
			for _, members := range []string{`"schema_id":` + good.id, `"schema_version":` + good.version, `"schema":` + good.text} {
				try(`"type":"`+kind+`",`+members+`,`, 42205, "")
			}
		}
	}
	for _, format := range []string{"json", "binary"} {
		for _, member := range []string{"key_schema_id", "value_schema_id"} {
			if status, body, _ := r.post("/topics/"+orders, `{"`+member+`":7,"records":[{"key":"aaaa","value":"aaaa"}]}`, "Content-Type", "application/vnd.kafka."+format+".v2+json"); status != 422 || !strings.Contains(body, "42205") {
				t.Errorf("%s, %s: %d %s", format, member, status, body)
			}
		}
	}
}

func between(text, from, to string) string {
	_, rest, ok := strings.Cut(text, from)
	if !ok {
		return "\x00"
	}
	found, _, _ := strings.Cut(rest, to)
	return strings.TrimRight(found, "}\n")
}

// Who is known may publish where he is allowed to, as much as he is; everybody else is refused.
func TestClientsMayWhatTheyAreAllowed(t *testing.T) {
	clients, err := ParseClients([]byte("clients:\n" +
		"  - {name: shop, keys: [\"" + HashKey("secret") + "\"], topics: [order.placed.], events_per_second: 2}\n" +
		"  - {name: other, keys: [\"" + HashKey("else") + "\"], topics: [customer.]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Clients = clients })
	path := "/topics/" + orders + "/events?key=k"
	basic := func(user, key string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+key))
	}
	for name, c := range map[string]struct {
		authorization string
		want          int
	}{
		"nobody":           {"", 401},
		"a stranger":       {"Bearer guess", 401},
		"another's name":   {basic("other", "secret"), 401},
		"another's topic":  {"Bearer else", 403},
		"a client":         {"Bearer secret", 200},
		"a client by name": {basic("shop", "secret"), 200},
	} {
		if status, body, _ := r.post(path, `{}`, "Authorization", c.authorization); status != c.want {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.want)
		}
	}
	refused := false
	for range 10 {
		status, _, headers := r.post(path, `{}`, "Authorization", "Bearer secret")
		if status == 429 && headers.Get("Retry-After") != "" {
			refused = true
		}
	}
	if !refused {
		t.Error("a client over its quota is not refused")
	}
	for _, wrong := range []string{"", "clients: []", "clients: [{name: a}]", "clients: [{name: a, keys: [secret]}]", "clients: [{name: a, subject: b}]", "clients: [{name: a, certificate: b, topics: [\"\"]}]", "klients: []", "clients: [{name: a, topic: b}]"} {
		if _, err := ParseClients([]byte(wrong)); err == nil || strings.Contains(err.Error(), "struct") {
			t.Errorf("%q is taken for a file of clients", wrong)
		}
	}
}

// A request that is repeated with its id is answered as the first one, and writes nothing; another event under the id is refused.
func TestARepeatedIDIsAnsweredAsTheFirst(t *testing.T) {
	r := newRig(t, nil)
	path := "/topics/" + orders + "/events?key=k"
	_, first, _ := r.post(path, `{"n":1}`, "Idempotency-Key", "a")
	status, again, _ := r.post(path, `{"n":1}`, "Idempotency-Key", "a")
	if want := strings.TrimSuffix(first, "}\n") + `,"repeated":true}` + "\n"; status != 200 || again != want {
		t.Errorf("%d %s, want %s", status, again, want)
	}
	if status, body, _ := r.post(path, `{"n":2}`, "Idempotency-Key", "a"); status != 422 || !strings.Contains(body, "id-conflict") {
		t.Errorf("another event under the id: %d %s", status, body)
	}
	if records, _ := r.read(orders); len(records) != 1 {
		t.Errorf("%d records", len(records))
	}
}

// An array is taken apart in one pass as encoding/json takes it apart, or not at all.
//
// Mutation seen to fail it: no look at what follows the array.
func TestAnArrayIsTakenApartInOnePass(t *testing.T) {
	for text, plain := range map[string]bool{
		`[]`: true, ` [ ] `: true, `[1]`: true, "[ {\"a\" : [1, 2]} ,\n\"b\\u0041\\\"\",null, -1.5e3 ]": true, `[[],[[]],{}]`: true,
		`[{"a":1,"a":2}, 3]`: false, `["\ud800"]`: false, // JSON all the same, and each event has its own answer
		`[1,]`: false, `[1] 2`: false, `[1`: false, `[`: false, `[}`: false, `[1 2]`: false, ``: false,
	} {
		fast, err := plainElements([]byte(text), 10)
		if (err == nil) != plain {
			t.Errorf("%s: %v", text, err)
		}
		slow, slowErr := anyElements([]byte(text), 10)
		if plain && (slowErr != nil || fmt.Sprintf("%q", fast) != fmt.Sprintf("%q", slow)) {
			t.Errorf("%s: %q, and by encoding/json %q %v", text, fast, slow, slowErr)
		}
		if values, p := elements([]byte(text), 10); (p == nil) != (slowErr == nil) || p == nil && len(values) != len(slow) {
			t.Errorf("%s: %q %v", text, values, p)
		}
	}
	for _, text := range []string{`[1,2,3]`, `[1,2,{"a":1,"a":2}]`} {
		if _, p := elements([]byte(text), 2); p == nil || p.Type != tooLarge.urn() {
			t.Errorf("%s: %v", text, p)
		}
		if _, p := elements([]byte(text), 3); p != nil {
			t.Errorf("%s: %v", text, p)
		}
	}
}

// An Idempotency-Key without an id is refused: its repetition would be written again.
//
// Mutation seen to fail it: an empty one taken for none.
func TestAnEmptyIdempotencyKeyIsRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, key := range []string{"", "  "} {
		if status, body, _ := r.post("/topics/"+orders+"/events?key=k", "{}", "Idempotency-Key", key); status != 400 || !strings.Contains(body, "Idempotency-Key is empty") {
			t.Errorf("%q: %d %s", key, status, body)
		}
	}
}

// Who has no credentials is told so in the form of the API that he uses.
//
// Mutation seen to fail it: one form for all.
func TestRefusalsOfConfluentsFormsAreTheirs(t *testing.T) {
	clients, err := ParseClients([]byte("clients: [{name: shop, keys: [\"" + HashKey("secret") + "\"], topics: [order.]}]"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Clients = clients })
	for path, form := range map[string]string{"/topics/" + orders: v2Type, "/v3/clusters/x/topics/" + orders + "/records": jsonType, "/v3/clusters": jsonType, "/topics/" + orders + "/events": problemType} {
		status, body, h := r.post(path, "{}", "Authorization", "Bearer bad")
		if status != 401 || h.Get("Content-Type") != form || strings.Contains(body, `"error_code":401`) != (form != problemType) {
			t.Errorf("%s: %d %v %s", path, status, h, body)
		}
	}
}

// The description says what is refused whatever the topic: a form without events, an empty id, a CloudEvent without its attributes.
//
// Mutations seen to fail it: each of the bounds left out.
func TestTheDescriptionSaysWhatIsRefused(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name   string
				Schema struct{ MinLength int }
			}
		}
		Components struct {
			Schemas map[string]struct {
				Required             []string
				Properties           map[string]struct{ MinItems, MinLength int }
				AdditionalProperties any
			}
		}
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	ids := 0
	for path, methods := range doc.Paths {
		for _, p := range methods["post"].Parameters {
			if p.Name == "Idempotency-Key" {
				if ids++; p.Schema.MinLength != 1 {
					t.Errorf("%s: an empty id", path)
				}
			}
		}
	}
	if ids != 4 {
		t.Errorf("%d forms have an id", ids)
	}
	s := doc.Components.Schemas
	if s["V2Body"].Properties["records"].MinItems != 1 || s["V3Batch"].Properties["entries"].MinItems != 1 {
		t.Errorf("a request without events: %v %v", s["V2Body"], s["V3Batch"])
	}
	if e := s["CloudEventForm"]; len(e.Required) != 4 || e.Properties["id"].MinLength != 1 || e.AdditionalProperties == false {
		t.Errorf("a CloudEvent: %v", e)
	}
}
