//go:build unix

package kafkatest

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("WEIR_TEST_HOST_OF_CLUSTER") != "" {
		host()
	}
	goleak.VerifyTestMain(m)
}

// host starts a cluster in a process of its own, prints the address, and waits to be killed.
func host() {
	c, err := Run(context.Background(), Options{})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	println(c.Addrs()[0], c.Dir())
	_, _ = os.Stdin.Read(make([]byte, 1))
	c.Close()
	os.Exit(0)
}
