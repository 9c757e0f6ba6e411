package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
)

// memory remembers how events ended that had an id, so that a repeated request is answered as the first one. It is bounded: what was not
// asked for again while as many others came is forgotten. It is no promise, and not shared between gateways: that is what
// the level once is for.
type memory struct {
	mu       sync.Mutex
	most     int // of each generation
	now, old map[place]*ticket
}

// place is where an event is remembered: its client, topic and id, hashed.
type place [16]byte

// MarshalText and UnmarshalText are how gateways tell each other of it.
func (p place) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText is the reverse of MarshalText.
func (p *place) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(p)) {
		return fmt.Errorf("%d digits, want %d", len(text), hex.EncodedLen(len(p)))
	}
	_, err := hex.Decode(p[:], text)
	return err
}

// ticket is an event with an id.
type ticket struct {
	by     *order // of the stream, or the request, whose event it is
	place  place
	print  place         // of key and value as they were sent
	done   chan struct{} // closed when answer is there
	answer Answer
}

// accepted says whether the event has been accepted by now.
func (t *ticket) accepted() bool {
	select {
	case <-t.done:
		return t.answer.Error == nil
	default:
		return false
	}
}

func newMemory(most int) *memory {
	return &memory{most: max(1, most/2), now: map[place]*ticket{}, old: map[place]*ticket{}}
}

func hashed(parts ...[]byte) (p place) {
	h := sha256.New()
	var n [8]byte
	for _, part := range parts {
		for i, l := 0, len(part); i < 8; i, l = i+1, l>>8 {
			n[i] = byte(l)
		}
		h.Write(n[:])
		h.Write(part)
	}
	copy(p[:], h.Sum(nil))
	return p
}

// begin returns the ticket of an event, and whether it is the first: then finish must be called. What a topic had that was deleted is not what
// one of its name has.
func (m *memory) begin(by *order, client string, topic *topic, id string, print place) (t *ticket, first bool) {
	at := hashed([]byte(client), []byte(topic.name), []byte(topic.id), []byte(id))
	m.mu.Lock()
	defer m.mu.Unlock()
	if t = m.now[at]; t == nil {
		t = m.old[at]
	}
	if first = t == nil; first {
		t = &ticket{by: by, place: at, print: print, done: make(chan struct{})}
	}
	if len(m.now) >= m.most {
		m.old, m.now = m.now, make(map[place]*ticket, m.most)
	}
	m.now[at] = t
	return t, first
}

// finish notes how an event ended. One that was not accepted is forgotten: it may be tried again.
func (m *memory) finish(t *ticket, a Answer) {
	t.answer = a
	if a.Error != nil {
		m.mu.Lock()
		for _, generation := range []map[place]*ticket{m.now, m.old} {
			if generation[t.place] == t {
				delete(generation, t.place)
			}
		}
		m.mu.Unlock()
	}
	close(t.done)
}
