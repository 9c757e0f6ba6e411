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
// used since it was written goes on to the newest, others are forgotten. A table of places in the segments finds them. Segments and
// table share the limit: which of them needs how much depends on how large the records are.
type shelf struct {
	segments [segmentCount]segment // a ring, in which those with memory are in the order of their age
	size     int                   // of a segment
	newest   int                   // the segment that is written to
	places   []uint64              // open addressing: 32 bits of a key's hash, and the place of its record plus 1; 0 is none
	used     int
	limit    int // bytes of segments and places
	taken    int // of these

	full      int // records when it was full last, 0 when it never was
	admission admission

	table offheap.Memory // what places are in
}

type segment struct {
	records []byte // without capacity where it has no memory
	memory  offheap.Memory
}

const (
	segmentCount = 32
	leastSegment = 32
	placeBytes   = 8
	firstPlaces  = 16
)

// A record is its flags, the lengths of key and value, the key and the value.
const (
	gone   byte = 1 << iota // it was removed, or is elsewhere by now
	reused                  // since it was written here
)

// newShelf makes one of at most limit bytes. Of a few bytes it holds nothing.
func newShelf(limit int64) shelf {
	limit = min(limit, 1<<31)
	size := int(limit / segmentCount)
	if size < leastSegment {
		return shelf{}
	}
	return shelf{size: size, limit: int(limit)}
}

type record struct {
	place      int
	key, value []byte
	head       []byte // its first byte is the flags
	end        int    // in its segment
}

func (s *shelf) record(place int) record {
	at := place % s.size
	segment := s.segments[place/s.size].records
	n := at + 1
	keyLen, k := binary.Uvarint(segment[n:])
	valueLen, v := binary.Uvarint(segment[n+k:])
	n += k + v
	end := n + int(keyLen) + int(valueLen)
	return record{place, segment[n : n+int(keyLen)], segment[n+int(keyLen) : end], segment[at:], end}
}

// home is where in places a hash belongs.
func (s *shelf) home(tag uint32) int { return int(uint64(tag) * uint64(len(s.places)) >> 32) }

// after is the place after one, round the end.
func (s *shelf) after(at int) int {
	if at++; at == len(s.places) {
		return 0
	}
	return at
}

// find returns where in places a key is, or the free one where it belongs.
func (s *shelf) find(key string) (at int, tag uint32, ok bool) {
	return s.findHash(key, Hash(key))
}

func (s *shelf) findHash(key string, hash uint64) (at int, tag uint32, ok bool) {
	tag = uint32(hash >> 32)
	for at = s.home(tag); ; at = s.after(at) {
		p := s.places[at]
		if p == 0 {
			return at, tag, false
		}
		if uint32(p>>32) == tag && string(s.record(int(uint32(p))-1).key) == key {
			return at, tag, true
		}
	}
}

// use is get, for who puts the key afterwards.
func (s *shelf) use(key string) (value []byte, ok bool) {
	if s.used == 0 {
		return nil, false
	}
	hash := Hash(key)
	value, ok = s.getHash(key, hash)
	if hash%sampled == 0 {
		s.admission.use(uint32(hash>>32), max(s.used, s.full)/sampled+1, ok)
	}
	return value, ok
}

// get returns what it holds of a key. The slice is valid until the next put.
func (s *shelf) get(key string) (value []byte, ok bool) {
	if s.used == 0 {
		return nil, false
	}
	return s.getHash(key, Hash(key))
}

func (s *shelf) getHash(key string, hash uint64) (value []byte, ok bool) {
	at, _, ok := s.findHash(key, hash)
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
	s.used--
	for next := s.after(at); s.places[next] != 0; next = s.after(next) {
		if home := s.home(uint32(s.places[next] >> 32)); s.distance(home, next) >= s.distance(at, next) {
			s.places[at] = s.places[next]
			at = next
		}
	}
	s.places[at] = 0
}

// distance is how far it is from one place on to another.
func (s *shelf) distance(from, to int) int {
	if to < from {
		to += len(s.places)
	}
	return to - from
}

// put keeps the value of a key, for now; of a new key a full shelf may not. The value is copied.
func (s *shelf) put(key string, value []byte) {
	length := 1 + uvarintLen(len(key)) + uvarintLen(len(value)) + len(key) + len(value)
	if length > s.size {
		s.remove(key)
		return
	}
	if s.places == nil {
		s.resize(firstPlaces)
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
	} else if s.full > 0 && s.used > s.full/2 && s.admission.refuses() {
		return
	}
	for !s.roomy(s.used + 1) {
		s.widen()
	}
	for cap(s.segments[s.newest].records)-len(s.segments[s.newest].records) < length {
		s.advance()
	}
	s.place(uint64(tag)<<32 | uint64(s.append(key, value)+1))
	s.used++
}

// roomy says whether that many places may be used: in a table that is fuller it takes long to find a free one.
func (s *shelf) roomy(used int) bool { return used <= len(s.places)*7/8 }

// place puts what is not among the places into the first free one.
func (s *shelf) place(p uint64) {
	at := s.home(uint32(p >> 32))
	for s.places[at] != 0 {
		at = s.after(at)
	}
	s.places[at] = p
}

func (s *shelf) append(key string, value []byte) (place int) {
	b := s.segments[s.newest].records
	place = s.newest*s.size + len(b)
	b = append(b, 0)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(append(b, key...), value...)
	s.segments[s.newest].records = b
	return place
}

func uvarintLen(n int) int {
	length := 1
	for ; n >= 0x80; n >>= 7 {
		length++
	}
	return length
}

// widen makes room among the places. Segments give their memory to a larger table until that is half of all, which it is with the smallest
// records only; from then on records are forgotten.
func (s *shelf) widen() {
	n := len(s.places) + max(len(s.places)/4, 1)
	for s.taken+(n-len(s.places))*placeBytes > s.limit {
		if !s.drop() {
			s.recycle()
			return
		}
	}
	s.resize(n)
}

// resize makes a table of n places.
func (s *shelf) resize(n int) {
	old, oldTable := s.places, s.table
	s.table, s.places = offheap.Words(n)
	s.taken += (n - len(old)) * placeBytes
	for _, p := range old {
		if p != 0 {
			s.place(p)
		}
	}
	oldTable.Free()
}

// free gives its memory back. It holds nothing after that, and takes nothing.
func (s *shelf) free() {
	for i := range s.segments {
		s.segments[i].memory.Free()
	}
	s.table.Free()
	*s = shelf{}
}

// advance makes the next segment the newest one: one without memory while there is some, or the oldest, without what nobody used.
func (s *shelf) advance() {
	if s.used < len(s.places)/4 && s.taken+s.size > s.limit { // records are larger than they were
		s.resize(len(s.places) / 2)
	}
	next := (s.newest + 1) % segmentCount
	if cap(s.segments[next].records) > 0 || s.taken+s.size > s.limit {
		s.recycle()
		return
	}
	memory := offheap.Alloc(s.size)
	s.segments[next] = segment{memory.Bytes()[:0:s.size], memory}
	s.taken += s.size
	s.newest = next
}

// oldest is the segment that was written to before all others.
func (s *shelf) oldest() int {
	at := (s.newest + 1) % segmentCount
	for cap(s.segments[at].records) == 0 {
		at = (at + 1) % segmentCount
	}
	return at
}

// recycle empties the oldest segment.
func (s *shelf) recycle() {
	s.full = s.used
	s.newest = s.oldest()
	s.empty(s.newest, true)
}

// drop forgets what is in the oldest segment and gives its memory back; ok is false where there should rather be no more places.
func (s *shelf) drop() (ok bool) {
	at := s.oldest()
	if at == s.newest || len(s.places)*placeBytes*2 > s.limit {
		return false
	}
	s.empty(at, false)
	s.segments[at].memory.Free()
	s.segments[at] = segment{}
	s.taken -= s.size
	return true
}

// empty forgets the records of a segment, but for those that were used where these are to be kept.
func (s *shelf) empty(segment int, keep bool) {
	b := s.segments[segment].records
	kept := b[:0]
	for at := 0; at < len(b); {
		r := s.record(segment*s.size + at)
		from := at
		at = r.end
		if r.head[0]&gone != 0 {
			continue
		}
		i := s.placed(r)
		if r.head[0]&reused == 0 || !keep {
			s.vacate(i)
			continue
		}
		r.head[0] &^= reused
		s.places[i] = s.places[i]>>32<<32 | uint64(segment*s.size+len(kept)+1)
		kept = append(kept, b[from:at]...)
	}
	s.segments[segment].records = kept
}

// placed returns where in places a record is.
func (s *shelf) placed(r record) int {
	at := s.home(uint32(HashBytes(r.key) >> 32))
	for uint32(s.places[at]) != uint32(r.place+1) {
		at = s.after(at)
	}
	return at
}
