package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const orders = "order.placed.v1"

// rig is a gateway over an embedded broker.
type rig struct {
	t      *testing.T
	client *kafka.Client
	gate   *Gateway
	server *httptest.Server
}

func newBench(b *testing.B) *Gateway {
	r := newRigOf(b, func(c *Config) { c.Schemas = benchSchemas })
	declare(b, r.client, declared.Event{Version: 1, Topic: orders, Key: "customer_id"})
	for r.gate.declarations.Of(orders) == nil { // it is followed
		select {
		case <-time.After(5 * time.Millisecond):
		case <-b.Context().Done():
			b.Fatal("the declaration is never known")
		}
	}
	return r.gate
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := newRigOf(t, change)
	r.t = t
	return r
}

func newRigOf(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: broker.Addrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if err := client.CreateTopics(t.Context(), []kafka.TopicSpec{
		{Name: orders, Partitions: 4, ReplicationFactor: 1},
		{Name: "order.state.v1", Partitions: 4, ReplicationFactor: 1, Config: map[string]string{"cleanup.policy": "compact"}},
	}); err != nil {
		t.Fatal(err)
	}
	c := Config{Client: client}
	if change != nil {
		change(&c)
	}
	gate, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		gate.Close(ctx)
	})
	server := httptest.NewServer(gate)
	t.Cleanup(server.Close)
	return &rig{nil, client, gate, server}
}

// post sends a body; headers are name, value, name, value.
func (r *rig) post(path, body string, headers ...string) (int, string, http.Header) {
	r.t.Helper()
	q, err := http.NewRequest("POST", r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.server.Client().Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(data), res.Header
}

// read is all that a topic holds for who reads committed records, in order of partition and offset.
func (r *rig) read(topic string) (records []kafka.Record, partitions []int32) {
	r.t.Helper()
	fetcher := r.client.NewFetcher(1 << 20)
	defer fetcher.Close()
	infos, err := r.client.Topics(r.t.Context(), []string{topic})
	if err != nil {
		r.t.Fatal(err)
	}
	for p := range infos[topic].Partitions {
		tp := kafka.TopicPartition{Topic: topic, Partition: p}
		ends, err := r.client.Ends(r.t.Context(), []kafka.TopicPartition{tp})
		if err != nil {
			r.t.Fatal(err)
		}
		if err := kafka.Scan(r.t.Context(), fetcher, tp, 0, ends[tp], func(rec *kafka.Record) error {
			copied := *rec
			copied.Key, copied.Value = bytes.Clone(rec.Key), bytes.Clone(rec.Value)
			copied.Headers = nil
			for _, h := range rec.Headers {
				copied.Headers = append(copied.Headers, kafka.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
			}
			records, partitions = append(records, copied), append(partitions, p)
			return nil
		}); err != nil {
			r.t.Fatal(err)
		}
	}
	return records, partitions
}

// An event that is accepted is in the topic at the partition of its key and the offset that was answered, with the headers that its
// producer may set, and without those that he may not.
//
// Mutations seen to fail it: ours without provenance; the partition of the value; the base offset for each record.
func TestAnAcceptedEventIsWhereTheAnswerSays(t *testing.T) {
	r := newRig(t, nil)
	for i := range 20 {
		key := fmt.Sprint("customer-", i)
		status, body, _ := r.post("/topics/"+orders+"/events?key="+key, fmt.Sprintf(`[{"n":%d},{"n":%d}]`, i, i+100),
			"Weir-Header-Source", "shop", "Weir-Header-Weir.Origin", "forged", "Traceparent", traceOne, "Idempotency-Key", key)
		var got Answers
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || len(got.Results) != 2 {
			t.Fatalf("%d %s", status, body)
		}
		records, partitions := r.read(orders)
		for n, a := range got.Results {
			found := false
			for j, rec := range records {
				if partitions[j] != *a.Partition || rec.Offset != *a.Offset {
					continue
				}
				found = true
				headers := fmt.Sprintf("%s", rec.Headers)
				if want := fmt.Sprintf(`{"n":%d}`, i+n*100); string(rec.Value) != want || string(rec.Key) != key {
					t.Fatalf("at %d/%d is %s: %s, want %s", partitions[j], rec.Offset, rec.Key, rec.Value, want)
				}
				if want := r.gate.Partitioner.Partition([]byte(key), 4); partitions[j] != want {
					t.Fatalf("key %s is in partition %d, want %d", key, partitions[j], want)
				}
				if headers != fmt.Sprintf("[{source shop} {traceparent %s} {event-id %s/%d}]", traceOne, key, n) {
					t.Fatalf("headers %s", headers)
				}
			}
			if !found {
				t.Fatalf("nothing is at %d/%d", *a.Partition, *a.Offset)
			}
		}
	}
}

// What is refused says with which status and why, and changes nothing.
//
// Mutations seen to fail it: the query of net/http, which leaves out what it cannot read; a parameter that comes twice taken; names of an envelope that come
// twice taken, or in other letters; a key that is not asked for; json.Valid left out; tamed without its limit; an atomic batch of which one event was refused.
func TestARefusedRequestChangesNothing(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Body: 4000, Event: 1000, Events: 3} })
	long := `{"a":"` + strings.Repeat("x", 2000) + `"}`
	events, v3 := "/topics/"+orders+"/events", "/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records"
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		status     int
		word       string
	}{
		"no key":             {events, `{}`, nil, 422, "invalid-event"},
		"an empty key":       {events + "?key=", `{}`, nil, 422, "invalid-event"},
		"no JSON":            {events + "?key=a", `{"a":}`, nil, 422, "invalid-event"},
		"two values":         {events + "?key=a", `{} {}`, nil, 422, "invalid-event"},
		"no UTF-8":           {events + "?key=a", "{\"a\":\"\xff\"}", nil, 422, "invalid-event"},
		"nothing":            {events + "?key=a", ` `, nil, 400, "malformed"},
		"null":               {events + "?key=a", `null`, nil, 422, "invalid-event"},
		"a long event":       {events + "?key=a", long, nil, 413, "too-large"},
		"a long body":        {events + "?key=a", `{"a":"` + strings.Repeat("x", 5000) + `"}`, nil, 413, "too-large"},
		"many events":        {events + "?key=a", `[1,2,3,4]`, nil, 413, "too-large"},
		"an array cut short": {events + "?key=a", `[1,2`, nil, 400, "malformed"},
		"all bad":            {events + "?key=a", `[null,null]`, nil, 422, "invalid-event"},
		"one bad of a batch": {events + "?key=a&atomic=true", `[1,null]`, nil, 422, "invalid-event"},
		"atomic, or not":     {events + "?key=a&atomic=perhaps", `1`, nil, 400, "malformed"},
		"another form":       {events + "?key=a", `<a/>`, []string{"Content-Type", "text/xml"}, 415, "media-type"},
		"another encoding":   {events + "?key=a", `{}`, []string{"Content-Encoding", "br"}, 415, "media-type"},
		"no gzip":            {events + "?key=a", `{}`, []string{"Content-Encoding", "gzip"}, 400, "malformed"},
		"a bomb":             {events + "?key=a", zipped(strings.Repeat(" ", 1<<20)), []string{"Content-Encoding", "gzip"}, 413, "too-large"},
		"a bomb in a stream": {events + "?key=a", zipped(strings.Repeat(" \n", 5<<20)), []string{"Content-Encoding", "gzip", "Content-Type", ndjsonType}, 200, "too-large"},
		"many headers":       {"/v3/clusters/" + r.cluster() + "/topics/" + orders + "/records:batch", `{"entries":[{"id":"1","key":{"data":"a"},"headers":[` + strings.Repeat(`{"name":"a"},`, 99) + `{"name":"a"}]}]}`, nil, 207, ""},
		"a query cut short":  {events + "?key=a%", `{}`, nil, 400, "malformed"},
		"a query with a ;":   {events + "?key=a;b&key=c", `{}`, nil, 400, "malformed"},
		"two keys":           {events + "?key=a&key=b", `{}`, nil, 400, "malformed"},
		"atomic twice":       {events + "?key=a&atomic=false&atomic=true", `{}`, nil, 400, "malformed"},
		"v2, two keys":       {"/topics/" + orders, `{"records":[{"key":"YQ==","key":"Yg==","value":"e30="}]}`, []string{"Content-Type", "application/vnd.kafka.binary.v2+json"}, 422, ""},
		"v2, two values":     {"/topics/" + orders, `{"records":[{"key":"YQ==","value":"e30=","VALUE":"e30="}]}`, []string{"Content-Type", "application/vnd.kafka.binary.v2+json"}, 422, ""},
		"v3, two values":     {v3, `{"key":{"data":"a"},"value":{"data":1,"Data":2}}`, nil, 200, ""},
		"v3, a batch of it":  {v3 + ":batch", `{"entries":[{"id":"1","key":{"data":"a"},"value":{"data":1},"value":{"data":2}}]}`, nil, 422, ""},
		"v3, another form":   {v3, `{"key":{"data":"a"},"value":{"data":1}}`, []string{"Content-Type", "application/jsonl"}, 415, ""},
		"no batch":           {events + "?key=a", ` null `, []string{"Content-Type", "application/cloudevents-batch+json"}, 400, "malformed"},
		"no topic":           {"/topics/order.gone.v1/events?key=a", `{}`, nil, 404, "no-topic"},
		"no event's name":    {"/topics/orders/events?key=a", `{}`, nil, 404, "no-topic"},
		"Weir's own":         {"/topics/_schemas/events?key=a", `{}`, nil, 404, "no-topic"},
		"nothing there":      {"/nothing", `{}`, nil, 404, "no-resource"},
	} {
		status, body, _ := r.post(c.path, c.body, c.headers...)
		if status != c.status || c.word != "" && !strings.Contains(body, `"urn:weir:problem:`+c.word+`"`) {
			t.Errorf("%s: %d %s, want %d %s", name, status, body, c.status, c.word)
		}
	}
	if n := r.gate.bodies.Load(); n != 0 {
		t.Errorf("%d bytes of bodies are counted when all is answered", n)
	}
	if records, _ := r.read(orders); len(records) > 0 {
		t.Errorf("the topic holds %d records, the first %s", len(records), records[0].Value)
	}
}

// cluster is the id of the cluster.
func (r *rig) cluster() string {
	r.t.Helper()
	id, err := r.gate.cluster()
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// Bodies that are received at the same time have a bound together, and an array that is longer than allowed is not taken apart to its end.
//
// Mutations seen to fail it: counted without its bound; forget left out where a request is refused.
func TestBodiesHaveABoundTogether(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Waiting: 1000} })
	path := "/topics/" + orders + "/events?key=a"
	for range 3 {
		if status, body, h := r.post(path, `{"a":"`+strings.Repeat("x", 5000)+`"}`); status != 429 || h.Get("Retry-After") == "" {
			t.Errorf("%d %s", status, body)
		}
		if status, body, _ := r.post(path, strings.Repeat(`{}`+"\n", 2000), "Content-Type", ndjsonType, "Weir-Header-a", "b"); status != 200 {
			t.Errorf("a stream has no such bound: %d %.200s", status, body)
		}
		if status, body, _ := r.post(path, `{}`); status != 200 {
			t.Errorf("%d %s", status, body)
		}
		if status, body, _ := r.post(path, `[]`); status != 200 || !strings.Contains(body, `"results":[]`) {
			t.Errorf("no event: %d %s", status, body)
		}
	}
	if _, p := elements([]byte("["+strings.Repeat("0,", 1000)+"0]"), 10); p == nil {
		t.Error("an array of any length is taken")
	}
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

// A stream is answered line by line, in order, while it is still being sent; a bad line costs itself only.
//
// Mutations seen to fail it: chunks written without waiting for their answers; EnableFullDuplex left out; a stream that ends at the first bad line.
func TestAStreamIsAnsweredWhileItIsSent(t *testing.T) {
	r := newRig(t, nil)
	in, send := io.Pipe()
	q, _ := http.NewRequest("POST", r.server.URL+"/topics/"+orders+"/events?key=a", in)
	q.Header.Set("Content-Type", ndjsonType)
	go func() { _, _ = io.WriteString(send, "{\"n\":0}\n") }()
	res, err := r.server.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answers := json.NewDecoder(res.Body)
	last := int64(-1)
	for n := range 2000 {
		var a Answer
		if err := answers.Decode(&a); err != nil {
			t.Fatalf("answer %d: %v", n, err)
		}
		if bad := n%7 == 3; (a.Status == 422) != bad || !bad && *a.Offset != last+1 {
			t.Fatalf("answer %d: %+v after offset %d", n, a, last)
		} else if !bad {
			last = *a.Offset
		}
		line := fmt.Sprintf("{\"n\":%d}\n", n+1)
		if (n+1)%7 == 3 {
			line = "{]\n"
		}
		if n == 1999 {
			_ = send.Close()
		} else if _, err := io.WriteString(send, line); err != nil {
			t.Fatal(err)
		}
	}
	if records, _ := r.read(orders); len(records) != int(last)+1 {
		t.Errorf("%d records, the last answer said offset %d", len(records), last)
	}
}

// An atomic batch is visible as a whole, and a tombstone is taken where records are compacted.
//
// Mutation seen to fail it: offsets of the batch instead of the record's.
func TestAnAtomicBatchIsOneTransaction(t *testing.T) {
	r := newRig(t, nil)
	status, body, _ := r.post("/topics/order.state.v1/events?key=a&atomic=true", "1\nnull\n3\n", "Content-Type", ndjsonType)
	if status != 200 || strings.Count(body, `"status":200`) != 3 {
		t.Fatalf("%d %s", status, body)
	}
	records, partitions := r.read("order.state.v1")
	if len(records) != 3 || records[1].Value != nil || string(records[2].Value) != "3" {
		t.Fatalf("%v", records)
	}
	for i, rec := range records {
		if want := fmt.Sprintf(`{"status":200,"partition":%d,"offset":%d}`, partitions[i], rec.Offset); !strings.Contains(body, want) {
			t.Errorf("%s does not say %s", body, want)
		}
	}
}
