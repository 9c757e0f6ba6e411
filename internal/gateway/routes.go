package gateway

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/weirstream/weir/gateway/rpc"
)

// route is a resource of the API: what serves it, and what /openapi.json says of it.
type route struct {
	method, path string
	serve        func(*Gateway, http.ResponseWriter, *http.Request)
	operation    string
	summary      string
	params       []param
	bodies       []media
	status       int
	answer       media
	failure      media
}

// param is a parameter in the query or a header; those in the path are known by its braces.
type param struct {
	in, name, doc string
	kind          string // of JSON Schema
}

// media is a form of a body; sample is a value of the Go type that it has, nil for any value.
type media struct {
	form   string
	sample any
}

// cloudEventForm is a structured CloudEvent, for the description.
type cloudEventForm struct {
	_           struct{} `additionalProperties:"true"`
	SpecVersion string   `json:"specversion" enum:"1.0"`
	ID          string   `json:"id" minLength:"1"`
	Source      string   `json:"source" minLength:"1" format:"uri-reference"`
	Type        string   `json:"type" minLength:"1"`
	DataBase64  string   `json:"data_base64,omitempty" contentEncoding:"base64"`
}

var (
	problemMedia = media{problemType, Problem{}}
	restMedia    = media{jsonType, restError{}}
)

var routes []route

func init() {
	eventParams := []param{
		{"query", "key", "key of the entity; without it the declared field of the value, or the header Weir-Key", "string"},
		{"query", "atomic", "true: all events become visible in one transaction, or none", "boolean"},
		{"header", "Weir-Key", "key of the entity", "string"},
		{"header", "Idempotency-Key", "id of the event, KEY/N of event N of an array or of lines: a repetition is answered as the first request", "string"},
		{"header", "Traceparent", "W3C trace context, which goes into the record", "string"},
	}
	id := eventParams[3]
	id.doc = "id of the events: record N has KEY/N, and a repetition is answered as the first request"
	recordParams := []param{id, eventParams[4], {"header", "Tracestate", "belongs to traceparent", "string"}}
	batchParams := append([]param{eventParams[1]}, recordParams...)
	routes = []route{
		{method: "POST", path: "/topics/{topic}/events", serve: (*Gateway).postEvents, operation: "publishEvents",
			summary: "Publish one event, an array, a stream of lines, a Protobuf message, or CloudEvents",
			params:  eventParams,
			bodies: []media{{jsonType, nil}, {ndjsonType, ""}, {"application/x-protobuf", []byte(nil)}, {"application/cloudevents+json", cloudEventForm{}},
				{"application/cloudevents-batch+json", []cloudEventForm{}}},
			status: http.StatusOK, answer: media{jsonType, Answer{}}, failure: problemMedia},
		{method: "POST", path: "/topics/{topic}", serve: (*Gateway).postV2, operation: "produceV2", summary: "Produce records as by Confluent's REST API v2", params: batchParams,
			bodies: []media{{"application/vnd.kafka.json.v2+json", v2Body{}}, {"application/vnd.kafka.binary.v2+json", v2Body{}}, {"application/vnd.kafka.avro.v2+json", v2Body{}},
				{"application/vnd.kafka.jsonschema.v2+json", v2Body{}}, {"application/vnd.kafka.protobuf.v2+json", v2Body{}}},
			status: http.StatusOK, answer: media{v2Type, v2Answer{}}, failure: media{v2Type, restError{}}},
		{method: "GET", path: "/v3/clusters", serve: (*Gateway).getV3Clusters, operation: "listClusters", summary: "The id of the cluster, as by Confluent's REST API v3",
			status: http.StatusOK, answer: media{jsonType, map[string]any{}}, failure: restMedia},
		{method: "POST", path: "/v3/clusters/{cluster}/topics/{topic}/records", serve: (*Gateway).postV3, operation: "produceV3",
			summary: "Produce records as by Confluent's REST API v3: JSON documents one after the other, each answered",
			params:  recordParams,
			bodies:  []media{{jsonType, v3Record{}}}, status: http.StatusOK, answer: media{jsonType, v3Answer{}}, failure: restMedia},
		{method: "POST", path: "/v3/clusters/{cluster}/topics/{topic}/records:batch", serve: (*Gateway).postV3Batch, operation: "produceV3Batch",
			summary: "Produce records as by Confluent's REST API v3, as a batch", params: batchParams, bodies: []media{{jsonType, v3Batch{}}},
			status: http.StatusMultiStatus, answer: media{jsonType, v3Batched{}}, failure: restMedia},
		{method: "GET", path: "/openapi.json", serve: (*Gateway).getOpenAPI, operation: "openapi", summary: "This description",
			status: http.StatusOK, answer: media{jsonType, map[string]any{}}, failure: problemMedia},
	}
}

func (g *Gateway) routes() {
	g.mux = http.NewServeMux()
	for _, r := range routes {
		g.mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, q *http.Request) { r.serve(g, w, q) })
	}
	path, service := rpc.NewEventsHandler(&service{g}, connect.WithConditionalHandlerOptions(func(spec connect.Spec) []connect.HandlerOption {
		most := int(g.Limits.Body)
		if spec.StreamType == connect.StreamTypeBidi { // one event a message
			most = g.Limits.Event + messageSlack
		}
		// Results are small, and clients of gRPC-Web cannot read compressed trailers.
		return append([]connect.HandlerOption{connect.WithReadMaxBytes(most), connect.WithCompressMinBytes(leastCompressed)}, serviceJSONs...)
	}))
	g.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.RawQuery != "" {
			query, err := url.ParseQuery(q.URL.RawQuery)
			p := known(query)
			if err != nil {
				p = malformed.of("the query of the URL cannot be read: %v", err)
			}
			if p != nil {
				turnAway(w, q, p)
				return
			}
		}
		if q.URL.Path == rpc.EventsPublishStreamProcedure {
			g.rpcStream(service, w, q)
		} else {
			g.rpcOne(service, w, q)
		}
	})
	g.mux.HandleFunc("/", g.elsewhere)
}

// dropEmpty leaves out the name of a compression where it is empty, which it is in an answer to one that Connect does not know: clients of gRPC cannot read it.
func dropEmpty(headers http.Header) {
	for _, name := range []string{"Grpc-Encoding", "Connect-Content-Encoding"} {
		if v := headers[name]; len(v) > 0 && v[0] == "" {
			delete(headers, name)
		}
	}
}

// leastCompressed is the size from which an answer of the service is compressed, for clients that take that.
const leastCompressed = 1 << 10

// messageSlack is what a message of a stream may have beside its event's value: its key, headers and names.
const messageSlack = 256 << 10

// rpcStream serves a stream of the Protobuf service.
func (g *Gateway) rpcStream(service http.Handler, w http.ResponseWriter, q *http.Request) {
	control := http.NewResponseController(w)
	body := &patientBody{patient{r: q.Body, control: control, silence: g.Limits.Silence}, q.Body}
	body.stopping = g.stopping
	defer body.untilStopping()()
	_ = control.SetWriteDeadline(time.Time{}) // it may last; its results have deadlines
	held := g.newHeld()
	defer held.end()
	s := &rpcStream{in: &messages{ReadCloser: body, held: held, ctx: q.Context(), most: int64(g.Limits.Event + messageSlack)}, out: &heldWriter{ResponseWriter: w, control: control}}
	q = q.WithContext(context.WithValue(q.Context(), rpcStreamKey{}, s))
	q.Body = s.in // of a copy: by the server's own net/http knows whether the rest of it may be a request
	service.ServeHTTP(s.out, q)
}

// rpcOne serves a request of the Protobuf service that is no stream. Its body is read and counted here, as that of any request, and handed over when it is there.
func (g *Gateway) rpcOne(service http.Handler, w http.ResponseWriter, r *http.Request) {
	enveloped := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	q := r.WithContext(r.Context())
	if r.Header.Get("Content-Encoding") != "" {
		q = r.Clone(r.Context())
	}
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); {
	case enveloped:
		q.Header.Del("Content-Encoding") // each message says for itself whether it is compressed
	case encoding != "" && encoding != "identity" && encoding != "gzip":
		q.Body = http.NoBody
		service.ServeHTTP(w, q) // it says what it takes
		return
	}
	body, p := g.open(w, q, g.Limits.Body+int64(len(messages{}.head)))
	if p != nil {
		turnAway(w, r, p)
		return
	}
	counted := g.counted(body)
	defer counted.forget()
	data, err := readAll(counted, r.ContentLength)
	body.close()
	if err == nil && enveloped && len(data) > 0 && data[0]&1 != 0 { // it is decompressed by the service; publish gives back what it has not become
		more := min(g.Limits.Body, inflation*int64(len(data)))
		err = waitForRoom(g.deadlines.next(), g.Limits.Answer, func() error { return counted.more(more) })
		counted.inflated = more
	}
	if err != nil {
		turnAway(w, r, ofBody(err))
		return
	}
	q.Header.Del("Content-Encoding") // what is handed over has none
	q.Body, q.ContentLength = &handedOver{data}, int64(len(data))
	service.ServeHTTP(w, q.WithContext(context.WithValue(q.Context(), countedKey{}, counted)))
}

// handedOver is a body that is in memory, until it has been read.
type handedOver struct{ data []byte }

func (b *handedOver) Read(p []byte) (int, error) {
	n := copy(p, b.data)
	if b.data = b.data[n:]; len(b.data) == 0 {
		b.data = nil
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (b *handedOver) Close() error { return nil }

// elsewhere answers what is no resource, or has no such method.
func (g *Gateway) elsewhere(w http.ResponseWriter, r *http.Request) {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := g.mux.Handler(other); pattern != "/" && pattern != "" && method != r.Method {
			methods = append(methods, method)
		}
	}
	if len(methods) == 0 {
		noResource.of("%s is no resource of the gateway", r.URL.Path).write(w)
		return
	}
	slices.Sort(methods)
	w.Header().Set("Allow", strings.Join(methods, ", "))
	notAllowed.of("%s does not take %s", r.URL.Path, r.Method).write(w)
}
