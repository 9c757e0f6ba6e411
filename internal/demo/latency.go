package demo

import (
	"slices"
	"time"
)

// latency collects how long records took, in milliseconds, as record timestamps have no finer unit.
type latency struct {
	all    [60_001]int64 // by milliseconds; the last one takes what is longer
	count  int64
	recent [4096]int32 // a ring
}

func (l *latency) add(d time.Duration) {
	ms := min(max(d.Milliseconds(), 0), int64(len(l.all)-1))
	l.all[ms]++
	l.recent[l.count%int64(len(l.recent))] = int32(ms)
	l.count++
}

// overall is the time within which the share q of all records was there.
func (l *latency) overall(q float64) time.Duration {
	rank := int64(q * float64(l.count))
	for ms, n := range l.all {
		if rank -= n; rank < 0 {
			return time.Duration(ms) * time.Millisecond
		}
	}
	return 0
}

// lately is the same of the last few thousand records.
func (l *latency) lately(q ...float64) []time.Duration {
	n := min(l.count, int64(len(l.recent)))
	sorted := slices.Sorted(slices.Values(l.recent[:n]))
	times := make([]time.Duration, len(q))
	for i, q := range q {
		if n > 0 {
			times[i] = time.Duration(sorted[min(int(q*float64(n)), len(sorted)-1)]) * time.Millisecond
		}
	}
	return times
}
