package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/registry"
)

var benchSchemas = source{orders + "-value": {ID: 7, Schema: registry.Schema{Type: registry.Avro, Text: `{"type":"record","name":"OrderPlaced","fields":[{"name":"order_id","type":"string"},{"name":"customer_id","type":"string"},{"name":"amount_cents","type":"long"}]}`}}}

type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// What a request with one event costs beside HTTP, the broker's part included.
func BenchmarkOneEvent(b *testing.B) {
	r := newBench(b)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			q, _ := http.NewRequest("POST", "/topics/"+orders+"/events", strings.NewReader(`{"order_id":"o1","customer_id":"c1","amount_cents":1250}`))
			q.RemoteAddr, q.Host = "127.0.0.1:1", "127.0.0.1"
			q.Header.Set("Content-Type", "application/json")
			w := &discard{h: http.Header{}}
			if r.ServeHTTP(w, q); w.status != http.StatusOK && w.status != http.StatusTooManyRequests {
				b.Errorf("answered with %d", w.status) // what a refusal costs would be measured
				return
			}
		}
	})
}

// What it costs to find out who publishes where, and what a request says of all its events.
func BenchmarkBegin(b *testing.B) {
	r := newBench(b)
	q, _ := http.NewRequest("POST", "/topics/"+orders+"/events", nil)
	q.RemoteAddr, q.Host = "127.0.0.1:1", "127.0.0.1"
	q.SetPathValue("topic", orders)
	client, p := r.identify(q)
	if p != nil {
		b.Fatal(p)
	}
	q = q.WithContext(context.WithValue(b.Context(), passKey{}, client))
	b.ReportAllocs()
	for b.Loop() {
		if _, p := r.beginEvents(q); p != nil {
			b.Fatal(p)
		}
	}
}

// What it costs to check an event and to make its record.
func BenchmarkAdmit(b *testing.B) {
	r := newBench(b)
	t, _ := r.topics.get(orders)
	d := &declared.Event{Version: 1, Topic: orders, Key: "customer_id"}
	b.ReportAllocs()
	for b.Loop() {
		q := &request{}
		e := q.event([]byte(`{"order_id":"o1","customer_id":"c1","amount_cents":1250}`), -1)
		if _, _, p := r.admit(t, d, e); p != nil {
			b.Fatal(p)
		}
	}
}

// What it costs to write the answer to an array of events that are accepted.
func BenchmarkAnswerMany(b *testing.B) {
	g := &Gateway{}
	results, partition := make([]Answer, 1000), int32(3)
	for i := range results {
		offset := int64(1_000_000 + i)
		results[i] = Answer{Status: http.StatusOK, Partition: &partition, Offset: &offset, SchemaID: 7}
	}
	b.ReportAllocs()
	for b.Loop() {
		g.answerMany(&discard{h: http.Header{}}, results)
	}
}
