package processors

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTransactionsFitAQuota is the law of the pace: whatever a cluster takes a second, after a few failures transactions are
// committed, none fails any more, each takes a few seconds at most, and when the quota is lifted they grow to their full
// size.
//
// Mutations, each fails: failed does nothing; committed does not shrink; it does not grow; it grows whatever the time; paceLeast
// of 8 MiB; failed without the least for a quota (more than one failure).
func TestTransactionsFitAQuota(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const given = 8 * time.Second // a batch is not waited for longer
		rate := rapid.IntRange(128<<10, 64<<20).Draw(t, "bytes a second")
		took := func(p *pace) time.Duration {
			return time.Duration(float64(p.limit) / float64(rate) * float64(time.Second))
		}
		p := &pace{16 << 20, 16 << 20}
		throttled := rapid.IntRange(0, 1).Draw(t, "by a quota")
		failures := 0
		for i := range 40 {
			d := took(p)
			if d > given {
				if failures++; i > 8 {
					t.Fatalf("transaction %d of %d bytes takes %s", i, p.limit, d)
				}
				p.failed(p.limit, time.Duration(throttled)*d/2)
				continue
			}
			p.committed(p.limit, d, d/2) // what is committed is throttled, too
			if i > 20 && took(p) > paceTarget+paceTarget/10 {
				t.Fatalf("transaction %d takes %s", i, took(p))
			}
		}
		if failures > 4 || throttled > 0 && failures > 1 {
			t.Fatalf("%d failures, throttled: %d", failures, throttled)
		}
		if p.limit < p.most && took(p) < paceTarget/4 {
			t.Fatalf("%d bytes in %s are less than need be", p.limit, took(p))
		}
		for range 12 {
			p.committed(p.limit, 10*time.Millisecond, 0)
		}
		if p.limit != p.most {
			t.Fatalf("%d bytes when nothing holds it up", p.limit)
		}
	})
}
