package gateway

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// declare writes declarations.
func declare(t testing.TB, client *kafka.Client, events ...declared.Event) {
	t.Helper()
	if err := system.Events.Ensure(t.Context(), client, system.Events.Name); err != nil {
		t.Fatal(err)
	}
	sink, err := client.NewSink(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	for i := range events {
		r, err := events[i].Record(plan.Names{})
		if err == nil {
			err = sink.Append(&r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Two gateways take the same ids at the same time, over and over: the topic holds each once, and every answer names its place. The key comes
// from the declared field.
func TestAnIDIsTakenOnceByAllGateways(t *testing.T) {
	r := newRig(t, nil)
	declare(t, r.client, declared.Event{Version: 1, Topic: orders, Key: "customer", ID: "id", Idempotency: declared.Once})
	var servers []*httptest.Server
	for range 2 {
		server := httptest.NewUnstartedServer(nil)
		gate, err := New(t.Context(), Config{Client: r.client, URL: "http://" + server.Listener.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		server.Config.Handler = gate
		server.Start()
		t.Cleanup(func() {
			server.Close()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			gate.Close(ctx)
		})
		servers = append(servers, server)
	}
	const ids = 40
	var mu sync.Mutex
	places := map[string]map[string]bool{} // id -> places that were answered
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			own := *r
			own.server = servers[n%2]
			for i := range ids {
				body := fmt.Sprintf(`{"id":"e%d","customer":"c%d"}`, i, i%5)
				status, answer, _ := own.post("/topics/"+orders+"/events", body)
				if status != 200 {
					t.Errorf("%d %s", status, answer)
					return
				}
				mu.Lock()
				id := fmt.Sprint("e", i)
				if places[id] == nil {
					places[id] = map[string]bool{}
				}
				places[id][strings.TrimSuffix(strings.Replace(answer, `,"repeated":true`, "", 1), "\n")] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	records, partitions := r.read(orders)
	if len(records) != ids {
		t.Errorf("%d records for %d ids", len(records), ids)
	}
	for i, rec := range records {
		id := ""
		for _, h := range rec.Headers {
			if h.Key == HeaderEventID {
				id = string(h.Value)
			}
		}
		if want := fmt.Sprintf(`{"status":200,"partition":%d,"offset":%d}`, partitions[i], rec.Offset); len(places[id]) != 1 || !places[id][want] {
			t.Errorf("%s is at %s, the answers were %v", id, want, places[id])
		}
	}
	own := *r
	own.server = servers[0]
	for body, want := range map[string]string{`{"id":"e1","customer":"c1","x":1}`: "id-conflict", `{"customer":"c1"}`: "invalid-event", `{"id":"e1"}`: "invalid-event"} {
		if status, answer, _ := own.post("/topics/"+orders+"/events", body); status != 422 || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s, want %s", body, status, answer, want)
		}
	}
}

// Ids have a bound, at which new ones are refused and none is forgotten: what was taken is still answered as the first time. A gateway that has no room
// for the ids of a partition does not take it over.
//
// Mutations seen to fail it: ids that are taken without room; a load that stops at the bound without an error; ids that stay counted when their owner ends.
func TestIDsAtTheBoundAreRefusedAndNotForgotten(t *testing.T) {
	r := newRig(t, nil)
	declare(t, r.client, declared.Event{Version: 1, Topic: orders, Idempotency: declared.Once})
	begin := func(most int) *Gateway {
		gate, err := New(t.Context(), Config{Client: r.client, Limits: Limits{IDs: most}})
		if err != nil {
			t.Fatal(err)
		}
		r.server.Config.Handler = gate
		t.Cleanup(func() { gate.Close(context.Background()) })
		return gate
	}
	gate := begin(3)
	post := func(id string) (int, string) {
		status, body, _ := r.post("/topics/"+orders+"/events?key=k", "{}", "Idempotency-Key", id)
		return status, body
	}
	for _, id := range []string{"a", "b", "c"} {
		if status, body := post(id); status != 200 {
			t.Fatalf("%s: %d %s", id, status, body)
		}
	}
	for range 2 {
		if status, body := post("d"); status != 503 || !strings.Contains(body, "--max-ids") {
			t.Errorf("an id too many: %d %s", status, body)
		}
		if status, body := post("a"); status != 200 || !strings.Contains(body, `"repeated":true`) {
			t.Errorf("an id that was taken: %d %s", status, body)
		}
	}
	if n := gate.once.held.Load(); n != 3 {
		t.Errorf("%d ids are counted, want 3", n)
	}
	if records, _ := r.read(orders); len(records) != 3 {
		t.Errorf("%d records, want 3", len(records))
	}
	for most, want := range map[int]int{2: 503, 10: 200} {
		gate := begin(most)
		for range 2 {
			if status, body := post("a"); status != want || want == 200 && !strings.Contains(body, `"repeated":true`) {
				t.Errorf("a gateway for %d ids: %d %s", most, status, body)
			}
		}
		if n := gate.once.held.Load(); n != map[int]int64{503: 0, 200: 3}[want] {
			t.Errorf("a gateway for %d ids counts %d", most, n)
		}
	}
}

// A gateway whose clock is ahead knows the ids of its last 24 hours by the brokers' clocks, and one whose clock is behind knows those that are there.
//
// Mutation seen to fail it: ids read from 24 hours ago by the gateway's own clock.
func TestAClockThatIsWrongForgetsNoID(t *testing.T) {
	r := newRig(t, nil)
	declare(t, r.client, declared.Event{Version: 1, Topic: orders, Idempotency: declared.Once})
	for i, ahead := range []time.Duration{0, OnceFor + clocksApart/2, -OnceFor} {
		gate, err := New(t.Context(), Config{Client: r.client})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { gate.Close(context.Background()) })
		gate.once.now = func() time.Time { return time.Now().Add(ahead) }
		r.server.Config.Handler = gate
		if status, body, _ := r.post("/topics/"+orders+"/events?key=k", "{}", "Idempotency-Key", "a"); status != 200 || strings.Contains(body, `"repeated":true`) != (i > 0) {
			t.Errorf("a clock that is %s ahead: %d %s", ahead, status, body)
		}
	}
	if records, _ := r.read(orders); len(records) != 1 {
		t.Errorf("%d records of one id", len(records))
	}
}

// The refusal of an id that another event has is the same at each level: it names the id, and is no repetition.
//
// Mutations seen to fail it: repeated as the owner says; a text without the id.
func TestAConflictOfIDsIsToldAlikeAtEachLevel(t *testing.T) {
	r := newRig(t, nil)
	declare(t, r.client, declared.Event{Version: 1, Topic: "order.state.v1", Idempotency: declared.Once})
	for r.gate.declarations.Of("order.state.v1") == nil { // it is followed
		time.Sleep(5 * time.Millisecond)
	}
	for _, topic := range []string{orders, "order.state.v1"} {
		path := "/topics/" + topic + "/events?key=k"
		r.post(path, `1`, "Idempotency-Key", "the id")
		status, answer, _ := r.post(path, `2`, "Idempotency-Key", "the id")
		if status != 422 || strings.Contains(answer, "repeated") || !strings.Contains(answer, `\"the id\"`) || !strings.Contains(answer, "id-conflict") {
			t.Errorf("%s: %d %s", topic, status, answer)
		}
		status, answer, _ = r.post(path, "2\n1", "Idempotency-Key", "line", "Content-Type", ndjsonType)
		if again, second, _ := r.post(path, "2\n3", "Idempotency-Key", "line", "Content-Type", ndjsonType); status != 200 || again != 200 || strings.Count(second, "repeated") != 1 || !strings.Contains(second, `\"line/1\"`) {
			t.Errorf("%s, lines: %s %s", topic, answer, second)
		}
	}
}
