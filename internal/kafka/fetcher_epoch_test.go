package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answerFetch has the cluster answer requests for records as answer says; nil leaves the answer to the cluster.
func answerFetch(cluster *kfake.Cluster, answer func(*kmsg.FetchRequest, *kmsg.FetchResponse) bool) {
	cluster.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		res := req.ResponseKind().(*kmsg.FetchResponse)
		if !answer(req, res) {
			return nil, nil, false
		}
		return res, nil, true
	})
}

// forEach adds a part for every partition that is asked for.
func forEach(req *kmsg.FetchRequest, res *kmsg.FetchResponse, part func(kmsg.FetchRequestTopicPartition) kmsg.FetchResponseTopicPartition) {
	for _, rt := range req.Topics {
		st := kmsg.NewFetchResponseTopic()
		st.Topic, st.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			st.Partitions = append(st.Partitions, part(rp))
		}
		res.Topics = append(res.Topics, st)
	}
}

// Mutations: fill sends no epoch; take ignores DivergingEpoch; deliver does not keep the epoch.
func TestALogThatLostWhatWasReadEndsTheDelivery(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	var asked atomic.Int32
	answerFetch(cluster, func(req *kmsg.FetchRequest, res *kmsg.FetchResponse) bool {
		forEach(req, res, func(rp kmsg.FetchRequestTopicPartition) kmsg.FetchResponseTopicPartition {
			p := kmsg.NewFetchResponseTopicPartition()
			p.HighWatermark, p.LastStableOffset = 3, 3
			if rp.FetchOffset == 0 {
				p.RecordBatches = ofEpoch(4, plain(0, "a", "b", "c")).wire()
				return p
			}
			asked.Store(rp.LastFetchedEpoch)
			p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 2, 1
			return p
		})
		return true
	})
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	r := newReading(t, "in", 0)
	f.Start(r.tp, At(0), r.deliver)
	last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
	var truncated *TruncatedError
	if !errors.As(last.Err, &truncated) || *truncated != (TruncatedError{r.tp, 3, 4, 1, 2}) {
		t.Errorf("got %v", last.Err)
	}
	if got := asked.Load(); got != 4 || r.batches[0].LeaderEpoch != 4 {
		t.Errorf("asked with epoch %d, delivered in %d", got, r.batches[0].LeaderEpoch)
	}
}

// Mutation: outOfRange does not ask for the epoch (the fetcher tries for ever).
func TestAnEpochThatTheLogDoesNotKnowEndsTheDelivery(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	writeTo(t, producer(t, cluster.ListenAddrs(), ""), "in", 0, "a", "b")
	answerFetch(cluster, func(req *kmsg.FetchRequest, res *kmsg.FetchResponse) bool {
		forEach(req, res, func(kmsg.FetchRequestTopicPartition) kmsg.FetchResponseTopicPartition {
			p := kmsg.NewFetchResponseTopicPartition()
			p.ErrorCode = int16(sarama.ErrOffsetOutOfRange)
			return p
		})
		return true
	})
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	r := newReading(t, "in", 0)
	f.Start(r.tp, Position{Offset: 1, LeaderEpoch: 1000}, r.deliver)
	last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
	var truncated *TruncatedError
	if !errors.As(last.Err, &truncated) || *truncated != (TruncatedError{r.tp, 1, 1000, -1, -1}) {
		t.Errorf("got %v", last.Err)
	}
}

// A log that was cut at 50 and has grown to 80 again does not hold offset 100 either. It is not that its end was lost and all of the
// rest was read: the records from 50 on are others. Where the log does not know the epoch, its end is all that it can tell.
//
// Mutations: outOfRange looks at the range before the epoch; what it does not know counts as a place.
func TestALogThatWasCutAndIsShorterTellsWhereItDiverges(t *testing.T) {
	for _, c := range []struct {
		name string
		end  kmsg.OffsetForLeaderEpochResponseTopicPartition
		want error
	}{
		{"diverges", kmsg.OffsetForLeaderEpochResponseTopicPartition{LeaderEpoch: 3, EndOffset: 50}, &TruncatedError{Offset: 100, LeaderEpoch: 4, End: 50, EndEpoch: 3}},
		{"not known", kmsg.OffsetForLeaderEpochResponseTopicPartition{LeaderEpoch: -1, EndOffset: -1}, &OffsetOutOfRangeError{Offset: 100, Start: 0, End: 80}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := fake(t)
			topic(t, cluster, "in", 1)
			writeTo(t, producer(t, cluster.ListenAddrs(), ""), "in", 0, make([]string, 80)...)
			cluster.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				res := kreq.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
				rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
				rt.Topic, rt.Partitions = "in", append(rt.Partitions, c.end)
				res.Topics = append(res.Topics, rt)
				return res, nil, true
			})
			f := fetcher(t, cluster.ListenAddrs(), 1<<20)
			r := newReading(t, "in", 0)
			f.Start(r.tp, Position{Offset: 100, LeaderEpoch: 4}, r.deliver)
			last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
			switch want := c.want.(type) {
			case *TruncatedError:
				want.TopicPartition = r.tp
			case *OffsetOutOfRangeError:
				want.TopicPartition = r.tp
			}
			if !reflect.DeepEqual(last.Err, c.want) {
				t.Errorf("got %v, want %v", last.Err, c.want)
			}
		})
	}
}

// Mutations: an empty answer of a broker that throttles is retried (the leader is looked for each time); mute is not heeded.
func TestAThrottledAnswerIsWaitedOut(t *testing.T) {
	const quiet = 300 * time.Millisecond
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	var throttled atomic.Int32
	var since atomic.Int64
	answerFetch(cluster, func(req *kmsg.FetchRequest, res *kmsg.FetchResponse) bool {
		n := throttled.Load()
		if n > 0 {
			if waited := time.Since(time.Unix(0, since.Load())); waited < quiet {
				t.Errorf("asked again after %v", waited)
			}
		}
		since.Store(time.Now().UnixNano())
		if n == 3 {
			return false
		}
		throttled.Add(1)
		res.ThrottleMillis = int32(quiet.Milliseconds())
		return true
	})
	writeTo(t, producer(t, cluster.ListenAddrs(), ""), "in", 0, "a")
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), Fetch: FetchTuning{MaxWait: 400 * time.Millisecond}})
	f := c.NewFetcher(1) // nothing is asked for after the record, which nobody releases
	defer f.Close()
	metadata := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Observe: true, Count: -1})
	r := newReading(t, "in", 0)
	f.Start(r.tp, At(0), r.deliver)
	r.position(1)
	if n := metadata.Hits(); n != 1 {
		t.Errorf("the leader was looked for %d times", n)
	}
	if r.last.Err != nil || throttled.Load() != 3 {
		t.Errorf("%v after %d throttled answers", r.last.Err, throttled.Load())
	}
}

// Mutations: knows takes any id; the first answer is believed.
func TestAPositionOfAnotherTopicIsRefused(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 1)
	writeTo(t, producer(t, cluster.ListenAddrs(), ""), "in", 0, "a", "b")
	f := fetcher(t, cluster.ListenAddrs(), 1<<20)
	metadata := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Observe: true, Count: -1})
	r := newReading(t, "in", 0)
	was := sarama.Uuid{1, 2, 3}.String()
	f.Start(r.tp, Position{Offset: 1, LeaderEpoch: -1, TopicID: was}, r.deliver)
	last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil })
	var recreated *TopicRecreatedError
	if !errors.As(last.Err, &recreated) || recreated.Was != was || recreated.Offset != 1 || len(r.values()) > 0 {
		t.Fatalf("got %v", last.Err)
	}
	if n := metadata.Hits(); n < sameAnswers {
		t.Errorf("believed after %d answers", n)
	}
	right := newReading(t, "in", 0)
	f.Start(right.tp, Position{Offset: 1, LeaderEpoch: -1, TopicID: recreated.Is}, right.deliver)
	if last := right.position(2); last.TopicID != recreated.Is || fmt.Sprint(right.values()) != "[b]" {
		t.Errorf("%+v", last)
	}
}

// Mutations: held is not counted; room ignores the budget; a large record finds room always; large is never given back.
func TestAllPartitionsTogetherStayWithinTheBufferMemory(t *testing.T) {
	const partitions, budget = 8, 1 << 20
	cluster := fake(t)
	topic(t, cluster, "in", partitions)
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), Fetch: FetchTuning{MaxWait: 50 * time.Millisecond, BufferMemory: budget},
		Sink: SinkTuning{Compression: "zstd"}})
	s := sinkOf(t, c)
	large := bytes.Repeat([]byte("x"), 300<<10)
	const each = 12
	for p := range int32(partitions) {
		for range each {
			if err := s.Append(&Outgoing{TopicPartition: TopicPartition{Topic: "in", Partition: p}, Timestamp: 1, Value: large}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := c.NewFetcher(8 << 20)
	defer f.Close()
	batches := make(chan Batch, partitions*each*2)
	for p := range int32(partitions) {
		f.Start(TopicPartition{Topic: "in", Partition: p}, At(0), func(b Batch) { batches <- b })
	}
	// What is delivered is kept until nothing more comes, then one batch is released at a time.
	var kept []Batch
	var bytes, most, records int
	for records < partitions*each {
		select {
		case b := <-batches:
			if b.Err != nil {
				t.Fatal(b.Err)
			}
			bytes += b.Bytes
			records += len(b.Records)
			most = max(most, bytes)
			if b.Bytes > 0 {
				kept = append(kept, b)
			}
			continue
		case <-time.After(100 * time.Millisecond):
		}
		if len(kept) == 0 {
			continue
		}
		bytes -= kept[0].Bytes
		f.Release(kept[0].TopicPartition, kept[0].Bytes)
		kept = kept[1:]
	}
	if allowed := budget + len(large) + partitions*smallPiece; most > allowed {
		t.Errorf("%d bytes were out at once, at most %d are allowed", most, allowed)
	}
}

func sinkOf(t *testing.T, c *Client) *Sink {
	t.Helper()
	s, err := c.NewSink(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
