package keyed

import (
	"strings"
	"testing"
)

// TestPrefixesAreRanges: a key begins with a prefix just when it is from the prefix on and before what comes after it. All keys of
// up to three of some bytes are tried with one another.
//
// Mutations, each seen to fail: after without its loop; without the look at 0xff; with "" where a byte was cut off.
func TestPrefixesAreRanges(t *testing.T) {
	all := []string{""}
	for from := 0; len(all[from]) < 3; from++ {
		for _, c := range []byte{0, 'a', 0xfe, 0xff} {
			all = append(all, all[from]+string([]byte{c}))
		}
	}
	for _, prefix := range all {
		end := after(prefix)
		for _, key := range all {
			if in := prefix <= key && (end == "" || key < end); in != strings.HasPrefix(key, prefix) {
				t.Fatalf("%q in [%q, %q) is %v", key, prefix, end, in)
			}
		}
	}
}
