package gateway

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"golang.org/x/time/rate"
)

const (
	// issuerBurst is how many questions of one kind an issuer is asked at once, which is more than keys that change need; then one in
	// issuerAgain. Without that everybody who sends tokens of keys that nobody knows would have the gateway ask for each.
	issuerBurst = 5
	// issuerAnswer is how large an answer of an issuer may be.
	issuerAnswer = 1 << 20
)

// sparing asks an issuer no oftener than is needed: what is asked again sooner has the answer of the last time.
type sparing struct {
	next http.RoundTripper

	mu    sync.Mutex
	known map[string]*issuerSaid // by URL; there are two
}

// issuerSaid is how the last question went.
type issuerSaid struct {
	limit *rate.Limiter
	mu    sync.Mutex // held while the issuer is asked, and so for as long as the client's timeout at most
	res   *http.Response
	body  []byte
	err   error
}

func (s *sparing) RoundTrip(q *http.Request) (*http.Response, error) {
	s.mu.Lock()
	a := s.known[q.URL.String()]
	if a == nil {
		a = &issuerSaid{limit: rate.NewLimiter(rate.Every(issuerAgain), issuerBurst)}
		s.known[q.URL.String()] = a
	}
	s.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit.Allow() {
		a.res, a.body, a.err = s.ask(q)
	}
	if a.err != nil {
		return nil, a.err
	}
	res := *a.res
	res.Request, res.Header = q, a.res.Header.Clone()
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(a.body)), int64(len(a.body))
	return &res, nil
}

func (s *sparing) ask(q *http.Request) (*http.Response, []byte, error) {
	res, err := s.next.RoundTrip(q)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, issuerAnswer))
	return res, usableKeys(body), err
}
