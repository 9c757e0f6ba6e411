package gateway

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
)

const (
	traceOne = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traceTwo = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)

// doorForm is a form that events come in. body makes that of some events, with headers of their own where the form has those.
type doorForm struct {
	path, media string
	most        int // events of a request
	rpc         bool
	headers     bool // of each event
	body        func(events int, headers ...string) string
}

// doorForms are all of them, for the topic of orders.
func doorForms(r *rig) map[string]doorForm {
	v2, v3, own := "/topics/"+orders, "/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records", "/topics/"+orders+"/events"
	list := func(n int, of func(i int) string, between string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = of(i)
		}
		return strings.Join(all, between)
	}
	v3Record := func(i int, headers []string) string {
		text := make([]string, 0, len(headers)/2)
		for h := range slices.Chunk(headers, 2) {
			text = append(text, fmt.Sprintf(`{"name":%q,"value":%q}`, h[0], base64.StdEncoding.EncodeToString([]byte(h[1]))))
		}
		return fmt.Sprintf(`"headers":[%s],"key":{"type":"STRING","data":"k"},"value":{"type":"JSON","data":{"n":%d}}`, strings.Join(text, ","), i)
	}
	rpcEvent := func(i int, headers []string) string {
		text := make([]string, 0, len(headers)/2)
		for h := range slices.Chunk(headers, 2) {
			text = append(text, fmt.Sprintf("%q:%q", h[0], base64.StdEncoding.EncodeToString([]byte(h[1]))))
		}
		return fmt.Sprintf(`{"key":"aw==","json":"{\"n\":%d}","headers":{%s}}`, i, strings.Join(text, ","))
	}
	events := 0
	cloud := func(i int) string {
		events++
		return fmt.Sprintf(`{"specversion":"1.0","id":"e%d","source":"/s","type":"t","partitionkey":"k","data":{"n":%d}}`, events, i)
	}
	return map[string]doorForm{
		"one": {own + "?key=k", jsonType, 1, false, false, func(int, ...string) string { return `{"n":0}` }},
		"array": {own + "?key=k", jsonType, 9, false, false, func(n int, _ ...string) string {
			return "[" + list(n, func(i int) string { return fmt.Sprintf(`{"n":%d}`, i) }, ",") + "]"
		}},
		"lines": {own + "?key=k", ndjsonType, 9, false, false, func(n int, _ ...string) string {
			return list(n, func(i int) string { return fmt.Sprintf(`{"n":%d}`, i) }, "\n")
		}},
		"CloudEvent":  {own, "application/cloudevents+json", 1, false, false, func(int, ...string) string { return cloud(0) }},
		"CloudEvents": {own, "application/cloudevents-batch+json", 9, false, false, func(n int, _ ...string) string { return "[" + list(n, cloud, ",") + "]" }},
		"v2": {v2, "application/vnd.kafka.json.v2+json", 9, false, false, func(n int, _ ...string) string {
			return `{"records":[` + list(n, func(i int) string { return fmt.Sprintf(`{"key":"k","value":{"n":%d}}`, i) }, ",") + `]}`
		}},
		"v3": {v3, jsonType, 9, false, true, func(n int, headers ...string) string {
			return list(n, func(i int) string { return "{" + v3Record(i, headers) + "}" }, "\n")
		}},
		"v3 batch": {v3 + ":batch", jsonType, 9, false, true, func(n int, headers ...string) string {
			return `{"entries":[` + list(n, func(i int) string { return fmt.Sprintf(`{"id":"%d",`, i) + v3Record(i, headers) + "}" }, ",") + `]}`
		}},
		"Publish": {rpcPath + "Publish", jsonType, 1, true, true, func(_ int, headers ...string) string {
			return `{"topic":"` + orders + `","event":` + rpcEvent(0, headers) + `}`
		}},
		"PublishBatch": {rpcPath + "PublishBatch", jsonType, 9, true, true, func(n int, headers ...string) string {
			return `{"topic":"` + orders + `","events":[` + list(n, func(i int) string { return rpcEvent(i, headers) }, ",") + `]}`
		}},
	}
}

// send posts some events in a form, with query and headers, and returns the records that are written, of events and refused ones.
func (r *rig) sendForm(f doorForm, body, query string, headers http.Header) (written []kafka.Record, status int, answer string) {
	r.t.Helper()
	before, _ := r.read(orders)
	if query != "" {
		if strings.Contains(f.path, "?") {
			query = "&" + query
		} else {
			query = "?" + query
		}
	}
	q, err := http.NewRequest("POST", r.server.URL+f.path+query, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header = headers.Clone()
	if q.Header == nil {
		q.Header = http.Header{}
	}
	q.Header.Set("Content-Type", f.media)
	res, err := r.server.Client().Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	after, _ := r.read(orders)
	known := map[string]bool{}
	at := func(rec kafka.Record) string {
		return fmt.Sprint(r.gate.Partitioner.Partition(rec.Key, 4), "/", rec.Offset)
	}
	for _, rec := range before {
		known[at(rec)] = true
	}
	for _, rec := range after {
		if !known[at(rec)] {
			written = append(written, rec)
		}
	}
	return written, res.StatusCode, string(data)
}

// An id that a request gives is acted on in every form: a repetition writes nothing, and N events have ids of their own.
//
// Mutations seen to fail it: no id in v2, in v3, in the batch of v3 or in the service; the number left out.
func TestARequestsIDCountsInEveryForm(t *testing.T) {
	r := newRig(t, nil)
	for name, f := range doorForms(r) {
		n := min(f.most, 3)
		for try := range 2 {
			written, status, answer := r.sendForm(f, f.body(n), "", http.Header{"Idempotency-Key": {"id of " + name}})
			want := n
			if try == 1 {
				want = 0
			}
			if status/100 != 2 || len(written) != want {
				t.Errorf("%s, try %d: %d records, want %d: %d %s", name, try, len(written), want, status, answer)
			}
			for i, rec := range written {
				id := "id of " + name
				if f.most > 1 {
					id = fmt.Sprint(id, "/", i)
				}
				if got := header(rec, HeaderEventID); got != id {
					t.Errorf("%s: event-id %q, want %q", name, got, id)
				}
			}
		}
		for what, headers := range map[string]http.Header{"empty": {"Idempotency-Key": {""}}, "two": {"Idempotency-Key": {"a", "b"}}} {
			if written, status, answer := r.sendForm(f, f.body(1), "", headers); status != 400 || len(written) > 0 {
				t.Errorf("%s, %s: %d records, %d %s", name, what, len(written), status, answer)
			}
		}
	}
	f := doorForms(r)["PublishBatch"]
	body := strings.Replace(f.body(2), `{"key"`, `{"id":"own","key"`, 1)
	if written, status, answer := r.sendForm(f, body, "", http.Header{"Idempotency-Key": {"theirs"}}); len(written) != 1 || !strings.Contains(answer, "theirs/0") {
		t.Errorf("two ids: %d records, %d %s", len(written), status, answer)
	}
}

// An event is the same in each form that has its value as JSON: sent again in another one with its id it is a repetition, with the spaces that it was sent with.
//
// Mutation seen to fail it: v3's values made compact.
func TestAnEventIsTheSameInEachForm(t *testing.T) {
	r := newRig(t, nil)
	declare(t, r.client, declared.Event{Version: 1, Topic: orders, Key: "c"})
	for r.gate.declarations.Of(orders) == nil { // it is followed
		time.Sleep(5 * time.Millisecond)
	}
	const value = `{"c": "k", "n" : [ 1 ]}`
	total := 0
	for name, f := range doorForms(r) {
		if strings.HasPrefix(name, "Cloud") { // its source is part of it
			continue
		}
		f.path = strings.TrimSuffix(f.path, "?key=k")
		body := f.body(1)
		for _, key := range []string{`"key":{"type":"STRING","data":"k"},`, `"key":"aw==",`, `"key":"k",`} {
			body = strings.Replace(body, key, "", 1)
		}
		quoted := strings.ReplaceAll(value, `"`, `\"`)
		body = strings.Replace(strings.Replace(body, `{"n":0}`, value, 1), `{\"n\":0}`, quoted, 1)
		for _, body := range []string{body, strings.Replace(body, `"type":"JSON",`, "", 1)} {
			id := "id/0"
			if f.most > 1 {
				id = "id"
			}
			written, status, answer := r.sendForm(f, body, "", http.Header{"Idempotency-Key": {id}})
			if total += len(written); status/100 != 2 || strings.Contains(answer, "another") {
				t.Errorf("%s: %d %s", name, status, answer)
			}
		}
	}
	if total != 1 {
		t.Errorf("%d records", total)
	}
}

// What a request says beside its body is acted on or refused in every form, and never passed over.
//
// Mutations seen to fail it: parameters passed over in each form; atomic in v2 and in the batch of v3; Weir-Key passed over in
// Confluent's forms and in the service; their headers.
func TestWhatARequestSaysIsActedOnOrRefused(t *testing.T) {
	r := newRig(t, nil)
	for name, f := range doorForms(r) {
		for what, c := range map[string]struct {
			query   string
			headers http.Header
			acts    func(kafka.Record) bool
		}{
			"a parameter that is none": {"atomc=true", nil, func(kafka.Record) bool { return false }},
			"a query that is none":     {"a=%zz", nil, func(kafka.Record) bool { return false }},
			"a key": {"", http.Header{"Weir-Key": {"k"}}, func(rec kafka.Record) bool {
				return strings.HasSuffix(strings.TrimSuffix(f.path, "?key=k"), "/events") && string(rec.Key) == "k"
			}},
			"a header": {"", http.Header{"Weir-Header-Shop": {"north"}}, func(rec kafka.Record) bool { return header(rec, "shop") == "north" }},
			"a trace":  {"", http.Header{"Traceparent": {traceOne}}, func(rec kafka.Record) bool { return header(rec, "traceparent") == traceOne }},
		} {
			written, status, answer := r.sendForm(f, f.body(1), c.query, c.headers)
			if len(written) == 0 {
				if status != 400 {
					t.Errorf("%s, %s: refused with %d %s", name, what, status, answer)
				}
				continue
			}
			if !c.acts(written[0]) {
				t.Errorf("%s, %s: passed over: %s %s", name, what, written[0].Key, written[0].Headers)
			}
		}
		// Of an atomic request none is written when one is refused.
		if f.most == 1 || f.rpc {
			continue
		}
		good := f.body(3)
		for _, replaced := range [][2]string{{`{"n":1}`, "null"}, {`"type":"JSON","data":{"n":1}`, `"type":"STRING","data":{"n":1}`}} {
			bad := strings.Replace(good, replaced[0], replaced[1], 1)
			if bad == good {
				continue
			}
			if written, status, answer := r.sendForm(f, bad, "atomic=true", nil); len(written) > 0 {
				t.Errorf("%s: %d records of an atomic request: %d %s", name, len(written), status, answer)
			}
		}
		written, status, answer := r.sendForm(f, good, "atomic=true", nil)
		if len(written) != 3 && (status != 400 || name != "v3") {
			t.Errorf("%s: %d records of an atomic request, %d %s", name, len(written), status, answer)
		}
	}
}

// A header that has a meaning to readers is in a record once, and of a CloudEvent it is the event's, whichever way a producer gives another one.
//
// Mutations seen to fail it: headers of the request beside those of a CloudEvent; merge that only adds; its names compared with their letters.
func TestAHeaderWithAMeaningComesOnce(t *testing.T) {
	r := newRig(t, nil)
	names := []string{"ce_id", "CE_ID", "content-type", "traceparent", "tracestate", "TraceParent"}
	for name, f := range doorForms(r) {
		for _, of := range names {
			value := "forged"
			if strings.EqualFold(of, "traceparent") {
				value = traceTwo
			}
			requests := []struct {
				body    string
				headers http.Header
			}{
				{f.body(1), http.Header{http.CanonicalHeaderKey("Weir-Header-" + of): {value}}},
				{f.body(1), http.Header{http.CanonicalHeaderKey("Weir-Header-" + of): {value, value}}},
				{f.body(1, of, value), nil},
				{f.body(1, of, value, strings.ToUpper(of), value), nil},
				{f.body(1, of, value), http.Header{http.CanonicalHeaderKey("Weir-Header-" + of): {value}}},
			}
			for i, q := range requests {
				if q.headers == nil {
					q.headers = http.Header{}
				}
				q.headers["Traceparent"], q.headers["Tracestate"] = []string{traceOne}, []string{"a=1"}
				written, status, answer := r.sendForm(f, q.body, "", q.headers)
				if len(written) == 0 && status == 500 || len(written) > 1 {
					t.Fatalf("%s, %s: %d records, %d %s", name, of, len(written), status, answer)
				}
				for _, rec := range written {
					seen := map[string]bool{}
					for _, h := range rec.Headers {
						lower := strings.ToLower(h.Key)
						if seen[lower] {
							t.Errorf("%s, %s, request %d: %s", name, of, i, rec.Headers)
						}
						seen[lower] = true
						if strings.HasPrefix(name, "Cloud") && !strings.HasPrefix(lower, "trace") && string(h.Value) == "forged" {
							t.Errorf("%s, %s, request %d: forged: %s", name, of, i, rec.Headers)
						}
					}
					if header(rec, "traceparent") == traceTwo && seen["tracestate"] {
						t.Errorf("%s, %s, request %d: the state of another trace: %s", name, of, i, rec.Headers)
					}
					if !seen["traceparent"] {
						t.Errorf("%s, %s, request %d: no trace: %s", name, of, i, rec.Headers)
					}
				}
			}
		}
	}
}

// Trace context is that of W3C: a list in several lines is one, and what is no traceparent, or one of two, is of no trace.
//
// Mutations seen to fail it: the first line of a state; the first of two traces; each check of isTrace left out.
func TestATraceIsOne(t *testing.T) {
	r := newRig(t, nil)
	f := doorForms(r)["one"]
	for _, c := range []struct {
		parents, states []string
		want            string
	}{
		{[]string{traceOne}, []string{"a=1", "b=2, c=3"}, "[{traceparent " + traceOne + "} {tracestate a=1,b=2, c=3}]"},
		{[]string{traceOne}, []string{"", "a=1"}, "[{traceparent " + traceOne + "} {tracestate a=1}]"},
		{[]string{traceOne}, nil, "[{traceparent " + traceOne + "}]"},
		{[]string{"cc" + traceOne[2:] + "-what-comes"}, nil, "[{traceparent cc" + traceOne[2:] + "-what-comes}]"},
		{[]string{traceOne, traceTwo}, []string{"a=1"}, "[]"},
		{nil, []string{"a=1"}, "[]"},
		{[]string{""}, []string{"a=1"}, "[]"},
		{[]string{"garbage\x80"}, []string{"a=1"}, "[]"},
		{[]string{traceOne + "-more"}, nil, "[]"},
		{[]string{"cc" + traceOne[2:] + "what"}, nil, "[]"},
		{[]string{"ff" + traceOne[2:]}, nil, "[]"},
		{[]string{strings.ToUpper(traceOne)}, nil, "[]"},
		{[]string{strings.Replace(traceOne, "-", "_", 1)}, nil, "[]"},
		{[]string{traceOne[:len(traceOne)-3] + "_01"}, nil, "[]"},
		{[]string{"00-00000000000000000000000000000000-b7ad6b7169203331-01"}, nil, "[]"},
		{[]string{"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"}, nil, "[]"},
		{[]string{traceOne[:54]}, nil, "[]"},
	} {
		headers := http.Header{"Traceparent": c.parents, "Tracestate": c.states}
		written, status, answer := r.sendForm(f, f.body(1), "", headers)
		if status != 200 || len(written) != 1 {
			t.Fatalf("%v: %d %s", c, status, answer)
		}
		var b bytes.Buffer
		if fmt.Fprintf(&b, "%s", written[0].Headers); b.String() != c.want {
			t.Errorf("%q, %q: %s, want %s", c.parents, c.states, b.String(), c.want)
		}
	}
}
