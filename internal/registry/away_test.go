package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// hold keeps the next request to write from the broker until it is released; later ones pass.
func (r *rig) hold() (release func()) {
	released := make(chan struct{})
	r.before(func() { <-released })
	var once atomic.Bool
	release = func() {
		if once.CompareAndSwap(false, true) {
			close(released)
		}
	}
	r.t.Cleanup(release)
	return release
}

func (r *rig) end() int64 {
	r.t.Helper()
	ends, err := kadm.NewClient(r.other).ListEndOffsets(r.t.Context(), "_schemas")
	if err != nil {
		r.t.Fatal(err)
	}
	end, _ := ends.Lookup("_schemas", 0)
	return end.Offset
}

// passes looks whether an answer says that it is worth asking again.
func passes(t *testing.T, r *Registry, method, path, body string, says ...string) {
	t.Helper()
	began := time.Now()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%s %s: %d, Retry-After %q", method, path, w.Code, w.Header().Get("Retry-After"))
	}
	for _, part := range says {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("%s %s: %s, want %s", method, path, w.Body, part)
		}
	}
	if took := time.Since(began); took > 20*time.Second { // of 200 ms, on a machine that has a lot to do
		t.Errorf("%s %s took %v", method, path, took)
	}
}

// While the brokers are away a change is answered with 503 soon, and with what is known of it: nothing was sent to anybody. So is what is asked for and
// may be there. What is known is answered.
//
// Mutations seen to fail it: write with the time of a whole change; ofStore that says nothing of changes; reply without Retry-After; Append that takes
// what was not sent for sent.
func TestChangesAreRefusedSoonWhileTheBrokersAreAway(t *testing.T) {
	rig := newRig(t)
	_, r := rig.open()
	if got := ask(r, "POST", "/subjects/s/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
		t.Fatal(got)
	}
	_, idle := rig.open() // which would have to take the place of the one that writes
	r.Within, idle.Within = 200*time.Millisecond, 200*time.Millisecond
	if err := rig.broker.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Registry{r, idle} {
		passes(t, r, "POST", "/subjects/new/versions", `{"schema":"\"long\""}`, `"error_code":50002`, "Nothing was changed")
		passes(t, r, "DELETE", "/subjects/s", "", `"error_code":50002`, "Nothing was changed")
		passes(t, r, "GET", "/subjects/new/versions", "", `"error_code":50002`)
		if got := ask(r, "GET", "/schemas/ids/1/schema", ""); got != `"int"` {
			t.Error(got)
		}
	}
}

// A change that a broker has got and not answered is answered with 503, which says that it is not known whether it was made. If it was, or is made later, it
// is there for who asks, and answers who registers it again; if it is not, it never will be once another change was made.
//
// Mutations seen to fail it: append without unsureError; append that keeps the claim.
func TestAChangeThatIsNotAnsweredIsSaidToBeUnknown(t *testing.T) {
	for name, made := range map[string]bool{"it is made": true, "it is not made": false} {
		t.Run(name, func(t *testing.T) {
			rig := newRig(t)
			log, r := rig.open()
			if got := ask(r, "POST", "/subjects/s/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
				t.Fatal(got)
			}
			end := rig.end()
			r.Within = 200 * time.Millisecond
			release := rig.hold()
			const schema = `{"schema":"\"long\""}`
			passes(t, r, "POST", "/subjects/new/versions", schema, `"error_code":50002`, "It is not known whether the change was made")
			r.Within = time.Minute
			if made {
				release()
				until(t, func() bool { return rig.end() == end+1 })
				for _, r := range []*Registry{r, second(rig)} {
					if got := ask(r, "GET", "/subjects/new/versions/1", ""); !strings.Contains(got, `"id":2`) {
						t.Errorf("what was made: %s", got)
					}
				}
			}
			if got := ask(r, "POST", "/subjects/new/versions", schema); !strings.Contains(got, `"id":2,"version":1`) {
				t.Errorf("registered again: %s", got)
			}
			release()
			if got := ask(r, "POST", "/subjects/next/versions", `{"schema":"\"float\""}`); !strings.Contains(got, `"id":3`) {
				t.Errorf("the next one: %s", got)
			}
			if err := log.catchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			var records []string
			for _, rec := range rig.topic() {
				if strings.Contains(string(rec.Key), `"new"`) {
					records = append(records, string(rec.Value))
				}
			}
			if len(records) != 1 {
				t.Errorf("the topic has it %d times: %q", len(records), records)
			}
		})
	}
}

// A server that writes and cannot reach the brokers answers the one that has asked it before that one takes its place, so that the whole is
// answered soon. What may have been made there and must not be made twice is said to be unknown.
//
// Mutations seen to fail it: forOther with the time of the one that asks; change that adds no word to what was not answered.
func TestWhatTheWriterDoesNotAnswerIsSaidToBeUnknown(t *testing.T) {
	rig := newRig(t)
	quit := make(chan struct{})
	defer close(quit)
	var writes atomic.Pointer[Registry]
	var silent atomic.Bool
	url := rig.at(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if silent.Load() {
			select {
			case <-q.Context().Done():
			case <-quit:
			}
			return
		}
		writes.Load().ServeHTTP(w, q)
	}))
	_, writer := rig.dialAt(url)
	writes.Store(writer)
	for n, kind := range []string{"int", "long"} {
		if got := ask(writer, "POST", fmt.Sprintf("/subjects/s%d/versions", n), fmt.Sprintf(`{"schema":"\"%s\""}`, kind)); !strings.Contains(got, `"id"`) {
			t.Fatal(got)
		}
	}
	_, r := rig.open()
	r.Within, writer.Within = time.Second, time.Second
	release := rig.hold()
	passes(t, r, "DELETE", "/subjects/s0", "", `"error_code":50003`, "answers 503", "It is not known whether the change was made")
	release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.log.seize(ctx)

	_, third := rig.open()
	again := rig.at(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		select {
		case <-q.Context().Done():
		case <-quit:
		}
	}))
	_, mute := rig.dialAt(again)
	if got := ask(mute, "PUT", "/config/s1", `{"compatibility":"NONE"}`); !strings.Contains(got, "NONE") {
		t.Fatal(got)
	}
	third.Within = 200 * time.Millisecond
	passes(t, third, "DELETE", "/subjects/s1", "", `"error_code":50003`, "It is not known whether the change was made")
}
