package registry

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// A body is read whole before the state is looked at, and a client may be slow, or not end. What is being read, or waits, is bounded for
// all requests together; the first part of each body is free, so that who sends large ones keeps nobody from asking.

const (
	mostBodies = 64 << 20
	freeOfBody = 64 << 10
)

// bodies are those that requests have at present.
type bodies struct {
	most  int64
	bytes atomic.Int64
}

var errCrowded = errors.New("the bodies of other requests take as much memory as they may")

// counted is a body that is one of them until it is released.
type counted struct {
	io.ReadCloser
	all  *bodies
	read int64
	held int64
}

func (b *bodies) count(body io.ReadCloser) *counted { return &counted{ReadCloser: body, all: b} }

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read += int64(n)
	if more := c.read - freeOfBody - c.held; more > 0 {
		c.held += more
		if c.all.bytes.Add(more) > c.all.most {
			return n, errCrowded
		}
	}
	return n, err
}

func (c *counted) release() { c.all.bytes.Add(-c.held) }

// inflated is a body as it was before it was compressed; ok is whether it is compressed in a way that is understood.
func inflated(q *http.Request) (body io.ReadCloser, ok bool) {
	switch strings.ToLower(q.Header.Get("Content-Encoding")) {
	case "", "identity":
		return q.Body, true
	case "gzip", "x-gzip":
		return &unzipped{sent: q.Body}, true
	}
	return nil, false
}

// unzipped begins to read when it is read.
type unzipped struct {
	sent io.ReadCloser
	zip  *gzip.Reader
}

func (u *unzipped) Read(p []byte) (n int, err error) {
	if u.zip == nil {
		if u.zip, err = gzip.NewReader(u.sent); err != nil {
			return 0, err
		}
	}
	return u.zip.Read(p)
}

func (u *unzipped) Close() error { return u.sent.Close() }
