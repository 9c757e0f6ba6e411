package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// JWT verifies tokens of one issuer by its keys, which are fetched when they are needed, and kept.
type JWT struct {
	issuer, audience, jwks, claim string
	client                        *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	logged   rate.Sometimes
	asking   chan struct{} // closed when the issuer has answered; nil when it is not asked
	err      error         // of the last time, until
	until    time.Time
	fetched  time.Time // when the keys of verifier were
	trouble  error     // why they cannot be had now, nil for nothing
}

// keysFor is how long keys are good without another look: one that the issuer has withdrawn, because it was stolen, say, is trusted no longer.
var keysFor = 5 * time.Minute // tests are less patient

func newJWT(issuer, audience, jwks, claim string) (*JWT, error) {
	if issuer == "" || audience == "" {
		return nil, errors.New("give issuer and audience: a token that was made for somebody else is not taken")
	}
	if claim == "" {
		claim = "sub"
	}
	for name, text := range map[string]string{"jwks": jwks, "issuer": issuer} {
		u, err := url.Parse(text)
		if isURL := err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http"); !isURL && text != "" && (name == "jwks" || jwks == "") {
			return nil, fmt.Errorf("%s is %q, and keys are fetched there: give a URL that begins with https://", name, text)
		}
	}
	return &JWT{issuer: issuer, audience: audience, jwks: jwks, claim: claim, logged: rate.Sometimes{First: 1, Interval: issuerSaidEvery}, client: &http.Client{
		Timeout:   5 * time.Second,
		Transport: &sparing{next: http.DefaultTransport, known: map[string]*issuerSaid{}},
	}}, nil
}

// issuerSaidEvery is the least time between two lines of the log that say why the issuer's keys cannot be had.
const issuerSaidEvery = 10 * time.Second

// issuerAgain is how soon an issuer is asked again that did not answer.
const issuerAgain = time.Second

// ready finds out how tokens are verified. One request asks the issuer, and others wait for it as long as their contexts last.
func (j *JWT) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	j.mu.Lock()
	if j.verifier != nil || time.Now().Before(j.until) {
		if j.verifier != nil && j.asking == nil && time.Since(j.fetched) > keysFor && time.Now().After(j.until) {
			j.asking = make(chan struct{})
			go j.renew(j.asking)
		}
		defer j.mu.Unlock()
		return j.verifier, j.err
	}
	asked := j.asking
	if asked == nil {
		asked = make(chan struct{})
		j.asking = asked
		go func() { // it does not end with who asked first
			verifier, err := j.discover()
			j.mu.Lock()
			j.verifier, j.err, j.until, j.asking, j.fetched = verifier, err, time.Now().Add(issuerAgain), nil, time.Now()
			j.mu.Unlock()
			close(asked)
		}()
	}
	j.mu.Unlock()
	select {
	case <-asked:
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.verifier, j.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// renewAgain is how soon the issuer is asked again for keys that are known and old.
const renewAgain = 10 * time.Second

// renew has the issuer's keys fetched again. While the issuer is away those that are known stay good.
func (j *JWT) renew(asked chan struct{}) {
	verifier, err := j.discover()
	if err == nil {
		if _, wrong := verifier.Verify(context.Background(), j.ofNobody()); wrong != nil && strings.Contains(wrong.Error(), fetchingKeys) {
			err = wrong
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.until, j.asking, j.trouble = time.Now().Add(min(renewAgain, keysFor)), nil, err
	if err == nil {
		j.verifier, j.fetched = verifier, time.Now()
	}
	close(asked)
}

// fetchingKeys is in the library's error when keys cannot be had.
const fetchingKeys = "fetching keys"

// ofNobody is a token whose signature is looked at with the issuer's keys, which are fetched for that.
func (j *JWT) ofNobody() string {
	claims, _ := json.Marshal(map[string]any{"iss": j.issuer, "aud": j.audience, "exp": time.Now().Add(time.Hour).Unix()})
	encoded := base64.RawURLEncoding.EncodeToString
	return encoded([]byte(`{"alg":"RS256","kid":"none"}`)) + "." + encoded(claims) + "." + encoded([]byte("none"))
}

// discover finds the issuer's keys, by discovery where their URL is not given.
func (j *JWT) discover() (*oidc.IDTokenVerifier, error) {
	// The context lives as long as the keys, which are fetched with its client.
	ctx := oidc.ClientContext(context.Background(), j.client)
	// Only signatures that need the issuer's private key: with HS256 whoever has the public key could sign.
	conf := &oidc.Config{ClientID: j.audience, SupportedSigningAlgs: []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}}
	if j.jwks != "" {
		return oidc.NewVerifier(j.issuer, oidc.NewRemoteKeySet(ctx, j.jwks), conf), nil
	}
	provider, err := oidc.NewProvider(ctx, j.issuer)
	if err != nil {
		return nil, err
	}
	return provider.VerifierContext(ctx, conf), nil
}

// verified is what a good token says.
type verified struct {
	subject string
	until   time.Time
}

// verify looks at a token. What the issuer has answered instead of its keys is for the log: whoever sends a token would have it otherwise.
func (j *JWT) verify(ctx context.Context, raw string) (v verified, _ *Problem) {
	away := func(err error) *Problem {
		p := notWritten.of("the keys of the tokens' issuer cannot be had; the gateway's log says why")
		p.forLog = err.Error()
		j.note(err)
		return p
	}
	verifier, err := j.ready(ctx)
	if err != nil && ctx.Err() != nil {
		return v, notWritten.of("the keys of the tokens' issuer were waited for: %v", context.Cause(ctx))
	}
	if err != nil {
		return v, away(err)
	}
	token, err := verifier.Verify(ctx, raw)
	expired, _ := errors.AsType[*oidc.TokenExpiredError](err)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), fetchingKeys):
		return v, away(err)
	case expired != nil && expired.Expiry.Unix() <= 0:
		return v, unauthorized.of("the token is not valid: it has no exp, so it would be good for ever")
	default:
		if strings.Contains(err.Error(), "failed to verify signature") { // with keys that could be had
			j.note(nil)
		}
		return v, unauthorized.of("the token is not valid: %v", shortened(strings.TrimPrefix(err.Error(), "oidc: ")))
	}
	j.note(nil)
	v = verified{token.Subject, token.Expiry}
	if j.claim == "sub" {
		return v, nil
	}
	var claims map[string]json.RawMessage
	v.subject = ""
	if err := token.Claims(&claims); err == nil {
		err = json.Unmarshal(claims[j.claim], &v.subject)
		if err == nil && v.subject != "" {
			return v, nil
		}
	}
	return v, unauthorized.of("the token has no claim %s that is a text", fmt.Sprintf("%q", j.claim))
}

// note notes whether the keys can be had.
func (j *JWT) note(err error) {
	j.mu.Lock()
	j.trouble = err
	j.mu.Unlock()
}

// troubled is why the keys cannot be had now, nil for nothing.
func (j *JWT) troubled() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.trouble
}

// same says whether tokens that are good by one are by the other.
func (j *JWT) same(other *JWT) bool {
	return j.issuer == other.issuer && j.audience == other.audience && j.jwks == other.jwks && j.claim == other.claim
}

// adopt takes over the keys that are known, so that tokens stay good while the issuer is away, though the file of clients has changed.
func (j *JWT) adopt(before *JWT) {
	before.mu.Lock()
	verifier, fetched := before.verifier, before.fetched
	before.mu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.verifier == nil {
		j.verifier, j.fetched = verifier, fetched
	}
}

// away says in the log why a token could not be looked at.
func (j *JWT) away(log *zap.Logger, p *Problem) {
	j.logged.Do(func() {
		log.Warn("tokens are refused with 503: the keys of their issuer cannot be had", zap.String("issuer", j.issuer), zap.String("why", shortened(p.forLog)))
	})
}

// Check has the issuer asked for its keys, and says in the log when they cannot be had.
func (c *Clients) Check(ctx context.Context, log *zap.Logger) {
	if c == nil || c.JWT == nil {
		return
	}
	if _, p := c.JWT.verify(ctx, c.JWT.ofNobody()); p != nil && p.Status == http.StatusServiceUnavailable && ctx.Err() == nil {
		c.JWT.away(log, p)
	}
}
