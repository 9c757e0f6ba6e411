package httpserver

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// Connections at once. A monitoring system needs a handful. What it leaves open takes file descriptors, which the stores and
// the connections to brokers need, so the share of a small limit is small.
const (
	mostConnections  = 64
	leastConnections = 4
	descriptorShare  = 8 // one in so many
)

func connectionCap(descriptors uint64) int {
	return int(min(max(descriptors/descriptorShare, leastConnections), mostConnections))
}

// Limit bounds the connections of a server for others than the monitoring: most, or a quarter of the files that this process may have
// open if that is less. Clients that connect and say nothing keep nobody out: a new connection takes the place of the one that has
// been idle for longest. Of the http.Server, track is the ConnState.
func Limit(l net.Listener, most int) (_ net.Listener, track func(net.Conn, http.ConnState)) {
	limited := limit(l, int(min(max(descriptors()/4, leastConnections), uint64(most))))
	return limited, limited.track
}

// limited is a listener with at most max connections. When there are so many, a new one takes the place of the one that has
// been idle for longest, and waits in the kernel's queue while all of them are at work. So clients that connect and say
// nothing keep nobody out.
type limited struct {
	net.Listener
	places chan struct{}

	mu   sync.Mutex
	idle list.List                  // of net.Conn: those that have no request under way, the oldest first
	at   map[net.Conn]*list.Element // in idle: every request takes its connection out and puts it back
	wait int                        // accepts that wait for a place
	shut chan struct{}
	once sync.Once
}

func limit(l net.Listener, max int) *limited {
	return &limited{Listener: l, places: make(chan struct{}, max), at: map[net.Conn]*list.Element{}, shut: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	default:
		l.drop()
		select {
		case l.places <- struct{}{}:
		case <-l.shut:
			return nil, net.ErrClosed
		}
		l.mu.Lock()
		l.wait = 0
		l.mu.Unlock()
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &place{Conn: c, free: func() { <-l.places }}, nil
}

// drop closes the connection that has been idle for longest, or the next that becomes idle.
func (l *limited) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.idle.Front()
	if oldest == nil {
		l.wait++
		return
	}
	c := l.idle.Remove(oldest).(net.Conn)
	delete(l.at, c)
	_ = c.Close()
}

// track follows what the server's connections do; it is the server's ConnState.
func (l *limited) track(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.at[c]; e != nil {
		l.idle.Remove(e)
		delete(l.at, c)
	}
	if state != http.StateNew && state != http.StateIdle {
		return
	}
	if l.wait > 0 {
		l.wait--
		_ = c.Close()
		return
	}
	l.at[c] = l.idle.PushBack(c)
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.shut) })
	return l.Listener.Close()
}

// place is a connection that gives its place back when it is closed, once.
type place struct {
	net.Conn
	once sync.Once
	free func()
}

func (p *place) Close() error {
	err := p.Conn.Close()
	p.once.Do(p.free)
	return err
}
