//go:build unix

package hostile

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/integration/internal/job"
	"github.com/weirstream/weir/internal/oracle"
)

const (
	feedPerSecond = 200
	feedKeys      = 400
)

// startFeed writes good orders all the time: first ones, redelivered ones and late ones.
func startFeed(brokers []string, l *ledger) (*job.Feed, error) {
	return job.StartFeed(job.FeedOptions{
		Generator: oracle.NewGenerator(oracle.GeneratorOptions{Seed: 1, Keys: feedKeys, Mix: oracle.Mix{Redelivered: 0.05, Late: 0.03}, Pad: 60}),
		Topic:     names.Input, Partitions: partitions, PerSecond: feedPerSecond,
		Dial:  func() (*kgo.Client, error) { return producer(brokers, kgo.ProducerLinger(5*time.Millisecond)) },
		Wrote: func(r *kgo.Record) { l.add(r.Partition, entryOf(r)) },
	})
}

// producer writes to the partitions that its records name.
func producer(brokers []string, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.DefaultProduceTopic(names.Input), kgo.ProducerBatchMaxBytes(16 << 20), kgo.BrokerMaxWriteBytes(64 << 20),
		kgo.UnknownTopicRetries(-1),
	}, more...)...)
}

// more waits until the feed has written so many more.
func (w *world) more(t *testing.T, n int64) {
	t.Helper()
	want := w.feed.Acked() + n
	eventually(t, settleBound, "the feed to write", func(context.Context) (bool, string) {
		return w.feed.Acked() >= want, fmt.Sprint(w.feed.Err())
	})
}

// entryOf is what the ledger notes of an acknowledged record.
func entryOf(r *kgo.Record) entry {
	e := entry{Record: oracle.Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: string(r.Key), Value: r.Value}}
	for _, h := range r.Headers {
		e.Headers = append(e.Headers, oracle.Header{Key: h.Key, Value: h.Value})
	}
	return e
}
