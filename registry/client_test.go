package registry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

	"go.uber.org/goleak"

	"github.com/weirstream/weir/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t *testing.T, c registry.Config) *registry.Client {
	t.Helper()
	cl, err := registry.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// What a registry says is told apart from what a proxy, a firewall or a stranger says: only a registry can say that something is not there.
//
// Mutations seen to fail it: judge without isRegistry; without noPath, and without its 405; 401 as ErrRefused.
func TestOnlyARegistrysAnswersCount(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"an id that is not there":   {404, `{"error_code":40403,"message":"Schema 7 not found"}`, registry.ErrNotFound},
		"a version that is not":     {404, `{"error_code":40402,"message":"Version 7 not found"}`, registry.ErrNotFound},
		"a path that is not":        {404, `{"error_code":404,"message":"HTTP 404 Not Found"}`, registry.ErrAway},
		"a method that is not":      {405, `{"error_code":405,"message":"HTTP 405 Method Not Allowed"}`, registry.ErrAway},
		"the page of a proxy":       {404, `<html>no such page</html>`, registry.ErrAway},
		"another service's JSON":    {404, `{"error":"not found"}`, registry.ErrAway},
		"an error of its own":       {500, `{"error_code":50001,"message":"Error in the backend data store"}`, registry.ErrAway},
		"a bad gateway":             {502, ``, registry.ErrAway},
		"too many requests":         {429, `{"error_code":429,"message":"Too many"}`, registry.ErrAway},
		"strange credentials":       {401, `{"error_code":401,"message":"Unauthorized"}`, registry.ErrAway},
		"an answer that is no JSON": {200, `welcome`, registry.ErrAway},
		"an answer of another kind": {200, `{"status":"ok"}`, registry.ErrAway},
		"what cannot be asked for":  {422, `{"error_code":42202,"message":"The specified version is not valid"}`, registry.ErrRefused},
		"an incompatible schema":    {409, `{"error_code":409,"message":"[{errorType:'X', description:'why', additionalInfo:''}]"}`, registry.ErrIncompatible},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		_, err := client(t, registry.Config{URLs: []string{url}}).ByID(t.Context(), 7)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		kinds := 0
		for _, kind := range []error{registry.ErrAway, registry.ErrNotFound, registry.ErrRefused, registry.ErrIncompatible} {
			if errors.Is(err, kind) {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%s: %v is of %d kinds", name, err, kinds)
		}
	}
	if _, err := client(t, registry.Config{URLs: []string{"http://127.0.0.1:1"}}).ByID(t.Context(), 7); !errors.Is(err, registry.ErrAway) {
		t.Errorf("nobody listens: %v", err)
	}
}

// schemaAnswers answers schema 1 to n, and counts how often it is asked.
func schemaAnswers(asked *atomic.Int64, before func()) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		before()
		if strings.HasSuffix(q.URL.Path, "/404") {
			w.WriteHeader(404)
			fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
			return
		}
		fmt.Fprint(w, `{"schema":"\"string\""}`)
	}
}

// An id is fetched once, however many ask for it; a caller that gives up leaves the fetch to the next one; the least recently used goes.
//
// Mutations seen to fail it: begin without the map; no MoveToFront.
func TestASchemaIsFetchedOnce(t *testing.T) {
	var asked atomic.Int64
	held := make(chan struct{})
	url := serve(t, schemaAnswers(&asked, func() { <-held }))
	c := client(t, registry.Config{URLs: []string{url}, CacheSize: 2})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ByID(gone, 1); !errors.Is(err, registry.ErrAway) {
		t.Errorf("a caller that has gone: %v", err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if s, err := c.ByID(t.Context(), 1); err != nil || s.ID != 1 || s.Type != registry.Avro {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	close(held)
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	for _, id := range []int{2, 1, 3, 1, 1} { // 2 goes when 3 comes
		if _, err := c.ByID(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times for three schemas", n)
	}
	if _, _ = c.ByID(t.Context(), 2); asked.Load() != 4 {
		t.Errorf("a third schema is kept in a cache of two")
	}
}

// Failures push out no schema: however many unknown ids were asked for, known ones are found while the registry is away.
//
// Mutation seen to fail it: put of what failed into the list of what was found.
func TestFailuresPushNothingOut(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if len(q.URL.Path) > len("/schemas/ids/9") {
			w.WriteHeader(404)
			fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
			return
		}
		fmt.Fprint(w, `{"schema":"\"string\""}`)
	}))
	defer web.Close()
	c := client(t, registry.Config{URLs: []string{web.URL}, CacheSize: 2, NotFoundFor: time.Hour})
	for _, id := range []int{1, 10, 2, 11, 12, 13} {
		if _, err := c.ByID(t.Context(), id); (err != nil) != (id > 9) {
			t.Fatal(id, err)
		}
	}
	web.Close()
	for _, ask := range []struct {
		id   int
		want error
	}{{1, nil}, {2, nil}, {12, registry.ErrNotFound}, {13, registry.ErrNotFound}, {10, registry.ErrAway}} { // the last one pushes another failure out
		if _, err := c.ByID(t.Context(), ask.id); !errors.Is(err, ask.want) {
			t.Errorf("%d: %v, want %v", ask.id, err, ask.want)
		}
	}
}

// What is not there is remembered for a moment, and asked for again after it.
//
// Mutation seen to fail it: until never set.
func TestAMissingSchemaIsAskedForAgain(t *testing.T) {
	var asked atomic.Int64
	url := serve(t, schemaAnswers(&asked, func() {}))
	long := client(t, registry.Config{URLs: []string{url}, NotFoundFor: time.Hour})
	never := client(t, registry.Config{URLs: []string{url}, NotFoundFor: -1})
	for _, c := range []*registry.Client{long, long, long, never, never} {
		if _, err := c.ByID(t.Context(), 404); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 1 for an hour's memory and 2 for none", n)
	}
}

// Credentials go along, by each way, also in the URL, and are never in an error.
//
// Mutations seen to fail it: the user left in the URL; no Token; TLS not passed on.
func TestCredentialsGoAlongAndAreNotShown(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		user, password, _ := q.BasicAuth()
		if user+":"+password != "ann:s3cret" && q.Header.Get("Authorization") != "Bearer s3cret" {
			w.WriteHeader(401)
		}
		fmt.Fprint(w, `["order"]`)
	}))
	t.Cleanup(secure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	for name, c := range map[string]registry.Config{
		"basic":      {URLs: []string{secure.URL}, User: "ann", Password: "s3cret"},
		"in the URL": {URLs: []string{strings.Replace(secure.URL, "https://", "https://ann:s3cret@", 1)}},
		"bearer":     {URLs: []string{secure.URL}, Token: "s3cret"},
	} {
		c.TLS = &tls.Config{RootCAs: roots}
		if list, err := client(t, c).Subjects(t.Context(), false); err != nil || len(list) != 1 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		c.TLS = nil
		_, err := client(t, c).Subjects(t.Context(), false)
		if !errors.Is(err, registry.ErrAway) {
			t.Errorf("%s: a certificate that nobody knows: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
	for _, bad := range []string{"ftp://ann:s3cret@host", "registry:8081", "http://ann:s3cret@ho st"} {
		if _, err := registry.New(registry.Config{URLs: []string{bad}}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// An answer that does not end is not read on.
//
// Mutation seen to fail it: the transport without bounded.
func TestAnAnswerIsBounded(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		piece := []byte(strings.Repeat(" ", 1<<20))
		for range 40 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
		_ = json.NewEncoder(w).Encode([]string{"order"})
	})
	if _, err := client(t, registry.Config{URLs: []string{url}}).Subjects(t.Context(), false); !errors.Is(err, registry.ErrAway) {
		t.Errorf("%v", err)
	}
}
