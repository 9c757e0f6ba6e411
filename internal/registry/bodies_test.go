package registry

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Bodies that do not end take no more memory together than they may: a request beyond that is answered with 503 at once, small ones are answered all
// the same, and large ones again when the others have ended.
//
// Mutations seen to fail it: count that holds nothing; Read without the free part; ServeHTTP that does not release; unreadable without errCrowded.
func TestBodiesTakeNoMoreMemoryThanTheyMay(t *testing.T) {
	rig := newRig(t)
	_, r := rig.open()
	r.bodies.most = 900_000
	large := `{"schema":"\"int\"","doc":"` + strings.Repeat("x", 400_000)
	var sent []*io.PipeWriter
	var answers []chan int
	for range 2 {
		body, end := io.Pipe()
		answered := make(chan int, 1)
		q := httptest.NewRequest("POST", "/subjects/large/versions", body)
		go func() {
			w := httptest.NewRecorder()
			r.ServeHTTP(w, q)
			answered <- w.Code
		}()
		if _, err := io.WriteString(end, large); err != nil {
			t.Fatal(err)
		}
		sent, answers = append(sent, end), append(answers, answered)
	}
	passes(t, r, "POST", "/subjects/large/versions", large+`"}`, "bodies of other requests")
	if got := ask(r, "POST", "/subjects/small/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
		t.Errorf("a small one: %s", got)
	}
	for i, end := range sent {
		if _, err := io.WriteString(end, `"}`); err != nil {
			t.Fatal(err)
		}
		_ = end.Close()
		if code := <-answers[i]; code != http.StatusOK {
			t.Errorf("one that ends at last: %d", code)
		}
	}
	if got := ask(r, "POST", "/subjects/large/versions", large+`"}`); !strings.Contains(got, `"id":1`) {
		t.Errorf("a large one afterwards: %s", got)
	}
	if held := r.bodies.bytes.Load(); held != 0 {
		t.Errorf("%d bytes are held for ever", held)
	}
}

// A body may be compressed by gzip, is bounded when it is not any more, and in no other way.
//
// Mutations seen to fail it: inflated that takes each body as it is; a bound of what is sent alone.
func TestABodyMayBeCompressed(t *testing.T) {
	rig := newRig(t)
	_, r := rig.open()
	for _, c := range []struct {
		encoding, body string
		want           int
	}{
		{"gzip", `{"schema":"\"int\""}`, 200},
		{"GZIP", `{"schema":"\"int\""}`, 200},
		{"gzip", `{"schema":"` + strings.Repeat("x", maxBody) + `"}`, 413},
		{"br", `{"schema":"\"int\""}`, 415},
	} {
		var sent bytes.Buffer
		z := gzip.NewWriter(&sent)
		_, _ = z.Write([]byte(c.body))
		_ = z.Close()
		q := httptest.NewRequest("POST", "/subjects/s/versions", &sent)
		q.Header.Set("Content-Encoding", c.encoding)
		w := httptest.NewRecorder()
		if r.ServeHTTP(w, q); w.Code != c.want {
			t.Errorf("%s of %d bytes: %d %.200s", c.encoding, len(c.body), w.Code, w.Body)
		}
	}
	q := httptest.NewRequest("POST", "/subjects/s/versions", strings.NewReader(`{"schema":"\"int\""}`))
	q.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	if r.ServeHTTP(w, q); w.Code != 400 {
		t.Errorf("what is no gzip: %d %s", w.Code, w.Body)
	}
}
