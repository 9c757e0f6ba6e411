package proxy

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// connection carries the frames of one client connection both ways.
type connection struct {
	proxy          *Proxy
	client, broker net.Conn
	once           sync.Once
	gone           chan struct{} // closed with the connection: ends a delay

	mu      sync.Mutex
	waiting map[int32]verdict // answers that are to suffer, by correlation id
}

func (c *connection) close() {
	c.once.Do(func() {
		close(c.gone)
		c.client.Close()
		c.broker.Close()
	})
}

// run returns when the connection is closed and both directions have ended.
func (c *connection) run() {
	var both sync.WaitGroup
	both.Go(func() {
		defer c.close()
		c.requests()
	})
	both.Go(func() {
		defer c.close()
		c.answers()
	})
	both.Wait()
}

// A request begins with its size (4 bytes), API key (2), version (2) and correlation id (4); an answer with its size and
// correlation id.
const (
	requestHead = 12
	answerHead  = 8
)

func (c *connection) requests() {
	var head [requestHead]byte
	for {
		if _, err := io.ReadFull(c.client, head[:]); err != nil {
			return
		}
		rest := int64(binary.BigEndian.Uint32(head[:])) - (requestHead - 4)
		if rest < 0 {
			return
		}
		v := c.proxy.decide(Key(binary.BigEndian.Uint16(head[4:])))
		switch v.action {
		case CutRequest:
			if _, err := c.broker.Write(head[:]); err == nil {
				io.CopyN(c.broker, c.client, rest/2)
			}
			return
		case LoseAnswer, Silence, Delay, CutAnswer, Corrupt:
			c.mu.Lock()
			c.waiting[int32(binary.BigEndian.Uint32(head[8:]))] = v
			c.mu.Unlock()
		}
		if _, err := c.broker.Write(head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(c.broker, c.client, rest); err != nil {
			return
		}
	}
}

func (c *connection) answers() {
	var head [answerHead]byte
	for {
		if _, err := io.ReadFull(c.broker, head[:]); err != nil {
			return
		}
		id := int32(binary.BigEndian.Uint32(head[4:]))
		c.mu.Lock()
		v := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		switch v.action {
		case LoseAnswer:
			return
		case Silence:
			io.Copy(io.Discard, c.broker)
			return
		case Delay:
			select {
			case <-time.After(v.delay):
			case <-c.gone:
				return
			}
		}
		if _, err := c.client.Write(head[:]); err != nil {
			return
		}
		rest := int64(binary.BigEndian.Uint32(head[:])) - (answerHead - 4)
		switch v.action {
		case CutAnswer:
			io.CopyN(c.client, c.broker, rest/2)
			return
		case Corrupt:
			body := make([]byte, rest)
			if _, err := io.ReadFull(c.broker, body); err != nil {
				return
			}
			if corrupt(body) {
				c.proxy.corrupted.Add(1)
			}
			if _, err := c.client.Write(body); err != nil {
				return
			}
			continue
		}
		if _, err := io.CopyN(c.client, c.broker, rest); err != nil {
			return
		}
	}
}
