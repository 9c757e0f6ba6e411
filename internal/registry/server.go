package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema"
)

// Registry answers the API over a Log.
type Registry struct {
	log     *Log
	peers   *http.Client // to the server that writes
	apart   estrangement // from it
	logger  *zap.Logger
	parsed  parsed
	mux     *http.ServeMux
	metrics metrics
	bodies  bodies

	patience context.Context // of requests: what is not answered when it is over is answered with 503
	hurry    context.CancelCauseFunc

	// Within is the longest time that a change, or a look whether something is really not there, waits for the brokers, and that a
	// change waits for the server that writes.
	Within time.Duration
}

// DefaultWithin is longer than a broker takes that has a lot to do, and shorter than clients wait.
const DefaultWithin = 5 * time.Second

// New makes the API of a log. peers is how other servers of it are called.
func New(log *Log, peers *http.Client, logger *zap.Logger) *Registry {
	r := &Registry{log: log, peers: peers, logger: logger, mux: http.NewServeMux(), metrics: newMetrics(), Within: DefaultWithin, bodies: bodies{most: mostBodies}}
	r.patience, r.hurry = context.WithCancelCause(context.Background())
	r.parsed.parse = schema.Parse
	r.routes()
	return r
}

const (
	mediaType = "application/vnd.schemaregistry.v1+json"
	// maxBody bounds a request. A schema over 1 MB is not taken by Kafka's defaults either.
	maxBody = 8 << 20
	// writeWithin bounds a change with all that it waits for: another server, the claim, the record read back.
	writeWithin = 30 * time.Second
	// retryAfter is in how many seconds a change is best sent again that could not be made.
	retryAfter = "1"
)

// The headers between servers.
const (
	headerWriter = "X-Weir-Writer" // the producer that the request is meant for; who is not it does not answer
	headerOffset = "X-Weir-Offset" // of the record after the change
)

func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			r.logger.Error("a request failed by a defect", zap.String("path", q.URL.Path), zap.Any("panic", p), zap.Stack("stack"))
			reply(w, nil, refuse(500, "Internal Server Error"))
		}
	}()
	ctx, cancel := context.WithCancelCause(q.Context())
	defer cancel(nil)
	defer r.hurried(w, cancel)()
	q = q.WithContext(ctx)
	sent, ok := inflated(q)
	if !ok {
		reply(w, nil, refuse(http.StatusUnsupportedMediaType, "Content-Encoding %q is not taken: send gzip, or nothing", q.Header.Get("Content-Encoding")))
		return
	}
	body := r.bodies.count(http.MaxBytesReader(w, sent, maxBody))
	defer body.release()
	q.Body = body
	if q, ok = tidy(q); !ok {
		reply(w, nil, refuse(404, "HTTP 404 Not Found"))
		return
	}
	// Subjects have colons and slashes, escaped: what is between two slashes of the path as it was sent is one name. A context may
	// stand before it: /contexts/.ctx/subjects/name.
	r.counted(w, q, r.mux)
}

// errStopping is why a request ends that still waits when the server has to end.
var errStopping = errors.New("the registry is stopping")

// lastAnswers is how long before the end of a drain requests that still wait are answered with 503.
const lastAnswers = time.Second

// Drain has requests that still wait shortly before ctx ends, for the rest of their body or for the brokers, answered with 503: a client whose connection is
// closed instead does not know whether anything was changed. It does not wait for them.
func (r *Registry) Drain(ctx context.Context) {
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		time.AfterFunc(left-min(lastAnswers, left/2), func() { r.hurry(errStopping) })
	}
}

// hurried ends a request, with a body that is still coming, when patience is over. done must be called before the handler returns: over HTTP/2 the deadline of an
// answer that is over is a nil dereference in net/http, which ends the process.
func (r *Registry) hurried(w http.ResponseWriter, cancel context.CancelCauseFunc) (done func()) {
	over := make(chan struct{})
	stop := context.AfterFunc(r.patience, func() {
		defer close(over)
		cancel(errStopping)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
	})
	return func() {
		if !stop() {
			<-over
		}
	}
}

// tidy takes slashes from both ends of the path, which clients add whose URL of the registry ends with one. A name in it that is empty
// or "." or ".." is none: the mux would redirect to another resource.
func tidy(q *http.Request) (_ *http.Request, ok bool) {
	sent := q.URL.EscapedPath()
	wanted := "/" + strings.Trim(sent, "/")
	if path.Clean(wanted) != wanted {
		return q, false
	}
	if wanted == sent {
		return q, true
	}
	short := *q.URL
	short.RawPath = wanted
	var err error
	if short.Path, err = url.PathUnescape(wanted); err != nil {
		return q, false
	}
	q = q.Clone(q.Context())
	q.URL = &short
	return q, true
}

// reply writes an answer, or an error.
func reply(w http.ResponseWriter, body any, err error) {
	w.Header().Set("Content-Type", mediaType)
	if err != nil {
		refused := ofStore(err, false)
		if refused.passes {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(refused.status())
		body = refused
	}
	_, _ = w.Write(plain(body)) // the client has gone
}

// subject is the name in the path, with the context of the path.
func subjectIn(q *http.Request) string {
	context := q.PathValue("context")
	if context == "" {
		context = defaultContext
	}
	return qualify(strings.Trim(context, ":"), q.PathValue("subject"))
}

func flag(q *http.Request, name string) bool {
	yes, _ := strconv.ParseBool(q.URL.Query().Get(name))
	return yes
}

// unreadable is what is said of a body that could not be read.
func unreadable(err error) *Error {
	switch {
	case errors.Is(err, errCrowded):
		return passing(http.StatusServiceUnavailable, "%v", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return passing(http.StatusServiceUnavailable, "the rest of the body did not come in time")
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refuse(413, "the body is larger than %d bytes", large.Limit)
	}
	return badJSON(err)
}

// get answers a question without a body.
func (r *Registry) get(ask func(q *http.Request, v view) (any, error)) http.HandlerFunc {
	return r.answer(func(q *http.Request, _ []byte) (look, error) {
		return func(v view) (any, error) { return ask(q, v) }, nil
	})
}

// answer answers a question to the state. What is not there is looked for again when all is read that the topic holds: another server
// may have written it a moment ago.
func (r *Registry) answer(ask func(q *http.Request, body []byte) (look, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		sent, err := io.ReadAll(q.Body) // before the state is locked: a client may be slow
		if err != nil {
			reply(w, nil, unreadable(err))
			return
		}
		see, err := ask(q, sent)
		if err != nil {
			reply(w, nil, err)
			return
		}
		var body any
		study := r.newStudy()
		try := func() error {
			return study.settle(q.Context(), func() error {
				return r.log.read(func(s *state) (err error) {
					body, err = see(view{s, study})
					return err
				})
			})
		}
		err = try()
		var missing *Error
		if errors.As(err, &missing) && missing.status() == http.StatusNotFound {
			ctx, cancel := context.WithTimeout(q.Context(), r.Within)
			defer cancel()
			var halted *haltedError
			switch fresh := r.log.catchUp(ctx); {
			case fresh == nil:
				err = try()
			case errors.As(fresh, &halted) && missing.unset(): // a level or mode has a default
			default:
				err = fresh
			}
		}
		if text, ok := body.(rawText); ok && err == nil {
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, string(text))
			return
		}
		reply(w, body, err)
	}
}

// rawText is an answer that is not wrapped in JSON.
type rawText string

// change makes a change where the right to write is, here or at another server.
func (r *Registry) change(repeatable bool, ask func(q *http.Request, body []byte) (plan, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			reply(w, nil, unreadable(err))
			return
		}
		decide, err := ask(q, body)
		if err != nil {
			reply(w, nil, err)
			return
		}
		// A client that goes away does not end a change that is under way.
		ctx, cancel := context.WithTimeout(r.patience, writeWithin+2*r.Within)
		defer cancel()
		var answer any
		study := r.newStudy()
		within := r.Within
		here := func(seize bool) (end int64, err error) {
			err = study.settle(ctx, func() (err error) {
				ctx, cancel := context.WithTimeout(ctx, within)
				defer cancel()
				end, err = r.log.write(ctx, seize, func(s *state) (records []kafka.Outgoing, err error) {
					answer, records, err = decide(view{s, study})
					return records, err
				})
				return err
			})
			if err != nil && !errors.Is(err, errNotWriter) {
				err = ofStore(err, true)
			}
			return end, err
		}
		if meant := q.Header.Get(headerWriter); meant != "" {
			if sealed := q.Header.Get(headerBody); sealed != "" && sealed != hashOf(body) {
				reply(w, nil, refuse(http.StatusBadRequest, "the body is another one than the credentials were given for"))
				return
			}
			within = within * 4 / 5 // who asks is answered before it takes this server's place
			r.forOther(ctx, w, meant, here, &answer)
			return
		}
		for seize := false; ; {
			end, err := here(seize)
			if !errors.Is(err, errNotWriter) {
				w.Header().Set(headerOffset, fmt.Sprint(end))
				reply(w, answer, err)
				return
			}
			to, mine := r.log.owner()
			if to == nil || mine {
				seize = true
				continue
			}
			began := time.Now()
			done, away, err := r.forward(ctx, w, q, body, to)
			switch {
			case done:
				r.near()
				return
			case err != nil && r.apartFrom(ctx, to, err):
				reply(w, nil, forwardFailed(fmt.Errorf("%w. Nothing was changed: %s", err, peerRemedy)))
				return
			case err != nil && !repeatable && !away:
				// It may have been done, and would be refused now as done already. The next change is made here.
				soon, cancel := context.WithTimeout(ctx, r.Within)
				r.log.seize(soon)
				cancel()
				if !errors.As(err, new(*peerError)) { // which says it itself
					err = fmt.Errorf("%w. %s", err, unsure)
				}
				reply(w, nil, forwardFailed(err))
				return
			case ctx.Err() != nil:
				reply(w, nil, forwardFailed(fmt.Errorf("%w. %s", err, unsure)))
				return
			}
			if errors.As(err, new(*peerError)) { // it has waited for the brokers; this server has what is left of the time
				within = max(r.Within-time.Since(began), r.Within/5)
			}
			seize = err != nil // else it does not write any more: who does, the log says
			if !seize {
				soon, cancel := context.WithTimeout(ctx, r.Within)
				err := r.log.catchUp(soon)
				cancel()
				if err != nil {
					reply(w, nil, ofStore(err, true))
					return
				}
				if again, _ := r.log.owner(); again.producer() == to.producer() {
					seize = true
				}
			} else {
				r.unlike(ctx, to, err)
				r.logger.Warn("the server that writes makes no change; its place is taken", zap.String("url", to.URL), zap.Error(err))
			}
		}
	}
}

func name(p kafka.Producer) string { return fmt.Sprintf("%d/%d", p.ID, p.Epoch) }

// forOther makes a change for another server, if this is the one that is meant and can make any.
func (r *Registry) forOther(ctx context.Context, w http.ResponseWriter, meant string, here func(seize bool) (int64, error), answer *any) {
	to, mine := r.log.owner()
	if !mine || name(to.producer()) != meant || r.log.halted() {
		w.Header().Set(headerWriter, "no")
		reply(w, nil, unknownLeader())
		return
	}
	end, err := here(false)
	if errors.Is(err, errNotWriter) {
		w.Header().Set(headerWriter, "no")
		err = unknownLeader()
	}
	w.Header().Set(headerOffset, fmt.Sprint(end))
	reply(w, *answer, err)
}

// peerError is the answer of a server that writes and cannot make a change.
type peerError struct{ text string }

func (e *peerError) Error() string { return e.text }

// refusedError is the answer of who does not take a client's credentials.
type refusedError struct{ error }

// forward has the server that writes make a change, and passes its answer on when this server has read it too. Without done and
// error that server says that it does not write any more; with away and an error it has not got the change. Whatever answers without an
// offset is none of this registry's servers: a proxy, or a stranger who has got the address of one that is gone.
func (r *Registry) forward(ctx context.Context, w http.ResponseWriter, q *http.Request, body []byte, to *writer) (done, away bool, err error) {
	within, cancel := context.WithTimeout(ctx, r.Within)
	defer cancel()
	out, err := http.NewRequestWithContext(within, q.Method, strings.TrimSuffix(to.URL, "/")+q.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return false, true, err
	}
	for _, header := range []string{"Content-Type", "Accept"} {
		if v := q.Header.Get(header); v != "" {
			out.Header.Set(header, v)
		}
	}
	out.Header.Set(headerWriter, name(to.producer()))
	if credentials := q.Header.Get("Authorization"); credentials != "" {
		if err := seal(out, q.URL.RequestURI(), credentials, to.Key, body); err != nil {
			return false, true, err
		}
	}
	res, err := r.peers.Do(out)
	if err != nil {
		return false, notDialled(err), err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return false, false, err
	}
	if res.Header.Get(headerWriter) == "no" {
		return false, false, nil
	}
	end, err := strconv.ParseInt(res.Header.Get(headerOffset), 10, 64)
	switch {
	case err != nil: // something else has the address now, or stands before it: what answers 500 and more may have passed the change on
		err := fmt.Errorf("%s answers %s, and is no server of this registry", to.URL, res.Status)
		if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
			err = &refusedError{err}
		}
		return false, res.StatusCode < 500, err
	case res.StatusCode >= 500: // another server may be able to make it
		return false, false, &peerError{fmt.Sprintf("%s answers %s: %.400s", to.URL, res.Status, data)}
	}
	soon, cancel := context.WithTimeout(ctx, r.Within)
	defer cancel()
	if err := r.log.await(soon, end); err != nil {
		return false, false, err
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set(headerOffset, fmt.Sprint(end))
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(data)
	return true, false, nil
}
