package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/klauspost/compress/zstd"

	"github.com/weirstream/weir/gateway/rpc"
)

// raw sends bytes on a connection, and returns what reads the answer.
func (r *rig) raw(text string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// A client that stops within a body or a stream, or does not read its results, is cut; what a stream had sent before is answered.
//
// Mutations seen to fail it: no deadline for writing results; a chunk that may be dropped when reading fails (one time in two).
func TestASlowClientIsCut(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Silence: time.Second} })
	head := "POST /topics/" + orders + "/events?key=a HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	_, in := r.raw(head + "Content-Length: 1000\r\n\r\n{")
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusRequestTimeout {
		t.Fatalf("a body: %v %v", res, err)
	}
	_, in = r.raw(head + "Content-Type: " + ndjsonType + "\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{}\n{}\n\r\n5\r\n{\"cut\r\n")
	if res, err = http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	}
	data, _ := io.ReadAll(res.Body)
	if lines := strings.Split(string(data), "\n"); len(lines) != 4 || !strings.Contains(lines[1], `"offset":1`) || !strings.Contains(lines[2], "too-slow") {
		t.Errorf("a stream: %s", data)
	}
	// Its results are not read: when the buffers of both ends are full, the gateway's writing ends, and it reads no more.
	conn, _ := r.raw(head + "Content-Type: " + ndjsonType + "\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := strings.Repeat("7\n", 32<<10)
	for {
		if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(chunk), chunk); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("a client that does not read its results is not cut")
			}
			return
		}
	}
}

// A body that is compressed very much takes no memory for what it would become, whatever its form.
//
// Mutation seen to fail it: tamed without its limit.
func TestABombTakesNoMemory(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Body: 1 << 30, Waiting: 1 << 30} })
	var packed strings.Builder
	z, _ := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
	spaces := []byte(strings.Repeat(" ", 1<<20))
	for range 64 {
		_, _ = z.Write(spaces)
	}
	_ = z.Close()
	for encoding, bomb := range map[string]string{"zstd": packed.String(), "gzip": zipped(strings.Repeat(" ", 64<<20))} {
		for _, form := range []string{jsonType, ndjsonType, "application/x-protobuf"} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			status, body, _ := r.post("/topics/"+orders+"/events?key=a", bomb, "Content-Encoding", encoding, "Content-Type", form)
			runtime.ReadMemStats(&after)
			if !strings.Contains(body, "too-large") {
				t.Errorf("%s, %s: %d %s", encoding, form, status, body)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 { // of 64 MiB
				t.Errorf("%s, %s: %d MiB were taken", encoding, form, took>>20)
			}
		}
	}
}

// Who sends much for one event is told so before it is all read, whatever a batch may have; an array is read to its own bound.
//
// Mutations seen to fail it: no bound of its own; a bound for arrays too.
func TestABodyOfOneEventHasTheBoundOfAnEvent(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Event: 1000} })
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		body, form string
		status     int
	}{
		"one":                    {`{"a":"` + long + `"}`, jsonType, 413},
		"one after much space":   {strings.Repeat(" ", 70<<10) + `{}`, jsonType, 413},
		"a message":              {long, "application/x-protobuf", 413},
		"a CloudEvent":           {`{"specversion":"1.0","id":"a","source":"b","type":"c","data":"` + long + `"}`, "application/cloudevents+json", 413},
		"an array":               {`[` + strings.Repeat(`{"a":"`+long[:500]+`"},`, 2000) + `{}]`, jsonType, 200},
		"an array after a space": {"\n [" + strings.Repeat(`1,`, 5000) + `1]`, jsonType, 200},
		"a batch of CloudEvents": {`[` + strings.Repeat(`{"specversion":"1.0","id":"a","source":"b","type":"c","data":1},`, 2000) + `{"specversion":"1.0","id":"a","source":"b","type":"c","data":1}]`, "application/cloudevents-batch+json", 200},
	} {
		if status, body, _ := r.post("/topics/"+orders+"/events?key=a", zipped(c.body), "Content-Encoding", "gzip", "Content-Type", c.form); status != c.status {
			t.Errorf("%s: %d %.300s, want %d", name, status, body, c.status)
		}
	}
}

// A gateway that stops has open streams end, with all that they had sent answered; none waits for its client.
//
// Mutation seen to fail it: Drain without stop.
func TestOpenStreamsEndWhenTheGatewayStops(t *testing.T) {
	r := newRig(t, nil)
	in, send := io.Pipe()
	defer send.Close()
	q, _ := http.NewRequest("POST", r.server.URL+"/topics/"+orders+"/events?key=a", in)
	q.Header.Set("Content-Type", ndjsonType)
	go func() { _, _ = io.WriteString(send, "1\n2\n3\n") }()
	res, err := r.server.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answers := json.NewDecoder(res.Body)
	var a Answer
	for range 3 {
		if err := answers.Decode(&a); err != nil || a.Status != 200 {
			t.Fatal(a, err)
		}
	}
	h2, url := r.h2()
	stream := rpc.NewEventsClient(h2, url, connect.WithGRPC()).PublishStream(t.Context())
	if err := stream.Send(&rpc.PublishStreamRequest{Topic: orders, Number: 1, Event: jsonEvent(1)}); err != nil {
		t.Fatal(err)
	}
	if result, err := stream.Receive(); err != nil || result.GetResult().GetStatus() != 200 {
		t.Fatal(result, err)
	}
	r.gate.Drain(t.Context()) // it returns when all requests have ended
	a = Answer{}
	if err := answers.Decode(&a); err != nil || a.Status != 503 || a.Error.Type != notWritten.urn() {
		t.Errorf("%+v %v", a, err)
	}
	if err := answers.Decode(&a); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if _, err := stream.Receive(); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("the service's stream ended with %v", err)
	}
	if status, _, _ := r.post("/topics/"+orders+"/events?key=a", "1"); status != 503 {
		t.Errorf("a request to a gateway that has stopped: %d", status)
	}
	if records, _ := r.read(orders); len(records) != 4 {
		t.Errorf("%d records, want 4", len(records))
	}
}

// Streams of a client that is over its quota wait for it side by side, without looking at it all the time: each goes on in the end.
//
// Mutations seen to fail it: one look after the wait, and no more; a pause of nothing.
func TestStreamsWaitForTheirQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuota(1000, 0)
		began := time.Now()
		var looks atomic.Int32
		done := make(chan *Problem)
		const streams, chunks, events = 4, 20, 100
		for range streams {
			go func() {
				var p *Problem
				for range chunks {
					again := func() *Problem { looks.Add(1); return take(events, 0, q) }
					if p = again(); p != nil {
						p = waitForQuota(t.Context(), 20*time.Second, p, again)
					}
					if p != nil {
						break
					}
				}
				done <- p
			}()
		}
		for range streams {
			if p := <-done; p != nil {
				t.Errorf("a stream was refused: %v", p)
			}
		}
		if took := time.Since(began); took < 6*time.Second-time.Millisecond || took > 7*time.Second { // 8,000 events, of which 2,000 at once
			t.Errorf("8,000 events at 1,000/s took %s", took)
		}
		if n := looks.Load(); n > 10*streams*chunks {
			t.Errorf("they looked at the quota %d times", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		refused := overQuota.of("never").after(time.Second)
		if p := waitForQuota(ctx, time.Minute, refused, func() *Problem { return refused }); p != refused {
			t.Errorf("a stream whose client has gone: %v", p)
		}
		if p := waitForQuota(t.Context(), time.Minute, refused, func() *Problem { return refused }); p != refused {
			t.Errorf("a quota that is never enough: %v", p)
		}
	})
}
