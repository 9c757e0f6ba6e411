package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawConn sends requests and reads their answers, which a broker gives in the order of the requests. Requests may be
// sent while others are unanswered; how many is the caller's business.
//
// A connection on which anything fails is of no use any more: a lost answer, one out of order, or one that comes too
// late would be taken for another's. So it is dropped, and every request under way on it fails.
type rawConn struct {
	link     *link
	conn     *cutConn
	in       *bufio.Reader // of conn, for read
	versions map[int16]versionRange
	features map[string]int16 // of the cluster, finalized (KIP-584): "transaction.version": 2, ...
	format   *kmsg.RequestFormatter
	expires  time.Time // when to replace it, before its SASL session ends; zero for never

	over chan struct{} // closed when read has returned
	idle chan struct{} // closed when retired and nothing is under way

	writing sync.Mutex // held while a request is written, so that requests are queued in the order they are written
	buf     []byte     // of requests, under writing

	mu      sync.Mutex
	next    int32     // correlation id
	pending []rawCall // in the order they were sent
	retired bool
	err     error // why the connection is of no use any more
}

// rawCall is a request that waits for its answer.
type rawCall struct {
	id       int32
	req      kmsg.Request
	deadline time.Time
	answered func(kmsg.Response, error)
}

func newRawConn(k *link, conn *cutConn, lifetime time.Duration) *rawConn {
	r := &rawConn{
		link:   k,
		conn:   conn,
		in:     bufio.NewReaderSize(conn, inBuffer),
		format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(k.links.client.cfg.ClientID)),
		over:   make(chan struct{}),
		idle:   make(chan struct{}),
	}
	if lifetime > 0 {
		// As Java's client does it: spread, so that connections made together are not replaced together.
		r.expires = time.Now().Add(time.Duration(float64(lifetime) * (0.85 + 0.1*rand.Float64())))
	}
	return r
}

// due says whether it is time to replace the connection.
func (r *rawConn) due(now time.Time) bool { return !r.expires.IsZero() && now.After(r.expires) }

// do sends a request, whose version is set, and waits for its answer. When ctx ends before the answer has come, the
// connection is dropped.
func (r *rawConn) do(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	type answer struct {
		res kmsg.Response
		err error
	}
	answers := make(chan answer, 1)
	deadline := time.Now().Add(r.link.links.client.cfg.RequestTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := r.send(req, deadline, func(res kmsg.Response, err error) { answers <- answer{res, err} }); err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		if a.err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return a.res, a.err
	case <-ctx.Done():
		r.fail(context.Cause(ctx))
		return nil, context.Cause(ctx)
	}
}

// send sends a request, whose version is set, and returns. answered is called exactly once unless send returns an error:
// with the answer or with the reason why none will come. It is called in the order of the requests, from the
// goroutine that reads the connection, and must not block.
//
// A request without an answer by its deadline costs the connection. An error other than errRetired has done so already.
// The answer's slices may be kept: they are part of the answer's own buffer, batches of records of one of theirs.
func (r *rawConn) send(req kmsg.Request, deadline time.Time, answered func(kmsg.Response, error)) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	if r.err != nil || r.retired {
		defer r.mu.Unlock()
		if r.err != nil {
			return r.err
		}
		return errRetired
	}
	id := r.next
	r.next++
	r.pending = append(r.pending, rawCall{id, req, deadline, answered})
	if len(r.pending) == 1 {
		_ = r.conn.SetReadDeadline(deadline)
	}
	r.mu.Unlock()

	r.buf = r.format.AppendRequest(r.buf[:0], req, id)
	_ = r.conn.SetWriteDeadline(deadline)
	if _, err := r.conn.Write(r.buf); err != nil {
		r.fail(err) // answered is called by read
	}
	if cap(r.buf) > keptBuffer {
		r.buf = nil
	}
	return nil
}

// retire makes every later request fail with errRetired, and closes idle after the last answer.
func (r *rawConn) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.retired {
		r.retired = true
		if len(r.pending) == 0 {
			close(r.idle)
		}
	}
}

// fail notes why the connection is of no use and drops it; read deals with the requests under way.
func (r *rawConn) fail(err error) {
	r.mu.Lock()
	if r.err == nil {
		if r.err = err; r.link.links.ctx.Err() != nil {
			r.err = errClosed
		}
	}
	r.mu.Unlock()
	r.link.links.drop(r.link)
}

// read gives every request its answer until the connection ends.
func (r *rawConn) read() {
	defer close(r.over)
	for {
		err := r.readOne()
		if err == nil {
			continue
		}
		r.fail(err)
		r.mu.Lock()
		pending := r.pending
		r.pending = nil
		err = r.err
		r.mu.Unlock()
		for _, p := range pending {
			p.answered(nil, err)
		}
		return
	}
}

func (r *rawConn) readOne() error {
	size, err := r.readSize()
	if err != nil {
		return err
	}
	r.mu.Lock()
	if len(r.pending) == 0 {
		r.mu.Unlock()
		return errors.New("the broker sent an answer that nobody asked for")
	}
	p := r.pending[0]
	r.mu.Unlock()
	if most := int64(r.link.links.client.cfg.Fetch.MaxAnswer); size < 4 || size > most {
		return r.outsized(&p, &answerSizeError{size: size, most: most})
	}
	res, wrong, err := r.readAnswer(&p, size)
	if err != nil {
		return err
	}

	r.mu.Lock()
	r.pending = r.pending[1:]
	var deadline time.Time
	if len(r.pending) > 0 {
		deadline = r.pending[0].deadline
	}
	_ = r.conn.SetReadDeadline(deadline)
	if r.retired && len(r.pending) == 0 {
		close(r.idle)
	}
	r.mu.Unlock()
	if wrong != nil {
		p.answered(nil, wrong)
		return wrong
	}
	p.answered(res, nil)
	return nil
}

// readAnswer reads an answer of a size. wrong says that it came and makes no sense.
func (r *rawConn) readAnswer(p *rawCall, size int64) (res kmsg.Response, wrong, err error) {
	var fetched *fetchAnswer
	var body []byte
	if p.req.Key() == int16(kmsg.Fetch) {
		fetched = &fetchAnswer{in: r.in, left: size, version: p.req.GetVersion()}
		err = r.reason(fetched.read())
		body = fetched.rest
	} else {
		body, err = r.readBody(size)
	}
	if err != nil {
		return nil, nil, err
	}
	if body, err = p.unwrap(body); err != nil {
		return nil, nil, err
	}
	res = p.req.ResponseKind()
	if p.req.Key() == int16(kmsg.ApiVersions) && len(body) >= 2 && sarama.KError(binary.BigEndian.Uint16(body)) == sarama.ErrUnsupportedVersion {
		res.SetVersion(0) // so says a broker that is too old for the version asked in (KIP-511)
	}
	if err := res.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("decode the answer to %s: %w", kmsg.NameForKey(p.req.Key()), err), nil
	}
	if fetched != nil {
		fetched.into(res.(*kmsg.FetchResponse))
	}
	return res, nil, nil
}

// readSize reads the size that an answer begins with.
func (r *rawConn) readSize() (int64, error) {
	var header [4]byte
	if _, err := io.ReadFull(r.in, header[:]); err != nil {
		return 0, r.reason(err)
	}
	return int64(int32(binary.BigEndian.Uint32(header[:]))), nil
}

// readBody reads an answer of a size.
func (r *rawConn) readBody(size int64) ([]byte, error) {
	body, err := readGrowing(r.in, size)
	return body, r.reason(err)
}

// unwrap returns what follows the header of an answer, which must be to this request.
func (p *rawCall) unwrap(body []byte) ([]byte, error) {
	if id := int32(binary.BigEndian.Uint32(body)); id != p.id {
		return nil, fmt.Errorf("the broker answered request %d when the answer to request %d was due", id, p.id)
	}
	// The answer to ApiVersions has the old header in every version, since it is read before versions are known.
	if p.req.IsFlexible() && p.req.Key() != int16(kmsg.ApiVersions) {
		return skipTags(body[4:])
	}
	return body[4:], nil
}

// outsized reads no more of an answer than its beginning, and that only of one to a Fetch: it says which batch it is that
// makes the answer so large.
func (r *rawConn) outsized(p *rawCall, e *answerSizeError) error {
	if _, ok := p.req.(*kmsg.FetchRequest); !ok || e.size < 4 {
		return e
	}
	head, err := r.readBody(min(e.size, headBytes))
	if err != nil {
		return err
	}
	if e.head, err = p.unwrap(head); err != nil {
		return err
	}
	return e
}

// reason is err in the words of a request.
func (r *rawConn) reason(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errNoAnswer
	case errors.Is(err, io.ErrUnexpectedEOF):
		return io.EOF
	}
	return err
}

// keptBuffer is how large a buffer of requests may be that is kept: a full request of the sink and what is around its batches,
// and what append grows beyond that.
const keptBuffer = 2 * fullRequest

// inBuffer is how much is read from a connection at once: the head of an answer, or a small one whole. The rest of a large one
// goes to its own memory, past the buffer.
const inBuffer = 4 << 10

// headBytes is how much is read of an answer that is too large. The header of the batch lies within, unless thousands of
// aborted transactions were open there.
const headBytes = 64 << 10

// answerSizeError says that an answer is larger than max.answer.bytes, or no answer at all.
type answerSizeError struct {
	size, most int64
	head       []byte // what the answer to a Fetch begins with
}

func (e *answerSizeError) Error() string {
	return fmt.Sprintf("the broker announced an answer of %d bytes, which is not within 4 and %d (max.answer.bytes)", e.size, e.most)
}

// skipTags passes over the tagged fields of a header (KIP-482).
func skipTags(b []byte) ([]byte, error) {
	errCut := errors.New("an answer's header is cut off")
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return nil, errCut
	}
	for b = b[size:]; n > 0; n-- {
		_, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, errCut
		}
		b = b[size:]
		length, size := binary.Uvarint(b)
		if size <= 0 || length > uint64(len(b)-size) {
			return nil, errCut
		}
		b = b[size+int(length):]
	}
	return b, nil
}
