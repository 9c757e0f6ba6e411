package gateway

import (
	"fmt"
	"math"
	"strings"
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

// What is refused through its own fault counts, up to a burst, and while it is owed nothing is looked at; what is accepted beside it is not held up by it.
//
// Mutations seen to fail it: refused events that count nothing; a debt without end; requests that are looked at all the same; what is refused taken before what is accepted; a stream that does
// not wait.
func TestWhatIsRefusedCounts(t *testing.T) {
	now := time.Now()
	q := newQuota(5, 0)
	if owe(now, 30, 0, q); q.events.left != -10 {
		t.Errorf("%g are left", q.events.left)
	}
	p := owing(now, q)
	if p == nil || p.retryAfter.Round(time.Millisecond) != 2200*time.Millisecond {
		t.Fatalf("%+v", p)
	}
	if p := owing(now.Add(p.retryAfter), q); p != nil {
		t.Errorf("after the time that was said: %+v", p)
	}
	clients, err := ParseClients(fmt.Appendf(nil, "clients: [{name: shop, keys: [%q], topics: [order.], events_per_second: 0.01}, {name: other, keys: [%q], topics: [order.], events_per_second: 1}]", HashKey("secret"), HashKey("else")))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Clients = clients })
	send := func(key, body string, form ...string) (int, string) {
		status, answer, _ := r.post("/topics/"+orders+"/events", body, append([]string{"Authorization", "Bearer " + key}, form...)...)
		return status, answer
	}
	if status, answer := send("secret", `[1,2]`); status != 422 { // without a key; a burst is one event
		t.Fatalf("%d %s", status, answer)
	}
	if status, answer := send("secret", `[1,2]`); status != 429 || !strings.Contains(answer, "refused counts") {
		t.Errorf("while it is owed: %d %s", status, answer)
	}
	batch := `[{"key":"a","value":1},{"value":2},{"key":"a","value":3}]`
	if status, answer, _ := r.post("/topics/"+orders, `{"records":`+batch+`}`, "Authorization", "Bearer else", "Content-Type", "application/vnd.kafka.json.v2+json"); status != 200 || strings.Count(answer, `"error":null`) != 2 {
		t.Errorf("two good ones and a bad one, of a burst of two: %d %s", status, answer)
	}
	r.gate.Limits.Answer = 300 * time.Millisecond // which a stream waits
	began := time.Now()
	if status, answer := send("secret", strings.Repeat("1\n", 3), "Content-Type", ndjsonType); status != 200 || time.Since(began) < r.gate.Limits.Answer/2 {
		t.Errorf("a stream is not slowed down: %d %s after %s", status, answer, time.Since(began))
	}
}
