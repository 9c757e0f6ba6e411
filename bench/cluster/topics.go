package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/bench/job"
)

// Prepare makes the topics that a run writes to.
func (c *Cluster) Prepare(ctx context.Context, j job.Job) error {
	topics := []string{j.Output(), j.Changelog()}
	if j.Kind == job.Shuffle {
		topics = append(topics, j.Middle())
	}
	if err := c.create(ctx, j.Partitions, nil, topics...); err != nil {
		return err
	}
	if j.Store() == "" {
		return nil
	}
	compact := "compact"
	// Weir's name and that of Kafka Streams; goka makes its own.
	logs := []string{j.Group() + "-" + j.Store() + "-changelog"}
	if j.Kind == job.Dedup {
		logs = append(logs, j.Group()+"-"+j.Store()+"-ids-changelog")
	}
	return c.create(ctx, j.Partitions, map[string]*string{"cleanup.policy": &compact}, logs...)
}

func (c *Cluster) create(ctx context.Context, partitions int, configs map[string]*string, topics ...string) error {
	res, err := c.admin.CreateTopics(ctx, int32(partitions), -1, configs, topics...)
	if err != nil {
		return fmt.Errorf("create %s: %w", strings.Join(topics, ", "), err)
	}
	for _, t := range res.Sorted() {
		if t.Err != nil {
			return fmt.Errorf("create %s: %w", t.Topic, t.Err)
		}
	}
	// The controller has them, and the broker hears of them in a while: an engine that looks at once finds some missing.
	return c.await(ctx, topics, func(all kadm.TopicDetails) bool {
		return !slices.ContainsFunc(topics, func(name string) bool { return len(all[name].Partitions) != partitions })
	})
}

// Remove deletes what a run left: the disk of a long comparison is bounded by one run's.
func (c *Cluster) Remove(ctx context.Context, j job.Job) error {
	all, err := c.admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	names := all.Names()
	names = slices.DeleteFunc(names, func(name string) bool {
		return name != j.Output() && name != j.Middle() && !strings.HasPrefix(name, j.Group()+"-")
	})
	_, err = c.admin.DeleteTopics(ctx, names...)
	_, _ = c.admin.DeleteGroups(ctx, j.Group())
	return errors.Join(err, c.awaitGone(ctx, names))
}

// awaitGone waits until topics are deleted: a broker that still deletes partitions is slow for the next engine.
func (c *Cluster) awaitGone(ctx context.Context, names []string) error {
	return c.await(ctx, nil, func(all kadm.TopicDetails) bool { return !slices.ContainsFunc(names, all.Has) })
}

// await lists topics, all of them where none are named, until they are as they should be.
func (c *Cluster) await(ctx context.Context, names []string, done func(kadm.TopicDetails) bool) error {
	for {
		all, err := c.admin.ListTopics(ctx, names...)
		if err != nil || done(all) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// MakeInput makes the topic that a run reads, and that of its dead letters.
func (c *Cluster) MakeInput(ctx context.Context, j job.Job) error {
	appended := "LogAppendTime"
	return errors.Join(c.create(ctx, j.Partitions, nil, j.Input),
		c.create(ctx, j.Partitions, map[string]*string{"message.timestamp.type": &appended}, j.Input+".dlq"))
}

// Feed makes the input and writes it. progress is called now and then with the records written so far.
func (c *Cluster) Feed(ctx context.Context, j job.Job, d job.Data, progress func(n int)) error {
	if err := c.MakeInput(ctx, j); err != nil {
		return err
	}
	return c.write(ctx, j, d, 0, j.Records, progress)
}

// Write writes the records from one number to before another.
func (c *Cluster) Write(ctx context.Context, j job.Job, d job.Data, from, to int) error {
	return c.write(ctx, j, d, from, to, func(int) {})
}

func (c *Cluster) write(ctx context.Context, j job.Job, d job.Data, from, to int, progress func(n int)) error {
	var failed firstError
	for i := from; i < to; i++ {
		key, value := d.Record(i)
		c.client.Produce(ctx, &kgo.Record{Topic: j.Input, Partition: PartitionOf(key, j.Partitions), Key: key, Value: value}, failed.note)
		if i%50_000 == 0 {
			progress(i)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return errors.Join(c.client.Flush(ctx), failed.get())
}

// firstError is the first failure of records that are written.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) note(_ *kgo.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil && err != nil {
		f.err = fmt.Errorf("write the input: %w", err)
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// RemoveInput deletes what Feed made.
func (c *Cluster) RemoveInput(ctx context.Context, j job.Job) error {
	_, err := c.admin.DeleteTopics(ctx, j.Input, j.Input+".dlq")
	return err
}

// Each engine hashes keys in its own way; inputs follow Java's, so that all read the same partitions.
var murmur = kgo.StickyKeyPartitioner(nil).ForTopic("")

// PartitionOf is the partition of a key in an input.
func PartitionOf(key []byte, n int) int32 {
	return int32(murmur.Partition(&kgo.Record{Key: key}, n))
}

func total(offsets kadm.ListedOffsets) (sum int64) {
	offsets.Each(func(o kadm.ListedOffset) { sum += max(0, o.Offset) })
	return sum
}
