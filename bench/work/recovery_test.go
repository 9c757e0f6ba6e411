package work

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTheLongestGapIsFound begins to look at the third output. Mutations: the gap before the third counts; a later, shorter gap takes
// the place of the longest.
func TestTheLongestGapIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gaps{third: 3, enough: make(chan struct{})}
		begun := time.Now()
		for seen, after := range []time.Duration{9, 20, 1, 1, 7, 2} {
			time.Sleep(after * time.Second)
			g.arrived(seen + 1)
		}
		<-g.enough
		if g.longest != 7*time.Second || g.end.Sub(begun) != 38*time.Second {
			t.Errorf("the longest is %v, until %v", g.longest, g.end.Sub(begun))
		}
	})
}
