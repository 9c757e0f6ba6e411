package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/internal/kafka"
)

// runFloorWeir reads and writes on Weir's wire, with nothing between them: for a job with a store the changelog's bytes too.
func runFloorWeir(ctx context.Context, j job.Job, guarantee string) error {
	return floorWeir(ctx, j, guarantee, j.Store() != "")
}

// runFloorWeirOutput leaves the changelog out.
func runFloorWeirOutput(ctx context.Context, j job.Job, guarantee string) error {
	return floorWeir(ctx, j, guarantee, false)
}

func floorWeir(ctx context.Context, j job.Job, guarantee string, changelog bool) error {
	client, err := kafka.Dial(ctx, kafka.Config{Brokers: j.Brokers}, zap.NewNop())
	if err != nil {
		return err
	}
	defer client.Close()
	fetcher := client.NewFetcher(8 << 20)
	defer fetcher.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var tasks sync.WaitGroup
	failed := make([]error, j.Workers)
	for w := range j.Workers {
		tasks.Go(func() {
			failed[w] = (&weirLoop{Job: j, client: client, fetcher: fetcher, changelog: changelog}).run(ctx, w, guarantee)
			cancel()
		})
	}
	tasks.Wait()
	return errors.Join(failed...)
}

// weirLoop is one worker: some partitions and a sink.
type weirLoop struct {
	job.Job
	client    *kafka.Client
	fetcher   *kafka.Fetcher
	sink      *kafka.Sink
	changelog bool
	inbox     chan kafka.Batch
	done      map[kafka.TopicPartition]kafka.CommittedOffset // since the last commit
}

func (l *weirLoop) run(ctx context.Context, worker int, guarantee string) (err error) {
	id := ""
	if guarantee == ExactlyOnce {
		id = fmt.Sprintf("%s-%d", l.Group(), worker)
	}
	if l.sink, err = l.client.NewSink(ctx, id); err != nil {
		return err
	}
	defer l.sink.Close()
	l.inbox = make(chan kafka.Batch, 64)
	for p := worker; p < l.Partitions; p += l.Workers {
		tp := kafka.TopicPartition{Topic: l.Input, Partition: int32(p)}
		// The read-ahead of a partition bounds how many batches wait, so this send is as good as never blocked for long.
		l.fetcher.Start(tp, kafka.At(0), func(b kafka.Batch) {
			select {
			case l.inbox <- b:
			case <-ctx.Done():
			}
		})
	}
	l.done = map[kafka.TopicPartition]kafka.CommittedOffset{}
	commit := time.NewTicker(l.Interval)
	defer commit.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-l.inbox:
			err = l.work(b)
		case <-commit.C:
			err = l.commit(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (l *weirLoop) work(b kafka.Batch) error {
	if b.Err != nil {
		return b.Err
	}
	now := time.Now().UnixMilli()
	for i := range b.Records {
		r := &b.Records[i]
		out := kafka.Outgoing{TopicPartition: kafka.TopicPartition{Topic: l.Output(), Partition: b.Partition}, Timestamp: now, Key: r.Key, Value: job.FloorValue(l.Kind, r.Value)}
		if err := l.sink.Append(&out); err != nil {
			return err
		}
		if l.changelog {
			out.Topic = l.Changelog()
			if err := l.sink.Append(&out); err != nil {
				return err
			}
		}
	}
	l.fetcher.Release(b.TopicPartition, b.Bytes)
	l.done[b.TopicPartition] = kafka.CommittedOffset{Offset: b.Position, LeaderEpoch: b.LeaderEpoch}
	return nil
}

func (l *weirLoop) commit(ctx context.Context) error {
	if len(l.done) == 0 {
		return nil
	}
	if err := l.sink.Flush(ctx); err != nil {
		return err
	}
	if err := l.sink.Offsets(ctx, kafka.Member{Group: l.Group(), Generation: -1}, l.done); err != nil {
		return err
	}
	clear(l.done)
	return l.sink.Commit(ctx)
}
