package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/gateway/rpc"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/registry"
)

// neverFor is a registry that has no schemas, and does not answer for one subject.
type neverFor struct {
	registry.Source
	subject string
}

func (n neverFor) Latest(ctx context.Context, subject string) (*registry.Registered, error) {
	if subject == n.subject {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, registry.ErrNotFound
}

// A request that still waits when a gateway has to end, for the rest of its body, for a broker or for a registry that does not answer, is answered with 503:
// whoever has the connection closed instead does not know whether he may send again.
//
// Mutations seen to fail it: no end of patience; bodies read on; a deadline that does not end with it; a stream that waits for its sink; a transaction
// that waits to take its records; topics, the cluster's id or schemas asked for with a context of the request.
func TestWhatStillWaitsIsAnsweredAtTheEnd(t *testing.T) {
	for _, d := range []*time.Duration{&lookUpWithin, &schemaAsk, &lastAnswers} {
		t.Cleanup(func(v time.Duration) func() { return func() { *d = v } }(*d))
		*d = time.Hour // of the last one, half of what there is
	}
	const plain, unknown, other, checked = "order.plain.v1", "order.unknown.v1", "order.other.v1", "order.checked.v1"
	r, cluster := onceRig(t)
	// Nothing else ends what waits: neither a client's silence nor the time that an answer may take.
	r.gate.Limits.Silence, r.gate.Limits.Answer, r.gate.deadlines.within = time.Hour, time.Hour, time.Hour
	for _, topic := range []string{plain, unknown, other, checked} {
		if err := r.client.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: topic, Partitions: 1, ReplicationFactor: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	r.gate.schemas = newSchemas(r.gate.patience, neverFor{subject: checked + "-value"}, r.gate.Log)
	for topic, body := range map[string]string{plain: "1", orders: `{"id":"a","customer":"k"}`} {
		if status, answer, _ := r.post("/topics/"+topic+"/events?key=k", body); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	for n := range 4 { // each producer of transactions has its id
		if status, answer, _ := r.post("/topics/"+plain+"/events?key=k&atomic=true", fmt.Sprintf("[%d]", n)); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	for _, topic := range []string{other, checked} {
		if _, p := r.gate.topics.get(topic); p != nil {
			t.Fatal(p.Detail)
		}
	}
	r.gate.clusterID.Store(nil)
	frozen := make(chan struct{})
	thaw := sync.OnceFunc(func() { close(frozen) })
	t.Cleanup(thaw)
	for _, kind := range []kmsg.Key{kmsg.Produce, kmsg.Metadata, kmsg.AddPartitionsToTxn, kmsg.EndTxn, kmsg.InitProducerID, kmsg.DescribeConfigs, kmsg.DescribeCluster} {
		cluster.ControlKey(kind.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			<-frozen
			return nil, nil, false
		})
	}
	answers := make(chan string, 20)
	expected := 0
	send := func(what string, ask func() string) {
		expected++
		go func() { answers <- what + ": " + ask() }()
	}
	post := func(path, form, body string) func() string {
		return func() string {
			q, _ := http.NewRequest("POST", r.server.URL+path, strings.NewReader(body))
			q.Header.Set("Content-Type", form)
			res, err := r.server.Client().Do(q)
			if err != nil {
				return err.Error()
			}
			defer res.Body.Close()
			data, err := io.ReadAll(res.Body)
			return fmt.Sprint(res.StatusCode, " ", string(data), err)
		}
	}
	raw := func(rest string) func() string {
		_, in := r.raw("POST /topics/" + plain + "/events?key=k HTTP/1.1\r\nHost: 127.0.0.1\r\n" + rest)
		return func() string {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				return err.Error()
			}
			data, err := io.ReadAll(res.Body)
			return fmt.Sprint(res.StatusCode, " ", string(data), err)
		}
	}
	send("half a body", raw("Content-Length: 1000\r\n\r\n{"))
	send("half a body in chunks", raw("Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"))
	send("half an atomic stream", raw("Content-Type: "+ndjsonType+"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n"))
	send("one", post("/topics/"+plain+"/events?key=k", jsonType, "1"))
	send("an array", post("/topics/"+plain+"/events?key=k", jsonType, "[1,2]"))
	send("an atomic one", post("/topics/"+plain+"/events?key=k&atomic=true", jsonType, "[1,2]"))
	send("an atomic one to a topic that its producer has not seen", post("/topics/"+other+"/events?key=k&atomic=true", jsonType, "[1,2]"))
	send("atomic lines", post("/topics/"+plain+"/events?key=k&atomic=true", ndjsonType, "1\n2\n"))
	send("a topic that nobody has asked for", post("/topics/"+unknown+"/events?key=k", jsonType, "1"))
	send("the same", post("/topics/"+unknown+"/events?key=k", jsonType, "1"))
	send("a schema that nobody has asked for", post("/topics/"+checked+"/events?key=k", jsonType, "1"))
	send("a stream of them", post("/topics/"+checked+"/events?key=k", ndjsonType, "1\n2\n"))
	send("the cluster's id", post("/v3/clusters/x/topics/"+plain+"/records", jsonType, `{"value":{"type":"JSON","data":1}}`))
	send("lines", post("/topics/"+plain+"/events?key=k", ndjsonType, "1\n2\n"))
	send("once", post("/topics/"+orders+"/events", jsonType, `{"id":"c","customer":"b"}`))
	send("v2", post("/topics/"+plain, "application/vnd.kafka.json.v2+json", `{"records":[{"key":"k","value":1}]}`))
	h2, url := r.h2()
	client := rpc.NewEventsClient(h2, url, connect.WithGRPC())
	send("gRPC", func() string {
		_, err := client.Publish(t.Context(), connect.NewRequest(&rpc.PublishRequest{Topic: plain, Event: jsonEvent(1)}))
		return fmt.Sprint(err)
	})
	send("a stream by gRPC", func() string {
		s := client.PublishStream(t.Context())
		_ = s.Send(&rpc.PublishStreamRequest{Topic: plain, Event: jsonEvent(1)})
		a, err := s.Receive()
		return fmt.Sprint(a, err)
	})
	for r.gate.publisher.Waiting() == 0 || r.gate.bodies.Load() < 4 { // it is frozen, and bodies are being received
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	r.gate.Drain(ctx)
	for range expected {
		select {
		case a := <-answers:
			if !strings.Contains(a, "503") && !strings.Contains(a, "50003") && !strings.Contains(a, "unavailable") {
				t.Error(a)
			}
		case <-time.After(time.Minute):
			t.Fatal("not all are answered")
		}
	}
}

// remove deletes a topic.
func remove(t *testing.T, cluster *kfake.Cluster, topic string) {
	t.Helper()
	admin, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	q := kmsg.NewPtrDeleteTopicsRequest()
	in := kmsg.NewDeleteTopicsRequestTopic()
	in.Topic = &topic
	q.Topics, q.TopicNames, q.TimeoutMillis = append(q.Topics, in), []string{topic}, 10_000
	if res, err := q.RequestWith(t.Context(), admin); err != nil || res.Topics[0].ErrorCode != 0 {
		t.Fatal(res, err)
	}
}

// When the topic of ids is deleted nothing is taken for topics of level once, and the answer says what was lost and what to do; gateways that are started
// afterwards make it again.
//
// Mutation seen to fail it: the sink's error as it is.
func TestADeletedTopicOfIDsIsSaid(t *testing.T) {
	r, cluster := onceRig(t)
	post := func(id string) (int, string) {
		status, body, _ := r.post("/topics/"+orders+"/events", `{"id":"`+id+`","customer":"b"}`)
		return status, body
	}
	if status, body := post("a"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	remove(t, cluster, r.gate.once.ids)
	if status, body := post("b"); status != 503 || !strings.Contains(body, "was deleted") || !strings.Contains(body, "restarted") {
		t.Errorf("%d %s", status, body)
	}
	if records, _ := r.read(orders); len(records) != 1 {
		t.Errorf("%d records", len(records))
	}
	gate, err := New(t.Context(), Config{Client: r.client, URL: r.gate.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gate.Close(context.Background()) })
	r.server.Config.Handler = gate
	if status, body := post("b"); status != 200 {
		t.Errorf("after a restart: %d %s", status, body)
	}
}

// deadlineWriter is the answer of HTTP/2: once its handler has returned, its deadlines are no more.
type deadlineWriter struct {
	http.ResponseWriter
	begun  chan struct{}
	within atomic.Bool
}

func (w *deadlineWriter) SetReadDeadline(time.Time) error {
	w.within.Store(true)
	close(w.begun)
	time.Sleep(50 * time.Millisecond)
	w.within.Store(false)
	return nil
}

// A request that ends while the gateway begins to stop is over only when nothing touches its answer any more.
//
// Mutation seen to fail it: done that does not wait.
func TestTheEndOfABodyIsWaitedFor(t *testing.T) {
	stopping, stop := context.WithCancel(t.Context())
	w := &deadlineWriter{begun: make(chan struct{})}
	p := &patient{control: http.NewResponseController(w), stopping: stopping}
	done := p.untilStopping()
	stop()
	<-w.begun
	done()
	if w.within.Load() {
		t.Error("the answer is touched after its end")
	}
	done() // as often as one likes
	other := &patient{control: http.NewResponseController(w), stopping: t.Context()}
	done = other.untilStopping()
	done()
	done()
}
