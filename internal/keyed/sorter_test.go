package keyed

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A restore writes the keys from the last to the first, each once, as the changelog left it, whatever the keys look like: short ones, those that begin
// alike for more than eight bytes, and bytes that are zero.
//
// Mutations: an earlier entry of a key; every entry of a key; only the heads compared; the highest digit left out; digits from the first one on.
func TestEntriesAreSortedAndTheLastOfAKeyCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "customer-"}).Draw(t, "prefix")
		key := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0xff}), 0, 12)
		alike := rapid.SampledFrom([]string{"", "\x00\x00\x00\x00\x00\x00\x00", "aaaaaaaaa"})
		want := map[string]byte{}
		var entries []Entry
		few, many := rapid.IntRange(0, 80), rapid.IntRange(leastDigits, 2*leastDigits)
		for i := range rapid.OneOf(few, few, few, many).Draw(t, "entries") {
			k := prefix + alike.Draw(t, "alike") + string(key.Draw(t, "key"))
			if again := rapid.IntRange(0, 3).Draw(t, "again"); again == 0 && i > 0 {
				k = string(entries[rapid.IntRange(0, i-1).Draw(t, "of")].Key)
			}
			entries = append(entries, Entry{Key: []byte(k), Value: []byte{byte(i)}})
			want[k] = byte(i)
		}
		var keys []string
		Sort(len(entries), func(i int) []byte { return entries[i].Key }, func(i int) {
			e := entries[i]
			keys = append(keys, string(e.Key))
			if !bytes.Equal(e.Value, []byte{want[string(e.Key)]}) {
				t.Fatalf("key %q has the value %d, and its last one is %d", e.Key, e.Value[0], want[string(e.Key)])
			}
		})
		sorted := slices.Sorted(maps.Keys(want))
		slices.Reverse(sorted)
		if !slices.Equal(keys, sorted) {
			t.Fatalf("the keys are %q, want %q", keys, sorted)
		}
	})
}
