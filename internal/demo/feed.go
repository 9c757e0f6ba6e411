package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/processors"
)

// feeder writes orders at an even rate, idempotently.
type feeder struct {
	sink       processors.Sink
	orders     *generator
	partitions int32
	rate       int
	fed        tally // acknowledged records; whole when run has returned
}

const feedEvery = 10 * time.Millisecond

// run feeds until ctx ends. What it has begun to write is written when it returns.
func (f *feeder) run(ctx context.Context) error {
	tick := time.NewTicker(feedEvery)
	defer tick.Stop()
	began, written := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		due := int(time.Since(began).Seconds() * float64(f.rate))
		// After a stall the rest is made up for slowly: a burst would only show in the latency.
		count := min(due-written, max(1, 4*f.rate/int(time.Second/feedEvery)))
		if err := f.write(count); err != nil {
			return fmt.Errorf("feed %s: %w", inputTopic, err)
		}
		written += count
	}
}

func (f *feeder) write(count int) error {
	if count <= 0 {
		return nil
	}
	messages := make([]message, count)
	for i := range messages {
		messages[i] = f.orders.message()
		m := &messages[i]
		err := f.sink.Append(&kafka.Outgoing{
			TopicPartition: kafka.TopicPartition{Topic: inputTopic, Partition: partitioner.Murmur2.Partition(m.key, f.partitions)},
			Timestamp:      time.Now().UnixMilli(),
			Key:            m.key,
			Value:          m.value,
		})
		if err != nil {
			return err
		}
	}
	// Not the caller's ctx: an end in the middle of a write would leave open which records were written.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := f.sink.Flush(ctx); err != nil {
		return err
	}
	for _, m := range messages {
		f.fed.add(m.key, m.value, m.bad)
	}
	return nil
}
