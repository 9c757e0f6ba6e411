package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/declared"
)

// A record of a stream that is whole and not of the wanted form is answered, and so are those after it. A time is that of the record, also where it
// is the first of all.
//
// Mutations seen to fail it: a stream that ends at a time of another form; 1970 taken for none.
func TestAStreamGoesOnAfterARecordOfAnotherForm(t *testing.T) {
	r := newRig(t, nil)
	record := func(rest string) string { return `{"key":{"data":"a"},"value":{"data":1}` + rest + "}" }
	_, body, _ := r.post("/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records", record(`,"timestamp":"1970-01-01T00:00:00Z"`)+record(`,"timestamp":5`)+record(`,"headers":5`)+`[]`+record(`,"partition_id":"a"`)+record(""))
	var codes []int
	for d := json.NewDecoder(strings.NewReader(body)); d.More(); {
		var a v3Answer
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		codes = append(codes, a.Code)
	}
	want := []int{200, 400, 400, 400, 400, 200}
	if len(codes) != len(want) {
		t.Fatalf("%v: %s", codes, body)
	}
	for i := range want {
		if codes[i] != want[i] {
			t.Errorf("record %d: %d, want %d: %s", i, codes[i], want[i], body)
		}
	}
	if records, _ := r.read(orders); len(records) != 2 || records[0].Timestamp != 0 || records[1].Timestamp == 0 {
		t.Errorf("%v", records)
	}
}

// What says the key or the id comes once: of two the request could mean either.
//
// Mutation seen to fail it: the first header taken.
func TestAHeaderThatSaysWhichEventItIsComesOnce(t *testing.T) {
	r := newRig(t, nil)
	for _, name := range []string{"Idempotency-Key", "Weir-Key"} {
		q, err := http.NewRequest("POST", r.server.URL+"/topics/"+orders+"/events", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		q.Header["Weir-Key"] = []string{"a"}
		q.Header[name] = []string{"a", "b"}
		res, err := r.server.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 400 {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	if records, _ := r.read(orders); len(records) > 0 {
		t.Errorf("%v are written", records)
	}
}

// What an envelope carries is not looked into: a value of a topic without a schema may be any JSON.
//
// Mutation seen to fail it: no name opaque.
func TestTheNamesOfAValueAreItsOwn(t *testing.T) {
	r := newRig(t, nil)
	const value = `{"a":1,"a":2,"A":3}`
	if status, body, _ := r.post("/topics/"+orders, `{"records":[{"key":"a","value":`+value+`}]}`, "Content-Type", "application/vnd.kafka.json.v2+json"); status != 200 || !strings.Contains(body, `"error_code":null`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body, _ := r.post("/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records", `{"key":{"data":"a"},"value":{"type":"JSON","data":`+value+`}}`); status != 200 || !strings.Contains(body, `"error_code":200`) {
		t.Errorf("%d %s", status, body)
	}
	if records, _ := r.read(orders); len(records) != 2 || string(records[0].Value) != value || string(records[1].Value) != value {
		t.Errorf("%v", records)
	}
}

// A name that the form does not have is refused: what was meant by it would be left out, and a value that is left out deletes its key.
//
// Mutation seen to fail it: no DisallowUnknownFields.
func TestNamesThatAFormDoesNotHaveAreRefused(t *testing.T) {
	r := newRig(t, nil)
	v2, v3 := "/topics/"+"order.state.v1", "/v3/clusters/"+r.cluster()+"/topics/"+"order.state.v1"+"/records"
	for _, one := range []struct{ path, form, body string }{
		{v2, "application/vnd.kafka.json.v2+json", `{"records":[{"key":"k","vlaue":{"balance":200}}]}`},
		{v2, "application/vnd.kafka.json.v2+json", `{"records":[{"key":"k","value":1}],"acks":1}`},
		{v2, "application/vnd.kafka.json.v2+json", `{"records":[{"key":"k","value":1,"headers":[{"key":"h","value":"aGk="}]}]}`},
		{v2, "application/vnd.kafka.json.v2+json", `{"records":[{"key":"k","value":1}]} {}`},
		{v3, jsonType, `{"key":{"data":"k"},"values":{"data":1}}`},
		{v3, jsonType, `{"key":{"data":"k"},"value":{"type":"JSON","Data_":1}}`},
		{v3, jsonType, `{"records":[{"key":{"data":"k"}}]}`},
		{v3, jsonType, `{"key":{"data":"k"},"value":{"data":1},"headers":[{"name":"h","valu":"aGk="}]}`},
		{v3 + ":batch", jsonType, `{"entries":[{"id":"1","key":{"data":"k"},"vaule":{"data":1}}]}`},
	} {
		status, body, _ := r.post(one.path, one.body, "Content-Type", one.form)
		if strings.Contains(body, `"offset":`) && !strings.Contains(body, `"offset":null`) {
			t.Errorf("%s: %d %s", one.body, status, body)
		}
		if !strings.Contains(body, "there is no member") && !strings.Contains(body, "stands something else") {
			t.Errorf("%s: %d %s", one.body, status, body)
		}
	}
	if records, _ := r.read("order.state.v1"); len(records) > 0 {
		t.Errorf("%v are written", records)
	}
}

// The key comes by the query or by a header, and two keys are none.
//
// Mutations seen to fail it: the query's taken; an empty header passed over; the last of two fields taken.
func TestTwoKeysAreNone(t *testing.T) {
	r := newRig(t, nil)
	declare(t, r.client, declared.Event{Version: 1, Topic: orders, Key: "c"})
	for r.gate.declarations.Of(orders) == nil { // it is followed
		time.Sleep(5 * time.Millisecond)
	}
	path := "/topics/" + orders + "/events"
	for _, one := range []struct {
		query, header, body string
		want                int
	}{
		{"?key=q", "h", `{"c":"a"}`, 400}, {"?key=q", "q", `{"c":"a"}`, 200}, {"?key=q", "-", `{"c":"a"}`, 200}, {"", "h", `{"c":"a"}`, 200},
		{"", "", `{"c":"a"}`, 422}, {"?key=", "-", `{"c":"a"}`, 422}, {"", "-", `{"c":"a"}`, 200}, {"", "-", `{"c":"a","c":"b"}`, 422}, {"", "-", `{"c":"a","c":"a"}`, 422},
	} {
		var headers []string
		if one.header != "-" {
			headers = []string{"Weir-Key", one.header}
		}
		if status, body, _ := r.post(path+one.query, one.body, headers...); status != one.want {
			t.Errorf("%+v: %d %s", one, status, body)
		}
	}
}

// What the whole of an atomic batch is told is what was wrong with the event for which it was refused, wherever that one stands.
//
// Mutation seen to fail it: the first problem of all.
func TestAnAtomicBatchSaysWhatIsWrong(t *testing.T) {
	r := newRig(t, nil)
	for _, body := range []string{`[{"a":1},null,{"a":1}]`, `[null,{"a":1}]`} {
		_, answer, _ := r.post("/topics/"+orders+"/events?key=k&atomic=true", body)
		var whole Problem
		if err := json.Unmarshal([]byte(answer), &whole); err != nil || !strings.Contains(whole.Detail, "null deletes a key") {
			t.Errorf("%s: %s", body, answer)
		}
	}
}

// A record has a time that Kafka does not take for none.
//
// Mutation seen to fail it: no bound of timestamps.
func TestATimeIsThatOfARecord(t *testing.T) {
	r := newRig(t, nil)
	_, answer, _ := r.post("/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records", `{"key":{"data":"a"},"value":{"data":1},"timestamp":"1969-12-31T23:59:59.999Z"}`)
	if !strings.Contains(answer, `"error_code":42207`) || !strings.Contains(answer, "1970") {
		t.Error(answer)
	}
	if records, _ := r.read(orders); len(records) > 0 {
		t.Errorf("%v", records)
	}
}

// A parameter that a resource does not have is refused, and those that it has are named: a misspelt one would be left out without a word.
//
// Mutation seen to fail it: known that takes all.
func TestAnUnknownParameterIsRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/events?atomc=true&key=k", "/events?key=k&Atomic=true"} {
		for _, media := range []string{jsonType, ndjsonType, "application/cloudevents+json"} {
			if status, answer, _ := r.post("/topics/"+orders+path, `{}`, "Content-Type", media); status != 400 || !strings.Contains(answer, "there are key and atomic") {
				t.Errorf("%s: %d %s", path, status, answer)
			}
		}
	}
	if records, _ := r.read(orders); len(records) > 0 {
		t.Errorf("%d records were written", len(records))
	}
}

// What is said of all events of a request is said once.
//
// Mutation seen to fail it: a result for each event in any case.
func TestOneReasonIsSaidOnce(t *testing.T) {
	clients, err := ParseClients(fmt.Appendf(nil, "clients: [{name: shop, keys: [%q], topics: [order.], events_per_second: 10}]", HashKey("secret")))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Clients = clients })
	events := "[" + strings.Repeat("{},", 99) + "{}]"
	r.post("/topics/"+orders+"/events?key=k", events, "Authorization", "bearer secret") // it may be ahead by one request; the scheme's letters are of either case
	status, answer, _ := r.post("/topics/"+orders+"/events?key=k", events, "Authorization", "Bearer secret")
	if status != 429 || len(answer) > 1000 || strings.Contains(answer, "results") {
		t.Errorf("%d, %d bytes: %.300s", status, len(answer), answer)
	}
	if status, answer, _ := r.post("/topics/"+orders+"/events?key=k", "[1,", "Authorization", "bearer secret"); status == 401 {
		t.Errorf("a scheme in other letters: %d %s", status, answer)
	}
}

// A text of an envelope that is none is refused: read as U+FFFD two ids or keys would be one.
//
// Mutations seen to fail it: token that asks for no text; textOf by encoding/json.
func TestATextOfAnEnvelopeIsOne(t *testing.T) {
	r := newRig(t, nil)
	v2, v3, own := "/topics/"+orders, "/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records", "/topics/"+orders+"/events"
	cloud := func(members string) string {
		return `{"specversion":"1.0","source":"/s","type":"t","partitionkey":"k","id":"i",` + members + `}`
	}
	const half, pair = `\ud800`, `\ud83d\ude00`
	for _, one := range []struct{ path, media, body string }{
		{own, "application/cloudevents+json", cloud(`"data":1,"subject":"HERE"`)}, {own, "application/cloudevents+json", strings.Replace(cloud(`"data":1`), `"id":"i"`, `"id":"HERE"`, 1)},
		{own, "application/cloudevents+json", strings.Replace(cloud(`"data":1`), `"partitionkey":"k"`, `"partitionkey":"HERE"`, 1)}, {own, "application/cloudevents+json", cloud(`"datacontenttype":"text/plain","data":"HERE"`)},
		{own, "application/cloudevents-batch+json", "[" + cloud(`"data":1,"ext":"HERE"`) + "]"}, {v3, jsonType, `{"key":{"type":"STRING","data":"HERE"},"value":{"data":1}}`},
		{v3, jsonType, `{"key":{"type":"STRING","data":"k"},"value":{"type":"STRING","data":"HERE"}}`}, {v3, jsonType, `{"key":{"type":"STRING","data":"k"},"value":{"data":1},"headers":[{"name":"HERE"}]}`},
		{v3 + ":batch", jsonType, `{"entries":[{"id":"HERE","key":{"data":"k"},"value":{"data":1}}]}`}, {v2, "application/vnd.kafka.json.v2+json", `{"HERE":1,"records":[{"key":"k","value":1}]}`},
	} {
		f := doorForm{path: one.path, media: one.media}
		for _, bad := range []string{half, "x" + half + "y", "\xff", "\\ufffd" + half} {
			if written, status, answer := r.sendForm(f, strings.Replace(one.body, "HERE", bad, 1), "", nil); len(written) > 0 {
				t.Errorf("%q for HERE in %s: %d %s", bad, one.body, status, answer)
			}
		}
		for n, good := range []string{pair, "�", "\\ufffd"} {
			body := strings.Replace(strings.Replace(one.body, "HERE", good, 1), `"id":"i"`, fmt.Sprintf(`"id":"i%d%d"`, n, len(one.body)), 1)
			if written, status, answer := r.sendForm(f, body, "", nil); len(written) == 0 && !strings.Contains(answer, "repeated") && one.path != v2 && !strings.Contains(one.body, `"ext"`) && !strings.Contains(answer, "subject") {
				t.Errorf("%q for HERE in %s: %d %s", good, one.body, status, answer)
			}
		}
	}
}

// A record of v2 that cannot be read is answered for itself.
//
// Mutation seen to fail it: the request refused for one.
func TestARecordOfV2IsRefusedForItself(t *testing.T) {
	r := newRig(t, nil)
	f := doorForm{path: "/topics/" + orders, media: "application/vnd.kafka.binary.v2+json"}
	for _, bad := range []string{`{"key":"aw==","value":"no base64"}`, `{"key":"aw==","value":"AA==","partition":-1}`, `{"key":5,"value":"AA=="}`} {
		body := `{"records":[{"key":"aw==","value":"AA=="},` + bad + `,{"key":"aw==","value":"AA=="}]}`
		written, status, answer := r.sendForm(f, body, "", nil)
		if status != 200 || len(written) != 2 || strings.Count(answer, `"error_code":null`) != 2 || strings.Count(answer, `"error_code":42207`) != 1 {
			t.Errorf("%s: %d records, %d %s", bad, len(written), status, answer)
		}
		if written, status, answer := r.sendForm(f, body, "atomic=true", nil); len(written) > 0 || strings.Count(answer, `"error_code":42207`) != 3 {
			t.Errorf("%s, atomic: %d records, %d %s", bad, len(written), status, answer)
		}
	}
}
