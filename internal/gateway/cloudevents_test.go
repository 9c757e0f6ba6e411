package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
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
