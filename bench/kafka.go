package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The topics of a run.
func inputTopic(suffix string) string  { return "order.placed" + suffix + ".v1" }
func outputTopic(suffix string) string { return "customer.total" + suffix + ".v1" }
func groupName(suffix string) string   { return "customer-totals" + suffix }

// cluster is a client that no engine under test is built on.
type cluster struct {
	client *kgo.Client
	admin  *kadm.Client
}

func connect(cfg config) (*cluster, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.brokers...), kgo.ProducerBatchMaxBytes(512<<10),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return nil, err
	}
	return &cluster{client, kadm.NewClient(client)}, nil
}

func (c *cluster) close() { c.client.Close() }

// feed makes the topics and writes the input: records of about 230 bytes, every key the same number of times, in order.
func (c *cluster) feed(ctx context.Context, cfg config, suffix string) error {
	for _, t := range []string{inputTopic(suffix), outputTopic(suffix), inputTopic(suffix) + ".dlq"} {
		if _, err := c.admin.CreateTopic(ctx, int32(cfg.partitions), -1, nil, t); err != nil {
			return fmt.Errorf("create %s: %w", t, err)
		}
	}
	compact := "compact"
	for _, t := range []string{groupName(suffix) + "-totals-changelog", groupName(suffix) + "-table"} {
		if _, err := c.admin.CreateTopic(ctx, int32(cfg.partitions), -1, map[string]*string{"cleanup.policy": &compact}, t); err != nil {
			return fmt.Errorf("create %s: %w", t, err)
		}
	}
	seqs := make([]int64, cfg.keys)
	var failed error
	for i := range cfg.records {
		k := (i * 7919) % cfg.keys
		seqs[k]++
		customer := fmt.Sprintf("customer-%07d", k)
		value := fmt.Appendf(nil, `{"event_id":"%032x","seq":%d,"customer":"%s","amount_cents":%d,"currency":"EUR","channel":"web","note":"%s"}`,
			i, seqs[k], customer, i%10000, "an order of a benchmark, padded to the size of a usual one, with nothing in it")
		// Each engine hashes keys in its own way; the partitions follow Java's, by key number, so all see the same.
		c.client.Produce(ctx, &kgo.Record{Topic: inputTopic(suffix), Partition: c.partition(customer, cfg.partitions), Key: []byte(customer), Value: value},
			func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err
				}
			})
	}
	if err := c.client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

var murmur = kgo.StickyKeyPartitioner(nil).ForTopic("")

func (c *cluster) partition(key string, n int) int32 {
	return int32(murmur.Partition(&kgo.Record{Key: []byte(key)}, n))
}

// watch waits until every input has its output, and says how long that took from the first on.
func (c *cluster) watch(ctx context.Context, cfg config, suffix string, exited <-chan error) (time.Duration, error) {
	var first time.Time
	var before int64
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Minute)
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case err := <-exited:
			return 0, fmt.Errorf("the engine ended before its work was done: %v", err)
		case <-deadline:
			return 0, fmt.Errorf("%d of %d outputs after 5 minutes", before, cfg.records)
		case <-tick.C:
		}
		ends, err := c.admin.ListCommittedOffsets(ctx, outputTopic(suffix))
		if err != nil {
			return 0, err
		}
		var sum int64
		ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
		now := time.Now()
		if sum > 0 && first.IsZero() {
			first, before = now, sum
		}
		if sum >= int64(cfg.records) {
			return now.Sub(first), nil
		}
		before = sum
	}
}
