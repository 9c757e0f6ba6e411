//go:build integration

package integration

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/integration/internal/job"
	"github.com/weirstream/weir/internal/oracle"
)

// startFeed writes generated orders at a steady rate. It retries for ever: the input itself must not suffer from the faults.
func startFeed(t *testing.T, brokers []string, topic string, partitions int, seed uint64, perSecond, keys int) *job.Feed {
	t.Helper()
	feed, err := job.StartFeed(job.FeedOptions{
		Generator: oracle.NewGenerator(oracle.GeneratorOptions{Seed: seed, Keys: keys, Pad: 60}),
		Topic:     topic, Partitions: partitions, PerSecond: perSecond, Intents: true,
		Dial: func() (*kgo.Client, error) {
			return kgo.NewClient(
				kgo.SeedBrokers(brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
				kgo.ProducerBatchMaxBytes(1<<16), kgo.ProducerLinger(5*time.Millisecond), kgo.MetadataMinAge(500*time.Millisecond),
				kgo.UnknownTopicRetries(-1), kgo.MaxBufferedRecords(50_000),
			)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return feed
}
