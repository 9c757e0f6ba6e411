package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/bench/job"
)

// Verify reads a whole topic, committed records only, and gives them to a check.
func (c *Cluster) Verify(ctx context.Context, topic string, check job.Check, exactly bool) error {
	if err := c.Read(ctx, topic, check.Add); err != nil {
		return err
	}
	return check.Done(exactly)
}

// Read gives all committed records of a topic to each, in the order of their partitions.
func (c *Cluster) Read(ctx context.Context, topic string, each func(key, value []byte) error) error {
	ends, err := c.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return err
	}
	left := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition], from[o.Partition] = o.Offset, kgo.NewOffset().At(0)
		}
	})
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		wait, cancel := context.WithTimeout(ctx, 30*time.Second)
		fetches := client.PollFetches(wait)
		cancel()
		if err := errors.Join(fetches.Err0(), ctx.Err()); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() && failed == nil {
				failed = each(r.Key, r.Value)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}
