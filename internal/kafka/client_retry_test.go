package kafka

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Pauses between the repetitions of a request begin with retry.backoff.ms, double, and end at retry.backoff.max.ms; each is
// shortened by up to a half, so that clients do not come together. The end of the context ends them.
//
// Mutations: no bound, no doubling, the bound for the first; the whole of it left to chance.
func TestPausesGrowUpToTheirBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{cfg: Config{RetryBackoff: 100 * time.Millisecond, RetryBackoffMax: time.Second}}
		for n, most := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			most *= time.Millisecond
			for range 50 {
				began := time.Now()
				c.pause(t.Context(), n)
				if took := time.Since(began); took < most/2 || took > most {
					t.Errorf("pause %d took %v, want %v to %v", n, took, most/2, most)
				}
			}
		}
		for _, n := range []int{16, 40, 63, 64, 1000} { // doubled so often it is no time any more
			began := time.Now()
			c.pause(t.Context(), n)
			if took := time.Since(began); took < time.Second/2 || took > time.Second {
				t.Errorf("pause %d took %v", n, took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		c.pause(ctx, 5)
		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("it goes on for %v after the end of its context", took)
		}
	})
}
