package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/internal/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	*testing.T
	cluster *kfake.Cluster
	p       *Publisher
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: cluster.ListenAddrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	p := New(client, o)
	t.Cleanup(func() {
		if !p.closed {
			closed(p, 0)
		}
	})
	return &rig{t, cluster, p}
}

// closed closes the publisher, and returns how long that took.
func closed(p *Publisher, after time.Duration) time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	began := time.Now()
	p.Close(ctx)
	return time.Since(began)
}

// produce has f answer produce requests: nil has the cluster answer.
func (r *rig) produce(f func(*kmsg.ProduceRequest) kmsg.Response) {
	r.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		res := f(req.(*kmsg.ProduceRequest))
		return res, nil, res != nil
	})
}

// answer refuses what is poison in a request.
func answer(req *kmsg.ProduceRequest, code int16) kmsg.Response {
	res := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewProduceResponseTopicPartition()
			part.Partition, part.ErrorCode = p.Partition, kerr.NotEnoughReplicas.Code // to be sent again
			if bytes.Contains(p.Records, []byte("poison")) {
				part.ErrorCode = code
			}
			topic.Partitions = append(topic.Partitions, part)
		}
		res.Topics = append(res.Topics, topic)
	}
	return res
}

func holds(req *kmsg.ProduceRequest, text string) bool {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if bytes.Contains(p.Records, []byte(text)) {
				return true
			}
		}
	}
	return false
}

func record(topic string, partition int32, value string) kafka.Outgoing {
	return kafka.Outgoing{TopicPartition: kafka.TopicPartition{Topic: topic, Partition: partition}, Timestamp: time.Now().UnixMilli(), Value: []byte(value)}
}

func (r *rig) publish(order *Order, records ...kafka.Outgoing) *Batch {
	r.Helper()
	b := &Batch{Records: records, Order: order}
	if err := r.p.Publish(b); err != nil {
		r.Fatal(err)
	}
	return b
}

func (r *rig) wait(b *Batch) {
	r.Helper()
	select {
	case <-b.Done():
	case <-time.After(20 * time.Second):
		r.Fatal("the batch does not end")
	}
}

// A record that Kafka refuses costs nobody else a refusal: what was under way beside it is accepted, or may be tried again, and is never
// said to be refused. Its own stream goes on.
//
// Mutation seen to fail it: the refusal is that of all records under way.
func TestARefusalIsThatOfOneRecord(t *testing.T) {
	r := newRig(t, Options{})
	r.produce(func(req *kmsg.ProduceRequest) kmsg.Response {
		if holds(req, "poison") {
			return answer(req, kerr.InvalidRecord.Code)
		}
		return nil
	})
	order := &Order{}
	var innocent []*Batch
	for i := range 20 {
		innocent = append(innocent, r.publish(nil, record("a", int32(i%4), fmt.Sprint("before ", i))))
	}
	bad := r.publish(order, record("a", 0, "poison"))
	for i := range 20 {
		innocent = append(innocent, r.publish(nil, record("a", int32(i%4), fmt.Sprint("after ", i))))
	}
	r.wait(bad)
	if !Refused(bad.Results[0].Err) || order.Broken() {
		t.Errorf("the record ended with %v, its order is broken: %v", bad.Results[0].Err, order.Broken())
	}
	for _, b := range innocent {
		if r.wait(b); b.Results[0].Err != nil && !errors.Is(b.Results[0].Err, errOthers) {
			t.Errorf("a record beside it ended with %v", b.Results[0].Err)
		}
	}
	b := r.publish(order, record("a", 0, "later"))
	if r.wait(b); b.Results[0].Err != nil {
		t.Errorf("a later record of the stream: %v", b.Results[0].Err)
	}
	if n := r.p.Waiting(); n != 0 {
		t.Errorf("%d bytes still wait", n)
	}
}

// What Kafka acknowledges after another record was refused is accepted.
//
// Mutation seen to fail it: what is under way is ended before the sink has settled.
func TestWhatIsAcknowledgedAfterARefusalIsAccepted(t *testing.T) {
	r := newRig(t, Options{})
	r.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		in := req.(*kmsg.ProduceRequest)
		if holds(in, "slow") {
			r.cluster.SleepControl(func() { time.Sleep(500 * time.Millisecond) })
			return nil, nil, false
		}
		if holds(in, "poison") {
			r.cluster.SleepControl(func() { time.Sleep(500 * time.Millisecond) }) // the other request is sent meanwhile
			return answer(in, kerr.InvalidRecord.Code), nil, true
		}
		return nil, nil, false
	})
	bad := r.publish(nil, record("a", 0, "poison"))
	time.Sleep(100 * time.Millisecond)
	slow := r.publish(nil, record("a", 1, "slow"))
	r.wait(bad)
	r.wait(slow)
	if !Refused(bad.Results[0].Err) || slow.Results[0].Err != nil {
		t.Errorf("refused: %v; written: %v", bad.Results[0].Err, slow.Results[0].Err)
	}
}

// A record that is too large for the topic does not end its stream.
func TestARecordThatIsTooLargeBreaksNoOrder(t *testing.T) {
	r := newRig(t, Options{})
	order := &Order{}
	b := r.publish(order, record("a", 0, "1"), record("a", 0, string(make([]byte, 2<<20))), record("a", 0, "3"))
	r.wait(b)
	if b.Results[0].Err != nil || !Refused(b.Results[1].Err) || b.Results[2].Err != nil || order.Broken() {
		t.Errorf("%+v, broken: %v", b.Results, order.Broken())
	}
}

// While Kafka does not answer, Close ends what is under way, a transaction too; nothing of it is said not to be written. A topic that takes nothing
// leaves half of the room to the others.
func TestAPublisherEndsWhileKafkaStalls(t *testing.T) {
	r := newRig(t, Options{Bytes: 4000})
	r.produce(func(req *kmsg.ProduceRequest) kmsg.Response { return answer(req, 0) }) // nothing is taken
	first := r.publish(nil, record("a", 0, string(make([]byte, 1500))))
	if err := r.p.Publish(&Batch{Records: []kafka.Outgoing{record("a", 0, string(make([]byte, 1500)))}}); !errors.Is(err, ErrFull) {
		t.Errorf("more than half for a topic: %v", err)
	}
	other := r.publish(nil, record("b", 0, "room"))
	release, err := r.p.Hold([]kafka.Outgoing{record("b", 0, "held")})
	if err != nil {
		t.Fatal(err)
	}
	release()
	atomic := make(chan error, 1)
	go func() {
		_, err := r.p.Atomic(context.Background(), []kafka.Outgoing{record("b", 0, "atomic")})
		atomic <- err
	}()
	time.Sleep(300 * time.Millisecond)
	if took := closed(r.p, 100*time.Millisecond); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	for _, b := range []*Batch{first, other} {
		if r.wait(b); b.Results[0].Err == nil || errors.Is(b.Results[0].Err, ErrClosed) {
			t.Errorf("a record under way ended with %v", b.Results[0].Err)
		}
	}
	if err := <-atomic; err == nil {
		t.Error("the transaction was committed")
	}
	if n := r.p.Waiting(); n != 0 {
		t.Errorf("%d bytes still wait", n)
	}
}

// An atomic batch is answered when its time is over, also while brokers hang: it waits neither for its undoing nor for what it could not hand over.
//
// Mutations seen to fail it: the undoing before the answer; records handed over without an end.
func TestAnAtomicBatchIsAnsweredInTime(t *testing.T) {
	for _, topic := range []string{"a", "b"} { // its producer knows a
		r := newRig(t, Options{Transactions: 1})
		if _, err := r.p.Atomic(t.Context(), []kafka.Outgoing{record("a", 0, "before")}); err != nil {
			t.Fatal(err)
		}
		frozen := make(chan struct{})
		for _, kind := range []kmsg.Key{kmsg.Produce, kmsg.Metadata, kmsg.AddPartitionsToTxn, kmsg.EndTxn, kmsg.DescribeConfigs} {
			r.cluster.ControlKey(kind.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				<-frozen
				return nil, nil, false
			})
		}
		late := errors.New("late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, late)
		defer cancel()
		if _, err := r.p.Atomic(ctx, []kafka.Outgoing{record(topic, 0, "late")}); err == nil || topic == "b" && !errors.Is(err, late) {
			t.Errorf("to %s: %v", topic, err)
		} else if undecided := (*UndecidedError)(nil); errors.As(err, &undecided) {
			t.Errorf("what was not committed is undecided: %v", err)
		}
		if topic == "a" && (len(r.p.pool) > 0 || r.p.Waiting() == 0) {
			t.Error("it has waited until it was undone")
		}
		if topic == "b" {
			done := <-r.p.pool
			if done.sink != nil {
				t.Error("the sink that could not take its record was not closed")
			}
			r.p.pool <- done
		}
		close(frozen)
		if _, err := r.p.Atomic(t.Context(), []kafka.Outgoing{record("b", 0, "after")}); err != nil {
			t.Error(err)
		}
		if n := r.p.Waiting(); n != 0 {
			t.Errorf("%d bytes still wait", n)
		}
	}
}

// What comes while a broker works on a request goes together in the next one, whatever its partitions.
//
// Mutation seen to fail it: Turn sends each partition as soon as nothing of it is under way.
func TestWhatComesMeanwhileGoesTogether(t *testing.T) {
	r := newRig(t, Options{})
	for p := range int32(4) { // leaders are looked up
		r.wait(r.publish(nil, record("a", p, "before")))
	}
	arrived, work := make(chan struct{}), make(chan struct{})
	var requests atomic.Int32
	r.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if requests.Add(1) == 1 {
			close(arrived)
			r.cluster.SleepControl(func() { <-work })
		}
		return nil, nil, false
	})
	all := []*Batch{r.publish(nil, record("a", 0, "first"))}
	<-arrived
	for i := range 20 {
		all = append(all, r.publish(nil, record("a", int32(i%4), "meanwhile")))
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		l := r.p.lanes["a"]
		l.mu.Lock()
		taken := len(l.queue) == 0
		l.mu.Unlock()
		if taken {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the lane takes nothing")
		}
	}
	close(work)
	for _, b := range all {
		if r.wait(b); b.Results[0].Err != nil {
			t.Error(b.Results[0].Err)
		}
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// Batches that yield leave most of a topic's room to others, which so wait for little; one that is alone is taken whatever its size. A batch of more records than
// there are places is not taken: records beyond would be answered for others.
//
// Mutations seen to fail it: no share of what yields; a batch of any number of records.
func TestWhatYieldsLeavesRoom(t *testing.T) {
	r := newRig(t, Options{Bytes: 160_000})
	frozen := make(chan struct{})
	defer close(frozen)
	r.produce(func(*kmsg.ProduceRequest) kmsg.Response { <-frozen; return nil })
	fill := func(yields bool) (n int) {
		for ; n < 1000; n++ {
			err := r.p.Publish(&Batch{Records: []kafka.Outgoing{record("a", 0, string(make([]byte, 1000)))}, Yields: yields})
			if errors.Is(err, ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	if n := fill(true); n < 5 || n > 10 {
		t.Errorf("%d batches that yield are taken, of an eighth of 80,000 bytes", n)
	}
	if n := fill(false); n < 60 || n > 70 {
		t.Errorf("%d others are taken, of the rest", n)
	}
	if err := r.p.Publish(&Batch{Records: []kafka.Outgoing{record("b", 0, string(make([]byte, 40_000)))}, Yields: true}); err != nil {
		t.Error(err)
	}
	if err := newRig(t, Options{}).p.Publish(&Batch{Records: make([]kafka.Outgoing, Most+1)}); err == nil { // of one for which there would be room
		t.Error("a batch of more records than there are places is taken")
	}
}
