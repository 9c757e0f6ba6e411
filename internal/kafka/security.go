package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/mistake"
)

// Security says how connections are encrypted and authenticated. Files are read when a Client is dialled, but for
// TokenFile, which is read again for every connection and every re-authentication.
//
// There is no way to switch the check of the broker's certificate off. For a private authority name its certificate in
// CALocation; for a certificate made out to another name give that name in ServerName.
type Security struct {
	// Protocol is PLAINTEXT (default), SSL, SASL_PLAINTEXT or SASL_SSL (security.protocol).
	Protocol string

	// CALocation is a PEM file with the authorities to trust, instead of the system's (ssl.ca.location).
	CALocation string
	// CertificateLocation and KeyLocation are PEM files with this client's certificate, followed by its intermediate
	// authorities, and its key (ssl.certificate.location, ssl.key.location). One needs the other.
	CertificateLocation string
	KeyLocation         string
	// ServerName is the name that the brokers' certificates must carry, instead of the host in the broker's address
	// (Weir's own: ssl.server.name).
	ServerName string

	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER (sasl.mechanism).
	Mechanism string
	// Username and one of Password and PasswordFile are for PLAIN and SCRAM (sasl.username, sasl.password,
	// sasl.password.file). Password is meant for programs that have it from their environment.
	Username     string
	Password     Secret
	PasswordFile string
	// Token and TokenFile, one of them, are for OAUTHBEARER: the bearer token as the broker expects it
	// (sasl.oauthbearer.token, sasl.oauthbearer.token.file). A file may be replaced at any time.
	Token     Secret
	TokenFile string
}

var (
	protocols  = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
	mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
)

// credentials is what Security's files hold, read and checked.
type credentials struct {
	tls      *tls.Config // nil without encryption
	sasl     bool
	password Secret
	warnings []string // for the log, once a client is dialled
}

func (c *credentials) warn(warning string) {
	if warning != "" {
		c.warnings = append(c.warnings, warning)
	}
}

func (s Security) encrypted() bool     { return strings.HasSuffix(s.Protocol, "SSL") }
func (s Security) authenticated() bool { return strings.HasPrefix(s.Protocol, "SASL_") }

// load checks the combination of settings, reads the files, and reports all that is wrong.
func (s Security) load() (credentials, error) {
	if !slices.Contains(protocols, s.Protocol) {
		return credentials{}, mistake.In("security.protocol").Errorf("security.protocol: %q is none of %s", s.Protocol, strings.Join(protocols, ", "))
	}
	var c credentials
	var errs []error
	if s.encrypted() {
		conf, warning, err := s.loadTLS()
		c.tls = conf
		c.warn(warning)
		errs = append(errs, err)
	} else {
		for _, f := range []struct{ name, value string }{
			{"ssl.ca.location", s.CALocation},
			{"ssl.certificate.location", s.CertificateLocation},
			{"ssl.key.location", s.KeyLocation},
			{"ssl.server.name", s.ServerName},
		} {
			if f.value != "" {
				errs = append(errs, mistake.In(f.name, "security.protocol").Errorf("%s is set, but security.protocol %s does not encrypt", f.name, s.Protocol))
			}
		}
	}
	if s.authenticated() {
		c.sasl = true
		password, warning, err := s.loadSASL()
		c.password = password
		c.warn(warning)
		// SCRAM sends proofs in the place of the password, which still can be guessed from: a weak one should not be.
		if !s.encrypted() && (s.Mechanism == "PLAIN" || s.Mechanism == "OAUTHBEARER") {
			c.warn(fmt.Sprintf("sasl.mechanism %s sends its secret to every broker as it is, and security.protocol %s does not encrypt: "+
				"whoever is on the way can read it; use SASL_SSL", s.Mechanism, s.Protocol))
		}
		errs = append(errs, err)
	} else {
		for _, f := range []struct {
			name string
			set  bool
		}{
			{"sasl.mechanism", s.Mechanism != ""},
			{"sasl.username", s.Username != ""},
			{"sasl.password", s.Password.IsSet()},
			{"sasl.password.file", s.PasswordFile != ""},
			{"sasl.oauthbearer.token", s.Token.IsSet()},
			{"sasl.oauthbearer.token.file", s.TokenFile != ""},
		} {
			if f.set {
				errs = append(errs, mistake.In(f.name, "security.protocol").Errorf("%s is set, but security.protocol %s does not authenticate", f.name, s.Protocol))
			}
		}
	}
	return c, errors.Join(errs...)
}
