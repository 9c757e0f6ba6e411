package httpserver

import (
	"crypto/tls"
	"errors"
	"net"
)

// Untrusted says whether a request failed because one side did not trust the other's certificate, or they do not both speak TLS. So somebody answers there.
func Untrusted(err error) bool {
	var untrusted *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	var op *net.OpError // an alert of the other side: its type is not exported where it comes over TCP
	return errors.As(err, &untrusted) || errors.As(err, &alert) || errors.As(err, &record) || errors.As(err, &op) && op.Op == "remote error"
}
