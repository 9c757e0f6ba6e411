package gateway

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// issuer is an identity provider: discovery, keys, and tokens that it signs.
type issuer struct {
	*testing.T
	server *httptest.Server
	asked  chan struct{} // of each discovery
	answer chan struct{} // closed: discovery is answered
	given  atomic.Int32  // times that keys were given
	down   atomic.Bool
	words  string // that it answers when it is down

	mu   sync.Mutex
	keys []jose.JSONWebKey
	odd  []string // beside them, as JSON
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{T: t, asked: make(chan struct{}, 100), answer: make(chan struct{})}
	i.server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.server.Close)
	i.rotate("first")
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	if i.down.Load() {
		http.Error(w, "down "+i.words, http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		i.asked <- struct{}{}
		<-i.answer
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.server.URL, "jwks_uri": i.server.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	case "/keys":
		i.given.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		keys := i.odd
		for _, k := range i.keys {
			key, _ := k.Public().MarshalJSON()
			keys = append(keys, string(key))
		}
		_, _ = fmt.Fprintf(w, `{"keys": [%s]}`, strings.Join(keys, ","))
	}
}

// rotate replaces the issuer's keys.
func (i *issuer) rotate(id string) {
	i.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		i.Fatal(err)
	}
	i.mu.Lock()
	i.keys = []jose.JSONWebKey{{Key: key, KeyID: id, Algorithm: "RS256", Use: "sig"}}
	i.mu.Unlock()
}

// token signs claims, which are those of a good token but where change says otherwise.
func (i *issuer) token(change map[string]any) string {
	i.Helper()
	i.mu.Lock()
	key := i.keys[0]
	i.mu.Unlock()
	return i.sign(jose.SigningKey{Algorithm: jose.RS256, Key: key}, change)
}

func (i *issuer) sign(key jose.SigningKey, change map[string]any) string {
	i.Helper()
	claims := map[string]any{"iss": i.server.URL, "aud": "weir", "sub": "svc-billing", "exp": time.Now().Add(time.Hour).Unix(), "team": "money"}
	for name, v := range change {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		i.Fatal(err)
	}
	data, _ := json.Marshal(claims)
	signed, err := signer.Sign(data)
	if err != nil {
		i.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		i.Fatal(err)
	}
	return text
}

// Tokens come in that the issuer has signed for this gateway, that are valid now and whose subject is a client; new keys of the issuer are fetched.
// Without the issuer a token is neither good nor bad, and an API key is as good as before.
//
// Mutations seen to fail it: no audience; a failed discovery that is kept.
func TestTokensOfTheIssuerComeIn(t *testing.T) {
	for _, discovery := range []bool{true, false} {
		i := newIssuer(t)
		close(i.answer)
		jwks := ""
		if !discovery {
			jwks = i.server.URL + "/keys"
		}
		clients, err := ParseClients(fmt.Appendf(nil, "jwt: {issuer: %q, audience: weir, jwks: %q}\nclients:\n  - {name: billing, subject: svc-billing, topics: [order.]}\n  - {name: shop, keys: [%q], topics: [order.]}\n",
			i.server.URL, jwks, HashKey("secret")))
		if err != nil {
			t.Fatal(err)
		}
		i.down.Store(true)
		r := newRig(t, func(c *Config) { c.Clients = clients })
		send := func(token string) (int, string) {
			status, body, _ := r.post("/topics/"+orders+"/events?key=k", `{}`, "Authorization", "Bearer "+token)
			return status, body
		}
		good := i.token(nil)
		if status, body := send(good); status != 503 {
			t.Errorf("without the issuer: %d %s", status, body)
		}
		if status, body := send("secret"); status != 200 {
			t.Errorf("a key without the issuer: %d %s", status, body)
		}
		i.down.Store(false)
		status, body := send(good)
		for deadline := time.Now().Add(time.Minute); status == 503 && time.Now().Before(deadline); status, body = send(good) {
			time.Sleep(50 * time.Millisecond)
		}
		if status != 200 {
			t.Errorf("a good token: %d %s", status, body)
		}
		head, rest, _ := strings.Cut(good, ".")
		claims, _, _ := strings.Cut(rest, ".")
		public, _ := json.Marshal(i.keys[0].Public())
		for name, c := range map[string]struct {
			token string
			want  int
		}{
			"expired":          {i.token(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), 401},
			"for another one":  {i.token(map[string]any{"aud": "else"}), 401},
			"of another one":   {i.token(map[string]any{"iss": "https://else.example.org"}), 401},
			"not valid yet":    {i.token(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), 401},
			"unsigned":         {"eyJhbGciOiJub25lIn0." + claims + ".", 401},
			"cut":              {head + "." + claims + ".", 401},
			"by the public":    {i.sign(jose.SigningKey{Algorithm: jose.HS256, Key: public}, nil), 401},
			"no client":        {i.token(map[string]any{"sub": "svc-else"}), 403},
			"no token":         {"a.b.c", 401},
			"another's topic":  {i.token(nil), 200},
			"several audience": {i.token(map[string]any{"aud": []string{"else", "weir"}}), 200},
		} {
			if status, body := send(c.token); status != c.want {
				t.Errorf("%s: %d %s, want %d", name, status, body, c.want)
			}
		}
		i.rotate("second")
		if status, body := send(i.token(nil)); status != 200 {
			t.Errorf("a token by the issuer's new key: %d %s", status, body)
		}
		// The library answers who asked for the new keys before it keeps them, a moment later.
		status, body = send(good)
		for deadline := time.Now().Add(time.Minute); status == 200 && time.Now().Before(deadline); status, body = send(good) {
			time.Sleep(10 * time.Millisecond)
		}
		if status != 401 {
			t.Errorf("a token by the issuer's old key: %d %s", status, body)
		}
	}
}

// A key of the issuer that is not understood, or signs no tokens, is in nobody's way, and neither is a certificate; by such a key no token comes in.
//
// Mutations seen to fail it: the set as it comes; certificates left in; keys of any use and operation; short keys of RSA.
func TestOddKeysOfAnIssuerAreInNobodysWay(t *testing.T) {
	i := newIssuer(t)
	good := i.keys[0]
	key, _ := good.Public().MarshalJSON()
	with := func(of string, members string) string { return strings.TrimSuffix(of, "}") + "," + members + "}" }
	unnamed := strings.Replace(string(key), `"kid":"first"`, `"kid":"other"`, 1)
	for name, odd := range map[string]string{
		"a curve that is not known": `{"kty":"EC","crv":"P-256K","kid":"x","x":"w3JyVsnVF3IUlOUJ0sRBxYfnEoLPsONC7rlYtCtsUBc","y":"S5JyNsVQqYlKZ_4EhOUXXOAWXBUYEqBRbBhUDZLp2AQ"}`,
		"no curve":                  `{"kty":"EC","crv":"","kid":"x","x":"AA","y":"AA"}`,
		"a kind that is not known":  `{"kty":"AKP","alg":"ML-DSA-65","kid":"x","pub":"AAAA"}`,
		"no kind":                   `{"kid":"x"}`,
		"no key":                    `5`,
		"no modulus":                `{"kty":"RSA","kid":"x","e":"AQAB"}`,
		"a padded modulus":          strings.Replace(unnamed, `","e"`, `==","e"`, 1),
		"an id that is a number":    strings.Replace(unnamed, `"other"`, `7`, 1),
		"no certificate":            with(unnamed, `"x5c":[""]`),
		"a certificate that is bad": with(unnamed, `"x5c":["AAAA"],"x5t":"AAAA","x5t#S256":"AA"`),
		"a secret":                  `{"kty":"oct","kid":"x","k":"c2VjcmV0"}`,
	} {
		i.odd = []string{odd}
		j, err := newJWT(i.server.URL, "weir", i.server.URL+"/keys", "")
		if err != nil {
			t.Fatal(err)
		}
		if _, p := j.verify(t.Context(), i.token(nil)); p != nil {
			t.Errorf("%s: %s %s", name, p.Detail, p.forLog)
		}
	}
	i.rotate("sound")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	shortKey, _ := jose.JSONWebKey{Key: short.Public(), KeyID: "first"}.MarshalJSON()
	plain := strings.Replace(string(key), `"use":"sig",`, "", 1)
	for name, c := range map[string]struct {
		odd  string
		by   jose.JSONWebKey
		want int
	}{
		"its own certificate":       {with(plain, `"x5c":["AAAA"],"x5t":"AAAA"`), good, 0},
		"for signatures":            {with(plain, `"key_ops":["verify"]`), good, 0},
		"for encryption":            {with(plain, `"use":"enc"`), good, 401},
		"for encryption, by its op": {with(plain, `"key_ops":["encrypt"]`), good, 401},
		"of 1024 bits":              {string(shortKey), jose.JSONWebKey{Key: short, KeyID: "first"}, 401},
	} {
		i.odd = []string{c.odd}
		j, err := newJWT(i.server.URL, "weir", i.server.URL+"/keys", "")
		if err != nil {
			t.Fatal(err)
		}
		status := 0
		if _, p := j.verify(t.Context(), i.sign(jose.SigningKey{Algorithm: jose.RS256, Key: c.by}, nil)); p != nil {
			status = p.Status
		}
		if status != c.want {
			t.Errorf("a key %s: %d, want %d", name, status, c.want)
		}
	}
}

// Another claim than the subject can be what a client is known by.
//
// Mutation seen to fail it: the subject whatever is configured.
func TestAClaimIsWhatAClientIsKnownBy(t *testing.T) {
	i := newIssuer(t)
	j, err := newJWT(i.server.URL, "weir", i.server.URL+"/keys", "team")
	if err != nil {
		t.Fatal(err)
	}
	if token, p := j.verify(t.Context(), i.token(nil)); token.subject != "money" {
		t.Errorf("%v %v", token, p)
	}
	for _, team := range []any{7, "", nil} {
		if subject, p := j.verify(t.Context(), i.token(map[string]any{"team": team})); p == nil || p.Status != 401 {
			t.Errorf("%v: %v %v", team, subject, p)
		}
	}
}

// While the issuer does not answer, it is asked once, and who waits for it goes when he wants to.
//
// Mutation seen to fail it: the lock held while the issuer is asked.
func TestAnIssuerThatHangsHoldsNobody(t *testing.T) {
	i := newIssuer(t)
	j, err := newJWT(i.server.URL, "weir", "", "")
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan *Problem, 1)
	go func() {
		_, p := j.verify(context.Background(), i.token(nil))
		waits <- p
	}()
	<-i.asked
	gone, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the client has gone"))
	for range 3 {
		if _, p := j.verify(gone, i.token(nil)); p == nil || p.Status != 503 || !strings.Contains(p.Detail, "has gone") {
			t.Errorf("%+v", p)
		}
	}
	close(i.answer)
	if p := <-waits; p != nil {
		t.Errorf("%+v", p)
	}
	if len(i.asked) > 0 {
		t.Errorf("the issuer was asked %d times more", len(i.asked))
	}
}

// Whoever sends tokens of keys that nobody knows has the issuer asked a few times, not for each; new keys are fetched soon all the same.
//
// Mutations seen to fail it: a client without sparing; a limit without end; an answer that is kept for ever.
func TestAnIssuerIsSparedTokensOfNobody(t *testing.T) {
	i := newIssuer(t)
	j, err := newJWT(i.server.URL, "weir", i.server.URL+"/keys", "")
	if err != nil {
		t.Fatal(err)
	}
	stranger := &issuer{T: t, server: i.server}
	stranger.rotate("strange")
	const tokens = 200
	began := time.Now()
	for range tokens {
		if _, p := j.verify(t.Context(), stranger.token(nil)); p == nil || p.Status != 401 {
			t.Fatalf("%+v", p)
		}
	}
	if most := issuerBurst + 1 + int32(time.Since(began)/issuerAgain); i.given.Load() > most {
		t.Errorf("%d tokens had the issuer asked %d times, want %d at most", tokens, i.given.Load(), most)
	}
	i.rotate("second")
	_, p := j.verify(t.Context(), i.token(nil))
	for deadline := time.Now().Add(time.Minute); p != nil && time.Now().Before(deadline); _, p = j.verify(t.Context(), i.token(nil)) {
		time.Sleep(50 * time.Millisecond)
	}
	if p != nil {
		t.Errorf("a token by a new key: %+v", p)
	}
}

// What the issuer answers instead of its keys is for the log: who sends a token hears only that they cannot be had. A file of clients that is read again
// keeps the keys that are known, and one whose URLs are none is wrong.
//
// Mutations seen to fail it: go-oidc's text in the answer; keys of the former file forgotten; URLs not looked at.
func TestAnIssuersWordsAreForTheLog(t *testing.T) {
	core, seen := observer.New(zap.WarnLevel)
	i := newIssuer(t)
	i.words = strings.Repeat("secret words ", 10_000)
	file := func(more string) *Clients {
		t.Helper()
		c, err := ParseClients(fmt.Appendf(nil, "jwt: {issuer: %q, audience: weir, jwks: %q}\nclients:\n  - {name: billing, subject: svc-billing, topics: [order.]}\n%s", i.server.URL, i.server.URL+"/keys", more))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	i.down.Store(true)
	clients := file("")
	clients.Check(t.Context(), zap.New(core))
	if seen.Len() != 1 {
		t.Errorf("an issuer that is down is told %d times", seen.Len())
	}
	r := newRig(t, func(c *Config) { c.Clients, c.Log = file(""), zap.New(core) })
	send := func() (int, string) {
		status, body, _ := r.post("/topics/"+orders+"/events?key=k", `{}`, "Authorization", "Bearer "+i.token(nil))
		return status, body
	}
	if status, body := send(); status != 503 || strings.Contains(body, "secret") || !strings.Contains(body, "log") {
		t.Errorf("%d %.300s", status, body)
	}
	if logged := seen.TakeAll(); len(logged) != 2 || !strings.Contains(fmt.Sprint(logged[1].ContextMap()["why"]), "secret") || len(fmt.Sprint(logged[1].ContextMap()["why"])) > 2*mostLogged {
		t.Errorf("%d lines: %.300v", len(logged), logged)
	}
	i.down.Store(false)
	status, body := send()
	for deadline := time.Now().Add(time.Minute); status != 200 && time.Now().Before(deadline); status, body = send() {
		time.Sleep(50 * time.Millisecond)
	}
	i.down.Store(true)
	r.gate.SetClients(file("  - {name: new, subject: svc-new}\n"))
	if status, body = send(); status != 200 {
		t.Errorf("a key that was known when the file was read again: %d %s", status, body)
	}
	for _, wrong := range []string{`{issuer: "https://id.example.org", audience: a, jwks: /nope}`, `{issuer: id, audience: a}`, `{issuer: "https://id.example.org", audience: a, jwks: "file:///keys"}`} {
		if _, err := ParseClients([]byte("jwt: " + wrong + "\nclients: [{name: a, subject: b}]")); err == nil || !strings.Contains(err.Error(), "https://") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// A key that the issuer has withdrawn is trusted no longer than keys are good; while the issuer is away those that are known stay good.
//
// So it is with a stream that came in with a token.
//
// Mutations seen to fail it: keys that are never renewed; a renewal that takes what the issuer does not give; a stream's token not looked at again; one that
// ends while the issuer is away.
func TestAWithdrawnKeyIsNotTrusted(t *testing.T) {
	before := keysFor
	keysFor = 50 * time.Millisecond
	defer func() { keysFor = before }()
	i := newIssuer(t)
	close(i.answer)
	c, err := ParseClients(fmt.Appendf(nil, "jwt: {issuer: %q, audience: weir, jwks: %q}\nclients: [{name: billing, subject: svc-billing, topics: [order.]}]", i.server.URL, i.server.URL+"/keys"))
	if err != nil {
		t.Fatal(err)
	}
	stolen := i.token(nil)
	look := func() *Problem { _, p := c.JWT.verify(t.Context(), stolen); return p }
	if p := look(); p != nil {
		t.Fatal(p)
	}
	stream := &pass{list: c, jwt: c.JWT, token: stolen, subject: "svc-billing"}
	i.down.Store(true)
	for c.JWT.troubled() == nil { // it has asked for them again
		if p := look(); p != nil {
			t.Fatal("while the issuer is away: ", p)
		}
		time.Sleep(time.Millisecond)
	}
	if p := look(); p != nil {
		t.Error("while the issuer is away: ", p)
	}
	if p := stream.show(c); p != nil {
		t.Error("a stream while the issuer is away: ", p)
	}
	fresh, err := ParseClients(fmt.Appendf(nil, "jwt: {issuer: %q, audience: weir, jwks: %q}\nclients: [{name: billing, subject: svc-billing, topics: [order.]}]", i.server.URL, i.server.URL+"/keys"))
	if err != nil {
		t.Fatal(err)
	}
	if p := (&pass{list: c, jwt: c.JWT, token: stolen, subject: "svc-billing"}).show(fresh); p != nil { // its keys cannot be had
		t.Error("a stream whose issuer does not answer: ", p)
	}
	i.down.Store(false)
	i.rotate("another")
	for deadline := time.Now().Add(time.Minute); look() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a key that was withdrawn is good")
		}
	}
	if stream.verified = (time.Time{}); stream.show(c) == nil {
		t.Error("a stream goes on whose token was signed with a key that was withdrawn")
	}
	for { // what renews them has ended
		c.JWT.mu.Lock()
		done := c.JWT.asking == nil
		c.JWT.mu.Unlock()
		if done {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
