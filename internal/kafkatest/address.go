package kafkatest

import (
	"net"
	"testing"
)

// FreeAddress is an address on loopback, HOST:PORT, at which nobody listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
