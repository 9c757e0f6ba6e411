package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/record"
)

// Latency is measured in an open loop: record i is due at its time, start + i/rate, and its latency counts from then, also
// when whoever should have written it was held up. The first second is not measured.

// schedule is when records are due.
type schedule struct {
	start time.Time
	gap   time.Duration
	total int
	warm  int
}

func newSchedule(cfg config) schedule {
	return schedule{start: time.Now(), gap: time.Second / time.Duration(cfg.Rate), total: int(cfg.Duration.Seconds()*float64(cfg.Rate)) + cfg.Rate, warm: cfg.Rate}
}

func (s *schedule) due(i int) time.Time { return s.start.Add(time.Duration(i) * s.gap) }

// ready is how many records are due by now. It waits for the next when all before it were written.
func (s *schedule) ready(written int) int {
	if wait := time.Until(s.due(written)); wait > 0 {
		time.Sleep(wait)
	}
	return min(s.total, max(written+1, int(time.Since(s.start)/s.gap)+1))
}

// latencyWeir writes what is due, flushes, and writes what has become due meanwhile, which is how a sink is used by those who
// answer for each record: a batch is what arrived while the one before was under way.
func latencyWeir(ctx context.Context, cfg config, m *meter) error {
	sink, end, err := openSink(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	vs := values(cfg.Size)
	s := newSchedule(cfg)
	m.times = make([]time.Duration, 0, s.total)
	for i := 0; i < s.total; {
		first, due := i, s.ready(i)
		now := time.Now().UnixMilli()
		for ; i < due; i++ {
			r := kafka.Outgoing{TopicPartition: record.TopicPartition{Topic: cfg.Topic, Partition: int32(i % cfg.Partitions)}, Timestamp: now, Value: vs[i&63]}
			if err := sink.Append(&r); err != nil {
				return err
			}
		}
		if err := sink.Flush(ctx); err != nil {
			return err
		}
		acknowledged := time.Now()
		for ; first < due; first++ {
			if first == s.warm {
				m.start()
			}
			if first >= s.warm {
				m.times = append(m.times, acknowledged.Sub(s.due(first)))
			}
		}
	}
	m.stop(len(m.times))
	return nil
}

func latencyFranz(ctx context.Context, cfg config, m *meter) error {
	client, err := franzProducer(cfg, 0)
	if err != nil {
		return err
	}
	defer client.Close()
	vs := values(cfg.Size)
	s := newSchedule(cfg)
	m.times = make([]time.Duration, s.total)
	var failed error // promises are called one at a time
	for i := 0; i < s.total; {
		for end := s.ready(i); i < end; i++ {
			if i == s.warm {
				m.start()
			}
			n := i
			client.Produce(ctx, &kgo.Record{Partition: int32(i % cfg.Partitions), Value: vs[i&63]}, func(_ *kgo.Record, err error) {
				m.times[n] = time.Since(s.due(n))
				failed = errors.Join(failed, err)
			})
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	m.times = m.times[s.warm:]
	m.stop(len(m.times))
	return failed
}

func latencySarama(ctx context.Context, cfg config, m *meter) error {
	producer, err := saramaProducer(cfg, 0)
	if err != nil {
		return err
	}
	vs := values(cfg.Size)
	s := newSchedule(cfg)
	m.times = make([]time.Duration, s.total)
	var reading sync.WaitGroup
	var failed error
	reading.Go(func() {
		for range s.total {
			select {
			case msg := <-producer.Successes():
				i := msg.Metadata.(int)
				m.times[i] = time.Since(s.due(i))
			case err := <-producer.Errors():
				failed = errors.Join(failed, err)
			}
		}
	})
	for i := 0; i < s.total; {
		for end := s.ready(i); i < end; i++ {
			if i == s.warm {
				m.start()
			}
			producer.Input() <- &sarama.ProducerMessage{Topic: cfg.Topic, Partition: int32(i % cfg.Partitions), Value: sarama.ByteEncoder(vs[i&63]), Metadata: i}
		}
	}
	reading.Wait()
	m.times = m.times[s.warm:]
	m.stop(len(m.times))
	return errors.Join(failed, producer.Close())
}
