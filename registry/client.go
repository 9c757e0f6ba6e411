package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

// Config is where a registry is and how it is asked. Only URLs must be given.
type Config struct {
	// URLs are those of the registry's servers, as http://registry:8081. They are asked in this order: the next one where one cannot be
	// reached, does not answer in time, has an error of its own (5xx), does not have the path, or what answers is no registry. A change that cannot be made twice,
	// such as a deletion, is sent to the next one only where it did not leave for the one before. A URL may have a user and a password.
	URLs []string
	// User and Password are for basic auth.
	User, Password string
	// Token is a bearer token. Give this or a user, not both.
	Token string
	// TLS is how servers with https are met; nil is the system's certificates.
	TLS *tls.Config
	// Context is the registry's context in which all names and ids are, as ".billing". Default: the default one.
	Context string
	// Timeout is how long the answer of one server to a request may take. Default: 10 s.
	Timeout time.Duration
	// CacheSize is how many schemas are kept: the least recently used ones go first. As many failures are kept apart, and push no
	// schema out. Default: 1000.
	CacheSize int
	// NotFoundFor is how long it is remembered that an id is not there, or that the registry could not be asked for it: so long it is
	// answered without asking again. Default: 1 s. Negative: nothing is remembered.
	NotFoundFor time.Duration
}

const (
	defaultTimeout   = 10 * time.Second
	defaultCacheSize = 1000
	defaultNotFound  = time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 32 << 20
)

// Client asks one registry. It may be used from several goroutines.
type Client struct {
	servers   []*sr.Client // one a URL
	context   string       // "" is the default one
	transport *http.Transport
	timeout   time.Duration
	schemas   *fetches
	closed    context.Context
	close     context.CancelFunc
}

// New makes a client. It asks nothing yet; its error is about the Config.
func New(c Config) (*Client, error) {
	if len(c.URLs) == 0 {
		return nil, errors.New("give the URL of the schema registry, as http://localhost:8081")
	}
	urls := make([]string, len(c.URLs))
	for i, given := range c.URLs {
		u, err := url.Parse(given)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			// The error of url.Parse has the whole URL, which may have a password.
			return nil, fmt.Errorf("URL %d of the schema registry does not begin with http:// or https://", i+1)
		}
		if u.User != nil && c.User == "" {
			c.User = u.User.Username()
			c.Password, _ = u.User.Password()
		}
		if strings.Contains(u.Host, ",") {
			return nil, fmt.Errorf("URL %d of the schema registry has a comma in its host: give each URL by itself", i+1)
		}
		u.User, u.RawQuery, u.Fragment = nil, "", ""
		urls[i] = strings.TrimRight(u.String(), "/")
	}
	if c.Token != "" && c.User != "" {
		return nil, errors.New("give the schema registry a token or a user and a password, not both")
	}
	if c.Timeout < 0 || c.CacheSize < 0 {
		return nil, errors.New("a Timeout and a CacheSize of the schema registry are not negative")
	}
	timeout := cmp.Or(c.Timeout, defaultTimeout)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = c.TLS.Clone() // of nil it is nil
	transport.MaxResponseHeaderBytes = 64 << 10
	opts := []sr.ClientOpt{
		sr.UserAgent("weir"), sr.LogLevel(sr.LogLevelNone),
		sr.HTTPClient(&http.Client{Timeout: timeout, Transport: bounded{transport}}),
	}
	if c.User != "" {
		opts = append(opts, sr.BasicAuth(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, sr.BearerToken(c.Token))
	}
	within := strings.Trim(c.Context, ":")
	if within == "." {
		within = ""
	}
	if within != "" {
		if !strings.HasPrefix(within, ".") { // it would be a part of each name
			return nil, fmt.Errorf("the context %q does not begin with a dot: .%s", within, within)
		}
		opts = append(opts, sr.DefaultSchemaContext(within))
	}
	servers := make([]*sr.Client, len(urls))
	for i, u := range urls {
		var err error
		if servers[i], err = sr.NewClient(append(slices.Clone(opts), sr.URLs(u))...); err != nil {
			return nil, err
		}
	}
	notFound := cmp.Or(c.NotFoundFor, defaultNotFound)
	cl := &Client{servers: servers, transport: transport, timeout: timeout, schemas: newFetches(cmp.Or(c.CacheSize, defaultCacheSize), max(notFound, 0))}
	cl.context = within
	cl.closed, cl.close = context.WithCancel(context.Background())
	return cl, nil
}

// Close ends what is still asked for and frees the connections. What is asked for afterwards is [ErrAway].
func (c *Client) Close() {
	c.close()
	c.schemas.wait()
	c.transport.CloseIdleConnections()
}

// bounded ends an answer that is too large.
type bounded struct{ *http.Transport }

func (b bounded) RoundTrip(q *http.Request) (*http.Response, error) {
	res, err := b.Transport.RoundTrip(q)
	if err == nil {
		res.Body = &boundedBody{res.Body, maxAnswer}
	}
	return res, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// ask makes one request, of one server after the other until one knows. The segments of the path are escaped.
func (c *Client) ask(ctx context.Context, op, method string, path []string, params url.Values, body, into any) error {
	if err := c.closed.Err(); err != nil {
		return away(op, errors.New("the client is closed"))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closed, cancel)()
	var at strings.Builder
	for _, segment := range path {
		if segment == "" || segment == "." || segment == ".." {
			return &Error{Op: op, Err: fmt.Errorf("%q is no name", segment), kind: ErrRefused}
		}
		at.WriteByte('/')
		at.WriteString(url.PathEscape(segment))
	}
	if params != nil {
		ctx = sr.WithParams(ctx, sr.RawParams(params))
	}
	if into == nil {
		into = new(json.RawMessage) // what is no JSON comes from no registry
	}
	var first error
	for _, server := range c.servers {
		var left atomic.Bool // the request may have reached the server
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { left.Store(true) }})
		failure := server.Do(traced, method, at.String(), body, into)
		if failure == nil {
			failure = strange(into)
		}
		err := judge(op, failure)
		if failure == nil || !unanswered(failure) {
			return err
		}
		if e, ok := first.(*Error); !ok || e.Code == 0 { // what a registry says of itself says more than that another is not there
			first = err
		}
		if ctx.Err() != nil || left.Load() && once(method, body) {
			break
		}
	}
	return first
}

// unanswered says whether another server may know what one has failed to answer. Of credentials and of too many requests the others would
// say the same.
func unanswered(failure error) bool {
	var said *sr.ResponseError
	if !errors.As(failure, &said) {
		return true
	}
	switch said.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusRequestTimeout:
		return false
	}
	_, isRegistry := messageIn(said)
	return said.StatusCode >= 500 || !isRegistry || noPath(said)
}

// strange is what is wrong with an answer that is another service's JSON.
func strange(into any) error {
	switch a := into.(type) {
	case *answer:
		if a.Schema == "" {
			return errors.New("what answers is no schema registry: the answer has no schema")
		}
	case *made:
		if a.ID == 0 {
			return errors.New("what answers is no schema registry: the answer has no id")
		}
	}
	return nil
}

// once says whether a request that may have been done is not made again. A deletion is not: the latest version is then another one, and what is
// deleted already is an error. Nor is a registration without a text, which is given that of the latest version. One with a text is
// found where it was made before, and what sets something sets the same.
func once(method string, body any) bool {
	q, ok := body.(*request)
	return method == http.MethodDelete || ok && strings.TrimSpace(q.Schema) == ""
}
