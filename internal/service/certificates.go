package service

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// certificates are the server's own, and the authorities of clients'. They are read again when their files change.
type certificates struct {
	flags Flags
	now   atomic.Pointer[loaded]
	files *Files // the goroutine that watches has them
	wrong atomic.Pointer[error]
}

// loaded is what the files held.
type loaded struct {
	conf *tls.Config
	leaf *x509.Certificate

	clients map[string]bool // the authorities of clients' certificates, as they are written
}

func (f *Flags) certificates() (*certificates, error) {
	if (f.cert == "") != (f.key == "") {
		return nil, errors.New("give --tls-cert and --tls-key together")
	}
	if f.ca != "" && f.cert == "" {
		return nil, errors.New("--tls-client-ca needs --tls-cert: clients show certificates to a server that has one")
	}
	if f.cert == "" {
		return nil, nil
	}
	c := &certificates{flags: *f, files: Watched(f.cert, f.key, f.ca)}
	l, err := f.load()
	if err != nil {
		return nil, err
	}
	c.now.Store(l)
	return c, nil
}

func (f *Flags) load() (*loaded, error) {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: protocols}
	clients := map[string]bool{}
	if f.ca != "" {
		list, err := authorities(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--tls-client-ca: %w", err)
		}
		for _, authority := range list {
			clients[string(authority.Raw)] = true
		}
		// A client may have a key instead; a certificate that is shown must be a good one.
		conf.ClientCAs, conf.ClientAuth = poolOf(list), tls.VerifyClientCertIfGiven
	}
	leaf := pair.Leaf
	if leaf == nil {
		if leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("--tls-cert: %w", err)
		}
	}
	return &loaded{conf, leaf, clients}, nil
}

// authorities are the certificates in a file; what else is there is passed over, as x509.CertPool does it.
func authorities(path string) (list []*x509.Certificate, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			list = append(list, cert)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no certificate", path)
	}
	return list, nil
}

func poolOf(list []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, authority := range list {
		pool.AddCert(authority)
	}
	return pool
}

// trusts says whether an authority of clients' certificates is still in its file.
func (c *certificates) trusts(authority *x509.Certificate) bool {
	return c != nil && c.now.Load().clients[string(authority.Raw)]
}

// config is how a door serves: each connection by what the files hold when it begins. Nil of nil.
func (c *certificates) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now.Load().conf, nil }}
}

// again reads the files again if they have changed, or were wrong: key and certificate may be written one after the other. Files that are wrong
// change nothing. changed says that there is something to say.
func (c *certificates) again() (changed bool, err error) {
	if !c.files.Changed() {
		return false, nil
	}
	l, err := c.flags.load()
	if err != nil {
		c.wrong.Store(&err)
		return true, err
	}
	c.wrong.Store(nil)
	c.now.Store(l)
	return true, nil
}

// leaf is the server's certificate.
func (c *certificates) leaf() *x509.Certificate { return c.now.Load().leaf }

// expiresSoon is how long before its end a certificate is a problem: renewals of 90 days begin 30 before it.
const expiresSoon = 14 * 24 * time.Hour

// ClientTLS is what flags --NAME-ca-file, --NAME-cert-file and --NAME-key-file say of connections to others; nil where none is given.
func ClientTLS(name, ca, cert, key string) (*tls.Config, error) {
	if ca == "" && cert == "" && key == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		list, err := authorities(ca)
		if err != nil {
			return nil, fmt.Errorf("--%s-ca-file: %w", name, err)
		}
		conf.RootCAs = poolOf(list)
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("--%s-cert-file, --%s-key-file: %w", name, name, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}
