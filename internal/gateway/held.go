package gateway

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

// held counts what a stream has in memory of its client: the part of an event that has come, and each event until its answer is written. All streams
// together may have as much as may wait for Kafka. A stream is slowed down for it, and nobody waits with something in hand that others wait for:
//
//   - What an event may need is taken at once, before the rest of it is read. So whoever has begun to read one can read it to its end.
//   - Events that are read need nothing more: they are written and answered, or refused, in a bounded time.
//   - What only makes reading quicker may have half of all, and is never waited for.
type held struct {
	g     *Gateway
	freed chan struct{} // when events of this stream are answered

	mu     sync.Mutex
	events int64
	others int64 // of buffers
}

const (
	// streamBytes is what the events of one stream may have of it, unless there is only one: the others' are not all for the quickest.
	streamBytes = 8 << 20
	// eventCost is what an event takes beside its bytes: its record, its answer, and what finds them.
	eventCost = 512
)

// gzipBytes is what a decompressor of gzip takes.
const gzipBytes = 48 << 10

func (g *Gateway) newHeld() *held { return &held{g: g, freed: make(chan struct{}, 1)} }

// room counts n bytes of a stream where no more than most are counted of all, or none but its own.
func (h *held) room(n, most int64) bool {
	if all := h.g.streams.Add(n); all > most && all != n+h.events+h.others {
		h.g.streams.Add(-n)
		return false
	}
	return true
}

// event counts an event, and says what keeps it from that: as many of this stream, or of all.
func (h *held) event(n int64) (own, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.events > 0 && h.events+n > streamBytes:
		return true, false
	case !h.room(n, h.g.Limits.Waiting):
		return false, true
	}
	h.events += n
	return false, false
}

// answer counts what a problem says, if there is room: it is given back with the event.
func (h *held) answer(n int64) bool {
	own, all := h.event(n)
	return !own && !all
}

// more counts what a stream takes for as long as it lasts.
func (h *held) more(n int64) error {
	if !h.buffer(n, h.g.Limits.Waiting) {
		return errManyBodies
	}
	return nil
}

// spare counts a buffer that makes reading quicker, if there is much room.
func (h *held) spare(n int64) bool { return h.buffer(n, h.g.Limits.Waiting/2) }

func (h *held) buffer(n, most int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.room(n, most) {
		return false
	}
	h.others += n
	return true
}

// take counts an event, and waits for its room: for this stream's own for as long as it lasts, since its events end by themselves; for others' as long as an
// answer may take.
func (h *held) take(ctx context.Context, n int64) error {
	if own, all := h.event(n); !own && !all {
		return nil
	}
	return h.wait(ctx, func() (bool, bool) { return h.event(n) })
}

// reserve counts what is needed to read an event, and waits for it likewise.
func (h *held) reserve(ctx context.Context, n int64) error {
	return h.wait(ctx, func() (bool, bool) { return false, !h.buffer(n, h.g.Limits.Waiting) })
}

func (h *held) wait(ctx context.Context, try func() (own, all bool)) error {
	var full time.Time // since when the others have it all
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		own, all := try()
		switch now := time.Now(); {
		case !own && !all:
			return nil
		case own:
			full = time.Time{}
		case full.IsZero():
			full = now
		case now.Sub(full) > h.g.Limits.Answer:
			return errManyBodies
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-h.freed:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-h.g.stopping.Done():
			t.Stop()
			return errStopping
		}
		t.Stop()
	}
}

// give gives back what events had.
func (h *held) give(n int64) {
	h.mu.Lock()
	h.events -= n
	h.g.streams.Add(-n)
	h.mu.Unlock()
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// drop gives back what a buffer had.
func (h *held) drop(n int64) {
	h.mu.Lock()
	h.others -= n
	h.g.streams.Add(-n)
	h.mu.Unlock()
}

// became turns what was reserved to read an event into what the event has.
func (h *held) became(reserved, n int64) {
	h.mu.Lock()
	h.others -= reserved
	h.events += n
	h.g.streams.Add(n - reserved)
	h.mu.Unlock()
}

// end gives back all.
func (h *held) end() {
	h.mu.Lock()
	h.g.streams.Add(-h.events - h.others)
	h.events, h.others = 0, 0
	h.mu.Unlock()
}

// documents reads documents of a stream one after the other, and counts what is read of one.
type documents struct {
	r        io.Reader
	held     *held
	ctx      context.Context
	most     int64 // that a document may need
	n        int64 // read since the last one
	reserved int64
}

// smallRead is what is read without being counted.
const smallRead = 4 << 10

func (d *documents) Read(p []byte) (int, error) {
	if d.n >= smallRead && d.reserved == 0 {
		if err := d.held.reserve(d.ctx, d.most); err != nil {
			return 0, err
		}
		d.reserved = d.most
	}
	n, err := d.r.Read(p[:min(len(p), smallRead)])
	d.n += int64(n)
	return n, err
}

// took counts a document that was read as the event that it is. long says that what has read it is to be left to the collector, with its buffer.
func (d *documents) took(length int) (cost int64, long bool, err error) {
	cost, long = int64(length)+eventCost, d.reserved > 0
	if long {
		d.held.became(d.reserved, cost)
	} else if err = d.held.take(d.ctx, cost); err != nil {
		cost = 0
	}
	d.n, d.reserved = 0, 0
	return cost, long, err
}

// messages is the body of a stream of the Protobuf service, of which each message says before it how long it is: that is taken before it is read.
type messages struct {
	io.ReadCloser
	held  *held
	ctx   context.Context
	most  int64 // of a message
	head  [5]byte
	n     int   // bytes of head
	left  int64 // of the message
	taken int64 // for what was read and is not received yet
	guess bool  // of which a part is the most that it may become
}

// inflation is the most that deflate makes of a byte.
const inflation = 1032

func (m *messages) Read(p []byte) (int, error) {
	if m.left > 0 {
		n, err := m.ReadCloser.Read(p[:min(int64(len(p)), m.left)])
		m.left -= int64(n)
		return n, err
	}
	n, err := m.ReadCloser.Read(p[:min(len(p), len(m.head)-m.n)])
	copy(m.head[m.n:], p[:n])
	if m.n += n; m.n < len(m.head) {
		return n, err
	}
	m.n, m.left = 0, int64(m.head[1])<<24|int64(m.head[2])<<16|int64(m.head[3])<<8|int64(m.head[4])
	if m.left > m.most { // it is refused
		return n, err
	}
	need := m.left + eventCost
	if m.head[0]&1 != 0 { // it is compressed
		need += min(m.most, inflation*m.left)
		m.guess = true
	}
	if full := m.held.take(m.ctx, need); full != nil {
		return 0, rpcError(ofBody(full))
	}
	m.taken += need
	return n, err
}

// received is what the message that was received has; what it needed beyond that is given back.
func (m *messages) received(in proto.Message) (cost int64) {
	cost, m.taken = m.taken, 0
	if !m.guess {
		return cost
	}
	m.guess = false
	if exact := int64(proto.Size(in)) + eventCost; exact < cost {
		m.held.give(cost - exact)
		cost = exact
	}
	return cost
}

// counts of a request of the service, by its context.
type countedKey struct{}

// countedOf is what counts the body of a request of the service, nil for none.
func countedOf(ctx context.Context) *counted {
	c, _ := ctx.Value(countedKey{}).(*counted)
	return c
}
