package evolution

import (
	"strings"
	"testing"
)

// One incompatibility is not counted as several.
//
// Mutation seen to fail it: CountIncompatibilities without its case of one.
func TestIncompatibilitiesAreCounted(t *testing.T) {
	for n, want := range map[int]string{1: ": 1 incompatibility", 2: ": 2 incompatibilities"} {
		if got := (&IncompatibleError{Subject: "s", Incompatibilities: make([]Incompatibility, n)}).Error(); !strings.HasSuffix(got, want) {
			t.Errorf("%d: %s", n, got)
		}
	}
}
