package proxy

import (
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy is one listener in front of one broker. All methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	work     sync.WaitGroup // the accept loop and every connection

	corrupted atomic.Int64

	mu       sync.Mutex
	upstream string
	refuse   bool
	closed   bool
	seed     uint64
	rules    []Rule
	requests map[Key]uint64
	strikes  map[Strike]int
	open     map[*connection]struct{}
}

// Listen starts a proxy on an address; port 0 chooses a free one. Until Forward, connections are closed at once. Close
// ends it.
func Listen(addr string) (*Proxy, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen as a proxy: %w", err)
	}
	p := &Proxy{
		listener: l,
		requests: map[Key]uint64{}, strikes: map[Strike]int{}, open: map[*connection]struct{}{},
	}
	p.work.Go(p.accept)
	return p, nil
}

// Addr is what the broker must advertise.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Forward sets the broker's own address, for connections made from now on.
func (p *Proxy) Forward(upstream string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upstream = upstream
}

// Inject replaces the rules. Without rules everything passes. Requests are counted anew, so that the same seed and
// rules strike the same requests again.
func (p *Proxy) Inject(seed uint64, rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seed, p.rules = seed, rules
	clear(p.requests)
}

// Refuse closes every connection and lets none come up until it is called with false: the broker cannot be reached.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	p.refuse = refuse
	p.mu.Unlock()
	if refuse {
		p.Cut()
	}
}

// Cut closes every connection once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	conns := make([]*connection, 0, len(p.open))
	for c := range p.open {
		conns = append(conns, c)
	}
	p.mu.Unlock()
	for _, c := range conns {
		c.close()
	}
}

// Strikes tells what was done to how many requests since Listen.
func (p *Proxy) Strikes() map[Strike]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.strikes)
}

// Corrupted is how many record batches were made wrong since Listen: an answer that was struck may hold none.
func (p *Proxy) Corrupted() int64 { return p.corrupted.Load() }

// Close ends the proxy and its connections.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Cut()
	p.work.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.work.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	upstream, refuse := p.upstream, p.refuse || p.upstream == ""
	p.mu.Unlock()
	if refuse {
		return
	}
	broker, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	c := &connection{proxy: p, client: client, broker: broker, gone: make(chan struct{}), waiting: map[int32]verdict{}}
	p.mu.Lock()
	late := p.closed || p.refuse // Close or Refuse came in between, and did not see this connection
	if !late {
		p.open[c] = struct{}{}
	}
	p.mu.Unlock()
	if late {
		broker.Close()
		return
	}
	c.run()
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

// decide counts a request and says what happens to it.
func (p *Proxy) decide(key Key) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[key]++
	v := judge(p.seed, p.rules, key, p.requests[key])
	if v.action != 0 {
		p.strikes[Strike{key, v.action}]++
	}
	return v
}
