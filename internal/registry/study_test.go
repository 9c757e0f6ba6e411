package registry

import (
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema"
)

// loaded is a registry of a topic that was read, with these records.
func loaded(t *testing.T, records ...[2]string) *Registry {
	t.Helper()
	l := &Log{state: newState(), loaded: true, log: zap.NewNop(), changed: make(chan struct{}), writing: make(chan struct{}, 1), topic: kafka.TopicPartition{Topic: "_schemas"}}
	for n, r := range records {
		if err := l.state.apply(&kafka.Record{Offset: int64(n), Key: []byte(r[0]), Value: []byte(r[1])}); err != nil {
			t.Fatal(err)
		}
	}
	return New(l, nil, zap.NewNop())
}

func ask(r *Registry, method, path, body string) string {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Body.String()
}

// A schema that takes for ever to parse holds up nobody but who sent it.
//
// Mutation seen to fail it: learn that calls do at once, which is with the state locked.
func TestASlowSchemaHoldsUpNobodyElse(t *testing.T) {
	r := loaded(t)
	entered, release := make(chan struct{}), make(chan struct{})
	parse := r.parsed.parse
	r.parsed.parse = func(s schema.Source) (*schema.Schema, error) {
		if strings.Contains(s.Text, "Slow") {
			close(entered)
			<-release
		}
		return parse(s)
	}
	slow := make(chan string)
	go func() {
		slow <- ask(r, "POST", "/compatibility/subjects/s/versions", `{"schema":"{\"type\":\"enum\",\"name\":\"Slow\",\"symbols\":[]}"}`)
	}()
	<-entered
	if got := ask(r, "GET", "/subjects", ""); strings.TrimSpace(got) != "[]" {
		t.Error(got)
	}
	if got := ask(r, "POST", "/compatibility/subjects/s/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"is_compatible":true`) {
		t.Error(got)
	}
	close(release)
	if got := <-slow; !strings.Contains(got, `"is_compatible":true`) {
		t.Error(got)
	}
}

// What is kept parsed is bounded by its text.
//
// Mutation seen to fail it: put that adds always.
func TestWhatIsKeptParsedIsBounded(t *testing.T) {
	var p parsed
	for n := range 10 {
		p.put(string(rune('a'+n)), &schema.Schema{}, mostParsed/4)
	}
	if p.size > mostParsed || len(p.all) > 4 || p.get("j") == nil {
		t.Errorf("%d schemas of %d bytes", len(p.all), p.size)
	}
}
