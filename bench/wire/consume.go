package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/record"
)

// What was filled holds warmUp records more than are measured, so that the readers warm up on them.

func consumeWeir(ctx context.Context, cfg config, m *meter) error {
	client, err := dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	fetcher := client.NewFetcher(8 << 20)
	defer fetcher.Close()
	batches := make(chan kafka.Batch, 1024)
	for p := range cfg.Partitions {
		fetcher.Start(record.TopicPartition{Topic: cfg.Topic, Partition: int32(p)}, kafka.At(0), func(b kafka.Batch) { batches <- b })
	}
	c := counter{cfg: cfg, m: m}
	for !c.done() {
		b := <-batches
		if b.Err != nil {
			return b.Err
		}
		for i := range b.Records {
			c.bytes += len(b.Records[i].Value)
		}
		c.add(len(b.Records))
		fetcher.Release(b.TopicPartition, b.Bytes)
	}
	return c.check()
}

// counter counts records that were read, and measures once the first are in.
type counter struct {
	cfg   config
	m     *meter
	read  int
	from  int // where measuring began
	bytes int
}

func (c *counter) add(n int) {
	c.read += n
	if c.from == 0 && c.read >= warmUp {
		c.from = c.read
		c.m.start()
	}
	if c.done() {
		c.m.stop(c.read - c.from)
	}
}

func (c *counter) done() bool { return c.read >= c.cfg.Records+warmUp }

func (c *counter) check() error {
	if c.bytes != c.read*c.cfg.Size {
		return fmt.Errorf("%d bytes in %d records of %d", c.bytes, c.read, c.cfg.Size)
	}
	return nil
}

func consumeFranz(ctx context.Context, cfg config, m *meter) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.ConsumeTopics(cfg.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxPartitionBytes(int32(cfg.Fetch)))
	if err != nil {
		return err
	}
	defer client.Close()
	c := counter{cfg: cfg, m: m}
	for !c.done() {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		n := 0
		fetches.EachRecord(func(r *kgo.Record) {
			c.bytes += len(r.Value)
			n++
		})
		c.add(n)
	}
	return c.check()
}

func consumeSarama(ctx context.Context, cfg config, m *meter) error {
	sc := sarama.NewConfig()
	sc.Version = sarama.V2_8_0_0
	sc.ChannelBufferSize = 16 << 10
	sc.Consumer.IsolationLevel = sarama.ReadCommitted
	sc.Consumer.Fetch.Default = int32(cfg.Fetch)
	consumer, err := sarama.NewConsumer(cfg.Brokers, sc)
	if err != nil {
		return err
	}
	var read, bytes atomic.Int64
	wake := make(chan struct{}, 1)
	for p := range cfg.Partitions {
		pc, err := consumer.ConsumePartition(cfg.Topic, int32(p), sarama.OffsetOldest)
		if err != nil {
			return err
		}
		go func() {
			n, size := 0, 0
			for msg := range pc.Messages() {
				n++
				size += len(msg.Value)
				if n == 1000 || len(pc.Messages()) == 0 {
					read.Add(int64(n))
					bytes.Add(int64(size))
					n, size = 0, 0
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			}
		}()
	}
	c := counter{cfg: cfg, m: m}
	for !c.done() {
		<-wake
		c.add(int(read.Load()) - c.read)
	}
	c.bytes = int(bytes.Load())
	return nil // bytes and read are of different moments
}
