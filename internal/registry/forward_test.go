package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// at serves at the URL of a server that writes, which is opened afterwards.
func (r *rig) at(answer http.Handler) (url string) {
	server := httptest.NewServer(answer)
	r.t.Cleanup(server.Close)
	return server.URL
}

// changes are one that may be made twice, and one that may not, with what each answers when it is made.
var changes = []struct{ method, path, body, want string }{
	{"POST", "/subjects/other/versions", `{"schema":"\"long\""}`, `"id":2`},
	{"DELETE", "/subjects/first/versions/1", "", "1"},
}

// What answers at the address of the server that writes, and is none of this registry, is passed over, whatever it says: its answer is not
// passed on, and its place is taken. Where it may have passed a change on that must not be made twice, that change fails, once. The same
// holds for a server that cannot make a change, as one that has lost the brokers.
//
// Mutations seen to fail it: forward that takes what has no offset for an answer, of 300 and more, and of 500 and more; change that
// does not take the place before it says that a deletion may have been made.
func TestAStrangerAtTheAddressOfTheWriterIsPassedOver(t *testing.T) {
	for _, status := range []int{200, 204, 301, 400, 401, 403, 404, 409, 422, 500, 502, 503, 504} {
		for _, offset := range []string{"", "0"} {
			if offset != "" && status < 500 {
				continue // which the server that writes answers so
			}
			for _, change := range changes {
				t.Run(fmt.Sprintf("%d %s %s", status, change.method, offset), func(t *testing.T) {
					rig := newRig(t)
					asked := 0
					url := rig.at(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
						asked++
						if offset != "" {
							w.Header().Set(headerOffset, offset)
						}
						w.Header().Set("Location", "/elsewhere")
						w.WriteHeader(status)
						_, _ = w.Write([]byte("not here"))
					}))
					_, gone := rig.dialAt(url)
					if got := ask(gone, "POST", "/subjects/first/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
						t.Fatal(got)
					}
					_, r := rig.open()
					got := ask(r, change.method, change.path, change.body)
					if status >= 500 && change.method == "DELETE" {
						if !strings.Contains(got, "50003") {
							t.Errorf("a deletion that may have been made: %s", got)
						}
						got = ask(r, change.method, change.path, change.body)
					}
					if !strings.Contains(got, change.want) || strings.Contains(got, "error_code") {
						t.Errorf("%s, want %s", got, change.want)
					}
					most := 1
					if status == 401 || status == 403 { // it may be the writer with other credentials
						most = 2
					}
					if problems := r.Problems(); asked != most || len(problems) > 0 {
						t.Errorf("the stranger was asked %d times, problems %v", asked, problems)
					}
				})
			}
		}
	}
}

// A server that writes and cannot read the topic on gives its place up to one that can.
//
// Mutation seen to fail it: forOther that looks at no halt.
func TestAWriterThatHasHaltedGivesItsPlaceUp(t *testing.T) {
	for _, change := range changes {
		t.Run(change.method, func(t *testing.T) {
			rig := newRig(t)
			var writes http.Handler
			url := rig.at(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { writes.ServeHTTP(w, q) }))
			log, stands := rig.dialAt(url)
			writes = stands
			if got := ask(stands, "POST", "/subjects/first/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
				t.Fatal(got)
			}
			_, r := rig.open()
			log.mu.Lock()
			log.failure = &haltedError{log.topic, log.state.next, true, errors.New("a batch is damaged")}
			log.mu.Unlock()
			if got := ask(r, change.method, change.path, change.body); !strings.Contains(got, change.want) || strings.Contains(got, "error_code") {
				t.Errorf("%s, want %s", got, change.want)
			}
		})
	}
}
