package gateway

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// answered is the answer to a request. It notes what it was answered with, and lets out an answer that comes before the end of the request's body.
type answered struct {
	http.ResponseWriter
	r         *http.Request
	body      watchedBody
	streaming bool // it answers while its body is read
	began     time.Time
	status    int
	bytes     int64
	noted     atomic.Pointer[Problem] // why it was refused, where that is known
}

// watchedBody is a request's body that knows whether its end was read.
type watchedBody struct {
	io.ReadCloser
	begun, ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.begun = true
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

func newAnswered(w http.ResponseWriter, r *http.Request) *answered {
	return &answered{ResponseWriter: w, r: r, body: watchedBody{ReadCloser: r.Body}, began: time.Now()}
}

// refused notes why a request is refused.
func (w *answered) refused(p *Problem) { w.noted.Store(p) }

func (w *answered) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		w.leaveBody()
		if strings.HasPrefix(w.r.URL.Path, rpcPath) {
			dropEmpty(w.Header())
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answered) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// What is left of the body of a request that is refused. What is there already is read, so that the connection goes on; a client that is still
// sending has the answer first, and then a moment to read it: a connection that is closed with bytes unread is reset.
const (
	restWithin = 50 * time.Millisecond
	restBytes  = 256 << 10
)

// leaveBody is called before an answer. Without it net/http waits for the rest of a short body, or one of unknown length, before it sends
// anything: a client that holds its body open would hear of a refusal when it is cut for its silence.
func (w *answered) leaveBody() {
	if w.r.ProtoMajor != 1 || w.streaming || w.r.ContentLength == 0 || w.body.ended {
		return
	}
	control := http.NewResponseController(w.ResponseWriter)
	if w.body.begun || !strings.EqualFold(w.r.Header.Get("Expect"), "100-continue") { // else it has sent nothing, and to read is to ask for it
		_ = control.SetReadDeadline(time.Now().Add(restWithin))
		if _, err := io.CopyN(io.Discard, &w.body, restBytes); err == io.EOF {
			return
		}
	}
	w.Header().Set("Connection", "close")
	_ = control.SetReadDeadline(time.Now().Add(leftoverWithin))
}

// EnableFullDuplex is how a stream says through http.ResponseController that it is one.
func (w *answered) EnableFullDuplex() error {
	w.streaming = true
	return http.NewResponseController(w.ResponseWriter).EnableFullDuplex()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answered) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher, which some handlers ask for.
func (w *answered) Flush() {
	if w.status == 0 { // which sends the headers too
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}
