package service

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
)

// issue makes a certificate for a name, signed by an authority, or by itself where there is none.
func issue(t *testing.T, name string, by *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: by == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := cert, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// A handler sees the certificate that a client came with, by HTTP/1 and HTTP/2, behind the bound on connections.
//
// Mutation seen to fail it: the bound around TLS, so that the server does not know that connections are encrypted.
func TestAHandlerKnowsTheClientsCertificate(t *testing.T) {
	ca := issue(t, "authority", nil)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	door, err := Listen("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{issue(t, "gateway", &ca)}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven})
	if err != nil {
		t.Fatal(err)
	}
	door.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
			name = r.TLS.VerifiedChains[0][0].Subject.CommonName
		}
		_, _ = io.WriteString(w, r.Proto+" "+name)
	}), 10, zap.NewNop())
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		door.Close(ctx)
	}()
	for _, h2 := range []bool{false, true} {
		transport := &http.Transport{ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{issue(t, "shop", &ca)}}}
		res, err := (&http.Client{Transport: transport}).Get(door.URL())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		transport.CloseIdleConnections()
		if want := map[bool]string{false: "HTTP/1.1 shop", true: "HTTP/2.0 shop"}[h2]; string(body) != want || err != nil {
			t.Errorf("%q, %v, want %q", body, err, want)
		}
	}
}

// A client's certificate is trusted for as long as its authority is in the file, also on a connection that began before the file changed.
//
// Mutation seen to fail it: trusts by what the file held at the start.
func TestAnAuthorityIsTrustedWhileItIsInItsFile(t *testing.T) {
	dir := t.TempDir()
	ca, other := issue(t, "authority", nil), issue(t, "other", nil)
	writePair(t, dir, issue(t, "server", &ca))
	flags := &Flags{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), ca: filepath.Join(dir, "ca.pem")}
	write := func(list ...tls.Certificate) {
		t.Helper()
		var data []byte
		for _, c := range list {
			data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
		}
		if err := os.WriteFile(flags.ca, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca, other)
	c, err := flags.certificates()
	if err != nil {
		t.Fatal(err)
	}
	door, err := Listen("127.0.0.1:0", c.config())
	if err != nil {
		t.Fatal(err)
	}
	door.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chain := r.TLS.VerifiedChains[0]
		_, _ = fmt.Fprint(w, c.trusts(chain[len(chain)-1]))
	}), 10, zap.NewNop())
	defer door.Close(t.Context())
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{issue(t, "shop", &other)}}}
	defer transport.CloseIdleConnections()
	says := func(want string) {
		t.Helper()
		res, err := (&http.Client{Transport: transport}).Get(door.URL())
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if string(data) != want {
			t.Errorf("%s, want %s", data, want)
		}
	}
	says("true")
	write(ca)
	if _, err := c.again(); err != nil {
		t.Fatal(err)
	}
	says("false")
}
