// Package backoff is how long to wait before something that failed is tried again.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Backoff is a wait that begins with First, doubles with each repetition, and ends at Max.
type Backoff struct{ First, Max time.Duration }

// Wait is the wait before repetition n, counted from 0.
func (b Backoff) Wait(n int) time.Duration {
	if b.First > b.Max>>n { // the first doubled n times would be above Max, or too large for a Duration
		return b.Max
	}
	return b.First << n
}

// Spread is Wait, half of it random, so that those who failed together do not come back together.
func (b Backoff) Spread(n int) time.Duration {
	wait := b.Wait(n)
	return wait/2 + rand.N(wait/2+1)
}

// Shortened is Wait, shortened by up to a share of it, at random.
func (b Backoff) Shortened(n int, share float64) time.Duration {
	wait := b.Wait(n)
	return wait - time.Duration(rand.Float64()*min(share, 1)*float64(wait))
}
