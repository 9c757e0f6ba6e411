//go:build integration

package recordbatch

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/weirstream/weir/internal/kafkatest"
)

var writeGolden = flag.Bool("golden.write", false, "rewrite testdata/java with what Kafka's Java code writes")

// Kafka's Java producer writes to a broker, which answers a fetch with its batches, and Java says what they hold: we read the same.
// With -golden.write the batches are kept.
func TestWhatKafkasJavaWritesIsRead(t *testing.T) {
	kafkatest.Require(t)
	cluster := kafkatest.Start(t, kafkatest.Options{})
	if cluster.External() {
		t.Skip("needs Kafka's jars")
	}
	dir := t.TempDir()
	if *writeGolden {
		dir = filepath.Join("testdata", "java")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	// The last versions that know topics by name.
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...), kgo.MaxVersions(kversion.V3_0_0()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics := []string{"transactions"}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topics = append(topics, "compressed-"+codec)
	}
	forever := "-1"
	created, err := kadm.NewClient(client).CreateTopics(ctx, 1, 1, map[string]*string{"retention.ms": &forever}, topics...)
	if err != nil || created.Error() != nil {
		t.Fatal(err, created.Error())
	}
	program := filepath.Join("testdata", "java", "Golden.java")
	cluster.RunTool(t, ctx, program, "produce", cluster.Addrs()[0])
	for _, topic := range topics {
		if err := os.WriteFile(filepath.Join(dir, topic+".bin"), stored(t, ctx, client, topic), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cluster.RunTool(t, ctx, program, "describe", dir)
	readAsJava(t, dir)
}

// stored is what a broker sends of a topic's partition 0, when no transaction is open: a fetch for each segment.
func stored(t *testing.T, ctx context.Context, client *kgo.Client, topic string) (raw []byte) {
	t.Helper()
	for from := int64(0); ; {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes = 1 << 20
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic = topic
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.FetchOffset, rp.PartitionMaxBytes = from, 1<<20
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		res, err := req.RequestWith(ctx, client)
		if err != nil {
			t.Fatal(err)
		}
		part := res.Topics[0].Partitions[0]
		if part.ErrorCode != 0 {
			t.Fatalf("%s: code %d", topic, part.ErrorCode)
		}
		raw = append(raw, part.RecordBatches...)
		for rest := part.RecordBatches; ; {
			var b Batch
			if b, rest, err = Next(rest); err != nil {
				break
			}
			from = b.Last + 1
		}
		if clean(err) != nil {
			t.Fatal(err)
		}
		if from == part.HighWatermark && from == part.LastStableOffset {
			return raw
		}
	}
}
