package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/httpserver"
)

// pass is what a request came in with. A stream shows it again and again, since it may last longer than the pass is good for.
type pass struct {
	client *Client
	list   *Clients // by which it was looked at last; nil where nobody needs credentials

	key         [sha256.Size]byte // of an API key, the hash
	user        string            // of basic auth
	certificate *x509.Certificate
	chains      [][]*x509.Certificate // from the certificate to an authority
	jwt         *JWT                  // by which the token was verified
	subject     string                // of the token
	until       time.Time
	token       string
	verified    time.Time // when the token was

	answer *answered // to the request, which notes why it was refused
}

type passKey struct{}

// passOf is the pass of the request that a context is of, nil for none.
func passOf(ctx context.Context) *pass {
	p, _ := ctx.Value(passKey{}).(*pass)
	return p
}

// identify finds out who asks.
func (g *Gateway) identify(r *http.Request) (*pass, *Problem) {
	c := g.clients.Load()
	if c == nil {
		if !httpserver.OnLoopback(r) || r.Header.Get("Origin") != "" && !g.pageAllowed(r) {
			return nil, forbidden.of("without credentials the gateway answers only who asks it on its own machine, and no page in a browser").
				todo("give the gateway a list of clients (--clients), and the page's origin (--cors-origins)")
		}
		return &pass{client: here}, nil
	}
	p := &pass{list: c}
	var shown *x509.Certificate
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		shown, p.chains = r.TLS.VerifiedChains[0][0], r.TLS.VerifiedChains
		if problem := g.expired(p.chains); problem != nil {
			return nil, problem
		}
		if p.client = c.certified(shown); p.client != nil {
			p.certificate = shown
			return p, nil
		}
	}
	key := r.Header.Get("X-Api-Key")
	if given, ok := httpserver.Bearer(r); ok {
		key = given
	} else if name, password, ok := r.BasicAuth(); ok {
		p.user, key = name, password
	}
	switch {
	case key == "" && shown != nil:
		return nil, unauthorized.of("no client of the gateway is known by the certificate, which is of %s", listed(names(shown))).
			todo("ask who runs the gateway to add one of its names to the clients, or send another credential")
	case key == "":
		return nil, unauthorized.of("the request has no credentials")
	}
	// A map is looked up by the hash: the time that it takes tells nothing of a key.
	p.key = sha256.Sum256([]byte(key))
	if p.client = c.keyed(p.key, p.user); p.client != nil {
		return p, nil
	}
	if c.JWT == nil || strings.Count(key, ".") != 2 {
		problem := unauthorized.of("the credentials are not known")
		problem.forLog = fmt.Sprintf("no client has the key whose hash begins with %s%x", keyHash, p.key[:4])
		if c.keyed(p.key, "") != nil {
			problem.forLog = fmt.Sprintf("the key is of another client than the name %.100q that was given with it", p.user)
		}
		return nil, problem
	}
	token, problem := c.JWT.verify(g.deadlines.next(), key)
	if problem != nil {
		if problem.forLog != "" {
			c.JWT.away(g.Log, problem)
		}
		return nil, problem
	}
	p.jwt, p.subject, p.until, p.token, p.verified = c.JWT, token.subject, token.until, key, time.Now()
	if p.client = c.bySubject[p.subject]; p.client == nil {
		return nil, forbidden.of("the token's subject, %.100q, is no client of the gateway", p.subject).todo("ask who runs the gateway to add it to the clients")
	}
	return p, nil
}

// expired says why the certificate that a connection began with is good no more, nil where it is. It was verified then, and a connection may last for as long
// as its client has requests.
func (g *Gateway) expired(chains [][]*x509.Certificate) (p *Problem) {
	const renew = "connect again, with a new certificate"
	for _, chain := range chains {
		end := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		switch {
		case time.Now().After(end.NotAfter):
			p = unauthorized.of("the client's certificate has expired, at %s", end.NotAfter.UTC().Format(time.RFC3339)).todo(renew)
		case g.Trusts != nil && !g.Trusts(chain[len(chain)-1]):
			p = unauthorized.of("the client's certificate is of an authority that is trusted no more").todo(renew)
		default:
			return nil
		}
	}
	if p != nil {
		p.hangUp = true
	}
	return p
}

// keyed finds the client of a key; a name that comes with it must be the client's.
func (c *Clients) keyed(key [sha256.Size]byte, user string) *Client {
	client := c.byKey[key]
	if client != nil && user != "" && user != client.Name {
		return nil
	}
	return client
}

// listed is names in a text, as many as can be read.
func listed(names []string) string {
	const most = 5
	text := make([]string, 0, most)
	for _, name := range names[:min(most, len(names))] {
		text = append(text, fmt.Sprintf("%.100q", name))
	}
	if len(names) > most {
		text = append(text, "others")
	}
	if len(text) == 0 {
		return "nobody"
	}
	return strings.Join(text, ", ")
}

// show looks at a pass again: the file of clients may have changed, and a token is good until it expires.
func (p *pass) show(list *Clients) *Problem {
	if !p.until.IsZero() && time.Now().After(p.until) {
		return unauthorized.of("what the stream came in with has expired, at %s", p.until.UTC().Format(time.RFC3339)).todo("begin the stream again with a new token")
	}
	if problem := p.verify(list); problem != nil {
		return problem
	}
	if list == p.list || list == nil {
		return nil
	}
	var client *Client
	switch {
	case p.certificate != nil:
		client = list.certified(p.certificate)
	case p.jwt != nil && list.JWT != nil && p.jwt.same(list.JWT):
		client = list.bySubject[p.subject]
	case p.jwt == nil:
		client = list.keyed(p.key, p.user)
	}
	if client == nil {
		return unauthorized.of("what the stream came in with is not known any more: the gateway's clients have changed").todo("begin the stream again with other credentials")
	}
	p.client, p.list = client, list
	return nil
}

// verify has a stream's token looked at again from time to time, since the issuer may have withdrawn the key that it was signed with. While the issuer is away the
// token stays good, as its key does.
func (p *pass) verify(list *Clients) *Problem {
	if p.jwt == nil || list == nil || list.JWT == nil || time.Since(p.verified) < keysFor/10 {
		return nil
	}
	p.verified = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), issuerAgain)
	defer cancel()
	if _, problem := list.JWT.verify(ctx, p.token); problem != nil && problem.Status == http.StatusUnauthorized {
		return problem.todo("begin the stream again with a new token")
	}
	return nil
}

// still says whether a stream may go on.
func (g *Gateway) still(q *request) *Problem {
	p := g.expired(q.pass.chains)
	if p == nil {
		p = q.pass.show(g.clients.Load())
	}
	if q.client = q.pass.client; p == nil && q.pass.list != nil {
		p = q.client.allow(q.topic.name, g.declarations.Of(q.topic.name))
	}
	if p != nil {
		q.pass.refused(p)
	}
	return p
}

// refused notes why a request is refused that is answered with another status than the problem's: as a stream, or by the Protobuf service.
func (p *pass) refused(why *Problem) {
	if p.answer != nil {
		p.answer.refused(why)
	}
}
