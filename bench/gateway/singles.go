package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tally is how events ended, and after which time.
type tally struct {
	mu                          sync.Mutex
	accepted, refused, failed   int
	untilAccepted, untilRefused *hdrhistogram.Histogram // from when they were due
	answerTook                  *hdrhistogram.Histogram // of accepted ones, from when they were sent
}

func newTally() *tally {
	fresh := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3) }
	return &tally{untilAccepted: fresh(), untilRefused: fresh(), answerTook: fresh()}
}

func (t *tally) add(status int, took, sent time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch status {
	case 200:
		t.accepted++
		_ = t.untilAccepted.RecordValue(took.Microseconds())
		_ = t.answerTook.RecordValue(sent.Microseconds())
	case 429:
		t.refused++
		_ = t.untilRefused.RecordValue(took.Microseconds())
	default:
		t.failed++
	}
}

// singles sends each event at its time, whatever the answers take. Each client has one connection.
func singles(address string) error {
	due, seen := make(chan time.Time, *rate*60), newTally()
	began := time.Now()
	from := began.Add(warmUp)
	var wg sync.WaitGroup
	for n := range *clients {
		wg.Go(func() {
			c := client{address: address}
			defer c.close()
			for i := n; ; i += *clients {
				at, ok := <-due
				if !ok {
					return
				}
				sent := time.Now()
				status := c.post(body(int64(i)))
				if !at.Before(from) {
					seen.add(status, time.Since(at), time.Since(sent))
				}
			}
		})
	}
	interval := time.Duration(float64(time.Second) / float64(*rate))
	for at := began; at.Before(from.Add(*length)); at = at.Add(interval) {
		if wait := time.Until(at); wait > 0 {
			time.Sleep(max(wait, time.Millisecond))
		}
		due <- at
	}
	close(due)
	wg.Wait()
	of := func(h *hdrhistogram.Histogram, p float64) time.Duration {
		return time.Duration(h.ValueAtQuantile(p)) * time.Microsecond
	}
	fmt.Printf("%d/s for %s: %d accepted, until acknowledged p50 %s, p99 %s, p99.9 %s, from being sent p99 %s; %d answered 429, p50 %s, p99 %s; %d failed\n", *rate, *length,
		seen.accepted, of(seen.untilAccepted, 50), of(seen.untilAccepted, 99), of(seen.untilAccepted, 99.9), of(seen.answerTook, 99),
		seen.refused, of(seen.untilRefused, 50), of(seen.untilRefused, 99), seen.failed)
	return nil
}

// client posts events on one connection. It does less than net/http's, which costs more than the gateway.
type client struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	out     []byte
}

// post returns the status of the answer, 0 where there is none.
func (c *client) post(body []byte) int {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return 0
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	c.out = fmt.Appendf(c.out[:0], "POST /topics/%s/events HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", *topic, c.address, len(body), body)
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, err := c.conn.Write(c.out)
	status, keep := 0, false
	if err == nil {
		status, keep, err = c.answer()
	}
	if err != nil || !keep {
		c.close()
	}
	return status
}

var errNoAnswer = errors.New("this is no answer of HTTP/1.1 with a length")

// answer reads one answer, and says whether the connection may be used again.
func (c *client) answer() (status int, keep bool, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 {
		return 0, false, errNoAnswer
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, errNoAnswer
	}
	length := -1
	keep = true
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, false, err
		}
		name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		if !ok {
			break
		}
		switch string(name) {
		case "Content-Length":
			length, err = strconv.Atoi(string(value))
		case "Connection":
			keep = string(value) != "close"
		}
	}
	if err != nil || length < 0 {
		return 0, false, errNoAnswer
	}
	_, err = io.CopyN(io.Discard, c.in, int64(length))
	return status, keep, err
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
