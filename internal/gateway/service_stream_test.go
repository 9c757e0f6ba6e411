package gateway

import (
	"slices"
	"testing"

	"github.com/weirstream/weir/gateway/rpc"
	"github.com/weirstream/weir/internal/declared"
)

// results sends messages over one stream, and gives their results.
func (r *rig) results(messages ...*rpc.PublishStreamRequest) (list []*rpc.Result) {
	r.t.Helper()
	h2, url := r.h2()
	stream := rpc.NewEventsClient(h2, url).PublishStream(r.t.Context())
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := stream.CloseRequest(); err != nil {
		r.t.Fatal(err)
	}
	for range messages {
		answer, err := stream.Receive()
		if err != nil {
			r.t.Fatal(err)
		}
		list = append(list, answer.GetResult())
	}
	if err := stream.CloseResponse(); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// A later message of a stream that names another topic or stream than the first is refused, and those after it are taken: it is written nowhere else.
//
// Mutations seen to fail it: no look at the topic, at the name; a message that names neither refused.
func TestAStreamIsOfOneTopicAndName(t *testing.T) {
	r := newRig(t, nil)
	message := func(topic, name string, number uint64) *rpc.PublishStreamRequest {
		return &rpc.PublishStreamRequest{Topic: topic, Name: name, Number: number, Event: jsonEvent(int(number))}
	}
	want := []int32{200, 200, 200, 422, 422, 422, 200}
	for i, result := range r.results(message(orders, "s", 0), message(orders, "s", 1), message("", "", 2), message("order.state.v1", "s", 3), message(orders, "other", 4),
		message("order.none.v1", "", 5), message("", "s", 6)) {
		if result.GetStatus() != want[i] {
			t.Errorf("message %d: %v, want %d", i, result, want[i])
		}
	}
	if records, _ := r.read(orders); len(records) != 4 {
		t.Errorf("%d records", len(records))
	}
	if records, _ := r.read("order.state.v1"); len(records) != 0 {
		t.Errorf("%d records in the other topic", len(records))
	}
}

// An event has one id, whichever form it comes in: its own, else that of the field that the topic declares, else, in a stream with a name, its number there.
//
// Mutations seen to fail it: the number before the field; no number where there is no value to read.
func TestAnEventHasOneIDInEachForm(t *testing.T) {
	const topic = "order.state.v1" // compacted, so that it takes null
	r := newRig(t, func(c *Config) { declare(t, c.Client, declared.Event{Version: 1, Topic: topic, ID: "id"}) })
	event := func(id, value string) *rpc.Event {
		return &rpc.Event{Key: []byte("k"), Id: id, Value: &rpc.Event_Json{Json: value}}
	}
	const value = `{"id":"field"}`
	for i, result := range r.results(
		&rpc.PublishStreamRequest{Topic: topic, Name: "s", Number: 1, Event: event("", value)},
		&rpc.PublishStreamRequest{Number: 2, Event: event("own", value)},
		&rpc.PublishStreamRequest{Number: 3, Event: event("", `{}`)}, // the field is missing, which each form refuses
		&rpc.PublishStreamRequest{Number: 4, Event: &rpc.Event{Key: []byte("k"), Value: &rpc.Event_Tombstone{Tombstone: true}}},
	) {
		if want := []int32{200, 200, 422, 200}[i]; result.GetStatus() != want {
			t.Errorf("message %d: %v, want %d", i+1, result, want)
		}
	}
	for path, body := range map[string]string{
		"/topics/" + topic + "/events?key=k":                            value,
		"/v3/clusters/" + r.cluster() + "/topics/" + topic + "/records": `{"key":{"type":"STRING","data":"k"},"value":{"data":` + value + `}}`,
	} {
		if status, answer, _ := r.post(path, body); status != 200 {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	var ids []string
	records, _ := r.read(topic)
	for _, record := range records {
		for _, h := range record.Headers {
			if h.Key == HeaderEventID {
				ids = append(ids, string(h.Value))
			}
		}
	}
	if want := []string{"field", "own", "s/4"}; !slices.Equal(ids, want) {
		t.Errorf("%q, want %q", ids, want)
	}
}
