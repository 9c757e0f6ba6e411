package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// JWT verifies tokens of one issuer by its keys, which are fetched when they are needed, and kept.
type JWT struct {
	issuer, audience, jwks, claim string
	client                        *http.Client

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	asking   chan struct{} // closed when the issuer has answered; nil when it is not asked
	err      error         // of the last time, until
	until    time.Time
}

func newJWT(issuer, audience, jwks, claim string) (*JWT, error) {
	if issuer == "" || audience == "" {
		return nil, errors.New("give issuer and audience: a token that was made for somebody else is not taken")
	}
	if claim == "" {
		claim = "sub"
	}
	return &JWT{issuer: issuer, audience: audience, jwks: jwks, claim: claim, client: &http.Client{
		Timeout:   5 * time.Second,
		Transport: &sparing{next: http.DefaultTransport, known: map[string]*issuerSaid{}},
	}}, nil
}

// issuerAgain is how soon an issuer is asked again that did not answer.
const issuerAgain = time.Second

// ready finds out how tokens are verified. One request asks the issuer, and others wait for it as long as their contexts last.
func (j *JWT) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	j.mu.Lock()
	if j.verifier != nil || time.Now().Before(j.until) {
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
			j.verifier, j.err, j.until, j.asking = verifier, err, time.Now().Add(issuerAgain), nil
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

// verify returns the subject of a token that is valid now.
func (j *JWT) verify(ctx context.Context, raw string) (string, *Problem) {
	verifier, err := j.ready(ctx)
	if err != nil {
		return "", notWritten.of("the keys of the tokens' issuer cannot be had: %v", err)
	}
	token, err := verifier.Verify(ctx, raw)
	if err != nil && strings.Contains(err.Error(), "fetching keys") {
		return "", notWritten.of("the keys of the tokens' issuer cannot be had: %v", err)
	}
	if err != nil {
		return "", unauthorized.of("the token is not valid: %v", strings.TrimPrefix(err.Error(), "oidc: "))
	}
	if j.claim == "sub" {
		return token.Subject, nil
	}
	var claims map[string]json.RawMessage
	var subject string
	if err := token.Claims(&claims); err == nil {
		err = json.Unmarshal(claims[j.claim], &subject)
		if err == nil && subject != "" {
			return subject, nil
		}
	}
	return "", unauthorized.of("the token has no claim %s that is a text", fmt.Sprintf("%q", j.claim))
}
