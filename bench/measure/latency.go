package measure

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency gathers delays, to three digits, from a microsecond to five minutes; what is beyond counts as that. A delay is to
// be counted from when its record was due, not from when it was sent: else the ones that a stall held back are not seen.
type Latency struct{ h *hdrhistogram.Histogram }

const longest = 5 * time.Minute

// NewLatency is an empty one.
func NewLatency() *Latency {
	return &Latency{hdrhistogram.New(1, longest.Microseconds(), 3)}
}

// Add counts a delay.
func (l *Latency) Add(d time.Duration) {
	_ = l.h.RecordValue(min(max(1, d.Microseconds()), longest.Microseconds()))
}

// Count is how many there are.
func (l *Latency) Count() int64 { return l.h.TotalCount() }

// Values are the quantiles, in milliseconds, by the names of the report's metrics.
func (l *Latency) Values() map[string]float64 {
	values := map[string]float64{"max_ms": float64(l.h.Max()) / 1000}
	for name, q := range map[string]float64{"p50_ms": 50, "p90_ms": 90, "p99_ms": 99, "p999_ms": 99.9} {
		values[name] = float64(l.h.ValueAtQuantile(q)) / 1000
	}
	return values
}
