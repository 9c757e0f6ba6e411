package httpserver

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
)

// detailed says whether a request may read details of health: paths, names and error texts. It may on loopback, and
// elsewhere with the token.
func (s *Server) detailed(r *http.Request) bool { return s.authorized(r) || OnLoopback(r) }

// authorized compares in a time that tells nothing of the token; the hashes make both sides equally long.
func (s *Server) authorized(r *http.Request) bool {
	given, ok := Bearer(r)
	if !ok {
		return false
	}
	a, known := sha256.Sum256([]byte(given)), 0
	for _, token := range Tokens(s.token) {
		b := sha256.Sum256([]byte(token))
		known |= subtle.ConstantTimeCompare(a[:], b[:])
	}
	return known == 1
}

// Tokens are those that a file of tokens has, one a line: more than one while one is replaced.
func Tokens(text string) (list []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

// Bearer is the token that a request carries. The scheme's letters may be of either case (RFC 9110, 11.1).
func Bearer(r *http.Request) (token string, ok bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimLeft(token, " "), ok && strings.EqualFold(scheme, "Bearer")
}

// OnLoopback says whether somebody on this machine asks for himself. A proxy on this machine asks for others, and says so. A
// page in a browser on this machine can be made to ask under a name of its own that leads here: then the host is that name.
func OnLoopback(r *http.Request) bool {
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(header) != "" {
			return false
		}
	}
	return isLoopback(r.RemoteAddr) && Loopback(r.Host)
}

// Loopback says whether an address, with a port or without, is reached on this machine only.
func Loopback(address string) bool { return isLoopback(address) || hostOf(address) == "localhost" }

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return strings.Trim(address, "[]")
}

func isLoopback(address string) bool {
	ip := net.ParseIP(hostOf(address))
	return ip != nil && ip.IsLoopback()
}
