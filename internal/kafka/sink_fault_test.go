package kafka

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

var errCut = errors.New("cut by the test")

// unreliable makes a cluster's connections break after the broker has done what it was asked, and before the client
// hears of it, whenever cut says so.
func unreliable(cut func() bool) kfake.Opt {
	return kfake.ListenFn(func(network, addr string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		return &unreliableListener{l, cut}, err
	})
}

type unreliableListener struct {
	net.Listener
	cut func() bool
}

func (l *unreliableListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &unreliableConn{c, l.cut}, nil
}

type unreliableConn struct {
	net.Conn
	cut func() bool
}

func (c *unreliableConn) Write(p []byte) (int, error) {
	if c.cut() {
		_ = c.Close()
		return 0, errCut
	}
	return c.Conn.Write(p)
}

// Mutations, each fails: requeue does not fail the sequence; a batch gets a new number when it is sent again; a lost
// connection acknowledges.
func TestRecordsAreWrittenOnceAndInOrderWhateverFails(t *testing.T) {
	var cuts atomic.Pointer[rapidFates]
	test := newSinkTest(t, fastConfig(), kfake.NumBrokers(2), unreliable(func() bool { return cuts.Load().next() == fateCut }))
	topics := 0
	rapid.Check(t, func(r *rapid.T) {
		topics++
		topic := "t" + strconv.Itoa(topics)
		test.ok(test.cluster.CreateTopic(topic, 2, nil))
		id := rapid.SampledFrom([]string{"", topic}).Draw(r, "transactional id")
		s := test.sink(id)
		s.limits.batch = 300
		fates := &rapidFates{fates: rapid.SliceOfN(rapid.IntRange(0, 6), 0, 12).Draw(r, "fates")}
		handles := test.cluster.Fault(
			fates.fault(topic, 1, kerr.NotLeaderForPartition),
			fates.fault(topic, 2, kerr.NotEnoughReplicasAfterAppend),
			fates.fault(topic, 3, kerr.RequestTimedOut),
			fates.fault(topic, 4, kerr.NotEnoughReplicas),
		)
		cuts.Store(fates)
		defer func() { cuts.Store(nil); handles.Remove(); test.ok(s.Close()) }()
		n := rapid.IntRange(1, 120).Draw(r, "records")
		for i := range n {
			test.append(s, topic, int32(i%2), strconv.Itoa(i))
		}
		test.ok(s.Flush(test.within(10 * time.Second)))
		test.ok(s.Commit(test.within(10 * time.Second)))
		cuts.Store(nil)
		handles.Remove()
		for p := range 2 {
			var want []string
			for i := p; i < n; i += 2 {
				want = append(want, strconv.Itoa(i))
			}
			if n > p {
				test.visible(topic, int32(p), want...)
				if end := s.End(TopicPartition{Topic: topic, Partition: int32(p)}); end != int64(len(want)) {
					r.Fatalf("End is %d, want %d", end, len(want))
				}
			}
		}
	})
}

const fateCut = 5

// rapidFates decides what happens to one request after the other.
type rapidFates struct {
	mu    sync.Mutex
	fates []int
	now   int
}

func (f *rapidFates) next() int {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == fateCut {
		f.now = 0
		return fateCut
	}
	return 0
}

// fault answers a produce request with err when its fate is n. The first of the faults that is asked draws the fate.
func (f *rapidFates) fault(topic string, n int, err *kerr.Error) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: err, Count: -1, When: func(kmsg.Request) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if n == 1 {
			f.now = 0
			if len(f.fates) > 0 {
				f.now, f.fates = f.fates[0], f.fates[1:]
			}
		}
		return f.now == n
	}}
}

// Mutation: resendMoved does not forget the leader.
func TestLeadersMayMoveUnderLoad(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.NumBrokers(3), kfake.SeedTopics(2, "out"))
	s := test.sink("tx")
	s.limits.batch = 1000
	const rounds, each = 12, 200
	for round := range rounds {
		for p := range int32(2) {
			test.ok(test.cluster.MoveTopicPartition("out", p, int32(round+int(p))%3))
			test.append(s, "out", p, numbers(round*each, round*each+each/2)...)
		}
		test.cluster.ShufflePartitionLeaders()
		for p := range int32(2) {
			test.append(s, "out", p, numbers(round*each+each/2, round*each+each)...)
		}
		test.ok(s.Commit(test.within(10 * time.Second)))
	}
	for p := range int32(2) {
		test.visible("out", p, numbers(0, rounds*each)...)
	}
}

// Mutation: call does not forget the coordinator after NOT_COORDINATOR.
func TestCoordinatorsMayMove(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.NumBrokers(3), kfake.SeedTopics(1, "out", "in"))
	s := test.sink("tx")
	in := TopicPartition{Topic: "in", Partition: 0}
	for round := range 6 {
		test.append(s, "out", 0, strconv.Itoa(round))
		test.ok(s.Flush(test.within(10 * time.Second)))
		test.cluster.RehashCoordinators()
		test.ok(s.Offsets(test.within(10*time.Second), Member{Group: "g", Generation: -1}, map[TopicPartition]CommittedOffset{in: {Offset: int64(round)}}))
		test.cluster.RehashCoordinators()
		test.ok(s.Commit(test.within(10 * time.Second)))
	}
	test.visible("out", 0, numbers(0, 6)...)
	got, err := test.client.Committed(t.Context(), "g", []TopicPartition{in})
	test.ok(err)
	if got[in].Offset != 5 {
		t.Fatalf("committed %d, want 5", got[in].Offset)
	}
}

// Mutation: outOfOrder is always resent.
func TestAnUnexplainedGapEndsTheTransaction(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.OutOfOrderSequenceNumber})
	test.append(s, "out", 0, "a")
	if err := s.Flush(test.within(10 * time.Second)); ClassOf(err) != Abortable {
		t.Fatalf("got %v, want abortable", err)
	}
	epoch := s.as.epoch
	test.ok(s.Abort(test.within(10 * time.Second)))
	if s.as.epoch <= epoch {
		t.Fatalf("epoch %d after %d", s.as.epoch, epoch)
	}
	test.append(s, "out", 0, "b")
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, "b")
}

// Mutation: Flush ignores its context.
func TestFlushEndsWithItsContext(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	test.append(s, "out", 0, "a")
	err := s.Flush(test.within(100 * time.Millisecond))
	if ClassOf(err) != Retriable || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, error(sinkCode(kerr.NotEnoughReplicas))) {
		t.Fatalf("got %v, want retriable with the broker's reason", err)
	}
}
