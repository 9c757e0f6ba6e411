package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"
)

// preflightFor is how long a browser need not ask again whether a page may send what it sends.
const preflightFor = 10 * time.Minute

// newCORS lets pages of some origins use the gateway from browsers; nil for none. Any header may be sent, because those of events have names of the
// producer's own. Cookies mean nothing to the gateway, so no page need send its user's credentials.
func newCORS(origins []string) *cors.Cors {
	if len(origins) == 0 {
		return nil
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: connectcors.AllowedMethods(),
		AllowedHeaders: []string{"*"},
		ExposedHeaders: append(connectcors.ExposedHeaders(), "Retry-After"),
		MaxAge:         int(preflightFor.Seconds()),
	})
}

// CheckOrigins refuses what is no origin of pages. credentials says that clients have some: else any page that somebody on this machine looks at could publish.
func CheckOrigins(origins []string, credentials bool) error {
	for _, o := range origins {
		if o == "*" && credentials {
			continue
		}
		if o == "*" {
			return fmt.Errorf("every origin (*) can be allowed only where clients have credentials (--clients): name the origins, as https://shop.example.org")
		}
		u, err := url.Parse(strings.Replace(o, "://*.", "://", 1))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Contains(u.Host, "*") || u.Scheme+"://"+u.Host != strings.Replace(o, "://*.", "://", 1) {
			return fmt.Errorf("%q is no origin: give scheme, host and, where it is not the scheme's, port, as https://shop.example.org, https://*.example.org or http://localhost:3000", o)
		}
	}
	return nil
}

// fromPage says to a browser whether the page may read the answer, and whether the request is a preflight of an allowed page, which is answered by that: it
// never has credentials.
func (g *Gateway) fromPage(w http.ResponseWriter, r *http.Request) (answered bool) {
	if g.cors == nil {
		return false
	}
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if preflight && !g.pageAllowed(r) {
		return false
	}
	g.cors.HandlerFunc(w, r)
	return preflight
}

// pageAllowed says whether a request comes from a page that may use the gateway.
func (g *Gateway) pageAllowed(r *http.Request) bool {
	return g.cors != nil && r.Header.Get("Origin") != "" && g.cors.OriginAllowed(r)
}
