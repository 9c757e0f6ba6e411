package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/gateway/rpc"
)

// locked is a log that is written and read by several goroutines.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// early is a request that ends before its body does.
type early struct{ name, path, form, begin, want string }

// earlyRig is a gateway with all forms of such requests, behind a server that logs into errs.
func earlyRig(t *testing.T, silence time.Duration) (addr string, forms []early, errs *locked) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Event: 1 << 10, Body: 4 << 10, Silence: silence} })
	cluster, err := r.gate.cluster()
	if err != nil {
		t.Fatal(err)
	}
	errs = &locked{}
	server := httptest.NewUnstartedServer(r.gate)
	server.Config.ErrorLog = log.New(errs, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	events, v3, long := "/topics/"+orders+"/events?key=a", "/v3/clusters/"+cluster+"/topics/"+orders+"/records", strings.Repeat("x", 1100)
	return server.Listener.Addr().String(), []early{
		{"lines", events, ndjsonType, long, "too-large"},
		{"lines, the first answered", events, ndjsonType, "1\n" + long, "too-large"},
		{"a batch of lines", events + "&atomic=true", ndjsonType, long, "too-large"},
		{"an event", events, jsonType, "{]", "urn:weir:problem"},
		{"v3", v3, jsonType, "{]", "no JSON"},
		{"v3, the first answered", v3, jsonType, `{"value":{"type":"JSON","data":1}}{]`, "no JSON"},
		{"the service", rpc.EventsPublishProcedure, jsonType, "{]", "code"},
		{"the service's stream", rpc.EventsPublishStreamProcedure, "application/connect+json", "x", ""},
	}, errs
}

// A request that ends before its body does is answered, and what is left of the body is never a request: the connection goes on after it, or the answer
// says that it is closed.
//
// Mutation seen to fail it: no Connection: close, and 256 KiB of what is left read in end, so that net/http panics where it finds the end itself.
func TestTheRestOfABodyIsNoRequest(t *testing.T) {
	addr, forms, errs := earlyRig(t, 0)
	for _, f := range forms {
		for _, rest := range []int{0, 1, 100 << 10, 300 << 10, 400 << 10, 600 << 10, 2 << 20} {
			for _, chunked := range []bool{false, true} {
				name := fmt.Sprintf("%s, %d more, chunked: %v", f.name, rest, chunked)
				conn, in := dialed(t, addr)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, _ = io.WriteString(conn, f.text(rest, chunked)) // if it fails the answer is there
				}()
				res := f.answer(t, name, in)
				if res.Close {
					closed(t, name, in)
					<-sent
				} else {
					<-sent
					_, _ = io.WriteString(conn, "GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
					if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != http.StatusNotFound {
						t.Errorf("%s: the next request: %v %v", name, res, err)
					}
				}
				_ = conn.Close()
			}
		}
	}
	if text := errs.String(); text != "" {
		t.Errorf("the server's log: %.1000s", text)
	}
}

// Nor is it one when it comes after the gateway has ceased to wait for it.
//
// Mutations seen to fail it: no Connection: close; the service's body set in the server's own request.
func TestTheLateRestOfABodyIsNoRequest(t *testing.T) {
	addr, forms, errs := earlyRig(t, 300*time.Millisecond)
	t.Run("all", func(t *testing.T) {
		for _, f := range forms {
			for _, chunked := range []bool{false, true} {
				name := fmt.Sprintf("%s, chunked: %v", f.name, chunked)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					text := f.text(200, chunked)
					now := len(text) - 200
					if chunked {
						now -= len("\r\n0\r\n\r\n")
					}
					conn, in := dialed(t, addr)
					defer conn.Close()
					_, _ = io.WriteString(conn, text[:now])
					f := f
					f.want = "" // or that it did not come in time
					if res := f.answer(t, name, in); !res.Close {
						t.Error("the answer does not say that the connection is closed")
					}
					_, _ = io.WriteString(conn, text[now:])
					closed(t, name, in)
				})
			}
		}
	})
	if text := errs.String(); text != "" {
		t.Errorf("the server's log: %.1000s", text)
	}
}

// A request that is refused is answered at once, also while its client holds the body open, and then the connection ends. Nobody waits until the client is
// cut for its silence.
//
// Mutations seen to fail it: nothing done in leaveBody; no deadline for the rest there.
func TestARefusalWaitsForNoBody(t *testing.T) {
	addr, _, errs := earlyRig(t, time.Hour)
	forms := []early{
		{"an event", "/topics/no.such.v1/events?key=a", jsonType, "{", "no-topic"},
		{"a batch of lines", "/topics/no.such.v1/events?atomic=true", ndjsonType, "1", "no-topic"},
		{"lines", "/topics/no.such.v1/events", ndjsonType, "1\n", "no-topic"},
		{"an image", "/topics/" + orders + "/events", "image/png", "1", "media-type"},
		{"v2", "/topics/no.such.v1", "application/vnd.kafka.json.v2+json", "{", "40401"},
		{"v3", "/v3/clusters/other/topics/" + orders + "/records", jsonType, "{", "error_code"},
		{"the service's stream", rpc.EventsPublishStreamProcedure, "application/connect+json", "x", ""},
		{"nowhere", "/nowhere", jsonType, "{", "no-resource"},
	}
	var wg sync.WaitGroup
	for _, f := range forms {
		for _, head := range []string{"Transfer-Encoding: chunked", "Content-Length: 100", "Content-Length: 1000000", "Content-Length: 100\r\nExpect: 100-continue"} {
			wg.Go(func() {
				name := f.name + ", " + head
				conn, in := dialed(t, addr)
				defer conn.Close()
				text := "POST " + f.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: " + f.form + "\r\n" + head + "\r\n\r\n"
				if !strings.Contains(head, "Expect") {
					text += f.held(head)
				}
				_, _ = io.WriteString(conn, text)
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), f.want) || !res.Close {
					t.Errorf("%s: %d %s %v, the connection is closed: %v", name, res.StatusCode, body, err, res.Close)
				}
				closed(t, name, in)
			})
		}
	}
	wg.Wait()
	if text := errs.String(); text != "" {
		t.Errorf("the server's log: %.1000s", text)
	}
}

// held is the beginning of a body that does not end.
func (e *early) held(head string) string {
	if strings.Contains(head, "chunked") {
		return fmt.Sprintf("%x\r\n%s\r\n", len(e.begin), e.begin)
	}
	return e.begin
}

// A stream whose end is there leaves the connection as it was.
//
// Mutation seen to fail it: patient does not note the end.
func TestAWholeStreamKeepsItsConnection(t *testing.T) {
	addr, forms, _ := earlyRig(t, 0)
	for _, f := range forms {
		switch f.name {
		case "lines":
			f.begin, f.want = "1\n2\n", `"status":200`
		case "v3":
			f.begin, f.want = `{"key":{"type":"STRING","data":"a"},"value":{"type":"JSON","data":1}}`, `"error_code":200`
		default:
			continue
		}
		conn, in := dialed(t, addr)
		if _, err := io.WriteString(conn, f.text(0, false)+f.text(0, false)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if res := f.answer(t, f.name, in); res.Close {
				t.Errorf("%s: the connection is closed", f.name)
			}
		}
		_ = conn.Close()
	}
}

func dialed(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn, bufio.NewReader(conn)
}

// answer reads the whole answer.
func (e *early) answer(t *testing.T, name string, in *bufio.Reader) *http.Response {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), e.want) {
		t.Errorf("%s: %d %s %v", name, res.StatusCode, body, err)
	}
	return res
}

// closed demands that nothing comes after an answer. How the connection ends depends on what the server had still to read.
func closed(t *testing.T, name string, in *bufio.Reader) {
	if _, err := in.ReadByte(); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: after an answer that says close: %v", name, err)
	}
}

// text is the request, with so many bytes after its beginning: requests, which would be answered if they were taken for some.
func (e *early) text(rest int, chunked bool) string {
	inner := "GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	body := e.begin + strings.Repeat(inner, rest/len(inner)+1)[:rest]
	head := "POST " + e.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: " + e.form + "\r\n"
	if chunked {
		return fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(body), body)
	}
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
}
