package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/recordbatch"
)

// largestAnswer is what the fetchers of these tests read.
const largestAnswer = 16 << 10

func smallFetcher(t *testing.T, cluster *kfake.Cluster) *Fetcher {
	t.Helper()
	c := dial(t, Config{Brokers: cluster.ListenAddrs(), RetryBackoff: 10 * time.Millisecond, RetryBackoffMax: 10 * time.Millisecond,
		Fetch: FetchTuning{MaxWait: 50 * time.Millisecond, MaxBytes: largestAnswer / 2, MaxPartitionBytes: largestAnswer / 2, MaxAnswer: largestAnswer}})
	f := c.NewFetcher(1 << 20)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// produce writes one batch to partition 0 of the topic in.
func produce(t *testing.T, client *kgo.Client, size int, values ...string) {
	t.Helper()
	var rs []*kgo.Record
	for _, v := range values {
		noise := make([]byte, size/len(values))
		for i := range noise {
			noise[i] = byte(rand.Uint32())
		}
		rs = append(rs, &kgo.Record{Topic: "in", Value: append([]byte(v), noise...)})
	}
	if err := client.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func writer(t *testing.T, cluster *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxVersions(kversion.V2_8_0()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func inTransaction(t *testing.T, client *kgo.Client, end kgo.TransactionEndTry, writes func()) {
	t.Helper()
	err := client.BeginTransaction()
	if err == nil {
		writes()
		err = client.EndTransaction(t.Context(), end)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// batchesOf reads the log of partition 0 of the topic in with another client, batch by batch.
func batchesOf(t *testing.T, client *kgo.Client) (all []recordbatch.Batch, values map[int64]string) {
	t.Helper()
	limits := recordbatch.NewReader(recordbatch.DefaultLimits())
	values = map[int64]string{}
	for at := int64(0); ; {
		req := kmsg.NewPtrFetchRequest()
		req.Version, req.MaxBytes, req.SessionEpoch = 11, 1<<30, -1
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic = "in"
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.FetchOffset, rp.PartitionMaxBytes = at, 1<<30
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		res, err := req.RequestWith(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		raw := res.Topics[0].Partitions[0].RecordBatches
		if len(raw) == 0 {
			return all, values
		}
		for len(raw) > 0 {
			var b recordbatch.Batch
			if b, raw, err = recordbatch.Next(raw); err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
			limits.Reset(b)
			for rec := (recordbatch.Record{}); limits.Next(&rec) == nil; {
				values[rec.Offset] = string(rec.Value)
			}
			at = b.Last + 1
		}
	}
}

// A batch that makes an answer too large, alone or after another one, compressed, in a committed transaction, or with the
// position in its middle, is one record with an Excess; in an aborted transaction it is none. Records around it are read, and
// those of other partitions.
//
// Mutations tried: the position is the offset after the batch's first; the record is at the batch's first offset wherever the
// position is; an aborted batch is given out; outsized asks again instead of asking alone; fetchHead reads the replica or the
// tags in the wrong versions.
func TestABatchThatMakesAnAnswerTooLargeIsOneRecord(t *testing.T) {
	eleven := kversion.V2_8_0()
	eleven.SetMaxKeyVersion(int16(kmsg.Fetch), 11)
	for name, versions := range map[string]*kversion.Versions{"Fetch 11": eleven, "Fetch 12": kversion.V2_8_0(), "latest": kversion.V4_0_0()} {
		t.Run(name, func(t *testing.T) {
			cluster := fake(t, kfake.MaxVersions(versions))
			cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				req.(*kmsg.FetchRequest).MaxBytes = 1 << 30 // kfake lists no aborted transactions where this ends an answer
				return nil, nil, false
			})
			topic(t, cluster, "in", 3)
			one, packed, txns := writer(t, cluster), writer(t, cluster, kgo.ProducerBatchCompression(kgo.ZstdCompression())), writer(t, cluster, kgo.TransactionalID("t"))
			const large = 40 << 10
			produce(t, one, 10, "a")
			produce(t, one, large, "b")
			produce(t, one, large, "c", "d", "e")
			produce(t, packed, large, "f")
			produce(t, packed, large, "g", "h")
			produce(t, one, 20, "i", "j")
			inTransaction(t, txns, kgo.TryAbort, func() {
				produce(t, txns, 10, "x")
				produce(t, txns, large, "x", "x")
				produce(t, one, large, "k")
				produce(t, txns, large, "x")
			})
			inTransaction(t, txns, kgo.TryCommit, func() {
				produce(t, txns, large, "l", "m")
				produce(t, one, 10, "n")
				produce(t, txns, 10, "o")
			})
			inTransaction(t, txns, kgo.TryAbort, func() { produce(t, txns, large, "x") })
			batches, values := batchesOf(t, one)
			end := batches[len(batches)-1].Last + 1
			other := producer(t, cluster.ListenAddrs(), "")
			writeTo(t, other, "in", 1, "p", "q")

			want := func(from int64) (all []string) {
				for _, b := range batches {
					switch {
					case b.Last < from, b.Control, values[b.Last][0] == 'x':
					case b.Size() > largestAnswer:
						all = append(all, fmt.Sprintf("%d to %d, %d records over %s", max(b.Base, from), b.Last, b.Records, limitAnswer))
					default:
						for o := max(b.Base, from); o <= b.Last; o++ {
							all = append(all, fmt.Sprintf("%d %c", o, values[o][0]))
						}
					}
				}
				return all
			}
			if got := strings.Count(fmt.Sprint(want(0)), "over"); got < 6 {
				t.Fatalf("%d batches are too large: nothing is shown", got)
			}
			for from := range end {
				f := smallFetcher(t, cluster)
				r, beside, empty := newReading(t, "in", 0), newReading(t, "in", 1), newReading(t, "in", 2)
				f.Start(r.tp, At(from), r.deliver)
				f.Start(beside.tp, At(0), beside.deliver)
				f.Start(empty.tp, At(0), empty.deliver)
				last := r.position(end)
				beside.position(2)
				empty.position(0)
				var got []string
				for _, rec := range r.records {
					if x := rec.Excess; x != nil {
						got = append(got, fmt.Sprintf("%d to %d, %d records over %s", rec.Offset, x.Last, x.Records, x.Limit))
						if x.Max != largestAnswer || x.Size < largestAnswer || len(rec.Value) > 0 {
							t.Errorf("%+v", x)
						}
						continue
					}
					got = append(got, fmt.Sprintf("%d %c", rec.Offset, rec.Value[0]))
				}
				if fmt.Sprint(got) != fmt.Sprint(want(from)) || last.HighWatermark != end || last.Position != end {
					t.Errorf("from %d: %v at %+v, want %v at %d", from, got, last, want(from), end)
				}
				if got := fmt.Sprint(beside.values()); got != "[p q]" {
					t.Errorf("beside it %s is read", got)
				}
				_ = f.Close()
			}
		})
	}
}

// It is no failure: nobody is asked for another leader, and the partitions are soon asked for together again.
//
// Mutations tried: outsized looks for a leader again when several partitions were asked for; accept leaves them alone.
func TestATooLargeAnswerIsNoFailure(t *testing.T) {
	cluster := fake(t)
	topic(t, cluster, "in", 3)
	client := writer(t, cluster)
	produce(t, client, 10, "a")
	f := smallFetcher(t, cluster)
	var all []*reading
	for p := range int32(3) {
		r := newReading(t, "in", p)
		f.Start(r.tp, At(0), r.deliver)
		r.position(0)
		all = append(all, r)
	}
	all[0].position(1)
	looked := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Observe: true, Count: -1})
	for i := range int64(4) {
		produce(t, client, 40<<10, "a")
		all[0].position(i + 2)
	}
	together := make(chan struct{})
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if len(req.(*kmsg.FetchRequest).Topics[0].Partitions) == len(all) {
			close(together)
		} else {
			cluster.KeepControl()
		}
		return nil, nil, false
	})
	select {
	case <-together:
	case <-time.After(10 * time.Second):
		t.Error("each partition is asked for alone")
	}
	if n := looked.Hits(); n > 0 {
		t.Errorf("%d questions for leaders", n)
	}
	for _, r := range all {
		if r.last.Err != nil {
			t.Error(r.last.Err)
		}
	}
}

// What an answer begins with must agree with itself, with what was asked for and with the size: otherwise the batch is
// damaged, and only its own partition ends.
//
// Mutations tried: each condition of outsizedBatch left out in turn.
func TestATooLargeAnswerThatMakesNoSenseIsADamagedBatch(t *testing.T) {
	big := func() *rawBatch { return plain(5, strings.Repeat("x", 2*largestAnswer)) }
	raw := func(change func(b []byte)) func(*kmsg.FetchResponseTopic, *kmsg.FetchResponseTopicPartition) {
		return func(_ *kmsg.FetchResponseTopic, p *kmsg.FetchResponseTopicPartition) { change(p.RecordBatches) }
	}
	for name, spoil := range map[string]func(t *kmsg.FetchResponseTopic, p *kmsg.FetchResponseTopicPartition){
		"an old format":     raw(func(b []byte) { b[16] = 1 }),
		"an unknown format": raw(func(b []byte) { b[16] = 9 }),
		"longer than the answer": raw(func(b []byte) {
			binary.BigEndian.PutUint32(b[8:], uint32(len(b))+1)
		}),
		"a batch that is not why": func(_ *kmsg.FetchResponseTopic, p *kmsg.FetchResponseTopicPartition) {
			p.RecordBatches = append(plain(5, "a").wire(), plain(6, strings.Repeat("x", 2*largestAnswer)).wire()...)
		},
		"of negative length":           raw(func(b []byte) { binary.BigEndian.PutUint32(b[8:], math.MaxUint32) }),
		"an end before its beginning":  raw(func(b []byte) { binary.BigEndian.PutUint32(b[23:], math.MaxUint32) }),
		"an end after the partition's": raw(func(b []byte) { binary.BigEndian.PutUint32(b[23:], 1) }),
		"before what was asked for":    raw(func(b []byte) { b[7] = 4 }),
		"more records than offsets":    raw(func(b []byte) { binary.BigEndian.PutUint32(b[57:], 2) }),
		"a negative number of records": raw(func(b []byte) { binary.BigEndian.PutUint32(b[57:], math.MaxUint32) }),
		"an error":                     func(_ *kmsg.FetchResponseTopic, p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = 2 },
		"another partition":            func(_ *kmsg.FetchResponseTopic, p *kmsg.FetchResponseTopicPartition) { p.Partition = 7 },
		"another topic":                func(t *kmsg.FetchResponseTopic, _ *kmsg.FetchResponseTopicPartition) { t.TopicID[0]++ },
		"too many aborted transactions": func(_ *kmsg.FetchResponseTopic, p *kmsg.FetchResponseTopicPartition) {
			p.AbortedTransactions = make([]kmsg.FetchResponseTopicPartitionAbortedTransaction, 5000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := fake(t)
			topic(t, cluster, "in", 2)
			w := producer(t, cluster.ListenAddrs(), "")
			writeTo(t, w, "in", 1, "a", "b")
			cluster.ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
				req := kreq.(*kmsg.FetchRequest)
				cluster.KeepControl()
				for _, rt := range req.Topics {
					for _, rp := range rt.Partitions {
						if rp.Partition != 0 {
							continue
						}
						res := req.ResponseKind().(*kmsg.FetchResponse)
						st := kmsg.NewFetchResponseTopic()
						st.Topic, st.TopicID = rt.Topic, rt.TopicID
						p := block(big())
						p.HighWatermark, p.LastStableOffset = 6, 6
						spoil(&st, p)
						st.Partitions = append(st.Partitions, *p)
						res.Topics = append(res.Topics, st)
						return res, nil, true
					}
				}
				return nil, nil, false
			})
			f := smallFetcher(t, cluster)
			r, other := newReading(t, "in", 0), newReading(t, "in", 1)
			f.Start(r.tp, At(5), r.deliver)
			f.Start(other.tp, At(0), other.deliver)
			last := r.until("an error", func(last Batch, _ []Record) bool { return last.Err != nil || last.Position > 5 })
			var corrupt *CorruptBatchError
			if !errors.As(last.Err, &corrupt) || corrupt.Offset != 5 || corrupt.Next != 6 || len(corrupt.Bytes) > headBytes || last.Position != 5 {
				t.Errorf("at %d: %v", last.Position, last.Err)
			}
			other.position(2)
		})
	}
}

// Mutation tried: outsizedBatch does not compare the batch with the answer.
func TestABatchIsNoLargerThanItsAnswer(t *testing.T) {
	r, c := &reader{version: fetchByID}, &cursor{TopicPartition: TopicPartition{Topic: "in", Partition: 0}}
	st := kmsg.NewFetchResponseTopic()
	p := block(plain(0, strings.Repeat("x", largestAnswer)))
	st.Partitions = append(st.Partitions, *p)
	size := int64(len(p.RecordBatches))
	for _, less := range []int64{0, 1} {
		_, err := r.outsizedBatch(c, &st, newFetched(p, recordbatch.DefaultLimits()), size, &answerSizeError{size: size - less, most: largestAnswer})
		if (err != nil) != (less > 0) {
			t.Errorf("a batch of %d bytes in an answer with %d less: %v", size, less, err)
		}
	}
}

// An answer of a size that no answer has is one of a connection that is broken, and says nothing of the partition.
//
// Mutation tried: take looks at no size.
func TestAnAnswerOfNoSizeIsNoDamage(t *testing.T) {
	cluster := fake(t)
	f := smallFetcher(t, cluster)
	r := &reader{fetcher: f, version: 12}
	for _, err := range []*answerSizeError{{size: -1, most: largestAnswer}, {size: 3, most: largestAnswer}} {
		for _, single := range []bool{true, false} {
			c := &cursor{TopicPartition: TopicPartition{Topic: "in", Partition: 0}}
			if r.take(c, nil, err, single); c.bad != 0 || c.failures != 1 || c.alone {
				t.Errorf("%v: damaged %d times, failed %d times, alone %v", err, c.bad, c.failures, c.alone)
			}
		}
	}
}

// The beginning of an answer says what the whole of it does, in every version; and any bytes at all can be read.
//
// Mutations tried: fetchHead reads the first offset in version 4 too; the replica only from version 12 on; no tags; it takes
// what is cut off.
func TestTheBeginningOfAnAnswerIsReadAsTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		res := kmsg.NewPtrFetchResponse()
		res.Version = rapid.Int16Range(4, fetchVersion).Draw(t, "version")
		res.ThrottleMillis = rapid.Int32().Draw(t, "throttle")
		st := kmsg.NewFetchResponseTopic()
		if res.Version >= fetchByID {
			copy(st.TopicID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		} else {
			st.Topic = rapid.StringN(0, 300, 300).Draw(t, "topic")
		}
		p := block(plain(5, "a", "b"))
		p.Partition, p.LogStartOffset = rapid.Int32().Draw(t, "partition"), rapid.Int64().Draw(t, "start")
		p.HighWatermark, p.LastStableOffset = rapid.Int64().Draw(t, "high"), rapid.Int64().Draw(t, "stable")
		for range rapid.IntRange(0, 200).Draw(t, "aborted") {
			x := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
			x.ProducerID, x.FirstOffset = rapid.Int64().Draw(t, "producer"), rapid.Int64().Draw(t, "first")
			if res.Version >= 12 && rapid.Bool().Draw(t, "tagged") {
				x.UnknownTags.Set(7, []byte("later"))
			}
			p.AbortedTransactions = append(p.AbortedTransactions, x)
		}
		st.Partitions = append(st.Partitions, *p)
		res.Topics = append(res.Topics, st)
		raw := res.AppendTo(nil)
		at := bytes.Index(raw, p.RecordBatches)
		cut := rapid.IntRange(0, len(p.RecordBatches)).Draw(t, "cut")
		got, size, err := fetchHead(raw[:at+cut], res.Version)
		q := got.Partitions[0]
		if err != nil || size != int64(len(p.RecordBatches)) || got.Topic != st.Topic || got.TopicID != st.TopicID || q.Partition != p.Partition ||
			q.HighWatermark != p.HighWatermark || q.LastStableOffset != p.LastStableOffset || len(q.AbortedTransactions) != len(p.AbortedTransactions) ||
			!bytes.Equal(q.RecordBatches, p.RecordBatches[:cut]) {
			t.Fatalf("%+v, %d bytes, %v", got, size, err)
		}
		for i, x := range q.AbortedTransactions {
			if want := p.AbortedTransactions[i]; x.ProducerID != want.ProducerID || x.FirstOffset != want.FirstOffset {
				t.Fatalf("%+v, want %+v", x, want)
			}
		}
		if _, _, err := fetchHead(raw[:rapid.IntRange(0, at-1).Draw(t, "short")], res.Version); err == nil {
			t.Fatal("an answer that is cut off before its batches is read")
		}
		_, _, _ = fetchHead(rapid.SliceOf(rapid.Byte()).Draw(t, "noise"), res.Version)
	})
}
