package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/record"
)

// warmUp is how many records go before the measured ones, of produce: connections, leaders, the producer's id.
const warmUp = 100_000

// values are what is written, in turn: bytes that do not repeat, so that compression has something to do.
func values(size int) [][]byte {
	const words = "stream partition offset leader epoch batch record broker commit order customer amount currency channel event "
	vs := make([][]byte, 64)
	for i := range vs {
		v := make([]byte, size)
		x := uint32(i*2654435761 + 1)
		for j := range v {
			if j%8 == 0 {
				x = x*1664525 + 1013904223
			}
			v[j] = words[(int(x>>8)+j%8)%len(words)]
		}
		vs[i] = v
	}
	return vs
}

func dial(ctx context.Context, cfg config) (*kafka.Client, error) {
	return kafka.Dial(ctx, kafka.Config{
		Brokers: cfg.Brokers,
		Sink:    kafka.SinkTuning{BatchSize: cfg.Batch, Compression: cfg.Compression},
		Fetch:   kafka.FetchTuning{MaxPartitionBytes: cfg.Fetch},
	}, zap.NewNop())
}

// openSink returns Weir's sink, without transactions, and how to close it.
func openSink(ctx context.Context, cfg config) (*kafka.Sink, func(), error) {
	client, err := dial(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	sink, err := client.NewSink(ctx, "")
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	return sink, func() {
		_ = sink.Close()
		client.Close()
	}, nil
}

// produce warms up by a first write and measures a second one. write ends with the last acknowledgement.
func produce(cfg config, m *meter, write func(records int) error) error {
	if err := write(warmUp); err != nil {
		return err
	}
	m.start()
	err := write(cfg.Records)
	m.stop(cfg.Records)
	return err
}

func produceWeir(ctx context.Context, cfg config, m *meter) error {
	sink, end, err := openSink(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	vs := values(cfg.Size)
	return produce(cfg, m, func(n int) error {
		now := time.Now().UnixMilli()
		for i := range n {
			if i&1023 == 0 {
				now = time.Now().UnixMilli()
			}
			r := kafka.Outgoing{TopicPartition: record.TopicPartition{Topic: cfg.Topic, Partition: int32(i % cfg.Partitions)}, Timestamp: now, Value: vs[i&63]}
			if err := sink.Append(&r); err != nil {
				return err
			}
		}
		return sink.Flush(ctx)
	})
}

var franzCodecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// franzProducer is franz-go as its documentation tunes it for throughput: idempotent and acks=all by default, large batches,
// many records buffered.
func franzProducer(cfg config, linger time.Duration) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.DefaultProduceTopic(cfg.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(linger), kgo.ProducerBatchMaxBytes(int32(cfg.Batch)), kgo.MaxBufferedRecords(250_000), kgo.MaxBufferedBytes(64<<20),
		kgo.ProducerBatchCompression(franzCodecs[cfg.Compression]))
}

func produceFranz(ctx context.Context, cfg config, m *meter) error {
	client, err := franzProducer(cfg, 5*time.Millisecond)
	if err != nil {
		return err
	}
	defer client.Close()
	vs := values(cfg.Size)
	pool := sync.Pool{New: func() any { return new(kgo.Record) }}
	var failed atomic.Pointer[error]
	done := func(r *kgo.Record, err error) {
		if err != nil {
			failed.Store(&err)
		}
		*r = kgo.Record{}
		pool.Put(r)
	}
	return produce(cfg, m, func(n int) error {
		for i := range n {
			r := pool.Get().(*kgo.Record)
			r.Partition, r.Value = int32(i%cfg.Partitions), vs[i&63]
			client.Produce(ctx, r, done)
		}
		if err := client.Flush(ctx); err != nil {
			return err
		}
		if err := failed.Load(); err != nil {
			return *err
		}
		return nil
	})
}

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func saramaProducer(cfg config, linger time.Duration) (sarama.AsyncProducer, error) {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	c.ChannelBufferSize = 16 << 10
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // sarama asks for that with Idempotent
	c.Producer.Compression = saramaCodecs[cfg.Compression]
	c.Producer.Partitioner = sarama.NewManualPartitioner
	if linger > 0 { // else it sends whenever nothing is under way
		c.Producer.Flush.Bytes, c.Producer.Flush.Frequency = cfg.Batch, linger
	}
	c.Producer.MaxMessageBytes = 1 << 20
	c.Producer.Return.Successes = true
	return sarama.NewAsyncProducer(cfg.Brokers, c)
}

func produceSarama(ctx context.Context, cfg config, m *meter) error {
	producer, err := saramaProducer(cfg, 5*time.Millisecond)
	if err != nil {
		return err
	}
	defer producer.Close()
	vs := values(cfg.Size)
	messages := sync.Pool{New: func() any { return new(sarama.ProducerMessage) }}
	return produce(cfg, m, func(n int) error {
		done := make(chan error, 1)
		go func() {
			for range n {
				select {
				case msg := <-producer.Successes():
					*msg = sarama.ProducerMessage{}
					messages.Put(msg)
				case err := <-producer.Errors():
					done <- err
					return
				}
			}
			done <- nil
		}()
		for i := range n {
			msg := messages.Get().(*sarama.ProducerMessage)
			msg.Topic, msg.Partition, msg.Value = cfg.Topic, int32(i%cfg.Partitions), sarama.ByteEncoder(vs[i&63])
			producer.Input() <- msg
		}
		return <-done
	})
}
