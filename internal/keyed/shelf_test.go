package keyed

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// check is an error where the parts of a shelf disagree.
func (s *shelf) check() error {
	placed := map[int]bool{}
	for at, p := range s.places {
		if p == 0 {
			continue
		}
		r := s.record(int(uint32(p)) - 1)
		if r.head[0]&gone != 0 || placed[r.place] {
			return fmt.Errorf("place %d is of a record that is gone, or has another place", at)
		}
		placed[r.place] = true
	}
	live := 0
	taken := len(s.places) * placeBytes
	for n, segment := range s.segments {
		segment := segment.records
		taken += cap(segment)
		if len(segment) > s.size {
			return fmt.Errorf("segment %d has %d bytes of %d", n, len(segment), s.size)
		}
		for at := 0; at < len(segment); {
			r := s.record(n*s.size + at)
			if at = r.end; r.head[0]&gone == 0 {
				live++
			}
		}
	}
	if len(placed) != s.used || live != s.used || !s.roomy(s.used) {
		return fmt.Errorf("%d places, %d records, %d used, of %d", len(placed), live, s.used, len(s.places))
	}
	if taken != s.taken || taken > s.limit {
		return fmt.Errorf("it takes %d bytes, and counts %d of %d", taken, s.taken, s.limit)
	}
	return nil
}

// What a shelf gives out is what was put there last, and nothing that was removed; and it forgets nothing while there is room.
//
// Mutations, each seen to fail: vacate that moves nothing up; empty without the new place; put that leaves an old record of another size.
// Without its look at gone, empty does not end.
func TestAShelfGivesOutWhatWasPutThereLast(t *testing.T) {
	for _, limit := range []int64{100, 1_500, 6_000, 1 << 20} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := newShelf(limit)
				defer s.free()
				put := map[string][]byte{}
				key := rapid.Custom(func(t *rapid.T) string {
					return fmt.Sprintf("%0*d", rapid.IntRange(0, 30).Draw(t, "width"), rapid.IntRange(0, 40).Draw(t, "key"))
				})
				t.Repeat(map[string]func(*rapid.T){
					"put": func(t *rapid.T) {
						k, v := key.Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")
						if s.size > 0 {
							s.put(k, v)
						}
						put[k] = v
					},
					"put again": func(t *rapid.T) {
						for _, k := range slices.Sorted(maps.Keys(put)) {
							if v := put[k]; rapid.Bool().Draw(t, "again") && s.size > 0 {
								s.put(k, v)
							}
						}
					},
					"remove": func(t *rapid.T) {
						k := key.Draw(t, "key")
						s.remove(k)
						delete(put, k)
					},
					"": func(t *rapid.T) {
						for k := range put {
							if v, ok := s.get(k); ok && !bytes.Equal(v, put[k]) {
								t.Fatalf("%q is %q, and was %q", k, v, put[k])
							} else if !ok && limit == 1<<20 {
								t.Fatalf("%q is gone", k)
							}
						}
						if s.used > len(put) {
							t.Fatalf("it holds %d of %d keys", s.used, len(put))
						}
						if err := s.check(); err != nil {
							t.Fatal(err)
						}
					},
				})
			})
		})
	}
}

// Of small values it holds many, those in use among them.
//
// Mutations, each seen to fail: put that does not mark what it writes over; a table of places that is half empty.
func TestAShelfIsDenseAndKeepsWhatIsUsed(t *testing.T) {
	const limit, keys = 1 << 20, 100_000
	s := newShelf(limit)
	defer s.free()
	key := func(i int) string { return fmt.Sprintf("customer-%09d", i) }
	var value [24]byte
	for i := range keys {
		binary.BigEndian.PutUint64(value[:], uint64(i))
		s.put(key(i), value[:])
		if i >= 1_000 && i%5 == 0 {
			s.put(key(i/5%1_000), value[:])
		}
	}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if s.used*60 < limit {
		t.Errorf("%d keys take %d bytes", s.used, limit)
	}
	for i := range 1_000 {
		if _, ok := s.get(key(i)); !ok {
			t.Fatalf("key %d is used all the time, and gone", i)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { s.put("customer-000000001", value[:]); s.get("customer-000000001") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Its memory is for records of whatever size, and for others when the size changes.
//
// Mutations, each seen to fail: widen that never drops a segment; advance that never makes the table smaller.
func TestAShelfUsesItsMemoryWhateverTheSize(t *testing.T) {
	const limit = 1 << 20
	s := newShelf(limit)
	defer s.free()
	for round, size := range []int{4_000, 1, 200, 4_000, 24} {
		value := make([]byte, size)
		for i := range 2 * limit / (size + 20) {
			s.put(fmt.Sprintf("%d-%07d", round, i), value)
			if i%10_000 == 0 {
				if err := s.check(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		if record := size + 13 + 10; s.used*record < limit*3/4 {
			t.Errorf("with values of %d bytes it holds %d, %d%% of its memory", size, s.used, s.used*record*100/limit)
		}
	}
}

// A shelf that gave its memory back holds nothing, and takes nothing.
//
// Mutation seen to fail: free that keeps the size.
func TestAShelfIsEmptyOnceItIsFree(t *testing.T) {
	s := newShelf(8 << 20)
	s.put("key", []byte("value"))
	s.free()
	s.put("key", []byte("value"))
	s.remove("key")
	if v, ok := s.get("key"); ok || s.table.Bytes() != nil {
		t.Errorf("it holds %q", v)
	}
}
