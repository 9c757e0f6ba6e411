package kafkatest

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// FreeAddress is an address on loopback, HOST:PORT, at which nobody listens. It is for a process that is started next, and may be
// started again: nobody else gets it meanwhile.
func FreeAddress(t testing.TB) string {
	t.Helper()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return local(ports[0])
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// given are the ports that this process has given away. Nobody listens on one whose process is down or not started yet.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// freePorts finds ports to listen on. They are outside the range that the kernel takes ports of outgoing connections
// from: a node that is down must find its port free when it comes back.
func freePorts(n int) ([]int, error) {
	given.Lock()
	defer given.Unlock()
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		if tries > 1000 {
			return nil, errors.New("no free ports between 15000 and 32000")
		}
		port := 15000 + int(time.Now().UnixNano()/1000+int64(os.Getpid())*7919+int64(tries)*104729)%17000
		if given.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", local(port))
		if err != nil {
			continue
		}
		_ = l.Close()
		given.ports[port] = true
		ports = append(ports, port)
	}
	return ports, nil
}
