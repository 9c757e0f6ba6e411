package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/IBM/sarama"
)

// ConnectError says why one broker cannot be used.
type ConnectError struct {
	Addr string
	Err  error
	at   stage
}

// stage is how far a connection came.
type stage int32

const (
	stageConnect stage = iota
	stageTLS
	stageHandshake // ApiVersions
	stageLogin     // SASL
	stageRequest
)

func newConnectError(addr string, at stage, err error) error {
	var known *ConnectError
	if errors.As(err, &known) {
		return err
	}
	return &ConnectError{Addr: addr, Err: err, at: at}
}

func (e *ConnectError) Unwrap() error { return e.Err }

func (e *ConnectError) Error() string { return e.Addr + ": " + e.reason() }

func (e *ConnectError) reason() string {
	var dns *net.DNSError
	timedOut := timedOut(e.Err)
	closed := errors.Is(e.Err, io.EOF) || errors.Is(e.Err, io.ErrUnexpectedEOF) || errors.Is(e.Err, syscall.ECONNRESET) || errors.Is(e.Err, syscall.EPIPE)
	switch {
	case e.at == stageConnect && errors.As(e.Err, &dns):
		return fmt.Sprintf("host %s cannot be resolved: %s", dns.Name, dns.Err)
	case e.at == stageConnect && errors.Is(e.Err, syscall.ECONNREFUSED):
		return "connection refused"
	case e.at == stageConnect && timedOut:
		return "no connection in time"
	case e.at == stageTLS && timedOut:
		return "TLS handshake: no answer in time"
	case e.at == stageTLS && closed, e.at == stageTLS && isNotTLS(e.Err):
		return "TLS handshake: the broker does not speak TLS here"
	case e.at == stageTLS:
		return "TLS handshake: " + strings.TrimPrefix(e.Err.Error(), "tls: ")
	case errors.As(e.Err, new(tls.AlertError)), strings.Contains(e.Err.Error(), "remote error: tls:"):
		return "TLS handshake: the broker refused this client: " + e.Err.Error()
	case isSASL(e.Err):
		return "SASL: " + e.Err.Error()
	case e.at == stageLogin && closed:
		return "SASL: the broker closed the connection: are user name and password right?"
	case e.at == stageLogin:
		return "SASL: " + e.Err.Error()
	case e.at == stageHandshake && timedOut:
		return "connected, but no answer in time"
	case e.at == stageHandshake && closed, e.at == stageRequest && closed:
		return "connected, but the broker closed the connection: does it want another security.protocol here?"
	}
	return e.Err.Error()
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

func isNotTLS(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header)
}

func isSASL(err error) bool {
	return errors.Is(err, sarama.ErrSASLAuthenticationFailed) || errors.Is(err, sarama.ErrUnsupportedSASLMechanism) ||
		errors.Is(err, sarama.ErrIllegalSASLState)
}

// permanent says that trying again cannot help: the credentials are wrong, or the broker's certificate is.
func (e *ConnectError) permanent() bool {
	var verify *tls.CertificateVerificationError
	var host x509.HostnameError
	return isSASL(e.Err) || errors.As(e.Err, &verify) || errors.As(e.Err, &host) ||
		e.at != stageRequest && strings.Contains(e.Err.Error(), "remote error: tls:")
}

// connectClass is Fatal when any broker was reached and refused us, or was not who it should be.
func connectClass(err error) Class {
	for _, e := range flatten(err) {
		var connect *ConnectError
		if errors.As(e, &connect) && connect.permanent() {
			return Fatal
		}
	}
	return Retriable
}

// flatten returns the errors that were joined into err, however deep. A ConnectError stays whole: sarama joins a code and
// the broker's message inside it.
func flatten(err error) []error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if _, ok := e.(*ConnectError); ok {
			break
		}
		if many, ok := e.(interface{ Unwrap() []error }); ok {
			var all []error
			for _, e := range many.Unwrap() {
				all = append(all, flatten(e)...)
			}
			return all
		}
	}
	return []error{err}
}
