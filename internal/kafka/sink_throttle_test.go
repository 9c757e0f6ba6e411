package kafka

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// throttling makes the cluster ask for a wait with the answer to each produce request, as brokers do that are over a quota.
func (t *sinkTest) throttling(d time.Duration) (requests *atomic.Int64) {
	requests = new(atomic.Int64)
	t.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		t.cluster.KeepControl()
		requests.Add(1)
		produce := req.(*kmsg.ProduceRequest)
		res := produce.ResponseKind().(*kmsg.ProduceResponse)
		res.ThrottleMillis = int32(d / time.Millisecond)
		for _, topic := range produce.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.BaseOffset = p.Partition, requests.Load()
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, true
	})
	return requests
}

// A broker that asks for a wait is not sent to before, the wait is counted, and Close does not wait.
//
// Mutations: answered without throttled; round without until; Close waits for br.until.
func TestAThrottleIsWaitedForAndNotByClose(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	requests := test.throttling(time.Hour)
	test.append(s, "out", 0, "a")
	test.ok(s.Flush(t.Context())) // it is acknowledged: the wait is for what comes next
	if s.Throttled() < 59*time.Minute {
		t.Errorf("throttled for %s", s.Throttled())
	}
	test.append(s, "out", 0, "b")
	if err := s.Flush(test.within(200 * time.Millisecond)); ClassOf(err) != Retriable {
		t.Fatalf("got %v, want that time is up", err)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	began := time.Now()
	test.ok(s.Close())
	promptly(t, began)
}

// Mutation: roundTrip without unthrottle: the next request to the coordinator, and Close, wait for an hour.
func TestAThrottledCoordinatorIsNotWaitedForByClose(t *testing.T) {
	if !throttleFields().ok {
		t.Fatal("sarama.Broker keeps its throttle elsewhere: see client_throttle.go")
	}
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.append(s, "out", 0, "a")
	test.cluster.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		res := req.ResponseKind().(*kmsg.EndTxnResponse)
		res.ThrottleMillis = int32(time.Hour / time.Millisecond)
		return res, nil, true
	})
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.append(s, "out", 0, "b")
	test.ok(s.Commit(test.within(10 * time.Second)))
	began := time.Now()
	test.ok(s.Close())
	promptly(t, began)
}

// A request that waits already, with the connection's lock, is let go.
//
// Mutation: unthrottle that only tries the lock.
func TestWhoeverWaitsOutAThrottleIsLetGo(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	k, err := test.client.admin.toAny(t.Context())
	test.ok(err)
	f := throttleFields()
	lock := (*sync.Mutex)(unsafe.Add(unsafe.Pointer(k.Broker), f.lock))
	timer := (**time.Timer)(unsafe.Add(unsafe.Pointer(k.Broker), f.timer))
	lock.Lock()
	*timer = time.NewTimer(time.Hour)
	unthrottle(k.Broker)
	select {
	case <-(*timer).C:
	case <-time.After(10 * time.Second):
		t.Error("it waits on")
	}
	*timer = nil
	lock.Unlock()
}
