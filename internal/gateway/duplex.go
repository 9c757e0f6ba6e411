package gateway

import (
	"io"
	"net/http"
	"time"
)

// What a stream leaves unread of its body when it ends early is read and thrown away, so far: a client that is still sending would see its
// connection reset, and perhaps not the answer.
const (
	leftoverWithin = time.Second
	leftoverBytes  = 16 << 20
)

// duplex is a stream: a request that is answered while its body is being read.
//
// On HTTP/1.1 net/http takes care of what is left of a body when it writes an answer's header, and in full duplex mode not at all. It then reads on after
// the handler, and if it does not find the end, or finds it only there, the connection cannot be used again: the rest of the body would be read as the
// next request. So an answer that begins before the end of the body was seen says that the connection ends with it.
type duplex struct {
	*http.ResponseController
	w    http.ResponseWriter
	r    *http.Request
	body *body
}

func newDuplex(w http.ResponseWriter, r *http.Request, b *body) *duplex {
	d := &duplex{http.NewResponseController(w), w, r, b}
	_ = d.EnableFullDuplex() // HTTP/2 always is
	return d
}

// begin prepares the answer's header, and must be called before it is written.
func (d *duplex) begin(form string) {
	d.w.Header().Set("Content-Type", form)
	if d.r.ProtoMajor == 1 && !d.body.sent.ended.Load() { // on HTTP/2 it would end the client's other requests too
		d.w.Header().Set("Connection", "close")
	}
}

// end is called when the answer is written.
func (d *duplex) end() {
	_ = d.SetReadDeadline(time.Now().Add(leftoverWithin))
	_, _ = io.CopyN(io.Discard, d.r.Body, leftoverBytes)
}
