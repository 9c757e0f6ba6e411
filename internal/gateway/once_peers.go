package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/httpserver"
	"github.com/weirstream/weir/internal/publish"
)

// The owner of the ids may live and not be asked all the same: its certificate is of an authority that this gateway does not know, or they have
// different tokens. To take its place would mend nothing. It would take it back with its next request, since it cannot ask this one either, and each of
// them would read the ids of a day for each event. So it keeps its place, such events are answered with 503 here, and log and health say what to mend.
//
// Whether the owner lives is asked of whoever answers at its URL, in a way that trusts nobody: the name of the process must be that in the topic of
// owners. Any other answer, that of a program which has the address now, say, leaves the place free to be taken. Who lies about the name has events
// refused, which whoever is between two gateways can do anyway.

// headerGateway is the name of the process that answers another gateway.
const headerGateway = "Weir-Gateway"

const (
	strangerWithin = 2 * time.Second
	// apartFor is how long the owner is not asked again.
	apartFor = time.Second
)

var errNoPeerToken = errors.New("gateways have no token by which they know each other")

// peerRefusal is an answer of another gateway that is no word.
type peerRefusal struct {
	url    string
	status int
	name   string
}

func (e *peerRefusal) Error() string {
	return fmt.Sprintf("%s answers %d %s", e.url, e.status, http.StatusText(e.status))
}

// stillOwner says why the owner does not take what it was asked to take, where it has said itself that it lives: it keeps its place, since it would refuse
// the same of anybody, and so would who comes after it. nil says that it owns the ids no more, or is not known to live.
func stillOwner(to ownership, err error) error {
	var refused *peerRefusal
	if !errors.As(err, &refused) || refused.name == "" || refused.name != to.Gateway {
		return nil
	}
	switch refused.status {
	case http.StatusConflict: // its word that it owns the ids no more
		return nil
	case http.StatusUnauthorized, http.StatusForbidden: // see apartFrom
		return nil
	case http.StatusTooManyRequests:
		return publish.ErrFull
	case http.StatusRequestEntityTooLarge:
		return errOwnerTooLarge
	}
	return errOwnerRefuses
}

var (
	errOwnerTooLarge = errors.New("the gateway that owns the ids does not take as much in a request as this one")
	errOwnerRefuses  = errors.New("the gateway that owns the ids refuses what this one hands to it; the log of this one says why")
)

// estrangedError says that the owner of the ids lives, and cannot be asked.
type estrangedError struct {
	url    string
	remedy string
	err    error
}

func (e *estrangedError) Error() string {
	return fmt.Sprintf("the gateway at %s owns the ids, and this one cannot hand events to it: %v", e.url, e.err)
}
func (e *estrangedError) Unwrap() error { return e.err }

// estrangement is what is known of an owner that cannot be asked. once.mu is held.
type estrangement struct {
	from   ownership
	err    *estrangedError
	until  time.Time
	logged time.Time
}

// standing is why an owner is not asked now, nil where it is.
func (e *estrangement) standing(to ownership) error {
	if e.err == nil || e.from != to || time.Now().After(e.until) {
		return nil
	}
	return e.err
}

// newPeers makes the client by which gateways ask each other. What it sends, the token too, is for them only: not for a proxy, and not for where
// an answer points to.
func newPeers(conf *tls.Config) *http.Client {
	if conf == nil {
		conf = &tls.Config{}
	}
	conf = conf.Clone()
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	return &http.Client{
		Timeout:       hopWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			TLSClientConfig:     conf,
			TLSHandshakeTimeout: 2 * time.Second,
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     90 * time.Second,
		},
	}
}

// newStranger makes the client that asks who is there. It sends nothing that others may not know, so it looks at no certificate.
func newStranger() *http.Client {
	c := newPeers(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // see above
	c.Timeout = strangerWithin
	return c
}

// apartFrom says why the owner, who could not be asked, keeps its place; nil where it may be taken.
func (o *once) apartFrom(ctx context.Context, to ownership, err error) error {
	remedy := ""
	var refused *peerRefusal
	switch {
	case err == nil || to.URL == "":
		return nil
	case errors.Is(err, errNoPeerToken):
		remedy = "give each gateway the same --peer-token-file"
	case errors.As(err, &refused) && (refused.status == http.StatusUnauthorized || refused.status == http.StatusForbidden):
		remedy = "give each gateway the same --peer-token-file; to replace a token, give each a file with both, a line each, before one sends the new one"
	case httpserver.Untrusted(err):
		remedy = "give each gateway --peer-ca-file with the authority of the others' --tls-cert, and an --advertised-url with a name that the certificate has"
	default:
		return nil
	}
	if name := o.whoIs(ctx, to.URL); name == "" || name != to.Gateway {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.apart.from != to || o.apart.err == nil {
		o.apart.logged = time.Time{}
	}
	o.apart.from, o.apart.err, o.apart.until = to, &estrangedError{to.URL, remedy, err}, now.Add(apartFor)
	if now.Sub(o.apart.logged) > auditEvery {
		o.apart.logged = now
		o.g.Log.Error("events of topics that take each id once are refused: the gateway that owns the ids lives, and cannot be asked",
			zap.String("url", to.URL), zap.Error(err), zap.String("do", remedy))
	}
	return o.apart.err
}

// whoIs asks for the name of the gateway at a URL, "" where none answers.
func (o *once) whoIs(ctx context.Context, url string) string {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s%s%d", strings.TrimSuffix(url, "/"), hopPath, idPartition), http.NoBody)
	if err != nil {
		return ""
	}
	r.Header.Set(headerHop, "who")
	res, err := o.stranger.Do(r)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	return res.Header.Get(headerGateway)
}

// estranged is what a person should mend between gateways, nil for nothing.
func (o *once) estranged() *estrangedError {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mine != nil || o.apart.err == nil || o.apart.from != o.known {
		return nil
	}
	return o.apart.err
}

// near notes that the owner can be asked.
func (o *once) near() {
	o.mu.Lock()
	o.apart.err = nil
	o.mu.Unlock()
}
