package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
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
