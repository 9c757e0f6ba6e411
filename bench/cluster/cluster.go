// Package cluster is the bench's own view of Kafka: it starts the cluster, feeds topics, watches an engine's progress from
// outside and compares outputs with the truth. It goes through franz-go, and never through what is measured.
package cluster

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/bench/measure"
	"github.com/weirstream/weir/internal/kafkatest"
)

// Cluster is a Kafka with one broker on this machine, or one elsewhere, whose processor time then is not known.
type Cluster struct {
	Brokers []string
	Version string
	pid     int
	own     *kafkatest.Cluster
	client  *kgo.Client
	admin   *kadm.Client
}

// production undoes what the harness sets so that tests notice failures within seconds: most of all a log cleaner that looks at
// every partition four times a second, which costs a broker with many partitions more than what is measured.
var production = map[string]string{
	"log.cleaner.backoff.ms":                                      "15000",
	"log.cleaner.dedupe.buffer.size":                              "134217728",
	"broker.heartbeat.interval.ms":                                "2000",
	"broker.session.timeout.ms":                                   "9000",
	"replica.lag.time.max.ms":                                     "30000",
	"transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000",
	"log.segment.delete.delay.ms":                                 "1000",
}

// Start starts a Kafka of the bench's own, with the compiler and the collector that a broker in production has.
func Start(ctx context.Context) (*Cluster, error) {
	if err := kafkatest.Missing(); err != nil {
		return nil, err
	}
	jvm := []string{"-XX:TieredStopAtLevel=4", "-XX:-UseSerialGC", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"}
	own, err := kafkatest.Run(ctx, kafkatest.Options{Brokers: 1, Heap: "1g", JVM: jvm, Config: production})
	if err != nil {
		return nil, err
	}
	c, err := Connect(ctx, own.Addrs())
	if err != nil {
		own.Close()
		return nil, err
	}
	c.own, c.Version = own, kafkatest.Version
	return c, nil
}

// Connect takes a Kafka that runs already.
func Connect(ctx context.Context, brokers []string) (*Cluster, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerBatchMaxBytes(512<<10), kgo.MaxBufferedRecords(100_000),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	c := &Cluster{Brokers: brokers, client: client, admin: kadm.NewClient(client)}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("no Kafka at %v: %w", brokers, err)
	}
	if v, err := c.admin.ApiVersions(ctx); err == nil {
		for _, b := range v {
			c.Version = b.VersionGuess()
		}
	}
	if host, port, err := net.SplitHostPort(brokers[0]); err == nil && (host == "127.0.0.1" || host == "localhost") {
		n, _ := strconv.Atoi(port)
		c.pid = measure.Listener(n)
	}
	return c, nil
}

// Close stops the bench's own Kafka.
func (c *Cluster) Close() {
	c.client.Close()
	if c.own != nil {
		c.own.Close()
	}
}

// Usage is that of the broker.
func (c *Cluster) Usage() measure.Usage {
	if c.pid == 0 {
		return measure.Usage{}
	}
	return measure.UsageOf(c.pid)
}
