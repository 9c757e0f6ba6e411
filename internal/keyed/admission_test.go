package keyed

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Where more keys than fit come in a cycle, a shelf finds about as many as have room; where a part of the keys is used for a time, it
// finds what one does that takes up each.
//
// Mutations, each seen to fail: a shelf that is never choosy, one that always is, one that stays so for good.
func TestAShelfFollowsTheOrderOfTheKeys(t *testing.T) {
	const limit = 1 << 20 // some 18,000 of these
	s := newShelf(limit)
	defer s.free()
	random := rand.New(rand.NewPCG(1, 2))
	var value [24]byte
	// found is the part of the accesses that the shelf answers, of the last half.
	found := func(records int, pick func(i int) int) float64 {
		found := 0
		for i := range records {
			key := fmt.Sprintf("customer-%09d", pick(i))
			if _, ok := s.use(key); ok && i >= records/2 {
				found++
			}
			s.put(key, value[:])
		}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		return float64(found) / float64(records-records/2)
	}
	first := 0
	fresh := func(int) int { first++; return first - 1 }
	cycle := func(i int) int { return i % 27_000 }
	drift := func(i int) int { return i/8 + random.IntN(8_000) }
	found(200_000, fresh)
	if part := found(60_000, func(i int) int { return i/8 + random.IntN(8_000) }); part < 0.8 { // the first of these were there once
		t.Errorf("it finds %.2f of keys that are used for a time, after new ones", part)
	}
	if part := found(250_000, cycle); part < 0.5 {
		t.Errorf("it finds %.2f of the keys of a cycle", part)
	}
	if part := found(250_000, drift); part < 0.8 {
		t.Errorf("it finds %.2f of keys that are used for a time, after a cycle", part)
	}
	if part := found(250_000, cycle); part < 0.5 {
		t.Errorf("it finds %.2f of the keys of a cycle, after others", part)
	}
}
