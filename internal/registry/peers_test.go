package registry

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// A server that writes and lives keeps its place before one that does not trust its certificate: changes fail there, and health says what to mend. One that
// trusts it has it make them. When it has gone its place is taken, also where another program with such a certificate answers at its address.
//
// Mutations seen to fail it: apartFrom that says nothing; lives that takes any answer.
func TestAWriterThatIsNotTrustedKeepsItsPlace(t *testing.T) {
	rig := newRig(t)
	var writes http.Handler
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { writes.ServeHTTP(w, q) }))
	defer server.Close()
	log, writer := rig.dialAt(server.URL)
	writes = writer.Peers(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		writer.ServeHTTP(w, q)
	}))
	if got := ask(writer, "POST", "/subjects/first/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
		t.Fatal(got)
	}
	_, other := rig.open()
	for _, change := range changes {
		if got := ask(other, change.method, change.path, change.body); !strings.Contains(got, "50003") || !strings.Contains(got, "--peer-ca-file") {
			t.Errorf("a change through one that does not trust it: %s", got)
		}
	}
	kinds := func() (list []string) {
		for _, p := range other.Problems() {
			list = append(list, p.Kind)
		}
		return list
	}
	if !slices.Contains(kinds(), "peer") {
		t.Errorf("the problems are %v", kinds())
	}
	trusting := New(second(rig).log, server.Client(), zap.NewNop())
	q := httptest.NewRequest("POST", "/subjects/other/versions", strings.NewReader(`{"schema":"\"long\""}`))
	q.Header.Set("Authorization", "Basic YTpi")
	answer := httptest.NewRecorder()
	if trusting.ServeHTTP(answer, q); !strings.Contains(answer.Body.String(), `"id":2`) {
		t.Errorf("a change through one that trusts it: %s", answer.Body)
	}
	log.mu.Lock()
	claims := log.seen.claims
	log.mu.Unlock()
	if _, mine := log.owner(); !mine || claims != 1 {
		t.Errorf("it writes: %v, after %d claims", mine, claims)
	}
	writes = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	if got := ask(other, "POST", "/subjects/third/versions", `{"schema":"\"string\""}`); !strings.Contains(got, `"id":3`) {
		t.Errorf("another program has its address: %s", got)
	}
	if slices.Contains(kinds(), "peer") {
		t.Errorf("the problems are %v", kinds())
	}
}
