package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/secretfile"
)

func (s Security) loadTLS() (conf *tls.Config, warning string, err error) {
	conf = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.ServerName}
	var errs []error
	if s.CALocation != "" {
		pool, err := loadAuthorities(s.CALocation)
		if err != nil {
			errs = append(errs, mistake.In("ssl.ca.location").Errorf("ssl.ca.location: %w", err))
		}
		conf.RootCAs = pool
	}
	switch {
	case s.CertificateLocation != "" && s.KeyLocation == "":
		errs = append(errs, mistake.In("ssl.certificate.location", "ssl.key.location").Errorf("ssl.certificate.location needs ssl.key.location"))
	case s.CertificateLocation == "" && s.KeyLocation != "":
		errs = append(errs, mistake.In("ssl.key.location", "ssl.certificate.location").Errorf("ssl.key.location needs ssl.certificate.location"))
	case s.CertificateLocation != "":
		var cert tls.Certificate
		if cert, warning, err = loadCertificate(s.CertificateLocation, s.KeyLocation); err != nil {
			errs = append(errs, err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, warning, errors.Join(errs...)
}

// loadAuthorities reads a bundle. Bundles often carry some expired authorities; one of which none is valid would fail
// at every handshake, with an error that does not name the file.
func loadAuthorities(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	var found, valid int
	var last time.Time
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found++
		last = cert.NotAfter
		if time.Now().Before(cert.NotAfter) {
			valid++
		}
		pool.AddCert(cert)
	}
	switch {
	case found == 0:
		return nil, fmt.Errorf("%s holds no PEM certificate", path)
	case valid == 0:
		return nil, fmt.Errorf("%s holds no certificate that is still valid: the last expired on %s", path, last.Format(time.DateOnly))
	}
	return pool, nil
}

func loadCertificate(certPath, keyPath string) (cert tls.Certificate, warning string, err error) {
	certData, err := os.ReadFile(certPath)
	if err != nil {
		return tls.Certificate{}, "", mistake.In("ssl.certificate.location").Errorf("ssl.certificate.location: %w", err)
	}
	keyData, warning, err := secretfile.Read(keyPath)
	if err != nil {
		return tls.Certificate{}, "", mistake.In("ssl.key.location").Errorf("ssl.key.location: %w", err)
	}
	for block, rest := pem.Decode(keyData); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return tls.Certificate{}, "", mistake.In("ssl.key.location").Errorf("ssl.key.location: %s is encrypted with a passphrase, which is not supported", keyPath)
		}
	}
	cert, err = tls.X509KeyPair(certData, keyData)
	if err != nil {
		return tls.Certificate{}, "", mistake.In("ssl.certificate.location", "ssl.key.location").Errorf("ssl.certificate.location %s with ssl.key.location %s: %w", certPath, keyPath, err)
	}
	if now := time.Now(); now.After(cert.Leaf.NotAfter) {
		return tls.Certificate{}, "", mistake.In("ssl.certificate.location").Errorf("ssl.certificate.location: %s expired on %s", certPath, cert.Leaf.NotAfter.Format(time.DateOnly))
	} else if now.Before(cert.Leaf.NotBefore) {
		return tls.Certificate{}, "", mistake.In("ssl.certificate.location").Errorf("ssl.certificate.location: %s is not valid before %s", certPath, cert.Leaf.NotBefore.Format(time.DateTime))
	}
	return cert, warning, nil
}
