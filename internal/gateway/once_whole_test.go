package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// An atomic batch for a topic that takes each id once is taken whole or not at all, by the owner of the ids and through another gateway, whatever comes beside it: with an id that another event
// has, with an event that Kafka refuses or that is too large for the topic, or without room for all of its ids nothing of it is written. What is known already is told as ever, and the batch that
// comes again is answered as the first time.
//
// Mutations seen to fail it: no look before anything is written; a refusal that leaves what stands before it in the transaction; a parcel without its mark; room looked for one by one.
func TestAnAtomicBatchIsTakenWhole(t *testing.T) {
	r, cluster := onceRig(t)
	refusePoison(cluster)
	const room = 60
	r.gate.Limits.IDs = room
	other := r.peer(false, func(*Config) {})
	const path = "/topics/" + orders + "/events?atomic=true"
	event := func(id, x string) string { return fmt.Sprintf(`{"id":%q,"customer":"c","x":%q}`, id, x) }
	if status, answer, _ := r.post("/topics/"+orders+"/events", event("known", "1")); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	written := map[string]int{"known": 1}
	for n, at := range []*rig{r, other.rig} {
		id := func(i int) string { return fmt.Sprintf("e%d-%d", n, i) }
		var wg sync.WaitGroup // other events are under way all the while
		stop := make(chan struct{})
		wg.Go(func() {
			for i := range 10 {
				name := fmt.Sprintf("beside%d-%d", n, i)
				if status, answer, _ := r.post("/topics/"+orders+"/events", event(name, "1")); status != 200 {
					t.Errorf("beside: %d %s", status, answer)
				}
				select {
				case <-stop:
				default:
				}
			}
		})
		for i := range 10 {
			written[fmt.Sprintf("beside%d-%d", n, i)] = 1
		}
		for _, c := range []struct {
			what, body string
			status     int
			says       map[string]int // how often; the first problem is told for all too
		}{
			{"new ones", "[" + event(id(1), "1") + "," + event(id(2), "1") + "]", 200, map[string]int{`"offset"`: 2, "repeated": 0}},
			{"again", "[" + event(id(1), "1") + "," + event(id(2), "1") + "]", 200, map[string]int{`"repeated":true`: 2}},
			{"a known one, and a new one twice", "[" + event("known", "1") + "," + event(id(3), "1") + "," + event(id(3), "1") + "]", 200, map[string]int{`"repeated":true`: 2, `"offset"`: 3}},
			{"another's id", "[" + event(id(4), "1") + "," + event("known", "2") + "," + event("known", "1") + "]", 422, map[string]int{"id-conflict": 2, "another event of the atomic batch": 2}},
			{"one id for two", "[" + event(id(4), "1") + "," + event(id(4), "2") + "]", 422, map[string]int{"id-conflict": 2, "another event of the atomic batch": 1}},
			{"poison", "[" + event(id(4), "1") + "," + event(id(5), "poison") + "," + event(id(6), "1") + "]", 422, map[string]int{"does not take": 2, "another event of the atomic batch": 2}},
			{"too large", "[" + event(id(4), "1") + "," + event(id(5), strings.Repeat("x", 1<<20-60)) + "," + event(id(6), "1") + "]", 413, map[string]int{"another event of the atomic batch": 2}},
			{"no key", "[" + event(id(4), "1") + `,{"id":"x"}]`, 422, map[string]int{"customer is missing": 2, "another event of the atomic batch": 1}},
			{"lines", event(id(7), "1") + "\n" + event(id(8), "1") + "\n", 200, map[string]int{`"offset"`: 2}},
		} {
			form := jsonType
			if c.what == "lines" {
				form = ndjsonType
			}
			status, answer, _ := at.post(path, c.body, "Content-Type", form)
			if status != c.status {
				t.Errorf("%d, %s: %d %.600s", n, c.what, status, answer)
			}
			for text, want := range c.says {
				if got := strings.Count(answer, text); got != want {
					t.Errorf("%d, %s: %q %d times, want %d: %.900s", n, c.what, text, got, want, answer)
				}
			}
		}
		close(stop)
		wg.Wait()
		for _, i := range []int{1, 2, 3, 7, 8} {
			written[id(i)] = 1
		}
	}
	var many []string
	for i := range room {
		many = append(many, event(fmt.Sprint("many", i), "1"))
	}
	if status, answer, _ := other.post(path, "["+strings.Join(many, ",")+"]"); status != 503 || !strings.Contains(answer, "max-ids") {
		t.Errorf("without room: %d %.300s", status, answer)
	}
	records, _ := r.read(orders)
	for _, rec := range records {
		for _, h := range rec.Headers {
			if h.Key == HeaderEventID {
				written[string(h.Value)]--
			}
		}
	}
	for id, left := range written {
		if left != 0 {
			t.Errorf("%s is missing %d times", id, left)
		}
	}
}
