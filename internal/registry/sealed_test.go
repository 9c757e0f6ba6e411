package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const credentials = "Basic dXNlcjpwYXNzd29yZA=="

// guarded is a registry that wants credentials.
func guarded(r *Registry) http.Handler {
	return r.Peers(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != credentials {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.ServeHTTP(w, q)
	}))
}

// with asks with credentials.
func with(h http.Handler, method, path, body string) (int, string) {
	q := httptest.NewRequest(method, path, strings.NewReader(body))
	q.Header.Set("Authorization", credentials)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	return w.Code, w.Body.String()
}

// Credentials are passed on in a form that the server which writes can read and nobody else. Who gets the request cannot have them stand for another
// change either: one of another method, subject, question or body.
//
// Mutations seen to fail it: forward that passes Authorization on; sealedFor without the method, without the URI, and without the body's hash;
// change that does not look at the hash; unseal that leaves the credentials out.
func TestCredentialsArePassedOnToTheWriterAlone(t *testing.T) {
	rig := newRig(t)
	var writes http.Handler
	var seen *http.Request
	var sent []byte
	url := rig.at(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { // what stands between the two
		seen, sent = q.Clone(context.Background()), nil
		sent, _ = io.ReadAll(q.Body)
		q.Body = io.NopCloser(bytes.NewReader(sent))
		writes.ServeHTTP(w, q)
	}))
	log, writer := rig.dialAt(url)
	writes = guarded(writer)
	if code, got := with(writes, "POST", "/subjects/first/versions", `{"schema":"\"int\""}`); code != 200 {
		t.Fatal(code, got)
	}
	_, other := rig.open()
	for n, change := range changes {
		if code, got := with(guarded(other), change.method, change.path, change.body); code != 200 || !strings.Contains(got, change.want) {
			t.Fatalf("%d %s, want %s", code, got, change.want)
		}
		head := fmt.Sprint(seen.Header)
		for _, secret := range []string{credentials, strings.Fields(credentials)[1], "user:password"} {
			if strings.Contains(head, secret) {
				t.Errorf("who stands between gets %s", head)
			}
		}
		for name, forge := range map[string]func(*http.Request) []byte{
			"method": func(q *http.Request) []byte {
				q.Method = map[bool]string{true: "PUT", false: "DELETE"}[n == 1]
				return sent
			},
			"subject":  func(q *http.Request) []byte { q.URL.Path = "/subjects/forged/versions"; return sent },
			"question": func(q *http.Request) []byte { q.URL.RawQuery = "permanent=true"; return sent },
			"body":     func(*http.Request) []byte { return []byte(`{"schema":"\"string\""}`) },
			"body and its hash": func(q *http.Request) []byte {
				body := []byte(`{"schema":"\"string\""}`)
				q.Header.Set(headerBody, hashOf(body))
				return body
			},
			"hash": func(q *http.Request) []byte { q.Header.Del(headerBody); return sent },
		} {
			forged := seen.Clone(context.Background())
			forged.Body = io.NopCloser(bytes.NewReader(forge(forged)))
			w := httptest.NewRecorder()
			if writes.ServeHTTP(w, forged); w.Code != 401 && !(name == "body" && w.Code == 400) {
				t.Errorf("%s %s with another %s: %d %s", change.method, change.path, name, w.Code, w.Body)
			}
		}
	}
	if log.seen.claims != 1 {
		t.Errorf("the writer has claimed the topic %d times", log.seen.claims)
	}
}

// A stranger who has the address of a writer that is gone, or of one of an older build, gets no credentials, and the place is taken.
//
// Mutations seen to fail it: seal that passes credentials on where there is no key; forward that passes Authorization on.
func TestAStrangerGetsNoCredentials(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprint(old), func(t *testing.T) {
			rig := newRig(t)
			var heads []string
			url := rig.at(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				heads = append(heads, fmt.Sprint(q.Header))
				w.WriteHeader(http.StatusUnauthorized)
			}))
			if old {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				value, _ := json.Marshal(map[string]any{"writer": map[string]any{"url": url, "producerId": 77, "epoch": 1}})
				rig.open()
				if err := rig.write(ctx, `{"keytype":"NOOP","magic":0}`, string(value)); err != nil {
					t.Fatal(err)
				}
			} else {
				_, gone := rig.dialAt(url)
				if code, got := with(guarded(gone), "PUT", "/config", `{"compatibility":"FULL"}`); code != 200 {
					t.Fatal(code, got)
				}
			}
			log, r := rig.open()
			if to, _ := log.owner(); to == nil || to.URL != url || (to.Key == "") != old {
				t.Fatalf("%+v writes", to)
			}
			if code, got := with(guarded(r), "POST", "/subjects/s/versions", `{"schema":"\"int\""}`); code != 200 {
				t.Errorf("%d %s", code, got)
			}
			for _, head := range heads {
				if strings.Contains(head, strings.Fields(credentials)[1]) {
					t.Errorf("the stranger gets %s", head)
				}
			}
			if !old && len(heads) != 2 || old && len(heads) > 0 {
				t.Errorf("the stranger was asked %d times", len(heads))
			}
		})
	}
}

// Servers whose clients have other credentials take the right to write from each other, so that a password can be replaced server by server, and
// health says so until a change is forwarded again.
//
// Mutations seen to fail it: unlike that notes nothing; near that forgets nothing.
func TestServersWithOtherCredentialsAreReported(t *testing.T) {
	rig := newRig(t)
	var writes http.Handler
	url := rig.at(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { writes.ServeHTTP(w, q) }))
	_, writer := rig.dialAt(url)
	takes := "Basic b3RoZXI6cGFzc3dvcmQ="
	writes = writer.Peers(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != takes {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		writer.ServeHTTP(w, q)
	}))
	if got := ask(writer, "POST", "/subjects/first/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
		t.Fatal(got)
	}
	_, other := rig.open()
	if code, got := with(guarded(other), "POST", "/subjects/other/versions", `{"schema":"\"long\""}`); code != 200 || !strings.Contains(got, `"id":2`) {
		t.Fatalf("%d %s", code, got)
	}
	if list := other.Problems(); len(list) != 1 || list[0].Kind != "peer" || !strings.Contains(list[0].Remedy, "--users-file") {
		t.Errorf("the problems are %v", list)
	}
	if got := ask(writer, "PUT", "/config/first", `{"compatibility":"NONE"}`); !strings.Contains(got, "NONE") {
		t.Fatal(got)
	}
	takes = credentials
	if err := other.log.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code, got := with(guarded(other), "POST", "/subjects/third/versions", `{"schema":"\"float\""}`); code != 200 || !strings.Contains(got, `"id":3`) {
		t.Fatalf("%d %s", code, got)
	}
	if list := other.Problems(); len(list) > 0 {
		t.Errorf("the problems are %v", list)
	}
}
