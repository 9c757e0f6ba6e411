package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstream/weir/internal/turnstile"
)

// Under an overload most requests are refused, so a refusal must cost little: it is decided before the client is known, by what the first lines of a
// request say. Where a turnstile is before the gateway, net/http does not even read it.

// crowded is the admission that refuses a request now, nil for none. form is its Content-Type.
func (g *Gateway) crowded(method, path, form string) *admission {
	topic, ok := strings.CutPrefix(path, "/topics/")
	if !ok || method != http.MethodPost {
		return nil
	}
	if topic, ok = strings.CutSuffix(topic, "/events"); !ok || isLines(form) { // a stream is slowed down, and an atomic one is asked later
		return nil
	}
	a := g.level(g.declarations.Of(topic))
	if !a.full(time.Now()) {
		return nil
	}
	return a
}

// isLines says whether a Content-Type is one of a stream, of which the parameters do not matter.
func isLines(form string) bool {
	form, _, _ = strings.Cut(form, ";")
	switch strings.ToLower(strings.TrimSpace(form)) {
	case ndjsonType, "application/jsonl", "application/jsonlines":
		return true
	}
	return false
}

// eventsRoute is the path of the API that refusals are counted under.
const eventsRoute = "/topics/{topic}/events"

// refusals counts and writes the refusals of an overload.
type refusals struct {
	count prometheus.Counter
	took  prometheus.Observer
	body  []byte
	whole atomic.Pointer[wholeRefusal]
}

// wholeRefusal is an answer as it goes over a connection, with the date of a second.
type wholeRefusal struct {
	second int64
	answer []byte
}

func newRefusals(m *metrics) *refusals {
	body, _ := json.Marshal(busy()) // a struct of texts
	return &refusals{count: m.requests.WithLabelValues(eventsRoute, strconv.Itoa(http.StatusTooManyRequests)), took: m.duration.WithLabelValues(eventsRoute), body: append(body, '\n')}
}

// answer is the whole answer to a request of HTTP/1.1.
func (r *refusals) answer(now time.Time) []byte {
	if a := r.whole.Load(); a != nil && a.second == now.Unix() {
		return a.answer
	}
	answer := fmt.Appendf(nil, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: %s\r\nRetry-After: %s\r\nDate: %s\r\nContent-Length: %d\r\n\r\n%s",
		problemType, busy().retrySeconds(), now.UTC().Format(http.TimeFormat), len(r.body), r.body)
	r.whole.Store(&wholeRefusal{now.Unix(), answer})
	return answer
}

// refused counts a refusal.
func (r *refusals) refused(took time.Duration) {
	r.count.Inc()
	r.took.Observe(took.Seconds())
}

// Refusal is how a turnstile refuses requests for the gateway: none while it drains, since such an answer says that the connection ends. With a log of
// requests, which names clients, there is none: those are known to the handler.
func (g *Gateway) Refusal() turnstile.Refuse {
	if g.Access != nil {
		return nil
	}
	return func(h *turnstile.Head) []byte {
		path, _, _ := bytes.Cut(h.Target, []byte{'?'})
		if bytes.IndexByte(path, '%') >= 0 || g.stopping.Err() != nil || h.Origin && g.cors != nil { // the handler tells a browser what its page may read
			return nil
		}
		a := g.crowded(string(h.Method), string(path), string(h.ContentType))
		if a == nil {
			return nil
		}
		began := time.Now()
		a.holdBack(g.stopping)
		now := time.Now()
		g.refusals.refused(now.Sub(began))
		g.audit.overloaded(now)
		return g.refusals.answer(now)
	}
}

// refuse refuses a request to the handler in an overload, and says whether it did.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request) bool {
	a := g.crowded(r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	if a == nil {
		return false
	}
	a.holdBack(g.stopping)
	busy().headers(w)
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Content-Length", strconv.Itoa(len(g.refusals.body)))
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write(g.refusals.body)
	r.Pattern = eventsRoute
	return true
}
