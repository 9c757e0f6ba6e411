package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/declared"
)

// What comes while requests to the owner are under way goes together in the next one, and each event has its own word, whatever the others have.
//
// Mutations seen to fail it: as many requests at once as there are events; a request of one parcel; the first word for all.
func TestWhatIsForwardedMeanwhileGoesTogether(t *testing.T) {
	var requests, sent atomic.Int32
	goOn := make(chan struct{})
	owner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		var parcels [][]item
		if err := json.NewDecoder(r.Body).Decode(&parcels); err != nil {
			t.Error(err)
		}
		sent.Add(int32(len(parcels)))
		<-goOn
		words := make([]word, len(parcels))
		for i, p := range parcels {
			switch n := p[0].Time; n % 10 {
			case 1:
				words[i].Error = fmt.Sprint("error of ", n)
			case 2:
				words[i].Left = true
			default:
				words[i].Verdicts = []verdict{{Offset: n}}
			}
		}
		writeJSON(w, http.StatusOK, words)
	}))
	defer owner.Close()
	r := newRig(t, nil)
	o := r.gate.once
	const events = 50
	var wg sync.WaitGroup
	for n := range int64(events) {
		wg.Go(func() {
			verdicts, is, err := o.forward(t.Context(), owner.URL, []item{{ID: "x", Time: n, Place: hashed([]byte("x"))}}, false)
			switch n % 10 {
			case 1:
				if !is || err == nil || err.Error() != fmt.Sprint("error of ", n) {
					t.Errorf("%d: %v, the owner's word: %v", n, err, is)
				}
			case 2:
				if is || err == nil {
					t.Errorf("%d: %v, the owner's word: %v", n, err, is)
				}
			default:
				if !is || err != nil || len(verdicts) != 1 || verdicts[0].Offset != n {
					t.Errorf("%d: %v %v, the owner's word: %v", n, verdicts, err, is)
				}
			}
		})
	}
	waiting := func() int { // beside the requests
		o.mu.Lock()
		defer o.mu.Unlock()
		if to := o.ways[owner.URL]; to != nil {
			return len(to.queue)
		}
		return 0
	}
	for deadline := time.Now().Add(time.Minute); int(sent.Load())+waiting() < events && time.Now().Before(deadline); { // all have come
		time.Sleep(10 * time.Millisecond)
	}
	close(goOn)
	wg.Wait()
	if n := requests.Load(); n > 16 {
		t.Errorf("%d requests for %d events that came at once", n, events)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.ways) != 0 {
		t.Errorf("%d ways are kept though nothing goes there", len(o.ways))
	}
}

// Large events go to the owner in requests that it can read and write in time, also many at once, and where it refuses one all the same, because it has as much in memory
// as it may or takes no request of that size, it keeps its place: the events are refused with what to do. What it reads of others counts among the bodies in memory.
//
// Mutations seen to fail it: portions by items alone; the owner's refusal taken for no answer; what the owner reads not counted, or not bounded.
func TestAnOwnerThatRefusesLargeEventsKeepsTheIDs(t *testing.T) {
	r := newRig(t, nil)
	declare(t, r.client, declared.Event{Version: 1, Topic: orders, Key: "customer", ID: "id", Idempotency: declared.Once})
	var longest atomic.Int64
	owner := r.peer(false, func(c *Config) { c.Limits.Event, c.Limits.Waiting = 2<<20, 256<<20 })
	inner := owner.server.Config.Handler
	owner.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if n := q.ContentLength; q.Header.Get(headerHop) != "" && n > longest.Load() {
			longest.Store(n)
		}
		inner.ServeHTTP(w, q)
	})
	other := r.peer(false, func(c *Config) { c.Limits.Event, c.Limits.Waiting = 2<<20, 256<<20 })
	send := func(to *peer, id string, size, n int) (int, string) {
		events := make([]string, n)
		for i := range events {
			events[i] = fmt.Sprintf(`{"id":"%s-%d","customer":"c1","p":"%s"}`, id, i, strings.Repeat("x", size))
		}
		status, answer, _ := to.post("/topics/"+orders+"/events", "["+strings.Join(events, ",")+"]")
		return status, answer
	}
	if status, answer := send(owner, "first", 1, 1); status != 200 {
		t.Fatal(status, answer)
	}
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			if status, answer := send(other, fmt.Sprint(n), 900<<10, 3); status != 200 {
				t.Errorf("array %d: %d %.300s", n, status, answer)
			}
		})
	}
	wg.Wait()
	if n := longest.Load(); n == 0 || n > 2*hopBytes {
		t.Errorf("the longest request to the owner had %d bytes", n)
	}
	owner.gate.bodies.Add(2 * owner.gate.Limits.Waiting) // of others
	if status, answer := send(other, "full", 1, 1); status != 429 {
		t.Errorf("the owner has as much in memory as it may: %d %s", status, answer)
	}
	owner.gate.bodies.Add(-2 * owner.gate.Limits.Waiting)
	items := []item{{ID: "long", Topic: orders, Value: make([]byte, hopMost), Place: hashed([]byte("long"))}}
	if _, err := other.gate.once.bring(t.Context(), items, false); !errors.Is(err, errOwnerTooLarge) {
		t.Errorf("a request that is too long: %v", err)
	}
	if status, answer := send(other, "last", 1, 1); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	if n := r.takeovers(); n != 1 {
		t.Errorf("the ids were taken %d times", n)
	}
	if n := owner.gate.bodies.Load(); n != 0 {
		t.Errorf("%d bytes are counted though nothing is under way", n)
	}
}
