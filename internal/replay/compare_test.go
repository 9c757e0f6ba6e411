package replay

import (
	"math/rand/v2"
	"testing"
)

// TestAnAlignmentIsTheFirstOfTheLongest, as one that tries each place finds it.
func TestAnAlignmentIsTheFirstOfTheLongest(t *testing.T) {
	slow := func(part []uint64, all []output) (at, same int) {
		at = max(0, len(all)-len(part))
		for from := range all {
			n := 0
			for n < len(part) && from+n < len(all) && part[n] == all[from+n].hash {
				n++
			}
			if n > same {
				at, same = from, n
			}
		}
		return at, same
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		part, all := make([]uint64, r.IntN(7)), make([]output, r.IntN(14))
		for i := range part {
			part[i] = r.Uint64N(2)
		}
		for i := range all {
			all[i].hash = r.Uint64N(2)
		}
		at, same := align(part, all)
		if wantAt, want := slow(part, all); at != wantAt || same != want {
			t.Fatalf("%v in %v: %d at %d, want %d at %d", part, all, same, at, want, wantAt)
		}
	}
}
