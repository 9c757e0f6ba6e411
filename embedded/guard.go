package embedded

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

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
	return &guarded{Conn: conn}, nil
}

// maxRequest is Kafka's socket.request.max.bytes.
const maxRequest = 100 << 20

// guarded looks at the head of each request before it passes it on. Reads come from one goroutine.
type guarded struct {
	net.Conn
	head []byte // read but not passed on
	left int    // of the request, after head
}

func (c *guarded) Read(p []byte) (int, error) {
	if len(c.head) == 0 && c.left == 0 {
		if err := c.begin(); err != nil {
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
	return nil
}
