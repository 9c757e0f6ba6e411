package gateway

import (
	"math"
	"slices"
	"sync"
	"time"
)

// quota is what a client may publish in a second. Bursts of two seconds are let through.
type quota struct{ events, bytes *bucket } // nil: any number of

func newQuota(events, bytes float64) *quota {
	return &quota{newBucket(events, "events"), newBucket(bytes, "bytes")}
}

func (q *quota) bounds() bool { return q.events != nil || q.bytes != nil }

// take takes events and bytes off all quotas, or nothing off any, and says how long there will not be as many. Who takes off several names them in the
// same order each time.
func take(events, bytes int, quotas ...*quota) *Problem {
	return takeAt(time.Now(), events, bytes, quotas...)
}

func takeAt(now time.Time, events, bytes int, quotas ...*quota) *Problem {
	return parts(events, bytes, quotas, func(list []part) *Problem {
		var longest time.Duration
		var short part
		for _, p := range list {
			if wait := p.wait(now, p.n); wait > longest {
				longest, short = wait, p
			}
		}
		if longest > 0 {
			return overQuota.of("%g %s a second are allowed", short.rate, short.what).after(longest)
		}
		for _, p := range list {
			p.left -= p.n
		}
		return nil
	})
}

// owe takes events and bytes off all quotas that were looked at and refused, whether they are there or not: they are paid off afterwards, but no more than a burst.
func owe(now time.Time, events, bytes int, quotas ...*quota) {
	parts(events, bytes, quotas, func(list []part) *Problem {
		for _, p := range list {
			p.wait(now, p.n)
			p.left = min(p.left, max(p.left-p.n, -p.burst))
		}
		return nil
	})
}

// owing says how long a client has less than nothing left. What it sends meanwhile is not looked at.
func owing(now time.Time, quotas ...*quota) *Problem {
	return parts(1, 1, quotas, func(list []part) *Problem {
		for _, p := range list {
			p.wait(now, 0)
			if p.left < -roundingSlack {
				return overQuota.of("%g %s a second are allowed, and what was refused counts as well", p.rate, p.what).after(p.wait(now, min(p.n, p.burst)))
			}
		}
		return nil
	})
}

// part is a bucket, and what is asked of it.
type part struct {
	*bucket
	n float64
}

// parts calls do with the buckets of quotas, locked.
func parts(events, bytes int, quotas []*quota, do func([]part) *Problem) *Problem {
	if !slices.ContainsFunc(quotas, (*quota).bounds) { // most clients have none
		return nil
	}
	var few [4]part
	list := few[:0]
	for _, q := range quotas {
		if q.events != nil && events > 0 {
			list = append(list, part{q.events, float64(events)})
		}
		if q.bytes != nil && bytes > 0 {
			list = append(list, part{q.bytes, float64(bytes)})
		}
	}
	for _, p := range list {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
	return do(list)
}

// roundingSlack is so little of an event or byte that it is none: who waits as long as he was told is not to find that it still is missing.
const roundingSlack = 1e-6

// bucket is what is left of a quota. What is more than the whole burst is let through when all of that is there, and is paid off afterwards: then less
// than nothing is left.
type bucket struct {
	what        string
	rate, burst float64

	mu   sync.Mutex
	left float64
	at   time.Time
}

func newBucket(rate float64, what string) *bucket {
	if rate == 0 {
		return nil
	}
	burst := max(1, 2*rate)
	return &bucket{what: what, rate: rate, burst: burst, left: burst}
}

// wait says how long there will not be as much. It is called with the lock.
func (b *bucket) wait(now time.Time, n float64) time.Duration {
	if b.at.IsZero() {
		b.at = now
	}
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.left, b.at = min(b.burst, b.left+passed*b.rate), now
	}
	missing := min(n, b.burst) - b.left
	if missing <= roundingSlack {
		return 0
	}
	return time.Duration(math.Ceil(missing / b.rate * float64(time.Second)))
}
