package gateway

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
	for _, name := range []string{headerTrace, headerState} {
		if v := headers.Get(name); v != "" && plain(v) {
			q.headers = append(q.headers, kafka.Header{Key: name, Value: []byte(v)})
		}
	}
	return q, nil
}

// plain says whether a text is printable ASCII, which trace context is: what is not is no trace of anybody's.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// beginEvents reads what our own form says in query and headers.
func (g *Gateway) beginEvents(r *http.Request) (*request, *Problem) {
	q, p := g.begin(r.Context(), r.Header, r.PathValue("topic"))
	if p != nil {
		return nil, p
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // what is left of it may lack the key
		return nil, malformed.of("the query of the URL cannot be read: %v", err).todo("escape what is no letter or digit: %% as %%25, ; as %%3B")
	}
	if p := known(query, "key", "atomic"); p != nil {
		return nil, p
	}
	for _, once := range [...]struct {
		name   string
		values []string
	}{{"parameter key", query["key"]}, {"parameter atomic", query["atomic"]}, {"header Weir-Key", r.Header["Weir-Key"]}, {"header Idempotency-Key", r.Header["Idempotency-Key"]}} {
		if len(once.values) > 1 {
			return nil, malformed.of("the %s comes %d times", once.name, len(once.values)).todo("send it once")
		}
	}
	switch header, both := r.Header["Weir-Key"]; {
	case query.Has("key"):
		if both && header[0] != query.Get("key") {
			return nil, malformed.of("the parameter key and the header Weir-Key are two keys").todo("send one of them")
		}
		q.key = []byte(query.Get("key"))
	case both:
		q.key = []byte(header[0])
	}
	if text := query.Get("atomic"); text != "" {
		atomic, err := strconv.ParseBool(text)
		if err != nil {
			return nil, malformed.of("atomic=%q is neither true nor false", text)
		}
		q.atomic = atomic
	}
	if q.id = r.Header.Get("Idempotency-Key"); q.id == "" && r.Header["Idempotency-Key"] != nil { // a repetition would be written again
		return nil, malformed.of("the header Idempotency-Key is empty").todo("send the event's id, or leave the header out")
	}
	for name, values := range r.Header {
		header, ok := strings.CutPrefix(name, "Weir-Header-")
		if !ok {
			continue
		}
		if header = strings.ToLower(header); header == "" || ours(header) {
			continue // forged, or a mistake: it is not believed
		}
		for _, v := range values {
			q.headers = append(q.headers, kafka.Header{Key: header, Value: []byte(v)})
		}
	}
	slices.SortStableFunc(q.headers, func(a, b kafka.Header) int { return strings.Compare(a.Key, b.Key) })
	return q, nil
}

// known refuses parameters that a resource does not have: one that is misspelt would be left out without a word.
func known(query url.Values, names ...string) *Problem {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if slices.Contains(names, name) {
			continue
		}
		return malformed.of("the query has a parameter %.100q, which this resource does not have", name).todo("leave it out, or mend its name: there are %s", strings.Join(names, " and "))
	}
	return nil
}

// event makes an event of a JSON value. n is its place in the request, -1 where it is the only one: events of one request have ids
// of their own.
func (q *request) event(value []byte, n int) *event {
	e := &event{key: q.key, keyText: true, value: value, null: string(value) == "null", id: q.id, headers: q.headers, partition: -1}
	if q.id != "" && n >= 0 {
		e.id = q.id + "/" + strconv.Itoa(n)
	}
	return e
}
