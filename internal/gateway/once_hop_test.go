package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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
			verdicts, is, err := o.forward(t.Context(), owner.URL, []item{{ID: "x", Time: n, Place: hashed([]byte("x"))}})
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
