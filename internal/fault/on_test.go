//go:build weirfault

package fault

import "testing"

// Mutation tried: named returns every name.
func TestMutationsThatDoNotExistEndTheProgram(t *testing.T) {
	for _, c := range []struct {
		name  string
		panic bool
	}{{"fence-zombies", false}, {"", false}, {"fence", true}} {
		func() {
			defer func() {
				if got := recover() != nil; got != c.panic {
					t.Errorf("%q: ended is %v", c.name, got)
				}
			}()
			named("WEIR_FAULT_BREAK", c.name, Rules)
		}()
	}
}
