package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Mutation: any of Secret's methods removed, or its text a plain string.
func TestSecretsArePrintedByNothing(t *testing.T) {
	const text = "hunter2"
	type hidden struct{ password Secret } // fmt calls no methods on unexported fields
	cfg := Config{Security: Security{Username: "user", Password: NewSecret(text), Token: NewSecret(text)}}
	values := []any{
		cfg.Security.Password, &cfg.Security.Password, cfg, &cfg, cfg.Security, hidden{NewSecret(text)}, &hidden{NewSecret(text)},
		[]Secret{NewSecret(text)}, map[string]Secret{"a": NewSecret(text)}, map[Secret]int{NewSecret(text): 1},
		credentials{password: NewSecret(text)}, bearer{token: NewSecret(text)},
	}
	var out strings.Builder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zap.DebugLevel)
	log := zap.New(core)
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		data, _ := json.Marshal(v)
		out.Write(data)
		log.Info("m", zap.Any("value", v), zap.Reflect("value", v), zap.Error(fmt.Errorf("%v", v)))
		log.Sugar().Infow("m", "value", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "value", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "value", v)
	}
	for _, leak := range []string{text, fmt.Sprintf("%x", text), base64.StdEncoding.EncodeToString([]byte(text))} {
		if i := strings.Index(out.String(), leak); i >= 0 {
			t.Errorf("printed: ...%s...", out.String()[max(0, i-80):min(out.Len(), i+40)])
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing says that there is a secret")
	}
	if cfg.Security.Password.Reveal() != text {
		t.Error("Reveal does not")
	}
}

func TestSecretFileGivesItsTextWithoutTheLineEnd(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{"s3cret": "s3cret", "s3cret\n": "s3cret", "s3cret\r\n": "s3cret", " two words \n": " two words ", "a\n\n": "a\n"} {
		s, err := SecretFile(writeFile(t, dir, "secret", content))
		if err != nil || s.Reveal() != want {
			t.Errorf("%q gives %q, %v", content, s.Reveal(), err)
		}
	}
	for _, path := range []string{writeFile(t, dir, "empty", ""), writeFile(t, dir, "blank", "\n"), filepath.Join(dir, "absent")} {
		if _, err := SecretFile(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	var s Secret
	if err := s.UnmarshalText([]byte("[redacted]")); err == nil {
		t.Error("the placeholder is taken for a secret")
	}
}

// Mutation: a case removed from load, loadTLS or loadSASL.
func TestSecuritySettingsThatDoNotFitAreNamed(t *testing.T) {
	pki := newPKI(t)
	dir := t.TempDir()
	expired := pki.issue(t, "expired", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	future := pki.issue(t, "future", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	})
	alice, bob := pki.issue(t, "alice", nil), pki.issue(t, "bob", nil)
	encrypted := writeFile(t, dir, "encrypted.pem", string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})))
	junk := writeFile(t, dir, "junk.pem", "no PEM at all")
	stale := jwt(t, time.Now().Add(-time.Minute))
	for _, tc := range []struct {
		security Security
		want     []string // parts of the error; none: it fits
	}{
		{Security{}, nil},
		{Security{Protocol: "TLS"}, []string{`security.protocol: "TLS" is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL`}},
		{Security{CALocation: pki.ca, Mechanism: "PLAIN", Password: NewSecret("x")}, []string{
			"ssl.ca.location is set, but security.protocol PLAINTEXT does not encrypt",
			"sasl.mechanism is set, but security.protocol PLAINTEXT does not authenticate",
			"sasl.password is set, but",
		}},
		{Security{Protocol: "SSL"}, nil},
		{Security{Protocol: "SSL", CALocation: pki.ca, CertificateLocation: alice.cert, KeyLocation: alice.key}, nil},
		{Security{Protocol: "SSL", CALocation: filepath.Join(dir, "absent")}, []string{"ssl.ca.location: ", "no such file"}},
		{Security{Protocol: "SSL", CALocation: junk}, []string{"ssl.ca.location: " + junk + " holds no PEM certificate"}},
		{Security{Protocol: "SSL", CALocation: expired.cert}, []string{"ssl.ca.location: ", "no certificate that is still valid"}},
		{Security{Protocol: "SSL", CertificateLocation: alice.cert}, []string{"ssl.certificate.location needs ssl.key.location"}},
		{Security{Protocol: "SSL", KeyLocation: alice.key}, []string{"ssl.key.location needs ssl.certificate.location"}},
		{Security{Protocol: "SSL", CertificateLocation: alice.cert, KeyLocation: bob.key}, []string{alice.cert, bob.key, "private key does not match public key"}},
		{Security{Protocol: "SSL", CertificateLocation: alice.cert, KeyLocation: encrypted}, []string{"ssl.key.location: " + encrypted + " is encrypted"}},
		{Security{Protocol: "SSL", CertificateLocation: expired.cert, KeyLocation: expired.key}, []string{"ssl.certificate.location: " + expired.cert + " expired on "}},
		{Security{Protocol: "SSL", CertificateLocation: future.cert, KeyLocation: future.key}, []string{"is not valid before "}},
		{Security{Protocol: "SSL", Username: "u"}, []string{"sasl.username is set, but security.protocol SSL does not authenticate"}},
		{Security{Protocol: "SASL_SSL"}, []string{"security.protocol SASL_SSL needs sasl.mechanism"}},
		{Security{Protocol: "SASL_SSL", Mechanism: "GSSAPI"}, []string{`sasl.mechanism: "GSSAPI" is none of PLAIN, SCRAM-SHA-256`}},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "PLAIN"}, []string{"needs sasl.username", "needs sasl.password.file"}},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "SCRAM-SHA-256", Username: "u", Password: NewSecret("p")}, nil},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "SCRAM-SHA-512", Username: "u", PasswordFile: writeFile(t, dir, "p", "p\n")}, nil},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "PLAIN", Username: "u", PasswordFile: filepath.Join(dir, "absent")}, []string{"sasl.password.file: ", "no such file"}},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "PLAIN", Username: "u", Password: NewSecret("p"), PasswordFile: junk}, []string{"sasl.password and sasl.password.file are both set"}},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "PLAIN", Username: "u", Password: NewSecret("p"), TokenFile: junk}, []string{"PLAIN uses no token"}},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER"}, []string{"OAUTHBEARER needs sasl.oauthbearer.token.file"}},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", Token: NewSecret("opaque")}, nil},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", TokenFile: writeFile(t, dir, "jwt", jwt(t, time.Now().Add(time.Hour))+"\n")}, nil},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", Token: NewSecret(stale)}, []string{"sasl.oauthbearer.token: the token expired at "}},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", Token: NewSecret("two words")}, []string{"something other than one token"}},
		{Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", Token: NewSecret("t"), TokenFile: junk, Username: "u"}, []string{"are both set", "uses no user name"}},
	} {
		err := Config{Brokers: []string{"a:1"}, Security: tc.security}.Check()
		if err != nil {
			saysAsData(t, err)
		}
		if len(tc.want) == 0 && err != nil {
			t.Errorf("%+v: %v", tc.security, err)
		}
		for _, want := range tc.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v:\n got %v\nwant %s", tc.security, err, want)
			}
		}
	}
}

// Mutation: bearer keeps the token of its first call.
func TestARenewedTokenIsTakenFromItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	b := bearer{file: file}
	for _, token := range []string{jwt(t, time.Now().Add(time.Hour)), jwt(t, time.Now().Add(2*time.Hour)), "opaque"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := b.Token()
		if err != nil || got.Token != token {
			t.Errorf("got %v, %v", got, err)
		}
	}
	writeFile(t, filepath.Dir(file), "token", jwt(t, time.Now().Add(-time.Second)))
	if _, err := b.Token(); err == nil || !strings.Contains(err.Error(), "nobody has renewed it") {
		t.Errorf("an expired one: %v", err)
	}
}

func TestConnectionsAreEncryptedAndAuthenticated(t *testing.T) {
	pki := newPKI(t)
	server, alice := pki.issue(t, "127.0.0.1", nil), pki.issue(t, "alice", nil)
	other := newPKI(t)
	mallory := other.issue(t, "mallory", nil)
	serverTLS := func(mutual bool) *tls.Config {
		cert, err := tls.LoadX509KeyPair(server.cert, server.key)
		if err != nil {
			t.Fatal(err)
		}
		conf := &tls.Config{Certificates: []tls.Certificate{cert}}
		if mutual {
			conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, pki.pool(t)
		}
		return conf
	}
	users := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", "correct-horse"), kfake.Superuser("SCRAM-SHA-256", "user", "correct-horse"), kfake.Superuser("SCRAM-SHA-512", "user", "correct-horse")}
	plain, encrypted, mutual := fake(t), fake(t, kfake.TLS(serverTLS(false))), fake(t, kfake.TLS(serverTLS(true)))
	sasl, both := fake(t, users...), fake(t, append(users, kfake.TLS(serverTLS(false)))...)

	login := func(protocol, mechanism, password string) Security {
		s := Security{Protocol: protocol, Mechanism: mechanism, Username: "user", Password: NewSecret(password)}
		if protocol == "SASL_SSL" {
			s.CALocation = pki.ca
		}
		return s
	}
	for _, tc := range []struct {
		name     string
		cluster  *kfake.Cluster
		security Security
		want     string // part of the error; empty: it connects
		class    Class
	}{
		{"TLS", encrypted, Security{Protocol: "SSL", CALocation: pki.ca}, "", 0},
		// Mutation: InsecureSkipVerify.
		{"an unknown authority", encrypted, Security{Protocol: "SSL", CALocation: other.ca}, ": TLS handshake: failed to verify certificate: x509: certificate signed by unknown authority", Fatal},
		{"no authority named", encrypted, Security{Protocol: "SSL"}, "TLS handshake: failed to verify certificate", Fatal},
		{"another host's certificate", encrypted, Security{Protocol: "SSL", CALocation: pki.ca, ServerName: "broker.example"}, "wanted to match broker.example", Fatal},
		{"TLS to a plaintext broker", plain, Security{Protocol: "SSL", CALocation: pki.ca}, "TLS handshake: ", Retriable},
		{"plaintext to a TLS broker", encrypted, Security{}, "does it want another security.protocol here?", Retriable},
		{"mutual TLS", mutual, Security{Protocol: "SSL", CALocation: pki.ca, CertificateLocation: alice.cert, KeyLocation: alice.key}, "", 0},
		{"mutual TLS without a certificate", mutual, Security{Protocol: "SSL", CALocation: pki.ca}, "TLS handshake: the broker refused this client: ", Fatal},
		{"mutual TLS with a stranger's certificate", mutual, Security{Protocol: "SSL", CALocation: pki.ca, CertificateLocation: mallory.cert, KeyLocation: mallory.key}, "TLS handshake: the broker refused this client: ", Fatal},
		{"PLAIN", sasl, login("SASL_PLAINTEXT", "PLAIN", "correct-horse"), "", 0},
		{"SCRAM-SHA-256", sasl, login("SASL_PLAINTEXT", "SCRAM-SHA-256", "correct-horse"), "", 0},
		{"SCRAM-SHA-512", sasl, login("SASL_PLAINTEXT", "SCRAM-SHA-512", "correct-horse"), "", 0},
		{"PLAIN over TLS", both, login("SASL_SSL", "PLAIN", "correct-horse"), "", 0},
		{"SCRAM-SHA-512 over TLS", both, login("SASL_SSL", "SCRAM-SHA-512", "correct-horse"), "", 0},
		{"PLAIN with a wrong password", sasl, login("SASL_PLAINTEXT", "PLAIN", "wrong-battery"), "SASL: the broker closed the connection: are user name and password right?", Retriable},
		{"SCRAM-SHA-256 with a wrong password", sasl, login("SASL_PLAINTEXT", "SCRAM-SHA-256", "wrong-battery"), "SASL: the broker closed the connection: are user name and password right?", Retriable},
		{"a mechanism that the broker has not", sasl, Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", Token: NewSecret("t")}, "SASL: ", Fatal},
		{"no login where one is wanted", sasl, Security{}, "does it want another security.protocol here?", Retriable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := tryDial(t, Config{Brokers: tc.cluster.ListenAddrs(), Security: tc.security, ConnectTimeout: 2 * time.Second, StartupTimeout: time.Millisecond})
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want == "":
				if _, err := c.Topics(t.Context(), []string{"a"}); err != nil {
					t.Error(err)
				}
			case err == nil || !strings.Contains(err.Error(), tc.want):
				t.Errorf("got %v\nwant %s", err, tc.want)
			case ClassOf(err) != tc.class:
				t.Errorf("class %v: %v", ClassOf(err), err)
			case strings.Contains(err.Error(), "correct-horse"), strings.Contains(err.Error(), "wrong-battery"):
				t.Errorf("tells the password: %v", err)
			}
		})
	}
}

// Mutation: log.go logs requests' content.
func TestNoSecretIsLoggedAtAnyLevel(t *testing.T) {
	const text = "a-very-secret-password"
	cluster := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", text), kfake.Superuser("SCRAM-SHA-512", "user", text))
	var out lockedBuilder
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), &out, zap.DebugLevel))
	for _, s := range []Security{
		{Mechanism: "PLAIN", Username: "user", Password: NewSecret(text)},
		{Mechanism: "SCRAM-SHA-512", Username: "user", Password: NewSecret(text)},
		{Mechanism: "SCRAM-SHA-256", Username: "user", Password: NewSecret(text)}, // fails
		{Mechanism: "OAUTHBEARER", Token: NewSecret(text)},                        // fails
	} {
		s.Protocol = "SASL_PLAINTEXT"
		c, err := Dial(t.Context(), Config{Brokers: cluster.ListenAddrs(), Security: s, StartupTimeout: time.Millisecond}, log)
		if err == nil {
			_, err = c.Topics(t.Context(), []string{"a"})
			_ = c.Close()
		}
		fmt.Fprintln(&out, err)
	}
	if s := out.String(); strings.Contains(s, text) || len(s) < 1000 {
		t.Errorf("logged: %s", s)
	}
}

// pki is an authority made for one test.
type pki struct {
	ca   string // its certificate's file
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

type issued struct{ cert, key string }

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir()}
	p.key = newKey(t)
	p.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, p.cert, p.cert, &p.key.PublicKey, p.key)
	if err != nil {
		t.Fatal(err)
	}
	p.ca = writeFile(t, p.dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return p
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for a host or client of that name.
func (p *pki) issue(t *testing.T, name string, change func(*x509.Certificate)) issued {
	t.Helper()
	key := newKey(t)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		cert.IPAddresses = []net.IP{ip}
	} else {
		cert.DNSNames = []string{name}
	}
	if change != nil {
		change(cert)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, p.cert, &key.PublicKey, p.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return issued{
		cert: writeFile(t, p.dir, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		key:  writeFile(t, p.dir, name+"-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))),
	}
}

func (p *pki) pool(t *testing.T) *x509.CertPool {
	t.Helper()
	pool, err := loadAuthorities(p.ca)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

// jwt makes a token that is not signed, which Kafka's unsecured validator takes.
func jwt(t *testing.T, expires time.Time) string {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	header := part(map[string]string{"alg": "none"})
	claims := part(map[string]any{"sub": "user", "iat": time.Now().Add(-time.Minute).Unix(), "exp": expires.Unix()})
	return header + "." + claims + "."
}

func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
