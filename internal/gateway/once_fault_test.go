package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
)

// onceRig is a gateway for a topic that takes ids once, and its broker.
func onceRig(t *testing.T) (*rig, *kfake.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: cluster.ListenAddrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if err := client.CreateTopics(t.Context(), []kafka.TopicSpec{{Name: orders, Partitions: 4, ReplicationFactor: 1}}); err != nil {
		t.Fatal(err)
	}
	declare(t, client, declared.Event{Version: 1, Topic: orders, Key: "customer", ID: "id", Idempotency: declared.Once})
	server := httptest.NewUnstartedServer(nil)
	gate, err := New(t.Context(), Config{Client: client, URL: "http://" + server.Listener.Addr().String()})
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
	return &rig{t, client, gate, server}, cluster
}

// faultyOnce is a rig whose broker refuses records which hold "poison".
func faultyOnce(t *testing.T) *rig {
	t.Helper()
	r, cluster := onceRig(t)
	refusePoison(cluster)
	return r
}

func refusePoison(cluster *kfake.Cluster) {
	cluster.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := kreq.(*kmsg.ProduceRequest)
		res, found := req.ResponseKind().(*kmsg.ProduceResponse), false
		for _, in := range req.Topics {
			out := kmsg.NewProduceResponseTopic()
			out.Topic, out.TopicID = in.Topic, in.TopicID
			for _, p := range in.Partitions {
				part := kmsg.NewProduceResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, kerr.NotEnoughReplicas.Code // to be sent again
				if bytes.Contains(p.Records, []byte("poison")) {
					part.ErrorCode, found = kerr.InvalidRecord.Code, true
				}
				out.Partitions = append(out.Partitions, part)
			}
			res.Topics = append(res.Topics, out)
		}
		return res, nil, found
	})
}

// What comes while a transaction is under way shares the next one, whatever its keys are.
//
// One that Kafka refuses costs them one more, not one each.
//
// Mutations seen to fail it: 16 owners; a turn of one errand; a transaction for each after a refusal.
func TestEventsOfAllKeysShareATransaction(t *testing.T) {
	for poison, want := range map[string]int32{"none": 2, "e20": 3} { // the third is aborted
		t.Run("poison "+poison, func(t *testing.T) { shared(t, poison, want) })
	}
}

// shared posts events while a transaction is under way, of which Kafka refuses one, and counts the transactions.
func shared(t *testing.T, poison string, want int32) {
	r, cluster := onceRig(t)
	refusePoison(cluster)
	post := func(i int) {
		id, value, expected := fmt.Sprint("e", i), "good", 200
		if id == poison {
			value, expected = "poison", 422
		}
		if status, answer, _ := r.post("/topics/"+orders+"/events", fmt.Sprintf(`{"id":%q,"customer":"c%d","x":%q}`, id, i, value)); status != expected {
			t.Errorf("%d: %d %s", i, status, answer)
		}
	}
	post(0)
	var ends atomic.Int32
	began, goOn := make(chan struct{}), make(chan struct{})
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if ends.Add(1) == 1 {
			close(began)
			cluster.SleepControl(func() { <-goOn })
		}
		return nil, nil, false
	})
	var wg sync.WaitGroup
	wg.Go(func() { post(1) })
	<-began
	const more = 40
	for i := range more {
		wg.Go(func() { post(2 + i) })
	}
	waiting := func() (n int) {
		r.gate.once.mu.Lock()
		defer r.gate.once.mu.Unlock()
		if w := r.gate.once.mine; w != nil {
			w.mu.Lock()
			n += len(w.queue)
			w.mu.Unlock()
		}
		return n
	}
	for deadline := time.Now().Add(time.Minute); waiting() < more && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if n := waiting(); n != more {
		t.Errorf("%d events wait for the transaction that is under way, want %d", n, more)
	}
	close(goOn)
	wg.Wait()
	if n := ends.Load(); n != want {
		t.Errorf("%d transactions, want %d", n, want)
	}
}

// A record that Kafka refuses is the only one that is refused: those that share its transaction are accepted.
func TestARefusalCostsNoOtherEventOfItsTurn(t *testing.T) {
	r := faultyOnce(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			value, want := "good", 200
			if i == 5 || i == 7 {
				value, want = "poison", 422
			}
			if status, answer, _ := r.post("/topics/"+orders+"/events", fmt.Sprintf(`{"id":"e%d","customer":"c1","x":%q}`, i, value)); status != want {
				t.Errorf("%d, %s: %d %s", i, value, status, answer)
			}
		})
	}
	wg.Wait()
	body := `[{"id":"a1","customer":"c1"},{"id":"a2","customer":"c1","x":"poison"},{"id":"a3","customer":"c1"}]`
	status, answer, _ := r.post("/topics/"+orders+"/events", body)
	if status != 207 || strings.Count(answer, `"status":200`) != 2 || strings.Count(answer, `"status":422`) != 2 { // the event's, and its problem's
		t.Errorf("%d %s", status, answer)
	}
	if records, _ := r.read(orders); len(records) != 12 {
		t.Errorf("the topic has %d records", len(records))
	}
	if n := r.gate.publisher.Waiting(); n != 0 {
		t.Errorf("%d bytes still wait", n)
	}
}

// A gateway writes for another one only what it would write for a producer.
func TestAHopGoesToNoTopicOfWeirsOwn(t *testing.T) {
	r := faultyOnce(t)
	if status, answer, _ := r.post("/topics/"+orders+"/events", `{"id":"e1","customer":"c1"}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	it := item{ID: "x", Topic: "_weir.gateway.owners", Value: []byte("{}")}
	it.set(sent{print: hashed(it.Value)})
	_, is, err := r.gate.once.forward(t.Context(), r.server.URL, []item{it}, false)
	if !is || err == nil || !strings.Contains(err.Error(), "takes no events for topic") {
		t.Errorf("%v, the owner's word: %v", err, is)
	}
	it.Topic = orders
	it.set(sent{print: hashed(it.Value)})
	if _, is, err = r.gate.once.forward(t.Context(), r.server.URL, []item{it}, false); !is || err != nil {
		t.Errorf("an event: %v, the owner's word: %v", err, is)
	}
}

// What a gateway sends to another one goes where an answer points to in no case.
func TestPeersFollowNoRedirect(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	first := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer first.Close()
	r := newRig(t, nil)
	if _, is, err := r.gate.once.forward(t.Context(), first.URL, nil, false); is || err == nil || asked {
		t.Errorf("%v, the owner's word: %v, the other one was asked: %v", err, is, asked)
	}
}

// An event is known by what was sent: its id belongs to its key, and a schema's new version, which changes the record, changes nothing of that.
func TestAnIDBelongsToItsKeyAndTheValueThatWasSent(t *testing.T) {
	a, b := item{ID: "1", Topic: orders, Key: []byte("encoded by schema 1"), Value: []byte("1")}, item{ID: "1", Topic: orders, Key: []byte("encoded by schema 2"), Value: []byte("2")}
	s := sent{key: []byte("c1"), print: hashed([]byte("c1"), []byte("{}"))}
	a.set(s)
	b.set(s)
	if a.Place != b.Place || a.Print != b.Print {
		t.Errorf("the same event is %v and %v", a, b)
	}
	s.key = []byte("c2")
	if b.set(s); a.Place == b.Place {
		t.Error("an id is the same for two keys")
	}
	if null, empty := (&event{null: true}).print(), (&event{}).print(); null == empty {
		t.Error("a tombstone is like an empty value")
	}
}

// A compacted topic takes no event without a key, whatever else is said.
func TestACompactedTopicTakesNoEventWithoutAKey(t *testing.T) {
	r := newRig(t, nil)
	declare(t, r.client, declared.Event{Version: 1, Topic: "order.state.v1", Keyless: true})
	for deadline := time.Now().Add(time.Minute); r.gate.declarations.Of("order.state.v1") == nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if status, answer, _ := r.post("/topics/order.state.v1/events", `{}`); status != 422 || !strings.Contains(answer, "compacted") {
		t.Errorf("%d %s", status, answer)
	}
}

// Under load transactions are few and large: one begins no sooner than 10 ms after the one before.
//
// Mutation seen to fail it: no pace.
func TestTransactionsOfIDsHaveAPace(t *testing.T) {
	r, cluster := onceRig(t)
	var ends atomic.Int32
	cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		ends.Add(1)
		return nil, nil, false
	})
	post := func(id string) {
		if status, answer, _ := r.post("/topics/"+orders+"/events", fmt.Sprintf(`{"id":%q,"customer":"c1"}`, id)); status != 200 {
			t.Errorf("%s: %d %s", id, status, answer)
		}
	}
	post("first") // it takes the ids over
	before, began := ends.Load(), time.Now()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 10 {
				post(fmt.Sprint(n, "-", i))
			}
		})
	}
	wg.Wait()
	if n, most := ends.Load()-before, int32(time.Since(began)/turnEvery)+2; n > most {
		t.Errorf("%d transactions in a time for %d", n, most)
	}
}
