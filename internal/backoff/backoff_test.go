package backoff

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A wait begins with First, doubles, and ends at Max, however often it was doubled. Spread takes up to a half of it away, Shortened up to a share.
//
// Mutations seen to fail it: no bound; no doubling; the whole of Spread left to chance.
func TestWaitsGrowUpToTheirBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			First: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "first")),
			Max:   time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "max")),
		}
		want := min(b.First, b.Max)
		for n := range 200 {
			if got := b.Wait(n); got != want {
				t.Fatalf("repetition %d waits %v, want %v", n, got, want)
			}
			if got := b.Spread(n); got < want/2 || got > want {
				t.Fatalf("repetition %d waits %v, want %v to %v", n, got, want/2, want)
			}
			if got := b.Shortened(n, 0.25); got < want-want/4-1 || got > want {
				t.Fatalf("repetition %d waits %v, want %v to %v", n, got, want-want/4, want)
			}
			if want *= 2; want > b.Max {
				want = b.Max
			}
		}
	})
}
