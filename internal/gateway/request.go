package gateway

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
)

// request is what a request says of all its events.
type request struct {
	client   *Client
	pass     *pass
	topic    *topic
	declared *declared.Event
	key      []byte
	id       string
	headers  []kafka.Header
	atomic   bool
	body     *counted // nil for none
	permit   *permit  // of a request that is no stream, once its body is read
}

// begin finds out who publishes where, and whether he may.
func (g *Gateway) begin(ctx context.Context, headers http.Header, topic string) (*request, *Problem) {
	q := &request{pass: passOf(ctx)}
	if q.pass == nil {
		return nil, unauthorized.of("the request has no credentials")
	}
	q.client = q.pass.client
	q.declared = g.declarations.Of(topic)
	// Not allowed comes before not there: who may not publish to a topic is not told whether it exists.
	if p := q.client.allow(topic, q.declared); p != nil {
		return nil, p
	}
	var p *Problem
	if q.topic, p = g.topics.get(topic); p != nil {
		return nil, p
	}
	q.headers = traceOf(headers)
	return q, nil
}

// terms are what a form lets the query and the headers of a request say of its events, beside the body. What it does not let them say is refused: to pass it
// over would be to write another event than was meant, or to write it once more.
type terms struct {
	params []string // of the query
	key    bool     // the header Weir-Key: its events have no place of their own for a key
}

var (
	ownTerms   = terms{params: []string{"key", "atomic"}, key: true}
	batchTerms = terms{params: []string{"atomic"}}
	noTerms    = terms{}
)

// beginEvents reads what our own form says in query and headers.
func (g *Gateway) beginEvents(r *http.Request) (*request, *Problem) {
	q, p := g.begin(r.Context(), r.Header, r.PathValue("topic"))
	if p == nil {
		p = q.read(r.URL.RawQuery, r.Header, ownTerms)
	}
	return q, p
}

// read reads what a request says of its events in its query and headers.
func (q *request) read(rawQuery string, headers http.Header, t terms) *Problem {
	query, err := url.ParseQuery(rawQuery)
	if err != nil { // what is left of it may lack the key
		return malformed.of("the query of the URL cannot be read: %v", err).todo("escape what is no letter or digit: %% as %%25, ; as %%3B")
	}
	if p := known(query, t.params...); p != nil {
		return p
	}
	key, id := headers["Weir-Key"], headers["Idempotency-Key"]
	if len(key) > 0 && !t.key {
		return malformed.of("the header Weir-Key is none of this form, in which each event has a key of its own").todo("give the key in the body")
	}
	for _, once := range [...]struct {
		name   string
		values []string
	}{{"parameter key", query["key"]}, {"parameter atomic", query["atomic"]}, {"header Weir-Key", key}, {"header Idempotency-Key", id}} {
		if len(once.values) > 1 {
			return malformed.of("the %s comes %d times", once.name, len(once.values)).todo("send it once")
		}
	}
	switch both := len(key) > 0; {
	case query.Has("key"):
		if both && key[0] != query.Get("key") {
			return malformed.of("the parameter key and the header Weir-Key are two keys").todo("send one of them")
		}
		q.key = []byte(query.Get("key"))
	case both:
		q.key = []byte(key[0])
	}
	if text := query.Get("atomic"); text != "" {
		if q.atomic, err = strconv.ParseBool(text); err != nil {
			return malformed.of("atomic=%q is neither true nor false", text)
		}
	}
	if len(id) > 0 {
		if q.id = id[0]; q.id == "" { // a repetition would be written again
			return malformed.of("the header Idempotency-Key is empty").todo("send the event's id, or leave the header out")
		}
	}
	switch {
	case !utf8.ValidString(q.id):
		return malformed.of("the header Idempotency-Key is not UTF-8")
	case !utf8.Valid(q.key):
		return malformed.of("the key is not UTF-8").todo("send a key of other bytes in base64: in Confluent's form v2 binary or v3 BINARY, or by the Protobuf service")
	}
	var own []kafka.Header
	for name, values := range headers {
		header, ok := strings.CutPrefix(name, "Weir-Header-")
		if !ok {
			continue
		}
		if header = strings.ToLower(header); header == "" || ours(header) {
			continue // forged, or a mistake: it is not believed
		}
		for _, v := range values {
			own = append(own, kafka.Header{Key: header, Value: []byte(v)})
		}
	}
	if len(own) == 0 {
		return nil
	}
	var p *Problem
	q.headers, p = merge(q.headers, own)
	slices.SortStableFunc(q.headers, func(a, b kafka.Header) int { return strings.Compare(a.Key, b.Key) })
	return p
}

// known refuses parameters that a resource does not have: one that is misspelt would be left out without a word.
func known(query url.Values, names ...string) *Problem {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if slices.Contains(names, name) {
			continue
		}
		return malformed.of("the query has a parameter %.100q, which this resource does not have", name).todo("leave it out, or mend its name: %s", thereAre(names))
	}
	return nil
}

func thereAre(names []string) string {
	switch len(names) {
	case 0:
		return "there is none here"
	case 1:
		return "there is " + names[0]
	}
	return "there are " + strings.Join(names, " and ")
}

// eventID is the id that a request gives to an event. n is its place in the request, -1 where it is the only one: events of one request have ids of their own.
func (q *request) eventID(n int) string {
	if q.id != "" && n >= 0 {
		return q.id + "/" + strconv.Itoa(n)
	}
	return q.id
}

// event makes an event of a JSON value. n is as of eventID.
func (q *request) event(value []byte, n int) *event {
	return &event{key: q.key, keyText: true, value: value, null: string(value) == "null", id: q.eventID(n), headers: q.headers, partition: -1}
}
