package kafka

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// Mutations, each fails: bytesSize takes nil for empty; recordSize forgets the headers' values; begin sets
// base to 0 for -1; latest is not kept.
func TestRecordsArriveAsTheyWereGiven(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	var counted, sent, latest atomic.Int64
	test.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		test.cluster.KeepControl()
		for _, topic := range req.(*kmsg.ProduceRequest).Topics {
			for _, p := range topic.Partitions {
				sent.Add(int64(len(p.Records)))
				var b kmsg.RecordBatch
				test.ok(b.ReadFrom(p.Records))
				latest.Store(b.MaxTimestamp)
			}
		}
		return nil, nil, false
	})
	s := test.sink("")
	offset := int64(0)
	reader, err := kgo.NewClient(kgo.SeedBrokers(test.cluster.ListenAddrs()...), kgo.FetchMaxWait(20*time.Millisecond),
		kgo.DisableFetchSessions(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"out": {0: kgo.NewOffset().AtStart()}}))
	test.ok(err)
	defer reader.Close()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(outgoing(), 1, 12).Draw(t, "records")
		newest := int64(-1)
		for i := range want {
			want[i].TopicPartition = TopicPartition{Topic: "out", Partition: 0}
			newest = max(newest, want[i].Timestamp)
			test.ok(s.Append(&want[i]))
		}
		counted.Add(int64(s.parts[want[0].TopicPartition].open.size()))
		test.ok(s.Flush(test.within(10 * time.Second)))
		if counted.Load() != sent.Load() {
			t.Fatalf("counted %d bytes, sent %d", counted.Load(), sent.Load())
		}
		if latest.Load() != newest {
			t.Fatalf("largest timestamp %d, want %d", latest.Load(), newest)
		}
		var got []*kgo.Record
		for len(got) < len(want) {
			got = append(got, reader.PollFetches(test.within(10*time.Second)).Records()...)
		}
		for i, r := range got {
			if line, w := shape(r), shapeOf(&want[i]); line != w || r.Offset != offset {
				t.Fatalf("record %d is\n%s, want\n%s", r.Offset, line, w)
			}
			offset++
		}
		if s.End(TopicPartition{Topic: "out", Partition: 0}) != offset {
			t.Fatalf("End is %d, want %d", s.End(TopicPartition{Topic: "out", Partition: 0}), offset)
		}
	})
}

func shape(r *kgo.Record) string {
	line := fmt.Sprintf("%d %#v %#v", r.Timestamp.UnixMilli(), r.Key, r.Value)
	for _, h := range r.Headers {
		line += fmt.Sprintf(" %q %#v", h.Key, h.Value)
	}
	return line
}

func shapeOf(r *Outgoing) string {
	line := fmt.Sprintf("%d %#v %#v", r.Timestamp, r.Key, r.Value)
	for _, h := range r.Headers {
		line += fmt.Sprintf(" %q %#v", h.Key, h.Value)
	}
	return line
}

// Mutation: codec is not put into the batch.
func TestEveryCompressionRoundTrips(t *testing.T) {
	for name, codec := range saramaCodecs {
		t.Run(name, func(t *testing.T) {
			cfg := fastConfig()
			cfg.Sink.Compression = name
			test := newSinkTest(t, cfg, kfake.SeedTopics(1, "out"))
			var used atomic.Int64
			test.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				var b kmsg.RecordBatch
				test.ok(b.ReadFrom(req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records))
				used.Store(int64(b.Attributes & 7))
				return nil, nil, false
			})
			s := test.sink("tx")
			test.append(s, "out", 0, numbers(0, 2000)...)
			test.ok(s.Commit(t.Context()))
			test.visible("out", 0, numbers(0, 2000)...)
			if used.Load() != int64(codec) {
				t.Fatalf("codec %d, want %d", used.Load(), codec)
			}
		})
	}
}

// Mutation: level is not put into the batch.
func TestTheCompressionLevelIsUsed(t *testing.T) {
	for _, codec := range []string{"gzip", "zstd"} {
		sizes := map[int]int{}
		for _, level := range []int{1, 9} {
			cfg := fastConfig()
			cfg.Sink.Compression, cfg.Sink.CompressionLevel = codec, level
			test := newSinkTest(t, cfg, kfake.SeedTopics(1, "out"))
			var size atomic.Int64
			test.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
				size.Store(int64(len(req.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records)))
				return nil, nil, false
			})
			s := test.sink("")
			for i := range 5000 {
				test.append(s, "out", 0, fmt.Sprintf(`{"customer":"c%d","amount_cents":%d,"seq":%d}`, i*7919%1000, i*104729%100000, i))
			}
			test.ok(s.Flush(t.Context()))
			sizes[level] = int(size.Load())
		}
		if sizes[9] == sizes[1] {
			t.Errorf("%s: %d bytes at both levels", codec, sizes[1])
		}
	}
	cfg := Config{Brokers: []string{"a:1"}, Sink: SinkTuning{Compression: "snappy", CompressionLevel: 3}}
	if err := cfg.Check(); err == nil {
		t.Error("snappy has no levels")
	}
}

// Mutation: refuseTooLarge applies max.message.bytes to compressed batches.
func TestARecordThatFitsWhenCompressedIsNotRefused(t *testing.T) {
	cfg := fastConfig()
	cfg.Sink.Compression = "zstd"
	test := newSinkTest(t, cfg)
	test.ok(test.cluster.CreateTopic("out", 1, map[string]string{"max.message.bytes": "1000"}))
	s := test.sink("tx")
	long := string(bytes.Repeat([]byte("a"), 5000))
	test.append(s, "out", 0, long)
	test.ok(s.Commit(t.Context()))
	test.visible("out", 0, long)
}

// Mutation: timestamps are not looked at.
func TestATimestampThatCannotBeWrittenIsRefused(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	for _, timestamp := range []int64{-2, maxTimestamp + 1, 1_700_000_000_000_000} {
		r := text("out", 0, "v")
		r.Timestamp = timestamp
		if _, ok := s.Append(r).(*RefusedError); !ok {
			t.Errorf("%d is not refused", timestamp)
		}
	}
	test.append(s, "out", 0, "good")
	test.ok(s.Commit(t.Context()))
	test.visible("out", 0, "good")
}

// BenchmarkSinkAppend is the cost of a record of 200 bytes, encoding included, to a broker that keeps nothing.
func BenchmarkSinkAppend(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "out"), kfake.BlackholeProduce())
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	client, err := Dial(b.Context(), Config{Brokers: cluster.ListenAddrs()}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	s, err := client.NewSink(b.Context(), "tx")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := Outgoing{TopicPartition: TopicPartition{Topic: "out", Partition: 0}, Timestamp: 1700000000000, Key: make([]byte, 10), Value: make([]byte, 190)}
	b.SetBytes(200)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		r.Partition = int32(i & 3)
		if err := s.Append(&r); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
}
