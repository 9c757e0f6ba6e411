package embedded

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// guard closes connections that do not speak Kafka's protocol. kfake allocates whatever size a request claims to have,
// and a request of an unknown kind ends the process: a browser or a TLS client that found the port would be enough.
type guard struct{ net.Listener }

func (g guard) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guarded{Conn: conn, closed: make(chan struct{}), written: make(chan struct{}, 1)}, nil
}

// maxRequest is Kafka's socket.request.max.bytes.
const maxRequest = 100 << 20

// guarded looks at the head of each request before it passes it on. Reads come from one goroutine, and writes, an answer each, from one.
//
// The end of a connection on which a group has not answered yet is passed on when it has. kfake begins a member's session with the answer to its
// JoinGroup or SyncGroup, and where the connection has ended by then it does not: a process that was killed while it joined would be a member for
// ever, with partitions that nobody works on until some rebalance has waited for it as long as a rebalance may take.
type guarded struct {
	net.Conn
	head []byte // read but not passed on
	left int    // of the request, after head

	mu              sync.Mutex
	asked, answered int
	group           int // the last request of a member of a group, by its number
	closing         sync.Once
	closed          chan struct{}
	written         chan struct{} // an answer was
}

func (c *guarded) Read(p []byte) (int, error) {
	if len(c.head) == 0 && c.left == 0 {
		if err := c.begin(); err != nil {
			c.awaitGroup()
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// begin reads the size of a request, its kind and version.
func (c *guarded) begin() error {
	head := make([]byte, 8)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head)
	key := int16(binary.BigEndian.Uint16(head[4:]))
	if size < 8 || size > maxRequest || kmsg.RequestForKey(key) == nil {
		return fmt.Errorf("%s sent no request of Kafka", c.RemoteAddr())
	}
	c.head, c.left = head, int(size)-4
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	switch kmsg.Key(key) {
	case kmsg.JoinGroup, kmsg.SyncGroup:
		c.group = c.asked
	}
	return nil
}

// awaitGroup returns when nothing that a member asked is unanswered, or the connection is closed.
func (c *guarded) awaitGroup() {
	for {
		c.mu.Lock()
		open := c.group > c.answered
		c.mu.Unlock()
		if !open {
			return
		}
		select {
		case <-c.written:
		case <-c.closed:
			return
		}
	}
}

func (c *guarded) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	c.answered++
	c.mu.Unlock()
	select {
	case c.written <- struct{}{}:
	default: // it is known already
	}
	return n, err
}

func (c *guarded) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
