package keyed

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// What was gathered is the last value of each key, in order, as long as it is not forgotten, and each key is fresh once.
//
// Mutations, each seen to fail: Put that leaves the old record when a value outgrows it; a value that is written over without its new
// length; a deleted key that is an empty one; grow that keeps the places of before; Reset without the places; Reserve without what was
// there; All in the order of the records, in that of the first bytes alone, and with what some keys have in common.
func TestGatheredHasTheLastValueOfEachKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &Gathered{}
		defer g.Free()
		put := map[string][]byte{}
		fresh := map[uint64]bool{}
		key := rapid.Custom(func(t *rapid.T) string {
			start := rapid.SampledFrom([]string{"", "order-of-", "\x00"}).Draw(t, "start")
			end := rapid.SampledFrom([]string{"", "\x00", "\xff"}).Draw(t, "end")
			return start + fmt.Sprintf("%0*d", rapid.IntRange(0, 30).Draw(t, "width"), rapid.IntRange(0, 300).Draw(t, "key")) + end
		})
		value := rapid.Custom(func(t *rapid.T) []byte {
			if rapid.IntRange(0, 5).Draw(t, "deleted") == 0 {
				return nil
			}
			return rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value")
		})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), value.Draw(t, "value")
				if _, had := put[k]; !had {
					fresh[Hash(k)] = true
				}
				put[k] = bytes.Clone(v)
				g.Put(k, v)
				clear(v) // it was copied
			},
			"put many": func(t *rapid.T) {
				from := rapid.IntRange(0, 1000).Draw(t, "from")
				for i := range rapid.IntRange(0, 200).Draw(t, "many") {
					k, v := fmt.Sprint(from+i), []byte(fmt.Sprint("value", i))
					if _, had := put[k]; !had {
						fresh[Hash(k)] = true
					}
					g.Put(k, v)
					put[k] = v
				}
			},
			"fresh": func(t *rapid.T) {
				for _, hash := range g.Fresh() {
					if !fresh[hash] {
						t.Fatal("a key is fresh again, or never came")
					}
					delete(fresh, hash)
				}
				if len(fresh) > 0 {
					t.Fatalf("%d keys are not fresh", len(fresh))
				}
			},
			"reserve": func(t *rapid.T) { g.Reserve(rapid.SampledFrom([]int{0, 1_000, 100_000}).Draw(t, "bytes")) },
			"reset": func(t *rapid.T) {
				g.Reset()
				clear(put)
				clear(fresh)
				if g.Bytes() != 0 {
					t.Fatalf("%d bytes of nothing", g.Bytes())
				}
			},
			"": func(t *rapid.T) {
				if g.Keys() != len(put) {
					t.Fatalf("%d keys of %d", g.Keys(), len(put))
				}
				for k, want := range put {
					if got, ok := g.Get(k); !ok || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
						t.Fatalf("%q is %q, and was %q", k, got, want)
					}
				}
				if _, ok := g.Get("none"); ok {
					t.Fatal("a key is there that never came")
				}
				want := slices.Sorted(maps.Keys(put))
				slices.Reverse(want)
				g.All(func(key, value []byte) {
					if len(want) == 0 || want[0] != string(key) || !bytes.Equal(value, put[want[0]]) || (value == nil) != (put[want[0]] == nil) {
						t.Fatalf("%q is %q, and next is %.100q", key, value, want)
					}
					want = want[1:]
				})
				if len(want) > 0 {
					t.Fatalf("%d keys are missing", len(want))
				}
			},
		})
	})
}

// A key that is changed again and again takes its room once.
//
// Mutations, each seen to fail: Put that always adds a record; a table of places that is made again after each Reset.
func TestWhatIsGatheredAgainCostsNothing(t *testing.T) {
	g := &Gathered{}
	defer g.Free()
	fill := func() {
		for i := range 100 {
			g.Put(fewKeys[i%10], []byte("some value"))
		}
		if g.Bytes() > 10*100 {
			t.Errorf("10 keys take %d bytes", g.Bytes())
		}
		g.Fresh()
		g.Reset()
	}
	fill()
	if n := testing.AllocsPerRun(10, fill); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What was written gives its memory back, and as much can be gathered again.
//
// Mutation seen to fail: a Reset that keeps whatever there is.
func TestWhatWasWrittenGivesItsMemoryBack(t *testing.T) {
	g := &Gathered{}
	defer g.Free()
	for range 3 {
		g.Reserve(1 << 20)
		for i := range 10_000 {
			g.Put(strconv.Itoa(i), []byte("some value"))
		}
		if g.Keys() != 10_000 || len(g.Fresh()) != 10_000 {
			t.Fatalf("%d keys of 10,000", g.Keys())
		}
		if g.Reset(); g.records != nil || g.places != nil {
			t.Fatalf("there are %d bytes of records and %d places", cap(g.records), len(g.places))
		}
	}
}

var fewKeys = [10]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
