package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/httpserver"
)

// The server that writes may live, and its certificate be one that this server does not trust. To take its place would mend nothing: it would take it back
// with the next change that comes to it. So it keeps its place, and this server refuses changes and says what to mend. Whether it lives is asked of
// whoever answers at its URL, in a way that trusts nobody: it must know which producer it is. Where another program answers there, the place is taken.

// peerAgain is the least time between two lines of the log about a server that cannot be asked.
const peerAgain = 10 * time.Second

// estrangement is what is known of a server that writes and cannot be asked.
type estrangement struct {
	mu     sync.Mutex
	from   *writer // nil for none
	err    error
	logged time.Time

	unlike string // the URL of the one that has not taken a client's credentials last
	since  time.Time
}

const peerRemedy = "give each server --peer-ca-file with the authority of the others' --tls-cert, and an --advertised-url with a name that the certificate has"

// apartFrom says whether the server that writes lives, though it is not trusted.
func (r *Registry) apartFrom(ctx context.Context, to *writer, err error) bool {
	if !httpserver.Untrusted(err) || !r.lives(ctx, to) {
		return false
	}
	e := &r.apart
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); e.from == nil || now.Sub(e.logged) > peerAgain {
		e.logged = now
		r.logger.Error("changes are refused: the server that writes lives, and its certificate is not trusted", zap.String("url", to.URL), zap.Error(err), zap.String("do", peerRemedy))
	}
	e.from, e.err = to, err
	return true
}

// likeness is how long it is said that another server did not take a client's credentials.
const likeness = 10 * time.Minute

const credentialsRemedy = "give each server the same --users-file and --http-token-file; to replace a password or token, first give each a file with both, a line each"

// unlike notes that the server that writes lives and has not taken the credentials of a client of this one. Its place is taken, or a password could not be
// replaced server by server, and it takes it back with the next change that comes to it.
func (r *Registry) unlike(ctx context.Context, to *writer, err error) {
	if !errors.As(err, new(*refusedError)) || !r.lives(ctx, to) {
		return
	}
	r.apart.mu.Lock()
	r.apart.unlike, r.apart.since = to.URL, time.Now()
	r.apart.mu.Unlock()
}

// near notes that the server that writes can be asked.
func (r *Registry) near() {
	r.apart.mu.Lock()
	r.apart.from, r.apart.unlike = nil, ""
	r.apart.mu.Unlock()
}

// lives asks whoever answers at a writer's URL whether it is that writer. Nothing is sent that others may not know, so it looks at no certificate.
func (r *Registry) lives(ctx context.Context, to *writer) bool {
	ctx, cancel := context.WithTimeout(ctx, r.Within)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodHead, strings.TrimSuffix(to.URL, "/")+"/", http.NoBody)
	if err != nil {
		return false
	}
	q.Header.Set(headerWriter, name(to.producer()))
	stranger := &http.Transport{
		DialContext:       (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, //nolint:gosec // see above
		DisableKeepAlives: true,
	}
	defer stranger.CloseIdleConnections()
	res, err := stranger.RoundTrip(q)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.Header.Get(headerWriter) == "yes"
}

// Peers answers other servers of the registry that ask whether this one writes, and leaves everything else to next, with the credentials that
// were sealed for this server. Their question comes before credentials: it is asked where these are not to be sent.
func (r *Registry) Peers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		meant := q.Header.Get(headerWriter)
		if q.Method != http.MethodHead || meant == "" {
			next.ServeHTTP(w, unseal(q, r.log.key))
			return
		}
		is := "no"
		if to, mine := r.log.owner(); mine && name(to.producer()) == meant {
			is = "yes"
		}
		w.Header().Set(headerWriter, is)
		w.WriteHeader(http.StatusNoContent)
	})
}

// Problems are what a person should look at. Empty is healthy.
func (r *Registry) Problems() []Problem {
	list := r.log.Problems()
	now, mine := r.log.owner()
	r.apart.mu.Lock()
	defer r.apart.mu.Unlock()
	if from := r.apart.from; from != nil && !mine && now.producer() == from.producer() {
		list = append(list, Problem{"peer", fmt.Sprintf("changes are refused: the server at %s writes, and its certificate is not trusted: %v", from.URL, r.apart.err), peerRemedy})
	}
	if url := r.apart.unlike; url != "" && time.Since(r.apart.since) < likeness {
		list = append(list, Problem{"peer", fmt.Sprintf("the server at %s does not take the credentials of a client of this one: each such change takes the right to write from it, and back", url), credentialsRemedy})
	}
	return list
}
