package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/registry"
)

const notWell = "<html>Bad Gateway</html>"

// away are the ways in which a server fails to answer.
func away(t *testing.T) map[string]string {
	t.Helper()
	says := func(status int, body string) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return map[string]string{
		"nobody listens":           "http://" + l.Addr().String(),
		"a proxy without a server": says(502, notWell),
		"no answer at all":         says(503, ""),
		"a registry that is ill":   says(500, `{"error_code":50001,"message":"the topic is damaged"}`),
		"a page to log in":         says(200, notWell),
		"another service":          says(200, `{"status":"ok"}`),
		"a path that is not":       says(404, notWell),
		"a path of no registry's":  says(404, `{"error_code":404,"message":"HTTP 404 Not Found"}`),
		"a method of no path's":    says(405, `{"error_code":405,"message":"HTTP 405 Method Not Allowed"}`),
		"a server that hangs": serve(t, func(_ http.ResponseWriter, q *http.Request) {
			_, _ = io.Copy(io.Discard, q.Body) // else the server does not notice that the client has gone
			<-q.Context().Done()
		}),
	}
}

// timeoutOf is short where it is what a test waits for, and for nothing else.
func timeoutOf(name string) time.Duration {
	if name == "a server that hangs" {
		return 2 * time.Second
	}
	return time.Minute
}

// Of several servers the next one is asked where one does not answer as a registry that is well. What a registry says of a request is
// believed, and so is that it does not know the credentials.
//
// Mutations seen to fail it: ask with the first server alone; unanswered without isRegistry; without 5xx; without noPath; no look for a schema or an id in the answer; a change's answer not read; 401 as unanswered.
func TestTheNextServerIsAsked(t *testing.T) {
	asked := 0
	well := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprint(w, `{"schema":"\"string\"","id":1,"version":1}`)
	})
	for name, url := range away(t) {
		c := client(t, registry.Config{URLs: []string{url, well}, Timeout: timeoutOf(name)})
		asked = 0
		if name == "a server that hangs" { // which takes its time at each question
			if _, err := c.Lookup(t.Context(), "s", registry.Schema{Text: "string"}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		_, err1 := c.ByID(t.Context(), 1)
		_, err2 := c.Lookup(t.Context(), "s", registry.Schema{Text: "string"})
		_, err3 := c.Register(t.Context(), "s", registry.Schema{Text: "string"}) // it is found where it was made before
		err4, want := error(nil), 4                                              // to register is to ask for the version too
		if name != "another service" {                                           // whose answer to this looks like a registry's
			err4, want = c.SetLevel(t.Context(), "s", "FULL"), 5
		}
		if err := errors.Join(err1, err2, err3, err4); err != nil || asked != want {
			t.Errorf("%s: asked %d times: %v", name, asked, err)
		}
		if name == "nobody listens" {
			continue
		}
		if _, err := client(t, registry.Config{URLs: []string{url, url}, Timeout: 100 * time.Millisecond}).ByID(t.Context(), 1); !errors.Is(err, registry.ErrAway) {
			t.Errorf("%s, twice: %v", name, err)
		}
	}
	for status, body := range map[int]string{
		404: `{"error_code":40403,"message":"Schema not found"}`, 401: notWell, 403: notWell, 429: notWell, 422: `{"error_code":42201,"message":"Invalid schema"}`,
	} {
		says := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		})
		asked = 0
		if _, err := client(t, registry.Config{URLs: []string{says, well}}).Lookup(t.Context(), "s", registry.Schema{Text: "string"}); err == nil || asked > 0 {
			t.Errorf("after status %d the next server was asked: %v", status, err)
		}
	}
}

// A change that cannot be made twice is not made again where it may have been made: the version that is the latest then is another one.
//
// Mutations seen to fail it: once always false; without method; without the text.
func TestADeletionIsNotMadeTwice(t *testing.T) {
	asked := 0
	well := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprint(w, `1`)
	})
	changes := map[string]func(*registry.Client) error{
		"a version": func(c *registry.Client) error { return c.DeleteVersion(t.Context(), "s", -1, false) },
		"no text": func(c *registry.Client) error {
			_, err := c.Register(t.Context(), "s", registry.Schema{Metadata: []byte(`{}`)})
			return err
		},
	}
	for name, url := range away(t) {
		for what, change := range changes {
			if name == "a server that hangs" && what == "no text" {
				continue
			}
			asked = 0
			err := change(client(t, registry.Config{URLs: []string{url, well}, Timeout: timeoutOf(name)}))
			switch never := name == "nobody listens"; {
			case never && asked == 0:
				t.Errorf("%s, %s: the next server was not asked: %v", name, what, err)
			case !never && (asked > 0 || name != "another service" && !errors.Is(err, registry.ErrAway)):
				t.Errorf("%s, %s: the next server was asked %d times: %v", name, what, asked, err)
			}
		}
	}
}

// Where no server answers, what a registry says of itself is told rather than that another one is not there.
//
// Mutation seen to fail it: the last error is told.
func TestTheErrorThatSaysMostIsTold(t *testing.T) {
	all := away(t)
	urls := []string{all["nobody listens"], all["a registry that is ill"], all["a proxy without a server"]}
	_, err := client(t, registry.Config{URLs: urls}).Subjects(t.Context(), false)
	if err == nil || !strings.Contains(err.Error(), "the topic is damaged") {
		t.Errorf("%v", err)
	}
	slices.Reverse(urls)
	_, err = client(t, registry.Config{URLs: urls}).Subjects(t.Context(), false)
	if err == nil || !strings.Contains(err.Error(), "the topic is damaged") {
		t.Errorf("the other way round: %v", err)
	}
	if _, err := registry.New(registry.Config{URLs: []string{"http://a,http://b"}}); err == nil || !strings.Contains(err.Error(), "comma") {
		t.Errorf("two in one: %v", err)
	}
}

// Who does not want an answer any more learns nothing of the registry, and one that takes its time is not said to be out of reach only.
//
// Mutations seen to fail it: away without the case of a context that was cancelled, or of one that has ended.
func TestAnInterruptionSaysNothingOfTheRegistry(t *testing.T) {
	hangs := away(t)["a server that hangs"]
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := client(t, registry.Config{URLs: []string{hangs}}).Subjects(ctx, false)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, registry.ErrAway) || err.Error() != "list the subjects: context canceled" {
		t.Errorf("interrupted: %v", err)
	}
	_, err = client(t, registry.Config{URLs: []string{hangs}, Timeout: 100 * time.Millisecond}).Subjects(t.Context(), false)
	if !errors.Is(err, registry.ErrAway) || !strings.HasSuffix(err.Error(), " cannot be reached, or has not answered in time") {
		t.Errorf("in time: %v", err)
	}
}
