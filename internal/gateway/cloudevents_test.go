package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/registry"
)

// An event is the same in the binary mode, whose headers are encoded, as in the structured one: its id, so that a repetition is found,
// its key, so that the order of the key is kept, and every attribute.
//
// Mutations seen to fail it: no decodeAttributes; decodeAttributes without unquoted; without unescaped; with a second round of it.
func TestEncodedAttributesAreThoseOfTheStructuredMode(t *testing.T) {
	r := newRig(t, nil)
	path := "/topics/" + orders + "/events"
	const structured = `{"specversion":"1.0","id":"a b%20","source":"/shop","type":"order","partitionkey":"K\u00f6ln \u20ac","subject":"say \"hi\" \\","pct":"100%","datacontenttype":"application/json","data":{}}`
	status, body, _ := r.post(path, structured, "Content-Type", "application/cloudevents+json")
	if status != 200 {
		t.Fatal(body)
	}
	common := []string{"Content-Type", jsonType, "Ce-Specversion", "1.0", "Ce-Source", "/shop", "Ce-Type", "order"}
	for name, headers := range map[string][]string{
		"encoded":          {"Ce-Id", "a%20b%2520", "Ce-Partitionkey", "K%C3%B6ln%20%e2%82%ac", "Ce-Subject", "say%20%22hi%22%20%5C", "Ce-Pct", "100%25"},
		"all of it":        {"Ce-Id", "%61%20b%2520", "Ce-Partitionkey", "%4B%C3%B6ln%20%E2%82%AC", "Ce-Subject", "say%20%22hi%22%20%5c", "Ce-Pct", "%31%30%30%25"},
		"quoted":           {"Ce-Id", `"a b%2520"`, "Ce-Partitionkey", `"K%C3%B6ln %E2%82%AC"`, "Ce-Subject", `"say \"hi\" \\"`, "Ce-Pct", `"100%25"`},
		"a sign of itself": {"Ce-Id", "a b%2520", "Ce-Partitionkey", "Köln €", "Ce-Subject", `say "hi" \`, "Ce-Pct", "100%"},
	} {
		status, body, _ := r.post(path, `{}`, append(headers, common...)...)
		if status != 200 || !strings.Contains(body, `"repeated":true`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		q, _ := http.NewRequestWithContext(t.Context(), "POST", "/", http.NoBody)
		for i := 0; i < len(headers); i += 2 {
			q.Header.Set(headers[i], headers[i+1])
		}
		if err := decodeAttributes(q.Header); err != nil {
			t.Error(err)
		}
		if got, want := fmt.Sprint(q.Header["Ce-Subject"], q.Header["Ce-Pct"]), `[say "hi" \] [100%]`; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, bad := range []string{"%ff", "%C0%A0", "\xff"} {
		if status, body, _ := r.post(path, `{}`, append([]string{"Ce-Id", "x", "Ce-Partitionkey", "k", "Ce-Subject", bad}, common...)...); status != 422 || !strings.Contains(body, "ce-subject is no UTF-8") {
			t.Errorf("%q: %d %s", bad, status, body)
		}
	}
	records, _ := r.read(orders)
	if len(records) != 1 || string(records[0].Key) != "Köln €" {
		t.Errorf("%d records: %v", len(records), records)
	}
}

// A format of CloudEvents that is not taken is one that the gateway does not know (415), not an event that is wrong (422).
//
// Mutation seen to fail it: all types that begin with application/cloudevents taken.
func TestOtherFormatsOfCloudEventsAreNotTaken(t *testing.T) {
	r := newRig(t, nil)
	for form, want := range map[string]int{
		"application/cloudevents+xml": 415, "application/cloudevents+avro; charset=utf-8": 415, "application/cloudevents-batch": 415, "application/cloudevents": 415,
		"application/cloudevents+json; charset=utf-8": 200, "Application/CloudEvents-Batch+JSON": 200,
	} {
		body := `{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"k","datacontenttype":"application/json","data":{}}`
		if strings.Contains(strings.ToLower(form), "batch+") {
			body = "[" + body + "]"
		}
		status, answer, _ := r.post("/topics/"+orders+"/events", body, "Content-Type", form)
		if status != want || want == 415 && !strings.Contains(answer, "application/cloudevents+json") {
			t.Errorf("%s: %d %s, want %d", form, status, answer, want)
		}
	}
}

// The structured mode is JSON of any layout, and what could mean two things or cannot be kept as it is is refused; so are headers that name no attribute.
//
// Mutations seen to fail it: the document handed to the SDK as it is; isJSON only of application/json, or without +json; data of other types as they stand; a
// time that is left out where it is zero; null attributes kept; no bound of numbers; the names of headers not looked at.
func TestAStructuredEventIsReadAsItIsMeant(t *testing.T) {
	r := newRig(t, nil)
	path := "/topics/" + orders + "/events"
	const common = `"specversion":"1.0","source":"/s","type":"t","partitionkey":"k"`
	for n, one := range []struct {
		members, value string // "" for one that is refused
	}{
		{`"data_base64": "AP8="`, "\x00\xff"}, {`"data_base64":  "AP8=" `, "\x00\xff"}, {`"data": {"a": 1}`, `{"a": 1}`}, {"\"data\"\n:\t[ 1 ]", "[ 1 ]"},
		{`"data":1,"ext":7,"minus":-1,"yes":true`, "1"}, {`"data":1,"subject":null,"ext": null,"data_base64":null`, "1"}, {`"data":{"a":1,"a":2,"Id":1,"id":2}`, `{"a":1,"a":2,"Id":1,"id":2}`},
		{`"data":1,"ext":1.9`, ""}, {`"data":1,"ext":-0.5`, ""}, {`"data":1,"ext":2147483648`, ""}, {`"data":1,"ext":1e2`, ""}, {`"data":1,"id":"z"`, ""}, {`"data":1,"data":2`, ""},
		{`"data":1,"data_base64":"AP8="`, ""}, {`"data":1,"subject":"a","subject":"b"`, ""},
		{`"data":{"a":1},"datacontenttype":"application/vnd.order+json"`, `{"a":1}`}, {`"data":[1],"datacontenttype":"APPLICATION/JSON; charset=utf-8"`, "[1]"},
		{`"data":{"a": 1},"datacontenttype":"text/json"`, `{"a": 1}`}, {`"data":"{\"a\":1}","datacontenttype":"application/ld+json"`, `"{\"a\":1}"`}, {`"data":"a"`, `"a"`},
		{`"data":"{\"a\":1}","datacontenttype":"application/xml"`, `{"a":1}`}, {`"data":"a\u00e9","datacontenttype":"text/plain"`, "a\u00e9"},
		{`"data":{"a":1},"datacontenttype":"application/xml"`, ""}, {`"data":5,"datacontenttype":"text/plain"`, ""}, {`"data":{"a":1},"datacontenttype":"+json"`, ""},
		{`"data":1,"time":"0001-01-01T00:00:00Z"`, "1"},
	} {
		event := fmt.Sprintf(`{"id": "%d",%s, %s}`, n, common, one.members)
		for form, body := range map[string]string{"application/cloudevents+json": event, "application/cloudevents-batch+json": "[ " + event + " ]"} {
			status, answer, _ := r.post(path, body, "Content-Type", form)
			if want := map[bool]int{true: 422, false: 200}[one.value == ""]; status != want {
				t.Errorf("%s: %d %s, want %d", body, status, answer, want)
			}
		}
		records, _ := r.read(orders)
		if last := len(records) - 1; one.value != "" && (last < 0 || string(records[last].Value) != one.value) {
			t.Errorf("%s: the value is not %q: %v", event, one.value, records)
		} else if one.value != "" && strings.Contains(one.members, "time") && header(records[last], "ce_time") != "0001-01-01T00:00:00Z" {
			t.Errorf("%s: %s", event, records[last].Headers)
		}
	}
	for _, bad := range []string{`null`, `[]`, `5`, ``, `{"id":"1"} {}`, `{}`} {
		if status, answer, _ := r.post(path, bad, "Content-Type", "application/cloudevents+json"); status != 422 {
			t.Errorf("%s: %d %s", bad, status, answer)
		}
	}
	for _, bad := range []string{`null`, `{}`, `5`, ``} {
		if status, answer, _ := r.post(path, bad, "Content-Type", "application/cloudevents-batch+json"); status != 400 {
			t.Errorf("%s: %d %s", bad, status, answer)
		}
	}
	binary := map[string][]string{"Content-Type": {jsonType}, "Ce-Specversion": {"1.0"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}, "Ce-Id": {"b"}, "Ce-Partitionkey": {"k"}}
	for name, values := range map[string][]string{"Ce-": {""}, "Ce-a_b": {"x"}, "Ce-Id": {"1", "2"}, "Ce-Subject": {"1", "1"}} {
		q, err := http.NewRequest("POST", r.server.URL+path, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		for n, v := range binary {
			q.Header[n] = v
		}
		q.Header[name] = values
		res, err := r.server.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 422 {
			t.Errorf("%s %v: %d", name, values, res.StatusCode)
		}
	}
}

// An event of a batch that is none is refused for itself, unless the batch is atomic.
//
// Mutation seen to fail it: the batch refused for one.
func TestACloudEventOfABatchIsRefusedForItself(t *testing.T) {
	r := newRig(t, nil)
	f := doorForms(r)["CloudEvents"]
	cloud := func(id, members string) string {
		return fmt.Sprintf(`{"id":%q,"source":"/s","type":"t","partitionkey":"k",%s}`, id, members)
	}
	for bad, why := range map[string]string{
		cloud("b1", `"specversion":"0.3","data":1`): "0.3", "5": "no CloudEvent", "null": "it is null", "[]": "no CloudEvent", "{}": "specversion", cloud("b2", `"specversion":"1.0","data":1,"obj":{}`): "no CloudEvent",
		cloud("b3", `"specversion":"1.0","data":1,"x":1.5`): "whole", `{"id":""}`: "specversion",
	} {
		body := "[" + cloud("a"+bad, `"specversion":"1.0","data":1`) + "," + bad + "," + cloud("c"+bad, `"specversion":"1.0","data":1`) + "]"
		written, status, answer := r.sendForm(f, body, "atomic=true", nil)
		if status != 422 || len(written) > 0 || !strings.Contains(answer, "atomic") {
			t.Errorf("%s, atomic: %d records, %d %s", bad, len(written), status, answer)
		}
		written, status, answer = r.sendForm(f, body, "", nil)
		var got Answers
		if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 207 || len(written) != 2 || len(got.Results) != 3 {
			t.Fatalf("%s: %d records, %d %s", bad, len(written), status, answer)
		}
		if p := got.Results[1].Error; p == nil || p.Status != 422 || !strings.Contains(p.Detail, why) {
			t.Errorf("%s: %s", bad, answer)
		}
	}
	for _, body := range []string{"[" + cloud("x", `"specversion":"1.0","data":1`) + ",", `{}`} {
		if written, status, answer := r.sendForm(f, body, "", nil); status != 400 || len(written) > 0 {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

// An id of a CloudEvent is that of its source: the same of another one is no repetition, which would be lost, and is told so. Idempotency-Key gives it another.
//
// Mutation seen to fail it: a print without the source.
func TestAnIDOfAnotherSourceIsNoRepetition(t *testing.T) {
	r := newRig(t, nil)
	post := func(source string, headers ...string) (int, string) {
		status, body, _ := r.post("/topics/"+orders+"/events", `{}`, append(headers, "Content-Type", jsonType, "Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Type", "t", "Ce-Partitionkey", "k", "Ce-Source", source)...)
		return status, body
	}
	for _, one := range []struct {
		source, key string
		status      int
		repeated    bool
	}{{"/a", "", 200, false}, {"/a", "", 200, true}, {"/c", "", 422, false}, {"/c", "/c 1", 200, false}, {"/c", "/c 1", 200, true}} {
		var headers []string
		if one.key != "" {
			headers = []string{"Idempotency-Key", one.key}
		}
		if status, body := post(one.source, headers...); status != one.status || strings.Contains(body, `"repeated":true`) != one.repeated {
			t.Errorf("%+v: %d %s", one, status, body)
		}
	}
}

// An event without data is a notification: CloudEvents' binding for Kafka has a record without a value for it. Where such a record deletes a key, by a topic that is
// compacted or may be, it is refused, in whatever way the data got lost; so it is where there is a schema. A key is deleted by null alone.
//
// Mutations seen to fail it: absent data taken for null; no look at the schema; taken by any topic that is not known to be compacted;
// data_base64 of any kind, by which the SDK panics; null as a text.
func TestAnEventWithoutDataDeletesNoKey(t *testing.T) {
	const checked = "order.checked.v1"
	r := newRig(t, func(c *Config) {
		c.Schemas = source{checked + "-value": {ID: 7, Schema: registry.Schema{Type: registry.JSON, Text: `true`}}, "order.state.v1-value": schemasOfTest["order.state.v1-value"]}
	})
	if err := r.client.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: checked, Partitions: 1, ReplicationFactor: 1},
		{Name: "order.bare.v1", Partitions: 1, ReplicationFactor: 1, Config: map[string]string{"cleanup.policy": "compact"}}}); err != nil {
		t.Fatal(err)
	}
	const notification, unknown, remedy = "200 and no value", "422 has no data", `\"data\": null`
	n := 0
	try := func(topic, what, want, body string, headers ...string) {
		t.Helper()
		before, _ := r.read(topic)
		status, answer, _ := r.post("/topics/"+topic+"/events", body, headers...)
		after, _ := r.read(topic)
		got := fmt.Sprint(status)
		switch {
		case status == 200 && len(after) == len(before)+1:
			for _, rec := range after {
				if id := header(rec, "ce_id"); id == fmt.Sprint(n) {
					got += fmt.Sprintf(" %q", rec.Value)
					if rec.Value == nil {
						got = notification
					}
				}
			}
		case status == 422 && len(after) == len(before) && strings.Contains(answer, "has no data"):
			got = unknown
			if topic != checked && !strings.Contains(answer, remedy) {
				t.Errorf("%s: %s", what, answer)
			}
		}
		if got != want {
			t.Errorf("%s, topic %s: %s %s, want %s", what, topic, got, answer, want)
		}
	}
	binary := func(topic, want, form, body string) {
		n++
		headers := []string{"Ce-Specversion", "1.0", "Ce-Id", fmt.Sprint(n), "Ce-Source", "/s", "Ce-Type", "t", "Ce-Partitionkey", "k"}
		if form != "" {
			headers = append(headers, "Content-Type", form)
		}
		try(topic, form+" "+body, want, body, headers...)
	}
	structured := func(topic, want, members string) {
		for _, form := range cloudForms {
			n++
			body := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/s","type":"t","partitionkey":"k"%s}`, n, members)
			if form == cloudForms[1] {
				body = "[" + body + "]"
			}
			try(topic, members, want, body, "Content-Type", form)
		}
	}
	for topic, want := range map[string]string{orders: notification, "order.bare.v1": unknown, checked: unknown} {
		for _, form := range []string{"", jsonType, "application/octet-stream"} {
			binary(topic, want, form, "")
		}
		for _, members := range []string{``, `,"datacontenttype":"application/json"`, `,"datacontenttype":"text/plain"`, `,"dat":"x"`, `,"data_base64":null`} {
			structured(topic, want, members)
		}
		for _, members := range []string{`,"Data":{}`, `,"DATA_BASE64":"AA=="`, `,"data_base64":5`, `,"datacontenttype":"text/plain","data":null`} {
			structured(topic, "422", members)
		}
	}
	for topic, want := range map[string]string{orders: "422", "order.bare.v1": notification, checked: "422"} {
		binary(topic, want, jsonType, "null")
		structured(topic, want, `,"data": null `)
	}
	binary("order.state.v1", `200 "\x00\x00\x00\x00\b\x00"`, "application/protobuf", "")                                                            // a message with nothing set
	r.gate.topics.known["order.bare.v1"] = &topic{name: "order.bare.v1", cluster: "order.bare.v1", partitions: 1, until: time.Now().Add(time.Hour)} // as where its settings may not be read
	binary("order.bare.v1", unknown, "", "")
}

// header is a header of a record.
func header(rec kafka.Record, name string) string {
	for _, h := range rec.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// What a structured CloudEvent implies is said in its record, and its trace context is kept beside that of the request.
//
// Mutations seen to fail it: no implied content type; trace context of the event only where the request has none; of both.
func TestWhatACloudEventImpliesIsInItsRecord(t *testing.T) {
	r := newRig(t, nil)
	const trace, other = traceOne, traceTwo
	status, body, _ := r.post("/topics/"+orders+"/events", `{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"k","traceparent":"`+trace+`","data":"text"}`,
		"Content-Type", "application/cloudevents+json", "Traceparent", other)
	records, _ := r.read(orders)
	if status != 200 || len(records) != 1 {
		t.Fatal(body)
	}
	for name, want := range map[string]string{"content-type": jsonType, "ce_traceparent": trace, "traceparent": other} {
		if got := header(records[0], name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if n := strings.Count(fmt.Sprintf("%s", records[0].Headers), "{traceparent "); n != 1 {
		t.Errorf("%d traces: %s", n, records[0].Headers)
	}
}

// The source of an event, and where its schema is, are in the record as they were sent: written in another way they would be others.
//
// Mutations seen to fail it: no asTheyCame; the source alone; the structured mode alone.
func TestTheSourceOfAnEventIsKeptAsItCame(t *testing.T) {
	r := newRig(t, nil)
	path := "/topics/" + orders + "/events"
	for n, text := range []string{"a b", "/a%20b", "urn:shop:1?q=a b#f g", "/ä", "HTTP://Shop.example/%7e", "a+b"} {
		schema := []string{"http://s.example/a b", "urn:a b", "HTTP://S.example/%7e?q=a b#f g"}[n%3]
		escape := strings.NewReplacer("%", "%25", " ", "%20", "ä", "%C3%A4").Replace
		document := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":%q,"dataschema":%q,"type":"t","partitionkey":"k","data":1}`, n, text, schema)
		for form, headers := range map[string][]string{
			document: {"Content-Type", "application/cloudevents+json"},
			"1":      {"Content-Type", jsonType, "Ce-Specversion", "1.0", "Ce-Id", fmt.Sprintf("b%d", n), "Ce-Source", escape(text), "Ce-Dataschema", escape(schema), "Ce-Type", "t", "Ce-Partitionkey", "k"},
		} {
			if status, answer, _ := r.post(path, form, headers...); status != 200 {
				t.Errorf("%q: %d %s", text, status, answer)
				continue
			}
			records, _ := r.read(orders)
			got := map[string]string{}
			for _, h := range records[len(records)-1].Headers {
				got[h.Key] = string(h.Value)
			}
			if got["ce_source"] != text || got["ce_dataschema"] != schema {
				t.Errorf("%q and %q are %q and %q: %s", text, schema, got["ce_source"], got["ce_dataschema"], form)
			}
		}
	}
}
