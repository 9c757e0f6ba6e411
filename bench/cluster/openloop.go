package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/measure"
)

// Pace writes a job's records at a fixed rate, whatever happens to them: record i is due at begun plus i/rate. It ends after
// the last record, or with ctx.
func (c *Cluster) Pace(ctx context.Context, j job.Job, d job.Data, begun time.Time, rate int) error {
	var failed firstError
	for i := 0; i < j.Records; {
		due := int(time.Since(begun).Seconds() * float64(rate))
		for ; i < min(due, j.Records); i++ {
			key, value := d.Record(i)
			c.client.Produce(ctx, &kgo.Record{Topic: j.Input, Partition: PartitionOf(key, j.Partitions), Key: key, Value: value}, failed.note)
		}
		if err := failed.get(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return c.client.Flush(ctx)
}

// Follow reads totals, committed ones only, as they appear, until it has seen as many as there are records: each is counted
// from when its order was due. Those of the first part, warm, are left out. arrived is called with how many were seen, each time
// that some arrive.
func (c *Cluster) Follow(ctx context.Context, j job.Job, begun time.Time, rate int, warm float64, arrived func(seen int)) (*measure.Latency, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...), kgo.ConsumeTopics(j.Output()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	l := measure.NewLatency()
	from := int(warm * float64(j.Records))
	for seen := 0; seen < j.Records; {
		wait, cancel := context.WithTimeout(ctx, patience)
		fetches := client.PollFetches(wait)
		cancel()
		if err := errors.Join(fetches.Err0(), ctx.Err()); err != nil {
			return nil, fmt.Errorf("%d of %d outputs: %w", seen, j.Records, err)
		}
		now := time.Now()
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			seen++
			t, err := job.ParseTotal(r.Value)
			if err != nil {
				failed = err
				return
			}
			i, err := job.Number(r.Key, t.LastSeq, j.Keys)
			if err != nil {
				failed = err
				return
			}
			if i >= from {
				l.Add(now.Sub(begun.Add(time.Duration(float64(i) / float64(rate) * float64(time.Second)))))
			}
		})
		if failed != nil {
			return nil, failed
		}
		arrived(seen)
	}
	return l, nil
}

// Committed is the end of the output for a read-committed reader, all partitions added up.
func (c *Cluster) Committed(ctx context.Context, j job.Job) (int64, error) {
	ends, err := c.admin.ListCommittedOffsets(ctx, j.Output())
	return total(ends), err
}

// Await waits for a new committed output.
func (c *Cluster) Await(ctx context.Context, j job.Job, s Subject, before int64) error {
	deadline := time.Now().Add(10 * time.Minute)
	for time.Now().Before(deadline) {
		now, err := c.Committed(ctx, j)
		if err = errors.Join(err, s.Exited(), ctx.Err()); err != nil || now > before {
			return err
		}
		time.Sleep(look)
	}
	return errors.New("no output in 10 minutes")
}

// Arrivals calls arrived for each committed output from now on, until ctx ends, which is no error.
func (c *Cluster) Arrivals(ctx context.Context, j job.Job, arrived func(partition int32, now time.Time)) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...), kgo.ConsumeTopics(j.Output()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil && ctx.Err() == nil {
			return err
		}
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) { arrived(r.Partition, now) })
	}
	return nil
}
