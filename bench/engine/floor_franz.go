package engine

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/bench/job"
)

// runFloorFranz reads and writes with franz-go, as its own examples of a transform do.
func runFloorFranz(ctx context.Context, j job.Job, guarantee string) error {
	opts := []kgo.Opt{
		kgo.SeedBrokers(j.Brokers...), kgo.ConsumerGroup(j.Group()), kgo.ConsumeTopics(j.Input),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(512 << 10), kgo.MaxBufferedRecords(200_000),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5 * time.Millisecond), kgo.SessionTimeout(10 * time.Second),
	}
	if guarantee == AtLeastOnce {
		client, err := kgo.NewClient(append(opts, kgo.DisableAutoCommit())...)
		if err != nil {
			return err
		}
		defer client.Close()
		return franzLoop(ctx, j, client.PollRecords, client.Produce, func() error {
			return errors.Join(client.Flush(ctx), client.CommitUncommittedOffsets(ctx))
		})
	}
	s, err := kgo.NewGroupTransactSession(append(opts, kgo.TransactionalID(j.Group()), kgo.RequireStableFetchOffsets())...)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Begin(); err != nil {
		return err
	}
	return franzLoop(ctx, j, s.PollRecords, s.Produce, func() error {
		if _, err := s.End(ctx, kgo.TryCommit); err != nil {
			return err
		}
		return s.Begin()
	})
}

func franzLoop(ctx context.Context, j job.Job, poll func(context.Context, int) kgo.Fetches,
	produce func(context.Context, *kgo.Record, func(*kgo.Record, error)), commit func() error) error {
	failed := make(chan error, 1)
	acked := func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	next, open := time.Now().Add(j.Interval), false
	for ctx.Err() == nil {
		wait, cancel := context.WithDeadline(ctx, next)
		poll(wait, 20_000).EachRecord(func(r *kgo.Record) {
			open = true
			value := job.FloorValue(j.Kind, r.Value)
			produce(ctx, &kgo.Record{Topic: j.Output(), Partition: r.Partition, Key: r.Key, Value: value}, acked)
			if j.Store() != "" {
				produce(ctx, &kgo.Record{Topic: j.Changelog(), Partition: r.Partition, Key: r.Key, Value: value}, acked)
			}
		})
		cancel()
		select {
		case err := <-failed:
			return err
		default:
		}
		if time.Now().Before(next) {
			continue
		}
		if open {
			if err := commit(); err != nil && ctx.Err() == nil {
				return err
			}
		}
		next, open = time.Now().Add(j.Interval), false
	}
	return nil
}
