package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// silentCluster does not answer while it has an error.
type silentCluster struct{ err error }

func (s *silentCluster) ClusterID(context.Context) (string, error) { return "id", s.err }

// writePair writes a certificate and its key.
func writePair(t *testing.T, dir string, c tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A door shows the certificate that its files hold now, health says when one expires soon or cannot be read, and a file that is wrong leaves the former in use.
//
// Mutations seen to fail it: a door with the certificate of its start; again that keeps what is wrong; Health without the end of a certificate.
func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	ca := issue(t, "authority", nil) // each ends in an hour
	writePair(t, dir, issue(t, "one", &ca))
	flags := &Flags{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	c, err := flags.certificates()
	if err != nil {
		t.Fatal(err)
	}
	w := newWatch(&Door{}, c, &silentCluster{}, ready{}, zap.NewNop())
	door, err := Listen("127.0.0.1:0", c.config())
	if err != nil {
		t.Fatal(err)
	}
	door.Serve(http.NotFoundHandler(), 10, zap.NewNop())
	defer door.Close(t.Context())
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	shows := func(want string) {
		t.Helper()
		conn, err := tls.Dial("tcp", door.Address(), &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		state := conn.ConnectionState()
		if name := state.PeerCertificates[0].Subject.CommonName; name != want || state.NegotiatedProtocol != "h2" {
			t.Errorf("it shows %s over %q, want %s", name, state.NegotiatedProtocol, want)
		}
	}
	says := func(want ...string) {
		t.Helper()
		list := w.Health()
		if len(list) != len(want) {
			t.Fatalf("%v, want %q", list, want)
		}
		for i := range want {
			if !strings.Contains(list[i].Cause, want[i]) {
				t.Errorf("%v, want %q", list[i], want[i])
			}
		}
	}
	shows("one")
	says("expires at")
	if err := os.WriteFile(flags.cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.reload()
	shows("one")
	says("cannot be read again", "expires at")
	writePair(t, dir, issue(t, "another", &ca))
	w.reload()
	shows("another")
	says("expires at")
}

// Health says that the cluster does not answer, when it has not for a while, and no longer than that.
//
// Mutation seen to fail it: Health without the cluster.
func TestASilentClusterIsAProblem(t *testing.T) {
	cluster := &silentCluster{errors.New("no broker answers")}
	w := newWatch(&Door{}, nil, cluster, ready{}, zap.NewNop())
	w.ask(t.Context())
	if list := w.Health(); len(list) > 0 {
		t.Errorf("at once: %v", list)
	}
	w.heard = time.Now().Add(-time.Minute)
	w.ask(t.Context())
	if list := w.Health(); len(list) != 1 || !strings.Contains(list[0].Cause, "no broker answers") {
		t.Errorf("after a minute: %v", list)
	}
	cluster.err = nil
	w.ask(t.Context())
	if list := w.Health(); len(list) > 0 {
		t.Errorf("when it answers again: %v", list)
	}
}
