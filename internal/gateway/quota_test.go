package gateway

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whoever is refused has nothing taken off any of his quotas: after as long as he was told he is let through, and what he asks for elsewhere meanwhile is
// decided as if he had not been refused. Who is let through for more than a burst waits until it is paid off.
//
// Mutations seen to fail it: events taken before bytes are looked at; the first quota taken before the second is looked at; what is more than a burst
// not paid off.
func TestARefusalTakesNothingOffAQuota(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.SampledFrom([]float64{0, 1, 10, 1000})
		var tried, spared [2]*quota // spared is never refused
		for i := range tried {
			events, bytes := rate.Draw(t, "events a second"), rate.Draw(t, "bytes a second")
			tried[i], spared[i] = newQuota(events, bytes), newQuota(events, bytes)
		}
		now := time.Unix(1_900_000_000, 0)
		for range rapid.IntRange(1, 50).Draw(t, "requests") {
			events, bytes, n := rapid.IntRange(0, 200).Draw(t, "events"), rapid.IntRange(0, 2000).Draw(t, "bytes"), rapid.IntRange(1, 2).Draw(t, "quotas")
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			if p := takeAt(now, events, bytes, tried[:n]...); p != nil {
				if p.retryAfter <= 0 {
					t.Fatalf("refused for %s", p.retryAfter)
				}
				now = now.Add(p.retryAfter)
				if p := takeAt(now, events, bytes, tried[:n]...); p != nil {
					t.Fatalf("refused again after the time that was said: %s, %s", p.Detail, p.retryAfter)
				}
			}
			if p := takeAt(now, events, bytes, spared[:n]...); p != nil {
				t.Fatalf("who was never refused is refused: %s", p.Detail)
			}
			for i := range tried {
				for _, b := range [][2]*bucket{{tried[i].events, spared[i].events}, {tried[i].bytes, spared[i].bytes}} {
					if b[0] != nil && math.Abs(b[0].left-b[1].left) > 1e-3 {
						t.Fatalf("%g %s are left, and of who was never refused %g", b[0].left, b[0].what, b[1].left)
					}
				}
			}
		}
	})
	q, now := newQuota(10, 0), time.Now()
	if p := takeAt(now, 100, 0, q); p != nil {
		t.Fatal(p)
	}
	if p := takeAt(now, 1, 0, q); p == nil || p.retryAfter.Round(time.Millisecond) != 8100*time.Millisecond {
		t.Errorf("80 events are owed: %+v", p)
	}
}
