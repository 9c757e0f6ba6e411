package registry

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A request that still waits when a server has to end, for the rest of its body, for its turn, for the brokers or for the server that writes, is answered with 503.
//
// Mutations seen to fail it: no hurry; bodies read on; changes with a context of the request; what was not sent said to have failed for good.
func TestWhatStillWaitsIsAnsweredAtTheEnd(t *testing.T) {
	rig := newRig(t)
	url := func(r **Registry) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { (*r).ServeHTTP(w, q) }))
		t.Cleanup(server.Close)
		return server.URL
	}
	var writes, other *Registry
	first, second := url(&writes), url(&other)
	_, writes = rig.dialAt(first)
	_, other = rig.dialAt(second)
	for _, r := range []*Registry{writes, other} {
		if got := ask(r, "POST", "/subjects/s/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
			t.Fatal(got)
		}
		r.Within = time.Hour
	}
	release := rig.hold()
	answers := make(chan string, 20)
	expected := 0
	send := func(what, at, method, path, body string) {
		expected++
		go func() {
			q, _ := http.NewRequest(method, at+path, strings.NewReader(body))
			res, err := http.DefaultClient.Do(q)
			if err != nil {
				answers <- what + ": " + err.Error()
				return
			}
			defer res.Body.Close()
			said, err := io.ReadAll(res.Body)
			answers <- fmt.Sprint(what, ": ", res.StatusCode, " ", string(said), err)
		}()
	}
	send("a change", first, "POST", "/subjects/a/versions", `{"schema":"\"long\""}`)
	send("one behind it", first, "POST", "/subjects/b/versions", `{"schema":"\"long\""}`)
	send("a level", first, "PUT", "/config/s", `{"compatibility":"NONE"}`)
	send("one at the other server", second, "POST", "/subjects/c/versions", `{"schema":"\"long\""}`)
	for _, at := range []string{first, second} {
		expected++
		conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, "POST /subjects/d/versions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
		go func() {
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				answers <- "half a body: " + err.Error()
				return
			}
			_ = res.Body.Close()
			answers <- fmt.Sprint("half a body: ", res.StatusCode)
		}()
	}
	until(t, func() bool { return len(writes.log.writing) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	writes.Drain(ctx)
	other.Drain(ctx)
	for range expected {
		select {
		case a := <-answers:
			if !strings.Contains(a, ": 503") {
				t.Error(a)
			}
		case <-time.After(time.Minute):
			t.Error("not all are answered")
		}
	}
	release()
}

// touched is an answer that says when its deadline is set.
type touched struct {
	*httptest.ResponseRecorder
	setting chan struct{}
	set     chan struct{}
}

func (t *touched) SetReadDeadline(time.Time) error {
	close(t.setting)
	<-t.set
	return nil
}

// A request is over when nothing touches its answer any more: over HTTP/2 that would end the process.
//
// Mutation seen to fail it: no wait.
func TestARequestIsOverWhenNothingTouchesItsAnswer(t *testing.T) {
	r := New(nil, nil, nil)
	answer := &touched{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	done := r.hurried(answer, func(error) {})
	r.hurry(errStopping)
	<-answer.setting
	over := make(chan struct{})
	go func() { done(); close(over) }()
	select {
	case <-over:
		t.Error("it is over while its deadline is being set")
	case <-time.After(50 * time.Millisecond):
	}
	close(answer.set)
	<-over
}
