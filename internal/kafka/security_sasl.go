package kafka

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"

	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/secretfile"
)

// loadSASL checks the mechanism's settings and returns its password, if it has one, and a warning about its file.
func (s Security) loadSASL() (password Secret, warning string, err error) {
	switch {
	case s.Mechanism == "":
		return Secret{}, "", mistake.In("security.protocol", "sasl.mechanism").Errorf("security.protocol %s needs sasl.mechanism: one of %s", s.Protocol, strings.Join(mechanisms, ", "))
	case !slices.Contains(mechanisms, s.Mechanism):
		return Secret{}, "", mistake.In("sasl.mechanism").Errorf("sasl.mechanism: %q is none of %s", s.Mechanism, strings.Join(mechanisms, ", "))
	case s.Mechanism == "OAUTHBEARER":
		warning, err := s.checkToken()
		return Secret{}, warning, err
	}
	var errs []error
	if s.Username == "" {
		errs = append(errs, mistake.In("sasl.mechanism", "sasl.username").Errorf("sasl.mechanism %s needs sasl.username", s.Mechanism))
	}
	if s.Token.IsSet() || s.TokenFile != "" {
		errs = append(errs, mistake.In("sasl.mechanism").Errorf("sasl.mechanism %s uses no token", s.Mechanism))
	}
	password = s.Password
	switch {
	case s.Password.IsSet() && s.PasswordFile != "":
		errs = append(errs, mistake.In("sasl.password", "sasl.password.file").Errorf("sasl.password and sasl.password.file are both set"))
	case s.PasswordFile != "":
		var err error
		if password, warning, err = readSecret(s.PasswordFile); err != nil {
			errs = append(errs, mistake.In("sasl.password.file").Errorf("sasl.password.file: %w", err))
		}
	case !s.Password.IsSet():
		errs = append(errs, mistake.In("sasl.mechanism", "sasl.password.file").Errorf("sasl.mechanism %s needs sasl.password.file, or the password from the environment", s.Mechanism))
	}
	return password, warning, errors.Join(errs...)
}

func (s Security) checkToken() (warning string, err error) {
	var errs []error
	if s.Username != "" || s.Password.IsSet() || s.PasswordFile != "" {
		errs = append(errs, mistake.In("sasl.mechanism").Errorf("sasl.mechanism OAUTHBEARER uses no user name and no password"))
	}
	switch {
	case s.Token.IsSet() && s.TokenFile != "":
		errs = append(errs, mistake.In("sasl.oauthbearer.token", "sasl.oauthbearer.token.file").Errorf("sasl.oauthbearer.token and sasl.oauthbearer.token.file are both set"))
	case !s.Token.IsSet() && s.TokenFile == "":
		errs = append(errs, mistake.In("sasl.mechanism", "sasl.oauthbearer.token.file").Errorf("sasl.mechanism OAUTHBEARER needs sasl.oauthbearer.token.file, or the token from the environment"))
	default:
		in := mistake.In("sasl.oauthbearer.token")
		if s.TokenFile != "" {
			in = mistake.In("sasl.oauthbearer.token.file")
		}
		_, err := bearer{s.Token, s.TokenFile}.Token()
		if s.TokenFile != "" && err == nil {
			warning, err = secretfile.Check(s.TokenFile)
		}
		if err != nil {
			errs = append(errs, in.Errorf("%w", err))
		}
	}
	return warning, errors.Join(errs...)
}

// apply sets sarama up for the mechanism.
func (c credentials) apply(conf *sarama.Config, s Security) {
	if !c.sasl {
		return
	}
	sasl := &conf.Net.SASL
	sasl.Enable = true
	sasl.Mechanism = sarama.SASLMechanism(s.Mechanism)
	sasl.User = s.Username
	sasl.Password = c.password.Reveal()
	switch s.Mechanism {
	case "SCRAM-SHA-256":
		sasl.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: scram.SHA256} }
	case "SCRAM-SHA-512":
		sasl.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: scram.SHA512} }
	case "OAUTHBEARER":
		sasl.TokenProvider = bearer{s.Token, s.TokenFile}
	}
}

// conversation is one SCRAM exchange.
type conversation struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

func (c *conversation) Begin(user, password, authzID string) error {
	client, err := c.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	c.ClientConversation = client.NewConversation()
	return nil
}

// maxIterations bounds the work that a server may ask for, before it has shown that it knows the password. Kafka's brokers
// store at most 16384; a million take about a second. The library refuses fewer than 4096, as RFC 5802 wants.
const maxIterations = 1_000_000

// Step answers a challenge of the server.
func (c *conversation) Step(challenge string) (string, error) {
	for field := range strings.SplitSeq(challenge, ",") {
		if text, ok := strings.CutPrefix(field, "i="); ok {
			if n, err := strconv.Atoi(text); err != nil || n > maxIterations {
				return "", fmt.Errorf("SCRAM: the broker asks for %.20q iterations, and at most %d are allowed: is it really a broker?", text, maxIterations)
			}
		}
	}
	return c.ClientConversation.Step(challenge)
}

// bearer gives the token for a connection. Tokens are short-lived and whoever renews them replaces the file, so the
// file is read each time: connections are few.
type bearer struct {
	token Secret
	file  string
}

func (b bearer) Token() (*sarama.AccessToken, error) {
	token, from := b.token, "sasl.oauthbearer.token"
	if b.file != "" {
		from = "sasl.oauthbearer.token.file: " + b.file
		var err error
		if token, err = SecretFile(b.file); err != nil {
			return nil, fmt.Errorf("sasl.oauthbearer.token.file: %w", err)
		}
	}
	text := strings.TrimSpace(token.Reveal())
	if strings.ContainsAny(text, " \t\r\n\x01") {
		return nil, fmt.Errorf("%s holds something other than one token", from)
	}
	if until, ok := expiry(text); ok && !time.Now().Before(until) {
		return nil, fmt.Errorf("%s: the token expired at %s, and nobody has renewed it", from, until.UTC().Format(time.RFC3339))
	}
	return &sarama.AccessToken{Token: text}, nil
}

// expiry reads the exp claim of a token that is a JWT. Other tokens are the broker's business alone.
func expiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Exp == 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(claims.Exp * 1000)), true
}
