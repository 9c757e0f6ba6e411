//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/bench/measure"
)

// tally is how events ended, and after which time.
type tally struct {
	accepted, refused, failed   int
	untilAccepted, untilRefused *hdrhistogram.Histogram // from when they were due
	answerTook                  *hdrhistogram.Histogram // of accepted ones, from when they were sent
}

func newTally() *tally {
	fresh := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3) }
	return &tally{untilAccepted: fresh(), untilRefused: fresh(), answerTook: fresh()}
}

func (t *tally) add(status int, took, sent time.Duration) {
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

// singles sends each event at its time, whatever the answers take, each on a connection that has no other one under way. All of it is one loop over
// non-blocking sockets: net/http's client, and a goroutine for each connection too, cost more of the processor than what they measure.
func singles(address string) error {
	g := &generator{address: address, seen: newTally(), cores: newCores(address)}
	for range *clients {
		c := &connection{g: g}
		if err := c.open(); err != nil {
			return err
		}
		g.free = append(g.free, c)
	}
	g.run()
	of := func(h *hdrhistogram.Histogram, p float64) time.Duration {
		return time.Duration(h.ValueAtQuantile(p)) * time.Microsecond
	}
	seen := g.seen
	fmt.Printf("%s: %d/s for %s: %d accepted, until acknowledged p50 %s, p99 %s, p99.9 %s, from being sent p99 %s; %d answered 429, p50 %s, p99 %s; %d failed; %s\n", address, *rate, *length,
		seen.accepted, of(seen.untilAccepted, 50), of(seen.untilAccepted, 99), of(seen.untilAccepted, 99.9), of(seen.answerTook, 99),
		seen.refused, of(seen.untilRefused, 50), of(seen.untilRefused, 99), seen.failed, g.cores)
	return nil
}

// cores is how many cores were busy, and with what: where the server is on this machine, and nothing else runs, the rest is the broker.
type cores struct {
	server             int // its process, 0 where it is not known
	began              time.Time
	gateway, load, all time.Duration
}

func newCores(address string) *cores {
	_, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	return &cores{server: measure.Listener(port)}
}

func (c *cores) now() (gateway, load, all time.Duration) {
	return measure.UsageOf(c.server).CPU, measure.UsageOf(os.Getpid()).CPU, measure.Busy()
}

// begin is called when warming up is over, and from then on.
func (c *cores) begin() {
	if c.began.IsZero() {
		c.began = time.Now()
		c.gateway, c.load, c.all = c.now()
	}
}

func (c *cores) String() string {
	gateway, load, all := c.now()
	took := float64(time.Since(c.began))
	return fmt.Sprintf("cores: server %.2f, load %.2f, machine %.2f", float64(gateway-c.gateway)/took, float64(load-c.load)/took, float64(all-c.all)/took)
}

// generator is the loop.
type generator struct {
	address string
	seen    *tally
	cores   *cores
	from    time.Time     // when what is due is counted
	free    []*connection // none of their requests is under way
	busy    []*connection
	fds     []unix.PollFd // of busy
}

// numbered is how many events were made: those of the next round are none of the last one's again.
var numbered int64

// answerWithin is when an answer is given up.
const answerWithin = 30 * time.Second

func (g *generator) run() {
	began := time.Now()
	g.from = began.Add(warmUp)
	end, interval := g.from.Add(*length), time.Duration(float64(time.Second)/float64(*rate))
	next := began
	for {
		now := time.Now()
		if !next.Before(g.from) {
			g.cores.begin()
		}
		for next.Before(end) && !next.After(now) && len(g.free) > 0 {
			c := g.free[0]
			g.free = g.free[1:]
			c.send(next, body(numbered))
			next, numbered = next.Add(interval), numbered+1
		}
		if len(g.busy) == 0 && !next.Before(end) || now.After(end.Add(answerWithin)) {
			g.seen.failed += len(g.busy)
			return
		}
		wait := time.Millisecond
		if len(g.free) == 0 || !next.Before(end) {
			wait = time.Second // for an answer
		}
		g.receive(wait)
	}
}

// receive waits for answers, and reads those that are there.
func (g *generator) receive(wait time.Duration) {
	g.fds = g.fds[:0]
	for _, c := range g.busy {
		g.fds = append(g.fds, unix.PollFd{Fd: int32(c.fd), Events: unix.POLLIN})
	}
	if _, err := unix.Poll(g.fds, int(wait/time.Millisecond)); err != nil {
		return // EINTR
	}
	still := g.busy[:0]
	for i, c := range g.busy {
		if g.fds[i].Revents == 0 || !c.receive() {
			still = append(still, c)
		} else {
			g.free = append(g.free, c)
		}
	}
	g.busy = still
}

// connection is one to the gateway, with at most one request under way.
type connection struct {
	g         *generator
	file      *os.File
	fd        int
	due, sent time.Time
	out, in   []byte
}

func (c *connection) open() error {
	conn, err := net.Dial("tcp", c.g.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.file, err = conn.(*net.TCPConn).File(); err != nil {
		return err
	}
	c.fd = int(c.file.Fd())
	return unix.SetNonblock(c.fd, true)
}

// send sends a request; it fits into the socket's buffer.
func (c *connection) send(due time.Time, body []byte) {
	c.due, c.sent, c.in = due, time.Now(), c.in[:0]
	c.out = fmt.Appendf(c.out[:0], "POST /topics/%s/events HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", *topic, c.g.address, len(body), body)
	if c.file != nil {
		if _, err := unix.Write(c.fd, c.out); err == nil {
			c.g.busy = append(c.g.busy, c)
			return
		}
	}
	c.ended(0, false)
	c.g.free = append(c.g.free, c)
}

// receive reads what is there, and says whether the request has ended.
func (c *connection) receive() bool {
	c.in = slices.Grow(c.in, 4<<10)
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	switch {
	case err == unix.EAGAIN:
		return false
	case err != nil || n == 0:
		c.ended(0, false)
		return true
	}
	c.in = c.in[:len(c.in)+n]
	status, keep, whole, err := answer(c.in)
	if err == nil && !whole {
		return false
	}
	c.ended(status, keep && err == nil)
	return true
}

// ended notes the status of an answer, 0 where there is none, and makes the connection fit for another request.
func (c *connection) ended(status int, keep bool) {
	if !c.due.Before(c.g.from) {
		c.g.seen.add(status, time.Since(c.due), time.Since(c.sent))
	}
	if !keep {
		if c.file != nil {
			_ = c.file.Close()
			c.file = nil
		}
		if c.open() != nil { // the next request on it fails
			c.file = nil
		}
	}
}

var errNoAnswer = errors.New("this is no answer of HTTP/1.1 with a length")

// answer reads an answer, where all of it is there, and says whether the connection may be used again.
func answer(in []byte) (status int, keep, whole bool, err error) {
	head, rest, ok := bytes.Cut(in, []byte("\r\n\r\n"))
	if !ok {
		return 0, false, false, nil
	}
	if len(head) < 12 {
		return 0, false, false, errNoAnswer
	}
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, false, false, errNoAnswer
	}
	length := -1
	keep = true
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "Content-Length":
			length, err = strconv.Atoi(string(value))
		case "Connection":
			keep = string(value) != "close"
		}
	}
	if err != nil || length < 0 {
		return 0, false, false, errNoAnswer
	}
	return status, keep, len(rest) >= length, nil
}
