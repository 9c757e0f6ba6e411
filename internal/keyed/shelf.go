package keyed

import (
	"encoding/binary"

	"github.com/weirstream/weir/internal/offheap"
)

// shelf keeps committed values as bytes, for the many keys that are used now and then: an entry of the cache takes 200 bytes, the same
// key and value take some 15 bytes of their own here, in a few large pieces of memory outside of the heap. What it holds of a key is
// true while the key is not in the cache; while it is, the cache is right.
//
// Records lie one after the other in segments of equal size, the oldest of which is emptied when room is needed. A record that was
// used since it was written goes on to the newest, others are forgotten. A table of places in the segments finds them.
type shelf struct {
	segments [][]byte // of records
	size     int      // of a segment
	newest   int      // the segment that is written to
	places   []uint64 // open addressing: 32 bits of a key's hash, and the place of its record plus 1; 0 is none
	used     int
	most     int // places that may be used

	records, table offheap.Memory // what segments and places are in
}

const (
	segmentCount = 16
	leastSegment = 32
	placeBytes   = 8
	firstPlaces  = 64
)

// A record is its flags, the lengths of key and value, the key and the value.
const (
	gone   byte = 1 << iota // it was removed, or is elsewhere by now
	reused                  // since it was written here
)

// newShelf makes one of about limit bytes. Of a few bytes it holds nothing.
func newShelf(limit int64) shelf {
	size := int(min(limit*3/4/segmentCount, 1<<31/segmentCount))
	if size < leastSegment {
		return shelf{}
	}
	places := firstPlaces
	for int64(places)*placeBytes*2 <= limit/4 {
		places *= 2
	}
	return shelf{size: size, most: places * 3 / 4}
}

type record struct {
	place      int
	key, value []byte
	head       []byte // its first byte is the flags
	end        int    // in its segment
}

func (s *shelf) record(place int) record {
	at := place % s.size
	segment := s.segments[place/s.size]
	n := at + 1
	keyLen, k := binary.Uvarint(segment[n:])
	valueLen, v := binary.Uvarint(segment[n+k:])
	n += k + v
	end := n + int(keyLen) + int(valueLen)
	return record{place, segment[n : n+int(keyLen)], segment[n+int(keyLen) : end], segment[at:], end}
}

// find returns where in places a key is, or the free one where it belongs.
func (s *shelf) find(key string) (at int, tag uint32, ok bool) {
	hash := Hash(key)
	tag = uint32(hash >> 32)
	for at = int(tag) & (len(s.places) - 1); ; at = (at + 1) & (len(s.places) - 1) {
		p := s.places[at]
		if p == 0 {
			return at, tag, false
		}
		if uint32(p>>32) == tag && string(s.record(int(uint32(p))-1).key) == key {
			return at, tag, true
		}
	}
}

// get returns what it holds of a key. The slice is valid until the next put.
func (s *shelf) get(key string) (value []byte, ok bool) {
	if s.used == 0 {
		return nil, false
	}
	at, _, ok := s.find(key)
	if !ok {
		return nil, false
	}
	return s.record(int(uint32(s.places[at])) - 1).value, true
}

// remove forgets a key.
func (s *shelf) remove(key string) {
	if s.used == 0 {
		return
	}
	if at, _, ok := s.find(key); ok {
		s.record(int(uint32(s.places[at])) - 1).head[0] |= gone
		s.vacate(at)
	}
}

// vacate frees a place, and moves up what lies after it because it was taken.
func (s *shelf) vacate(at int) {
	mask := len(s.places) - 1
	s.used--
	for next := (at + 1) & mask; s.places[next] != 0; next = (next + 1) & mask {
		home := int(s.places[next]>>32) & mask
		if (next-home)&mask >= (next-at)&mask {
			s.places[at] = s.places[next]
			at = next
		}
	}
	s.places[at] = 0
}

// put keeps the value of a key, for now. The value is copied.
func (s *shelf) put(key string, value []byte) {
	length := 1 + uvarintLen(len(key)) + uvarintLen(len(value)) + len(key) + len(value)
	if length > s.size {
		s.remove(key)
		return
	}
	if s.places == nil {
		s.records = offheap.Alloc(s.size * segmentCount)
		s.table, s.places = offheap.Words(firstPlaces)
	}
	at, tag, ok := s.find(key)
	if ok {
		r := s.record(int(uint32(s.places[at])) - 1)
		if len(r.value) == len(value) {
			copy(r.value, value)
			r.head[0] |= reused
			return
		}
		r.head[0] |= gone
		s.vacate(at)
	}
	for s.used >= s.most {
		s.recycle()
	}
	for len(s.segments) == 0 || len(s.segments[s.newest])+length > s.size {
		s.advance()
	}
	if s.used+1 > len(s.places)*3/4 {
		s.grow()
	}
	s.place(uint64(tag)<<32 | uint64(s.append(key, value)+1))
	s.used++
}

// place puts what is not among the places into the first free one.
func (s *shelf) place(p uint64) {
	mask := len(s.places) - 1
	at := int(p>>32) & mask
	for s.places[at] != 0 {
		at = (at + 1) & mask
	}
	s.places[at] = p
}

func (s *shelf) append(key string, value []byte) (place int) {
	b := s.segments[s.newest]
	place = s.newest*s.size + len(b)
	b = append(b, 0)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(append(b, key...), value...)
	s.segments[s.newest] = b
	return place
}

func uvarintLen(n int) int {
	length := 1
	for ; n >= 0x80; n >>= 7 {
		length++
	}
	return length
}

// grow doubles the places.
func (s *shelf) grow() {
	old, oldTable := s.places, s.table
	s.table, s.places = offheap.Words(2 * len(old))
	for _, p := range old {
		if p != 0 {
			s.place(p)
		}
	}
	oldTable.Free()
}

// free gives its memory back. It holds nothing after that, and takes nothing.
func (s *shelf) free() {
	s.records.Free()
	s.table.Free()
	*s = shelf{}
}

// advance makes the next segment the newest one: one that was never used, or the oldest, without what nobody used.
func (s *shelf) advance() {
	if len(s.segments) < segmentCount {
		s.newest = len(s.segments)
		at := s.newest * s.size
		s.segments = append(s.segments, s.records.Bytes()[at:at:at+s.size])
		return
	}
	s.recycle()
}

// recycle empties the oldest segment, to make room among the places.
func (s *shelf) recycle() {
	s.newest = (s.newest + 1) % len(s.segments)
	s.empty(s.newest)
}

// empty keeps the records of a segment that were used, in front, and forgets the others.
func (s *shelf) empty(segment int) {
	b := s.segments[segment]
	kept := b[:0]
	for at := 0; at < len(b); {
		r := s.record(segment*s.size + at)
		from := at
		at = r.end
		if r.head[0]&gone != 0 {
			continue
		}
		i := s.placed(r)
		if r.head[0]&reused == 0 {
			s.vacate(i)
			continue
		}
		r.head[0] &^= reused
		s.places[i] = s.places[i]>>32<<32 | uint64(segment*s.size+len(kept)+1)
		kept = append(kept, b[from:at]...)
	}
	s.segments[segment] = kept
}

// placed returns where in places a record is.
func (s *shelf) placed(r record) int {
	mask := len(s.places) - 1
	at := int(HashBytes(r.key)>>32) & mask
	for uint32(s.places[at]) != uint32(r.place+1) {
		at = (at + 1) & mask
	}
	return at
}
