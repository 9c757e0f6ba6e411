package kafka

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// link is one connection. sarama's Broker does the protocol; the link dials for it, and so can cut the connection
// under it: Broker.Close waits for the lock that a call holds until its answer has come.
type link struct {
	*sarama.Broker
	addr  string
	conf  *sarama.Config
	ready chan struct{} // closed when connected or failed
	err   error         // set before ready

	ctx    context.Context // ends with owner, and when the link is cut
	cancel context.CancelFunc
	owner  context.Context // of the set of links
	tls    *tls.Config
	limit  time.Duration // for connect and all handshakes together

	stage atomic.Int32
	conn  atomic.Pointer[cutConn]

	// Of raw connections only; see raw.go.
	links   *links               // nil for sarama's
	raw     *rawConn             // set before ready
	retired atomic.Pointer[link] // what it replaces, until that has ended
}

func newLink(ctx context.Context, c *Client, addr string) *link {
	k := &link{
		Broker: sarama.NewBroker(addr),
		addr:   addr,
		conf:   c.saramaConfig(),
		ready:  make(chan struct{}),
		tls:    c.creds.tls,
		limit:  c.cfg.ConnectTimeout,
		owner:  ctx,
	}
	k.ctx, k.cancel = context.WithCancel(ctx)
	k.conf.Net.Proxy.Enable = true
	k.conf.Net.Proxy.Dialer = dialer{k}
	return k
}

// connect opens the connection and does every handshake: TCP, TLS, ApiVersions and SASL.
func (k *link) connect() {
	if err := k.Open(k.conf); err != nil {
		k.err = newConnectError(k.addr, stageConnect, err)
		k.cut()
		return
	}
	ok, err := k.Connected()
	conn := k.conn.Load()
	if ok && conn.answered.Load() {
		if k.links != nil {
			err = k.takeOver()
		}
		if err == nil {
			conn.trace.Store(nil)
			conn.limit.Store(nil)
			return
		}
		k.stage.Store(int32(stageRequest))
	} else if conn != nil && conn.answered.Load() && k.conf.Net.SASL.Enable {
		k.stage.Store(int32(stageLogin)) // sarama goes on to it by itself
	}
	// sarama takes a broker that never answered ApiVersions for one that is too old to know it.
	if err == nil {
		err = context.DeadlineExceeded
	}
	if k.owner.Err() != nil { // not k.ctx, which ends too when the broker cuts the connection during the handshakes
		err = errClosed
	}
	k.err = newConnectError(k.addr, stage(k.stage.Load()), err)
	k.cut()
	k.shut()
}

func (k *link) connected() bool {
	select {
	case <-k.ready:
		return k.err == nil
	default:
		return false
	}
}

// cut ends the connection at once. Whoever waits for an answer gets an error.
func (k *link) cut() {
	k.cancel()
	unthrottle(k.Broker)
	if conn := k.conn.Load(); conn != nil {
		_ = conn.Close()
	}
	if old := k.retired.Load(); old != nil {
		old.cut()
	}
}

// shut gives up what sarama holds for a connection that was cut.
func (k *link) shut() { _ = k.Broker.Close() }

// dialer connects in sarama's stead.
type dialer struct{ link *link }

func (d dialer) Dial(network, addr string) (net.Conn, error) {
	k := d.link
	ctx, cancel := context.WithTimeout(k.ctx, k.limit)
	defer cancel()
	deadline, _ := ctx.Deadline()
	k.stage.Store(int32(stageConnect))
	var nd net.Dialer
	conn, err := nd.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if k.tls != nil {
		k.stage.Store(int32(stageTLS))
		conf := k.tls
		if conf.ServerName == "" {
			conf = conf.Clone()
			conf.ServerName, _, _ = net.SplitHostPort(addr)
		}
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	k.stage.Store(int32(stageHandshake))
	cc := &cutConn{Conn: conn}
	cc.limit.Store(&deadline)
	cc.trace.Store(&saslTrace{})
	k.conn.Store(cc)
	if k.ctx.Err() != nil { // cut came before the connection was there to be cut
		_ = cc.Close()
	}
	return cc, nil
}

// cutConn is a connection that may be closed twice, and whose deadlines have a limit while the handshakes last.
type cutConn struct {
	net.Conn
	limit    atomic.Pointer[time.Time]
	trace    atomic.Pointer[saslTrace] // nil after the handshakes
	answered atomic.Bool
	once     sync.Once
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.answered.Load() {
		c.answered.Store(true)
	}
	if trace := c.trace.Load(); trace != nil {
		trace.read(p[:n])
	}
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	if trace := c.trace.Load(); trace != nil {
		trace.wrote(p)
	}
	return c.Conn.Write(p)
}

func (c *cutConn) SetReadDeadline(t time.Time) error {
	if limit := c.limit.Load(); limit != nil && limit.Before(t) {
		t = *limit
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *cutConn) Close() error {
	c.once.Do(func() {
		if conn, ok := c.Conn.(*tls.Conn); ok {
			// tls.Conn.Close would first wait up to 5s to write its goodbye to a peer that may hang.
			_ = conn.NetConn().Close()
			return
		}
		_ = c.Conn.Close()
	})
	return nil
}
