package weir_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// TestALargeBadRecordStopsNobody sends what an input topic with Kafka's own limits takes, and its dead-letter topic may
// not: 2 MB that compress well, and a value that leaves no room for the headers of a dead letter.
//
// Mutations seen to fail this test: dead-letter topics made without max.message.bytes; max.request.size of 1 MiB; after
// ends with unexplained.
func TestALargeBadRecordStopsNobody(t *testing.T) {
	exact := make([]byte, 1_048_476)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(exact)
	values := [][]byte{bytes.Repeat([]byte("not json "), 230_000), exact}
	for _, c := range []struct {
		name  string
		specs []kafka.TopicSpec
		kept  []int // bytes of the values
	}{
		{"a topic that Weir made", nil, []int{len(values[0]), len(values[1])}},
		{"a topic with Kafka's limits", []kafka.TopicSpec{{Name: "order.placed.v1.dlq", Partitions: 4, ReplicationFactor: 1}}, []int{250 << 10, 250 << 10}},
		{"a topic with less", []kafka.TopicSpec{{Name: "order.placed.v1.dlq", Partitions: 4, ReplicationFactor: 1,
			Config: map[string]string{"max.message.bytes": "10000"}}}, []int{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := clusterOn(t, embedded.Options{})
			if err := cl.wire.CreateTopics(t.Context(), c.specs); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- weir.Execute(ctx, cl.runArgs(t.TempDir()), orders.Totals) }()
			cl.awaitTopics()
			cl.sendCompressed(values...)
			cl.feed(10, 1)
			cl.read("customer.total.v1", 10)
			letters := cl.letters(3)
			for i, value := range values {
				l, ok := letters[int64(i)]
				if !ok {
					t.Fatalf("no dead letter of offset %d", i)
				}
				whole := c.kept[i] == len(value)
				if len(l.value) < c.kept[i] || len(l.value) > c.kept[i]+(8<<10) || !bytes.HasPrefix(value, l.value) || l.Cut == whole || !whole && l.ValueSize != int64(len(value)) {
					t.Errorf("offset %d: %d bytes of %d, about %d wanted; cut: %v, from %d", i, len(l.value), len(value), c.kept[i], l.Cut, l.ValueSize)
				}
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// sendCompressed writes values to partition 0 of the input, a batch each.
func (c *cluster) sendCompressed(values ...[]byte) {
	c.t.Helper()
	client, err := kafka.Dial(c.t.Context(), kafka.Config{Brokers: c.Addrs(), Sink: kafka.SinkTuning{Compression: "zstd"}}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	sink, err := processors.Kafka(client).NewSink(c.t.Context(), "")
	if err != nil {
		c.t.Fatal(err)
	}
	defer sink.Close()
	for _, v := range values {
		err = errors.Join(err, sink.Append(&kafka.Outgoing{TopicPartition: kafka.TopicPartition{Topic: "order.placed.v1"}, Timestamp: time.Now().UnixMilli(), Value: v}),
			sink.Flush(c.t.Context()))
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

type cutLetter struct {
	deadletter.Letter
	value []byte
}

// letters reads n dead letters, and returns those of partition 0 of the input by the offset of their record.
func (c *cluster) letters(n int) map[int64]cutLetter {
	c.t.Helper()
	fetcher, err := c.wire.NewFetcher()
	if err != nil {
		c.t.Fatal(err)
	}
	defer fetcher.Close()
	records := make(chan kafka.Record, 100)
	for p := range int32(4) {
		fetcher.Start(kafka.TopicPartition{Topic: "order.placed.v1.dlq", Partition: p}, kafka.At(0), func(b kafka.Batch) {
			for _, r := range b.Records {
				records <- r
			}
			fetcher.Release(b.TopicPartition, b.Bytes)
		})
	}
	found := map[int64]cutLetter{}
	deadline := time.After(2 * time.Minute)
	for range n {
		select {
		case r := <-records:
			l, err := deadletter.Read(r.Headers)
			if err != nil || !strings.HasPrefix(l.Position.Topic, "order.placed") {
				c.t.Errorf("%+v, %v", l, err)
			}
			if l.Position.Partition == 0 {
				if _, twice := found[l.Position.Offset]; twice {
					c.t.Errorf("two dead letters of offset %d", l.Position.Offset)
				}
				found[l.Position.Offset] = cutLetter{l, r.Value}
			}
		case <-deadline:
			c.t.Fatalf("%d dead letters of %d", len(found), n)
		}
	}
	return found
}
