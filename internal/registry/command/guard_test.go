package command

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// Without credentials whoever asks from this machine for himself is let in, and nobody else; with them, who has some.
//
// Mutations seen to fail it: guard without OnLoopback, without Origin, with the first credential only; readUsers without its users; a
// scheme that is compared by its case.
func TestTheDoorLetsInWhoItIsFor(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("# who may\nann:secret\nbob:x:y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := &door{}
	if err := closed.readUsers(users); err != nil {
		t.Fatal(err)
	}
	basic := func(user, password string) func(*http.Request) {
		return func(q *http.Request) { q.SetBasicAuth(user, password) }
	}
	header := func(name, value string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set(name, value) }
	}
	host := func(host string) func(*http.Request) { return func(q *http.Request) { q.Host = host } }
	for name, c := range map[string]struct {
		door *door
		as   func(*http.Request)
		want int
	}{
		"here":                      {&door{}, host("localhost:8081"), 200},
		"here, by number":           {&door{}, host("[::1]:8081"), 200},
		"under another name":        {&door{}, host("schemas.example.org"), 403},
		"from another machine":      {&door{}, func(q *http.Request) { q.RemoteAddr = "192.0.2.7:4000" }, 403},
		"by a page":                 {&door{}, header("Origin", "https://example.org"), 403},
		"by a proxy":                {&door{}, header("X-Forwarded-For", "192.0.2.7"), 403},
		"by another kind of proxy":  {&door{}, header("X-Real-Ip", "192.0.2.7"), 403},
		"nobody, where users are":   {closed, host("localhost"), 401},
		"a user":                    {closed, basic("ann", "secret"), 200},
		"a user with a colon":       {closed, basic("bob", "x:y"), 200},
		"a user, in small letters":  {closed, header("Authorization", "basic YW5uOnNlY3JldA=="), 200},
		"a user without a password": {closed, basic("ann", ""), 401},
		"a stranger":                {closed, basic("eve", "secret"), 401},
	} {
		q := httptest.NewRequest("GET", "/subjects", nil)
		q.RemoteAddr, q.Host = "127.0.0.1:4000", "127.0.0.1:8081"
		c.as(q)
		w := httptest.NewRecorder()
		c.door.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, q)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", name, w.Code, c.want)
		}
	}
}
