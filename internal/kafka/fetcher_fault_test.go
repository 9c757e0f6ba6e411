package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Mutation: retry hands the cursor back to the same reader.
func TestReadingFollowsTheLeader(t *testing.T) {
	cluster := fake(t, kfake.NumBrokers(3))
	topic(t, cluster, "in", 2)
	p := producer(t, cluster.ListenAddrs(), "")
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	r, other := newReading(t, "in", 0), newReading(t, "in", 1)
	f.Start(r.tp, At(0), r.deliver)
	f.Start(other.tp, At(0), other.deliver)
	for i := range 6 {
		if err := cluster.MoveTopicPartition("in", 0, int32(i%3)); err != nil {
			t.Fatal(err)
		}
		writeTo(t, p, "in", 0, fmt.Sprint(i))
		writeTo(t, p, "in", 1, fmt.Sprint(i))
		r.position(int64(i + 1))
		other.position(int64(i + 1))
	}
	if got := fmt.Sprint(r.values()); got != "[0 1 2 3 4 5]" {
		t.Errorf("read %s", got)
	}
}

// Mutation: take treats an unknown error as fatal.
func TestLostConnectionsAreMadeAgain(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	p := producer(t, cluster.ListenAddrs(), "")
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	r := newReading(t, "in", 0)
	f.Start(r.tp, At(0), r.deliver)
	for i := range 5 {
		cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
			return nil, errors.New("cut"), true
		})
		writeTo(t, p, "in", 0, fmt.Sprint(i))
		r.position(int64(i + 1))
	}
	if got := fmt.Sprint(r.values()); got != "[0 1 2 3 4]" {
		t.Errorf("read %s", got)
	}
}

// Mutation: lead gives up what it finds no leader for.
func TestATopicThatIsNotThereYetIsReadOnceItIs(t *testing.T) {
	cluster := fake(t)
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	r := newReading(t, "in", 0)
	f.Start(r.tp, At(0), r.deliver)
	asked := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Observe: true, Count: -1})
	if err := asked.Wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	topic(t, cluster, "in", 1)
	r.position(0)
}

// Denied access is told of at once, whether the partition was read before or not, and whether reading or describing the topic
// is denied. Others go on; a later Start reads on.
//
// Mutations: take retries ErrTopicAuthorizationFailed; fail does not forget the cursor (it is asked for again and again);
// assign retries what is denied.
func TestDeniedAuthorisationEndsThatPartitionOnly(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 2)
	p := producer(t, cluster.ListenAddrs(), "")
	writeTo(t, p, "in", 1, "a")
	denied := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "in", Partitions: []int32{0}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	r, other := newReading(t, "in", 0), newReading(t, "in", 1)
	f.Start(other.tp, At(0), other.deliver)
	f.Start(r.tp, At(0), r.deliver)
	last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
	refusal, ok := errors.AsType[*BlockedError](last.Err)
	if !ok || !errors.Is(refusal, sarama.ErrTopicAuthorizationFailed) || !strings.Contains(refusal.Remedy, "READ and DESCRIBE topic in") || refusal.Topic != "in" {
		t.Errorf("error %v", last.Err)
	}
	other.position(1)
	for i := range 3 {
		writeTo(t, p, "in", 1, "b")
		other.position(int64(i + 2))
	}
	if n := denied.Hits(); n != 1 {
		t.Errorf("asked for %d times", n)
	}
	denied.Remove()
	again := newReading(t, "in", 0)
	f.Start(again.tp, At(0), again.deliver)
	again.position(0)
	if n := len(r.batches); n != 1 {
		t.Errorf("%d deliveries, the error among them, want the error alone", n)
	}
}

// So it is in the middle of reading, and where the topic may not even be described.
func TestDeniedAuthorisationIsToldOfWheneverItComes(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []kmsg.Key
	}{{"READ", []kmsg.Key{kmsg.Fetch}}, {"DESCRIBE", []kmsg.Key{kmsg.Fetch, kmsg.Metadata}}} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, " read before ", before), func(t *testing.T) {
				cluster := fake(t)
				topic(t, cluster, "in", 1)
				p := producer(t, cluster.ListenAddrs(), "")
				writeTo(t, p, "in", 0, "a")
				f := fetcher(t, cluster.ListenAddrs(), 1<<20)
				r := newReading(t, "in", 0)
				if before {
					f.Start(r.tp, At(0), r.deliver)
					r.position(1)
				}
				denied := cluster.Fault(kfake.Fault{Keys: c.keys, Topic: "in", Err: kerr.TopicAuthorizationFailed, Count: -1})
				if !before {
					f.Start(r.tp, At(0), r.deliver)
				}
				last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
				if ClassOf(last.Err) != Blocked {
					t.Errorf("error %v", last.Err)
				}
				denied.Remove()
				again := newReading(t, "in", 0)
				f.Start(again.tp, At(0), again.deliver)
				again.position(1)
			})
		}
	}
}

// Mutation: take treats every error as final.
func TestPassingErrorsAreRetried(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	p := producer(t, cluster.ListenAddrs(), "")
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	r := newReading(t, "in", 0)
	f.Start(r.tp, At(0), r.deliver)
	for i, err := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.KafkaStorageError,
		kerr.UnknownTopicOrPartition, kerr.UnknownServerError, kerr.OffsetNotAvailable, kerr.OffsetOutOfRange,
	} {
		fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "in", Err: err, Count: 2})
		writeTo(t, p, "in", 0, fmt.Sprint(i))
		r.position(int64(i + 1))
		if err := fault.Wait(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
	}
	if r.last.Err != nil {
		t.Error(r.last.Err)
	}
}

// Mutations: damaged gives up at once (the first part), damaged passes the batch over (the second), damaged fails all
// partitions of the answer (the third).
func TestABatchThatCannotBeDecodedEndsItsPartitionOnly(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 2)
	p := producer(t, cluster.ListenAddrs(), "")
	writeTo(t, p, "in", 0, "bad")
	writeTo(t, p, "in", 1, "a", "b")
	// damage answers requests for partition 0 with a batch whose checksum is wrong.
	damage := func(times int) {
		cluster.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
			req := kreq.(*kmsg.FetchRequest)
			cluster.KeepControl()
			for _, rt := range req.Topics {
				for _, rp := range rt.Partitions {
					if rp.Partition == 0 {
						if times--; times == 0 {
							cluster.DropControl()
						}
						return damaged(req), nil, true
					}
				}
			}
			return nil, nil, false
		})
	}
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)

	damage(1)
	once := newReading(t, "in", 0)
	f.Start(once.tp, At(0), once.deliver)
	once.position(1)
	f.Stop(once.tp)

	damage(1 << 30)
	always, other := newReading(t, "in", 0), newReading(t, "in", 1)
	f.Start(always.tp, At(0), always.deliver)
	f.Start(other.tp, At(0), other.deliver)
	last := always.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
	var corrupt *CorruptBatchError
	if !errors.As(last.Err, &corrupt) || corrupt.TopicPartition != always.tp || corrupt.Offset != 0 || corrupt.Next != 1 || len(corrupt.Bytes) == 0 || last.Position != 0 {
		t.Errorf("at %d: %v", last.Position, last.Err)
	}
	other.position(2)
}

// damaged makes an answer that holds one batch with a wrong checksum for partition 0, and nothing for others.
func damaged(req *kmsg.FetchRequest) kmsg.Response {
	res := req.ResponseKind().(*kmsg.FetchResponse)
	for _, rt := range req.Topics {
		st := kmsg.NewFetchResponseTopic()
		st.Topic, st.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			sp := kmsg.NewFetchResponseTopicPartition()
			sp.Partition = rp.Partition
			if rp.Partition == 0 {
				batch := kmsg.RecordBatch{Magic: 2, Length: 49, LastOffsetDelta: 0, CRC: 1}
				sp.HighWatermark, sp.LastStableOffset = 1, 1
				sp.RecordBatches = batch.AppendTo(nil)
			}
			st.Partitions = append(st.Partitions, sp)
		}
		res.Topics = append(res.Topics, st)
	}
	return res
}
