package gateway

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/gateway/rpc"
)

// bodyForms are the forms in which events come, by what a request says of its body.
var bodyForms = []struct{ name, path, form string }{
	{"own", "/topics/" + orders + "/events?key=k", jsonType},
	{"own, declared key", "/topics/order.state.v1/events", jsonType},
	{"lines", "/topics/" + orders + "/events?key=k", ndjsonType},
	{"atomic lines", "/topics/" + orders + "/events?key=k&atomic=true", ndjsonType},
	{"CloudEvents", "/topics/" + orders + "/events", "application/cloudevents+json"},
	{"a batch of CloudEvents", "/topics/" + orders + "/events", "application/cloudevents-batch+json"},
	{"v2 binary", "/topics/" + orders, "application/vnd.kafka.binary.v2+json"},
	{"v2 json", "/topics/" + orders, "application/vnd.kafka.json.v2+json"},
	{"v2 avro", "/topics/" + orders, "application/vnd.kafka.avro.v2+json"},
	{"v3", "/v3/clusters/CLUSTER/topics/" + orders + "/records", jsonType},
	{"v3 batch", "/v3/clusters/CLUSTER/topics/" + orders + "/records:batch", jsonType},
	{"a Protobuf message", "/topics/order.state.v1/events?key=k", "application/x-protobuf"},
	{"Connect", rpc.EventsPublishProcedure, "application/proto"},
	{"Connect, JSON", rpc.EventsPublishProcedure, jsonType},
	{"Connect, a batch", rpc.EventsPublishBatchProcedure, "application/proto"},
	{"Connect, a stream", rpc.EventsPublishStreamProcedure, "application/connect+proto"},
	{"gRPC, a stream", rpc.EventsPublishStreamProcedure, "application/grpc+proto"},
	{"gzip", "/topics/" + orders + "/events?key=k", "gzip"},
	{"zstd", "/topics/" + orders + "/events?key=k", "zstd"},
}

// No body makes the gateway fail, whatever its form: every answer says 2xx or that the request is at fault, nothing is left behind, and no more
// memory is taken than the limits allow for.
func FuzzBodies(f *testing.F) {
	one, _ := proto.Marshal(&rpc.PublishRequest{Topic: orders, Event: jsonEvent(1)})
	batch, _ := proto.Marshal(&rpc.PublishBatchRequest{Topic: orders, Events: []*rpc.Event{jsonEvent(1)}})
	for form := range bodyForms {
		for _, body := range []string{"", "{", "[", "null", "[null]", `{"id":"o1","lines":[]}`, "{}\n{}\n", `[{"a":1},{"a":"\ud800"}]`, "\x0a\x02ok", "\x1f\x8b", "\x28\xb5\x2f\xfd",
			`{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"k","data":{"id":"o1","lines":[]}}`,
			`[{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AA=="}]`,
			`{"records":[{"key":"aw==","value":"AAAAAAc="}]}`, `{"value_schema_id":7,"records":[{"value":{"id":"o1","lines":[]}}]}`,
			`{"value":{"type":"BINARY","data":"AA=="},"headers":[{"name":"a","value":"AA=="}]}`, `{"entries":[{"id":"1","value":{"type":"AVRO","schema_version":1,"data":1}}]}`,
			`{"topic":"order.placed.v1","event":{"key":"aw==","json":"{}"}}`, string(one), string(batch), "\x00\x00\x00\x00" + string(rune(len(one))) + string(one), "\x00\xff\xff\xff\xff", "\x02\x00\x00\x00\x00"} {
			f.Add(byte(form), []byte(body))
		}
	}
	r := newRigOf(f, func(c *Config) {
		c.Schemas = schemasOfTest
		c.Limits = Limits{Body: 64 << 10, Event: 16 << 10, Events: 100}
	})
	cluster, p := r.gate.cluster()
	if p != nil {
		f.Fatal(p)
	}
	f.Fuzz(func(t *testing.T, form byte, body []byte) {
		in := bodyForms[int(form)%len(bodyForms)]
		q := httptest.NewRequest("POST", string(bytes.Replace([]byte(in.path), []byte("CLUSTER"), []byte(cluster), 1)), bytes.NewReader(body))
		q.RemoteAddr, q.Host = "127.0.0.1:1", "127.0.0.1"
		q.ProtoMajor, q.ProtoMinor, q.Proto = 2, 0, "HTTP/2.0"
		if q.Header.Set("Content-Type", in.form); in.form == "gzip" || in.form == "zstd" {
			q.Header.Set("Content-Encoding", in.form)
			q.Header.Set("Content-Type", jsonType)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := httptest.NewRecorder()
		r.gate.ServeHTTP(w, q)
		runtime.ReadMemStats(&after)
		if w.Code >= http.StatusInternalServerError || bytes.Contains(w.Body.Bytes(), []byte("problem:defect")) {
			t.Errorf("%s, %q: %d %s", in.name, body, w.Code, w.Body)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
			t.Errorf("%s: a body of %d bytes took %d MiB", in.name, len(body), took>>20)
		}
		if n := r.gate.bodies.Load(); n != 0 || len(r.gate.slots) != 0 || r.gate.requests.under != 0 {
			t.Errorf("%s, %q: %d bytes, %d places and %d permits are left behind", in.name, body, n, len(r.gate.slots), r.gate.requests.under)
		}
	})
}
