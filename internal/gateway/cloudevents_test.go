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
