package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// body is a request's body, decompressed and bounded.
type body struct {
	io.Reader
	close func()
	sent  *patient // what is below it
	held  *held    // of a stream
	inner *counted // what decompresses another one
}

// most decompressed bytes a stream may have for each that was sent, beside a first few: a bomb has thousands.
const (
	expansion      = 200
	expansionSlack = 1 << 20
)

// open gives the body of a request. limit bounds it after decompression, 0 for a stream, which is bounded by what was sent. A client that
// is silent for too long ends it.
func (g *Gateway) open(w http.ResponseWriter, r *http.Request, limit int64) (*body, *Problem) {
	if limit > 0 && r.ContentLength > limit {
		return nil, tooLarge.of("the body has %d bytes, %d are allowed", r.ContentLength, limit)
	}
	sent := &patient{r: r.Body, control: http.NewResponseController(w), silence: g.Limits.Silence}
	b := &body{Reader: sent, sent: sent}
	if sent.stopping = g.patience; limit == 0 {
		sent.stopping = g.stopping
		b.held = g.newHeld()
	}
	awake := sent.untilStopping()
	b.close = func() {
		awake()
		if b.inner != nil {
			b.inner.forget()
		}
		if b.held != nil {
			b.held.end()
		}
	}
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		err := b.takes(g, gzipBytes)
		var z *gzip.Reader
		if err == nil {
			z, err = gzip.NewReader(sent)
		}
		if err != nil {
			b.close()
			return nil, ofBody(err)
		}
		b.Reader = &tamed{r: z, sent: sent}
	case "zstd":
		head := bufio.NewReaderSize(sent, smallRead)
		window := windowOf(head, b.leastWindow())
		err := b.takes(g, window+gzipBytes)
		var z *zstd.Decoder
		if err == nil {
			z, err = zstd.NewReader(head, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(uint64(window)), zstd.WithDecoderLowmem(true))
		}
		if err != nil {
			b.close()
			return nil, ofBody(err)
		}
		done := b.close
		b.Reader, b.close = &tamed{r: z, sent: sent}, func() { z.Close(); done() }
	default:
		b.close()
		return nil, mediaType.of("Content-Encoding %q is not taken", encoding)
	}
	if limit > 0 {
		b.Reader = &bounded{r: b.Reader, left: limit, limit: limit}
	}
	return b, nil
}

// takes counts what decompresses the body, for as long as it is open.
func (b *body) takes(g *Gateway, n int64) error {
	if b.held != nil {
		return b.held.more(n)
	}
	b.inner = g.counted(nil)
	return b.inner.more(n)
}

// Of zstd a client chooses how much of what it has decompressed the decompressor keeps, up to mostWindow. What the first frame says holds for all of a body,
// but that others may have a little more: who compresses each event apart has as many windows as events.
const (
	mostWindow  = 8 << 20
	smallWindow = 256 << 10
)

// leastWindow is that of a stream, which may have frames of other sizes, or of another body.
func (b *body) leastWindow() int64 {
	if b.held != nil {
		return mostWindow / 8
	}
	return smallWindow
}

// windowOf is how much a decompressor will keep.
func windowOf(r *bufio.Reader, least int64) int64 {
	start, _ := r.Peek(zstd.HeaderMaxSize)
	var h zstd.Header
	if h.Decode(start) != nil || h.Skippable {
		return mostWindow
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	return max(least, int64(min(window, mostWindow)))
}

// patient reads what a client sends, as long as it does not stop sending.
type patient struct {
	r       io.Reader
	control *http.ResponseController
	silence time.Duration
	until   time.Time
	n       int64
	ended   atomic.Bool // its end was read

	stopping context.Context // when it is over nothing more is read
	hurried  sync.WaitGroup  // what ends a Read then
}

var errStopping = errors.New("the gateway is stopping")

// untilStopping lets a Read of a stream end that waits while the gateway stops. done must be called, before the handler returns: over HTTP/2 the deadline of an
// answer that is over is a nil dereference in net/http, which ends the process.
func (p *patient) untilStopping() (done func()) {
	p.hurried.Add(1)
	stop := context.AfterFunc(p.stopping, func() {
		defer p.hurried.Done()
		_ = p.control.SetReadDeadline(time.Now())
	})
	return func() {
		if stop() {
			p.hurried.Done()
		}
		p.hurried.Wait()
	}
}

func (p *patient) Read(b []byte) (int, error) {
	// The deadline is a system call, so it is moved once a second at most.
	if now := time.Now(); now.Add(p.silence).Sub(p.until) > time.Second {
		p.until = now.Add(p.silence)
		_ = p.control.SetReadDeadline(p.until) // a test's recorder has none
	}
	if p.stopping != nil && p.stopping.Err() != nil { // asked after the deadline was moved, which untilStopping may have done before
		return 0, errStopping
	}
	n, err := p.r.Read(b)
	p.n += int64(n)
	if err == io.EOF {
		p.ended.Store(true)
	}
	if err != nil && p.stopping != nil && p.stopping.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errStopping
	}
	return n, err
}

// patientBody is a patient that is a body of the Protobuf service, whose errors are the service's.
type patientBody struct {
	patient
	io.Closer
}

func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.patient.Read(p)
	if errors.Is(err, errStopping) {
		err = rpcError(ofBody(err))
	}
	return n, err
}

// tamed refuses a body that decompresses to very much more than was sent.
type tamed struct {
	r    io.Reader
	sent *patient
	n    int64
}

var errBomb = errors.New("the body is compressed more than 200 times")

func (t *tamed) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	if t.n += int64(n); t.n > expansionSlack+expansion*t.sent.n {
		return 0, errBomb
	}
	return n, err
}

// bounded refuses a body that is too long.
type bounded struct {
	r           io.Reader
	left, limit int64
}

type longError struct{ limit int64 }

func (e *longError) Error() string { return "the body is too long" }

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &longError{b.limit}
	}
	return n, err
}

// single refuses a body that is longer than one event may be, unless it is an array: without that, who sends much for one event has it read, and
// decompressed, to the bound that a thousand events have.
type single struct {
	r      io.Reader
	most   int64
	arrays bool // are taken
	begun  bool
	n      int64
}

// singleSlack is what may stand around an event: space, and of a CloudEvent its attributes.
const singleSlack = 64 << 10

func (s *single) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if text := bytes.TrimLeft(b[:n], " \t\r\n"); !s.begun && len(text) > 0 {
		s.begun = true
		if s.arrays && text[0] == '[' {
			s.most = math.MaxInt64
		}
	}
	if s.n += int64(n); s.n > s.most {
		return 0, &longError{s.most}
	}
	return n, err
}

// counted counts what it reads of a body among those that are in memory, until it is to forget it.
type counted struct {
	r    io.Reader
	all  *atomic.Int64
	most int64
	n    int64
	read int64 // of n: the body itself

	inflated int64 // of n: what it may become when it is decompressed
}

var errManyBodies = errors.New("as many bytes are being received as may be")

// counted counts a body that is read into memory. All of them together have a bound, since many requests may be read at once.
func (g *Gateway) counted(r io.Reader) *counted {
	return &counted{r: r, all: &g.bodies, most: 2 * g.Limits.Waiting}
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	c.read += int64(n)
	if c.all.Add(int64(n)) > c.most {
		return 0, errManyBodies
	}
	return n, err
}

func (c *counted) forget() { c.all.Add(-c.n); c.n, c.read = 0, 0 }

// more counts what a body takes beside its bytes, where there is room.
func (c *counted) more(n int64) error {
	if c == nil {
		return nil
	}
	if c.all.Add(n) > c.most {
		c.all.Add(-n)
		return errManyBodies
	}
	c.n += n
	return nil
}

// room is more for what a problem says.
func (c *counted) room(n int64) bool { return c.more(n) == nil }

// answering gives back what the body takes itself: from now on it is answered, which takes what was counted besides.
func (c *counted) answering() {
	if c != nil {
		c.less(c.read)
		c.read = 0
	}
}

// less gives back a part.
func (c *counted) less(n int64) {
	c.all.Add(-n)
	c.n -= n
}

// ofBody is the problem of a body that could not be read.
func ofBody(err error) *Problem {
	var long *longError
	switch {
	case errors.As(err, &long):
		return tooLarge.of("the body has more than %d bytes", long.limit)
	case errors.Is(err, errManyBodies):
		return overloaded.of("%v", err)
	case errors.Is(err, errStopping):
		return notWritten.of("%v; events of the request that have no answer were not taken", err)
	case errors.Is(err, errBomb):
		return tooLarge.of("%v", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return slow.of("the rest of the body did not come in time")
	}
	return malformed.of("the body cannot be read: %v", err)
}
