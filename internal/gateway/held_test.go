package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/klauspost/compress/zstd"

	"github.com/weirstream/weir/gateway/rpc"
	"github.com/weirstream/weir/internal/kafka"
)

// nothingHeld waits until nothing of clients is counted.
func (r *rig) nothingHeld(what string) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); r.gate.streams.Load() != 0 || r.gate.bodies.Load() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: %d bytes of streams and %d of bodies are counted though nothing is under way", what, r.gate.streams.Load(), r.gate.bodies.Load())
		}
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Who sends the half of an event, in whatever form, and no more of it, takes memory only as far as all of them may; the others are refused with 429, and
// those that come when they have gone are not.
//
// Mutations seen to fail it: lines, documents of v3, messages of a stream not counted; a body of the Protobuf service handed to it before it is there, or not
// counted; what a stream holds not given back at its end.
func TestHalvesTakeNoMoreMemoryThanTheyMay(t *testing.T) {
	const size, streams = 900 << 10, 40
	r := newRig(t, func(c *Config) { c.Limits = Limits{Waiting: 4 << 20, Answer: 300 * time.Millisecond} })
	_, url := r.h2()
	head := binary.BigEndian.AppendUint32([]byte{0}, 1<<20)
	for name, c := range map[string]struct {
		path, form, start string
	}{
		"lines":              {"/topics/" + orders + "/events?key=k", ndjsonType, `{"a":"`},
		"v3":                 {"/v3/clusters/" + r.cluster() + "/topics/" + orders + "/records", jsonType, `{"key":{"data":"k"},"value":{"data":"`},
		"Connect":            {rpc.EventsPublishBatchProcedure, jsonType, `{"topic":"` + orders + `","events":[{"json":"`},
		"gRPC":               {rpc.EventsPublishProcedure, "application/grpc", string(head)},
		"a stream by gRPC":   {rpc.EventsPublishStreamProcedure, "application/grpc", string(head)},
		"an array":           {"/topics/" + orders + "/events?key=k", jsonType, `[{"a":"`},
		"lines, all or none": {"/topics/" + orders + "/events?key=k&atomic=true", ndjsonType, `{"a":"`},
	} {
		h2 := strings.Contains(c.form, "grpc")
		body := c.start + strings.Repeat("x", size)
		before := heapInUse()
		var refused atomic.Int32
		var most atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		var wg sync.WaitGroup
		for range streams {
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetHTTP1(!h2)
			transport.Protocols.SetUnencryptedHTTP2(h2)
			in, out := io.Pipe()
			q, _ := http.NewRequestWithContext(ctx, "POST", url+c.path, in)
			q.Header.Set("Content-Type", c.form)
			wg.Go(func() { _, _ = io.WriteString(out, body) })
			wg.Go(func() {
				defer transport.CloseIdleConnections()
				defer func() { _ = in.Close() }()
				defer context.AfterFunc(ctx, func() { _ = out.CloseWithError(context.Canceled) })()
				res, err := transport.RoundTrip(q)
				text := []byte(nil)
				if err == nil {
					text, err = io.ReadAll(res.Body)
					_ = res.Body.Close()
				}
				if ctx.Err() != nil {
					return
				}
				refused.Add(1)
				if err != nil { // over HTTP/1.1 a client that is still sending may not see the answer
					return
				}
				if said := string(text) + res.Trailer.Get("Grpc-Message") + res.Header.Get("Grpc-Message"); !strings.Contains(said, "as many bytes are being received") {
					t.Errorf("%s: %d %.300s", name, res.StatusCode, said)
				}
			})
		}
		for deadline := time.Now().Add(20 * time.Second); refused.Load() < streams*3/4 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			most.Store(max(most.Load(), r.gate.streams.Load(), r.gate.bodies.Load()/2))
		}
		if n := refused.Load(); n < streams*3/4 {
			t.Fatalf("%s: %d of %d are refused", name, n, streams)
		}
		if took := heapInUse() - before; took > streams*size/2 && !h2 { // HTTP/2 has buffers of its own
			t.Errorf("%s: %d KiB are in memory", name, took>>10)
		}
		if n := most.Load(); n > r.gate.Limits.Waiting+size/4 { // a body is counted before it is refused
			t.Errorf("%s: %d KiB were counted", name, n>>10)
		}
		cancel()
		wg.Wait()
		r.nothingHeld(name)
		if status, answer, _ := r.post("/topics/"+orders+"/events?key=k", `{"a":1}`+"\n", "Content-Type", ndjsonType); !strings.Contains(answer, `"status":200`) {
			t.Errorf("%s: when they have gone: %d %s", name, status, answer)
		}
	}
}

// A stream of large events that cannot be written is read no further than it may hold, and goes on when they can be: nothing is lost, and all is answered in order.
//
// Mutations seen to fail it: no bound of a stream's own; what was answered not given back.
func TestAStreamIsReadNoFurtherThanItMayHold(t *testing.T) {
	const events, size = 64, 500 << 10
	r := newRig(t, func(c *Config) { c.Limits = Limits{Waiting: 64 << 20, Answer: time.Minute} })
	h2, url := r.h2()
	value := `{"a":"` + strings.Repeat("x", size) + `"}`
	for name, open := range map[string]func() (send func(n int) error, next func() string){
		"lines": func() (func(int) error, func() string) {
			in, out := io.Pipe()
			answered := make(chan *json.Decoder, 1)
			go func() {
				q, _ := http.NewRequest("POST", r.server.URL+"/topics/"+orders+"/events?key=k", in)
				q.Header.Set("Content-Type", ndjsonType)
				if res, err := r.server.Client().Do(q); err == nil {
					t.Cleanup(func() { _ = res.Body.Close() })
					answered <- json.NewDecoder(res.Body)
				}
				close(answered)
			}()
			var answers *json.Decoder
			return func(n int) error {
					_, err := io.WriteString(out, value+"\n")
					if n == events-1 {
						_ = out.Close()
					}
					return err
				}, func() string {
					if answers == nil {
						answers = <-answered
					}
					var a json.RawMessage
					err := answers.Decode(&a)
					return fmt.Sprint(string(a), err)
				}
		},
		"gRPC": func() (func(int) error, func() string) {
			s := rpc.NewEventsClient(h2, url, connect.WithGRPC()).PublishStream(t.Context())
			return func(n int) error {
					err := s.Send(&rpc.PublishStreamRequest{Topic: orders, Number: uint64(n), Event: &rpc.Event{Key: []byte("k"), Value: &rpc.Event_Json{Json: value}}})
					if n == events-1 {
						_ = s.CloseRequest()
					}
					return err
				}, func() string {
					a, err := s.Receive()
					return fmt.Sprintf(`"status":%d %d %v`, a.GetResult().GetStatus(), a.GetNumber(), err)
				}
		},
	} {
		release, err := r.gate.publisher.Hold([]kafka.Outgoing{{Value: make([]byte, r.gate.Limits.Waiting)}}) // as much waits for Kafka as may
		if err != nil {
			t.Fatal(err)
		}
		send, next := open()
		var sent atomic.Int32
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := range events {
				if err := send(n); err != nil {
					t.Errorf("%s: event %d: %v", name, n, err)
					return
				}
				sent.Add(1)
			}
		})
		enough := int64(streamBytes - 2*size)
		if name == "lines" {
			enough = size // a chunk: it waits until it is written
		}
		for deadline := time.Now().Add(time.Minute); r.gate.streams.Load() < enough && sent.Load() < events && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		}
		if n := sent.Load(); n > events/2 {
			t.Errorf("%s: %d events were read though none can be written", name, n)
		}
		if n := r.gate.streams.Load(); n > streamBytes+2*size {
			t.Errorf("%s: it holds %d KiB", name, n>>10)
		}
		release()
		for n := range events {
			if a := next(); !strings.Contains(a, `"status":200`) {
				t.Fatalf("%s: event %d: %s", name, n, a)
			}
		}
		wg.Wait()
		r.nothingHeld(name)
	}
}

// What a line has no room for waits for it, and is neither lost nor taken twice: streams that may together hold little more than an event each take lines of
// every length, and answer them in order.
//
// Mutations seen to fail it: a line that was not taken left out; taken again and again.
func TestLinesThatHaveNoRoomAreNextOnceMore(t *testing.T) {
	const streams = 4
	r := newRig(t, func(c *Config) { c.Limits = Limits{Waiting: 48 << 10, Event: 40 << 10} })
	var wg sync.WaitGroup
	for s := range streams {
		var body strings.Builder
		long := []int{3000, 10, 5000, 39 << 10, 9000}
		for n := range 400 { // 75 short ones, which are read at once, and 5 long ones
			size := 10
			if n%80 >= 75 {
				size = long[n%80-75]
			}
			fmt.Fprintf(&body, `{"n":%d,"a":"%s"}`+"\n", n, strings.Repeat("x", size))
		}
		wg.Go(func() {
			status, answer, _ := r.post(fmt.Sprintf("/topics/%s/events?key=k%d", orders, s), body.String(), "Content-Type", ndjsonType)
			if n := strings.Count(answer, `"status":200`); n != 400 {
				t.Errorf("%d of 400 are accepted: %d %.500s", n, status, answer)
			}
		})
	}
	wg.Wait()
	r.nothingHeld("lines")
	records, _ := r.read(orders)
	next := map[string]int{}
	for _, rec := range records {
		var v struct{ N int }
		if err := json.Unmarshal(rec.Value, &v); err != nil || v.N != next[string(rec.Key)] {
			t.Fatalf("of %s comes %d, want %d: %v", rec.Key, v.N, next[string(rec.Key)], err)
		}
		next[string(rec.Key)]++
	}
	if len(records) != streams*400 {
		t.Errorf("%d records, want %d", len(records), streams*400)
	}
	r.gate.streams.Add(40 << 10) // others', so that there is never room for all lines that are there
	status, answer, _ := r.post("/topics/"+orders+"/events?key=k", strings.Repeat(`{"a":1}`+"\n", 400), "Content-Type", ndjsonType)
	if n := strings.Count(answer, `"status":200`); n != 400 || strings.Count(answer, "\n") != 400 {
		t.Errorf("beside others %d of 400 are accepted: %d %.500s", n, status, answer)
	}
	r.gate.streams.Add(-40 << 10)
	r.nothingHeld("lines beside others")
}

// What comes with little and takes much is counted for what it takes: a compressed message, the window of zstd, thousands of events of a byte, the text of
// an answer that repeats what the event holds. It is refused where there is no room for it, and something small beside it is not.
//
// Mutations seen to fail it, each: a message's, a stream's message's, a window's size as it is sent; an event without its cost; a detail of any length.
func TestWhatTakesMoreThanItIsSentIsCounted(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Limits = Limits{Waiting: 20 << 20, Answer: 200 * time.Millisecond} })
	h2, url := r.h2()
	path := "/topics/" + orders + "/events?key=k"
	full := func(all *atomic.Int64, most int64, what string, do func() string) {
		t.Helper()
		all.Add(most - 200<<10)
		if answer := do(); !strings.Contains(answer, "as many bytes are being received") {
			t.Errorf("%s, without room: %.300s", what, answer)
		}
		if status, answer, _ := r.post(path, `{"a":1}`+"\n", "Content-Type", ndjsonType); !strings.Contains(answer, `"status":200`) {
			t.Errorf("a small event beside %s: %d %s", what, status, answer)
		}
		all.Add(200<<10 - most)
		if answer := do(); !strings.Contains(answer, "200") || strings.Contains(answer, "refused") {
			t.Errorf("%s, with room: %.300s", what, answer)
		}
		r.nothingHeld(what)
	}
	bodies, streams := 2*r.gate.Limits.Waiting, r.gate.Limits.Waiting
	event := &rpc.Event{Key: []byte("k"), Value: &rpc.Event_Json{Json: `{"a":"` + strings.Repeat("x", 300<<10) + `"}`}}
	for name, option := range map[string]connect.ClientOption{"gRPC": connect.WithGRPC(), "gRPC-Web": connect.WithGRPCWeb()} {
		client := rpc.NewEventsClient(h2, url, option, connect.WithSendGzip())
		full(&r.gate.bodies, bodies, name, func() string {
			a, err := client.Publish(t.Context(), connect.NewRequest(&rpc.PublishRequest{Topic: orders, Event: event}))
			if err != nil {
				return err.Error()
			}
			return fmt.Sprint(a.Msg.GetResult().GetStatus())
		})
		full(&r.gate.streams, streams, "a stream by "+name, func() string {
			s := client.PublishStream(t.Context())
			_ = s.Send(&rpc.PublishStreamRequest{Topic: orders, Event: event})
			_ = s.CloseRequest()
			a, err := s.Receive()
			_ = s.CloseResponse()
			return fmt.Sprint(a.GetResult().GetStatus(), err)
		})
	}
	client := rpc.NewEventsClient(h2, url, connect.WithSendGzip())
	full(&r.gate.bodies, bodies, "Connect", func() string {
		a, err := client.Publish(t.Context(), connect.NewRequest(&rpc.PublishRequest{Topic: orders, Event: event}))
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(a.Msg.GetResult().GetStatus())
	})
	full(&r.gate.bodies, bodies, "small events", func() string {
		_, answer, _ := r.post(path, "["+strings.Repeat("1,", 999)+"1]")
		return answer
	})
	var packed bytes.Buffer
	z, _ := zstd.NewWriter(&packed, zstd.WithWindowSize(8<<20))
	_, _ = io.WriteString(z, `{"a":1}`+"\n")
	_ = z.Flush()
	_ = z.Close()
	for form, all := range map[string]*atomic.Int64{ndjsonType: &r.gate.streams, jsonType: &r.gate.bodies} {
		most := map[*atomic.Int64]int64{&r.gate.streams: streams, &r.gate.bodies: bodies}[all]
		full(all, most, "zstd, "+form, func() string {
			_, answer, _ := r.post(path, packed.String(), "Content-Type", form, "Content-Encoding", "zstd")
			return answer
		})
	}
	long := strings.Repeat("x", 500<<10)
	status, answer, _ := r.post("/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records", `{"headers":[{"name":"`+long+`","value":"%"}],"value":{"data":1}}`, "Content-Type", jsonType)
	if len(answer) > 2*mostDetail || !strings.Contains(answer, "is no base64") && !strings.Contains(answer, "the value of header") {
		t.Errorf("%d, an answer of %d bytes: %.300s", status, len(answer), answer)
	}
}
