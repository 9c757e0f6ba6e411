package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

// Config is where a registry is and how it is asked. Only URLs must be given.
type Config struct {
	// URLs are those of the registry's servers, as http://registry:8081: the first that can be reached is asked. A URL may have a
	// user and a password.
	URLs []string
	// User and Password are for basic auth.
	User, Password string
	// Token is a bearer token. Give this or a user, not both.
	Token string
	// TLS is how servers with https are met; nil is the system's certificates.
	TLS *tls.Config
	// Context is the registry's context in which all names and ids are, as ".billing". Default: the default one.
	Context string
	// Timeout is how long the answer to a request may take. Default: 10 s.
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
	sr        *sr.Client
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
		sr.URLs(urls...), sr.UserAgent("weir"), sr.LogLevel(sr.LogLevelNone),
		sr.HTTPClient(&http.Client{Timeout: timeout, Transport: bounded{transport}}),
	}
	if c.User != "" {
		opts = append(opts, sr.BasicAuth(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, sr.BearerToken(c.Token))
	}
	if context := strings.Trim(c.Context, ":"); context != "" && context != "." {
		if !strings.HasPrefix(context, ".") { // it would be a part of each name
			return nil, fmt.Errorf("the context %q does not begin with a dot: .%s", context, context)
		}
		opts = append(opts, sr.DefaultSchemaContext(context))
	}
	client, err := sr.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	notFound := cmp.Or(c.NotFoundFor, defaultNotFound)
	cl := &Client{sr: client, transport: transport, timeout: timeout, schemas: newFetches(cmp.Or(c.CacheSize, defaultCacheSize), max(notFound, 0))}
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

// ask makes one request. The segments of the path are escaped.
func (c *Client) ask(ctx context.Context, op, method string, path []string, params url.Values, body, answer any) error {
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
	return judge(op, c.sr.Do(ctx, method, at.String(), body, answer))
}
