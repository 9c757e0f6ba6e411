package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// Mutation: the users left out of open, or the TLS listener out of listen.
func TestTLSAndUsersAreAskedFor(t *testing.T) {
	server, roots := selfSigned(t)
	b := start(t, Options{
		DataDir: t.TempDir(),
		TLS:     &tls.Config{Certificates: []tls.Certificate{server}},
		Users:   []User{{"PLAIN", "weir", "secret"}},
	})
	secure := kgo.DialTLSConfig(&tls.Config{RootCAs: roots})
	login := func(password string) kgo.Opt {
		return kgo.SASL(plain.Auth{User: "weir", Pass: password}.AsMechanism())
	}
	for range 2 {
		if err := client(t, b.Addrs(), secure, login("secret")).Ping(timeout(t)); err != nil {
			t.Error(err)
		}
		for name, opts := range map[string][]kgo.Opt{
			"a wrong password":  {secure, login("wrong")},
			"no login":          {secure},
			"no encryption":     {login("secret")},
			"another authority": {kgo.DialTLSConfig(&tls.Config{RootCAs: x509.NewCertPool()}), login("secret")},
		} {
			opts = append(opts, kgo.RetryTimeout(100*time.Millisecond), kgo.RequestRetries(1))
			if err := client(t, b.Addrs(), opts...).Ping(timeout(t)); err == nil {
				t.Errorf("with %s it connects", name)
			}
		}
		if err := b.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
