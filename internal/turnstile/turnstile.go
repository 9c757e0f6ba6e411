// Package turnstile lets a server answer requests before net/http reads them.
//
// To refuse a request costs net/http nearly as much as to serve it: of what a small request costs, parsing, contexts, goroutines and buffers are most. A
// server that has too much to do needs its processor for the requests that it has accepted. A turnstile looks at the bytes of a connection
// of HTTP/1.1 before net/http has them. Where a request begins with what it knows for certain to be its head, it may be answered there, and
// net/http hears nothing of it.
//
// It never guesses. On a connection on which it has lost count of where requests begin (bodies in chunks, heads in pieces, HTTP/2), net/http reads all
// that comes from then on.
package turnstile

import (
	"bytes"
	"net"
	"net/http"
	"time"
)

// Refuse answers a request, or lets it through with nil. It may wait, and is called for one request of a connection at a time. The answer is
// a whole one of HTTP/1.1 that leaves the connection open.
type Refuse func(*Head) []byte

// What a refused request may still send of its body, which is read and thrown away. A client with a longer one is refused by the handler, which ends
// the connection.
const mostSkipped = 64 << 10

// leastRead is what most small requests have room in.
const leastRead = 2 << 10

// Timeouts are those of the server.
type Timeouts struct{ Header, Answer, Idle time.Duration }

// Listen puts a turnstile before the connections of l. Of the http.Server, State is the ConnState.
func Listen(l net.Listener, refuse Refuse, t Timeouts, track func(net.Conn, http.ConnState)) (_ net.Listener, state func(net.Conn, http.ConnState)) {
	return &listener{l, refuse, t, track}, func(c net.Conn, s http.ConnState) {
		if s == http.StateIdle {
			c.(*conn).idle()
		}
		track(c, s)
	}
}

type listener struct {
	net.Listener
	refuse Refuse
	Timeouts
	track func(net.Conn, http.ConnState)
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, l: l}, nil
}

// conn counts the bytes of requests, so that it knows where the next one begins, and gives net/http the bytes of one at a time. net/http reads
// from one goroutine at a time, and none is reading when it says that a connection is idle.
type conn struct {
	net.Conn
	l     *listener
	lost  bool      // where requests begin
	under bool      // net/http has a request under way
	rest  int64     // what net/http has not read of the request under way; or what is to be skipped of a refused one
	ahead []byte    // what was read and is not given yet
	moved time.Time // when the deadlines were last moved
}

// idle is called when a request was answered. Over HTTP/2, where the count is lost, others are reading meanwhile.
func (c *conn) idle() {
	if !c.lost {
		c.under, c.lost = false, c.rest != 0
	}
}

func (c *conn) Read(b []byte) (int, error) {
	switch {
	case c.lost:
		return c.read(b)
	case !c.under:
		return c.begin(b)
	case c.rest > 0:
		n, err := c.read(b[:min(int64(len(b)), c.rest)])
		c.rest -= int64(n)
		return n, err
	case len(b) == 1:
		return 0, c.watch(b)
	}
	c.lost = true
	return c.read(b)
}

func (c *conn) read(b []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

// watch is how net/http waits, while it answers, for the end of the connection: by reading a byte. One that comes is the first of the next request. It
// is kept, and net/http gets nothing, which ends its waiting as a byte would.
func (c *conn) watch(b []byte) error {
	if len(c.ahead) > 0 {
		return nil
	}
	n, err := c.Conn.Read(b)
	c.ahead = append(c.ahead, b[:n]...)
	return err
}

// begin gives the beginning of the next request that is not refused.
func (c *conn) begin(b []byte) (int, error) {
	space := b
	if len(b) < leastRead { // of a new connection net/http first reads as much as tells it whether it is one of HTTP/2
		space = make([]byte, leastRead)
	}
	in := space[:0]
	for !c.under && !c.lost {
		n, err := c.read(space[copy(space, in):])
		in = c.judge(space[:len(in)+n])
		if err == nil {
			continue
		}
		if len(in) == 0 {
			return 0, err
		}
		c.lose()
	}
	n := len(in)
	if !c.lost {
		n = int(min(c.rest, int64(n)))
	}
	n = copy(b, in[:n])
	if len(in) > n {
		c.ahead = append(bytes.Clone(in[n:]), c.ahead...)
	}
	if !c.lost {
		c.rest -= int64(n)
	}
	return n, nil
}

// judge refuses the requests that are here, and returns what is for net/http, or too little to be judged.
func (c *conn) judge(in []byte) []byte {
	for {
		skipped := min(c.rest, int64(len(in)))
		c.rest -= skipped
		if in = in[skipped:]; len(in) < 2 {
			return in
		}
		h, size, ok := parse(in)
		if !ok {
			c.lose()
			return in
		}
		var answer []byte
		if whole := int64(size) + h.length; whole-int64(len(in)) <= mostSkipped {
			answer = c.l.refuse(&h)
		}
		c.rest = int64(size) + h.length
		if answer == nil {
			c.under = true
			c.hurry()
			return in
		}
		c.answer(answer)
	}
}

// lose leaves all that comes to net/http.
func (c *conn) lose() {
	c.lost = true
	c.hurry()
}

// answer writes an answer. One that cannot be written ends the connection, which the next Read says.
func (c *conn) answer(answer []byte) {
	c.l.track(c, http.StateActive) // it is not the one that has been idle for longest
	if now := time.Now(); now.Sub(c.moved) > time.Second {
		c.moved = now
		_ = c.SetReadDeadline(now.Add(c.l.Idle))
		_ = c.SetWriteDeadline(now.Add(c.l.Answer))
	}
	if n, err := c.Write(answer); err != nil || n < len(answer) {
		_ = c.Close()
	}
	c.l.track(c, http.StateIdle)
}

// hurry gives net/http the deadline that a head has, in place of the one that the connection got when it was refused something.
func (c *conn) hurry() {
	if !c.moved.IsZero() {
		c.moved = time.Time{}
		_ = c.SetReadDeadline(time.Now().Add(c.l.Header))
	}
}
