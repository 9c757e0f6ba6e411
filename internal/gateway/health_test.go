package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/registry"
)

// away is a registry that does not answer while it is down.
type away struct {
	source
	down bool
}

func (a *away) Latest(ctx context.Context, subject string) (*registry.Registered, error) {
	if a.down {
		return nil, registry.NewError("get", registry.ErrAway, errors.New("connection refused"))
	}
	return nil, registry.NewError("get", registry.ErrNotFound, errors.New("no subject"))
}

// A gateway that has started without its registry is not ready and says why; one whose registry has gone later stays ready, and says so in its health.
//
// Mutations seen to fail it: look that notes nothing; Unready by the silence alone; an answer that leaves the silence.
func TestARegistryThatIsAwayIsSaid(t *testing.T) {
	a := &away{down: true}
	r := newRig(t, func(c *Config) { c.Schemas = a })
	check := func(ready, healthy bool) {
		t.Helper()
		r.gate.schemas.mu.Lock()
		if !r.gate.schemas.heard.IsZero() {
			r.gate.schemas.heard = time.Now().Add(-time.Hour) // so that it is asked again
		}
		r.gate.schemas.mu.Unlock()
		r.gate.Look(t.Context())
		if why := r.gate.Unready(); (len(why) == 0) != ready {
			t.Errorf("it is not ready because of %v", why)
		}
		list := r.gate.Health()
		if (len(list) == 0) != healthy || !healthy && !strings.Contains(list[0].Cause, "connection refused") {
			t.Errorf("its health is %v", list)
		}
	}
	check(false, false)
	a.down = false
	check(true, true)
	a.down = true
	check(true, false)
	a.down = false
	check(true, true)
}

// What is to be taken once and is not acknowledged before the gateway ends is answered with 503 before it does, in a stream too: its producer would otherwise not know
// whether to send it again.
//
// Mutation seen to fail it: a stream that waits for its owner without an end.
func TestWhatIsNotAcknowledgedIsAnsweredAtTheEnd(t *testing.T) {
	r, cluster := onceRig(t)
	if status, answer, _ := r.post("/topics/"+orders+"/events", `{"id":"e1","customer":"c1"}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	goOn, held := make(chan struct{}), make(chan struct{}, 100)
	defer close(goOn)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		held <- struct{}{}
		cluster.SleepControl(func() { <-goOn })
		return nil, nil, false
	})
	type answer struct {
		form   string
		status int
		body   string
	}
	answers := make(chan answer)
	send := func(form, media string) {
		q, _ := http.NewRequest("POST", r.server.URL+"/topics/"+orders+"/events", strings.NewReader(fmt.Sprintf(`{"id":%q,"customer":"c1"}`, form)))
		q.Header.Set("Content-Type", media)
		res, err := r.server.Client().Do(q)
		if err != nil {
			answers <- answer{form, 0, err.Error()}
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answers <- answer{form, res.StatusCode, string(text)}
	}
	go send("one event", "application/json")
	<-held
	go send("a stream", "application/x-ndjson")
	queued := func() int {
		r.gate.once.mu.Lock()
		w := r.gate.once.mine
		r.gate.once.mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.queue)
	}
	for queued() == 0 { // the first one is under way
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	drained := make(chan struct{})
	go func() { r.gate.Drain(ctx); close(drained) }()
	for range 2 {
		if a := <-answers; !strings.Contains(a.body, `"status":503`) {
			t.Errorf("%s: %d %s", a.form, a.status, a.body)
		}
	}
	<-drained
	if ctx.Err() != nil {
		t.Error("the gateway was not drained in time")
	}
}
