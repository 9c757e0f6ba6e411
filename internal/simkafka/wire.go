package simkafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// retry makes a request that only reads until it is answered, for as long as CallTimeout.
func (p *Process) retry(ctx context.Context, op Op, what string, effect func() error) error {
	deadline := time.Now().Add(p.c.cfg.CallTimeout)
	for try := 1; ; try++ {
		_, err := p.request(ctx, what, op, "", effect) // what is the actor: tasks ask at the same time
		if err == nil {
			return nil
		}
		again := errors.Is(err, errCut) || errors.Is(err, errUnstableOffset)
		if !again || time.Now().After(deadline) && try > 3 { // after a pause the time is up at once
			if denied, ok := errors.AsType[*kafka.BlockedError](err); ok {
				return denied
			}
			if op == OpList && errors.Is(err, errUnknownTopic) { // somebody may make it again
				return &kafka.BlockedError{TopicPartition: kafka.TopicPartition{Partition: -1}, Op: fmt.Sprintf("%s of %s", op, what), Err: err, Remedy: "make the topic"}
			}
			class := kafka.Retriable
			if errors.Is(err, errUnknownTopic) || errors.Is(err, errTopicDiffers) {
				class = kafka.Fatal
			}
			return &kafka.Error{Class: class, Op: fmt.Sprintf("%s of %s", op, what), Err: err}
		}
		if err := p.sleep(ctx, 10*time.Millisecond); err != nil {
			return &kafka.Error{Class: kafka.Retriable, Op: fmt.Sprintf("%s of %s", op, what), Err: err}
		}
	}
}

// Committed implements processors.Wire: it waits for offsets in open transactions (UNSTABLE_OFFSET_COMMIT).
func (p *Process) Committed(ctx context.Context, group string, tps []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	return p.committed(ctx, group, tps, true)
}

// CommittedNow implements processors.Wire.
func (p *Process) CommittedNow(ctx context.Context, group string, tps []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	return p.committed(ctx, group, tps, false)
}

func (p *Process) committed(ctx context.Context, group string, tps []kafka.TopicPartition, stable bool) (map[kafka.TopicPartition]kafka.CommittedOffset, error) {
	var out map[kafka.TopicPartition]kafka.CommittedOffset
	err := p.retry(ctx, OpCommitted, fmt.Sprint(group, tps), func() error {
		g := p.c.group(group)
		got := map[kafka.TopicPartition]kafka.CommittedOffset{}
		for _, tp := range tps {
			for _, pending := range g.pending {
				if _, ok := pending[tp]; ok && stable {
					return errUnstableOffset
				}
			}
			got[tp] = kafka.NoOffset
			if o, ok := g.offsets[tp]; ok {
				got[tp] = o
			}
		}
		out = got
		return nil
	})
	return out, err
}

// Ends implements processors.Wire.
func (p *Process) Ends(ctx context.Context, tps []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error) {
	return p.list(ctx, "ends", tps, func(log *partition) int64 { return log.next })
}

// EpochEnds implements processors.Wire.
func (p *Process) EpochEnds(ctx context.Context, epochs map[kafka.TopicPartition]int32) (map[kafka.TopicPartition]kafka.EpochEnd, error) {
	var out map[kafka.TopicPartition]kafka.EpochEnd
	err := p.retry(ctx, OpList, fmt.Sprint("epochs", epochs), func() error {
		got := map[kafka.TopicPartition]kafka.EpochEnd{}
		for tp, epoch := range epochs {
			if denied := p.c.denial(OpList, tp); denied != nil {
				return denied
			}
			log := p.c.partition(tp)
			if log == nil {
				return fmt.Errorf("%s: %w", tp, errUnknownTopic)
			}
			got[tp] = log.epochEnd(epoch)
		}
		out = got
		return nil
	})
	return out, err
}

// Starts implements processors.Wire.
func (p *Process) Starts(ctx context.Context, tps []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error) {
	return p.list(ctx, "starts", tps, func(log *partition) int64 { return log.start })
}

// OffsetsFor implements processors.Wire.
func (p *Process) OffsetsFor(ctx context.Context, tps []kafka.TopicPartition, at time.Time) (map[kafka.TopicPartition]int64, error) {
	return p.list(ctx, "offsets by time", tps, func(log *partition) int64 {
		for _, e := range log.entries {
			if !e.marker && e.record.Timestamp >= at.UnixMilli() {
				return e.record.Offset
			}
		}
		return -1
	})
}

func (p *Process) list(ctx context.Context, what string, tps []kafka.TopicPartition, of func(*partition) int64) (map[kafka.TopicPartition]int64, error) {
	var out map[kafka.TopicPartition]int64
	err := p.retry(ctx, OpList, fmt.Sprint(what, tps), func() error {
		got := map[kafka.TopicPartition]int64{}
		if denied := p.c.denial(OpList, tps...); denied != nil {
			return denied
		}
		for _, tp := range tps {
			log := p.c.partition(tp)
			if log == nil {
				return fmt.Errorf("%s: %w", tp, errUnknownTopic)
			}
			got[tp] = of(log)
		}
		out = got
		return nil
	})
	return out, err
}

// ClusterID implements processors.Wire. It always answers.
func (p *Process) ClusterID(context.Context) (string, error) { return p.c.cfg.ID, nil }

// Topics implements processors.Wire.
func (p *Process) Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error) {
	var out map[string]kafka.TopicInfo
	err := p.retry(ctx, OpTopics, fmt.Sprint(names), func() error {
		got := map[string]kafka.TopicInfo{}
		for _, name := range names {
			if denied := p.c.denial(OpTopics, kafka.TopicPartition{Topic: name}); denied != nil {
				return denied
			}
			if t := p.c.topics[name]; t != nil {
				got[name] = t.info
			}
		}
		out = got
		return nil
	})
	return out, err
}

// TopicNames implements processors.Wire.
func (p *Process) TopicNames(ctx context.Context) (names []string, err error) {
	err = p.retry(ctx, OpTopics, "all names", func() error {
		names = slices.Sorted(maps.Keys(p.c.topics))
		return nil
	})
	return names, err
}

// ValidateTopics implements processors.Wire: the model has cfg.Brokers brokers.
func (p *Process) ValidateTopics(ctx context.Context, specs []kafka.TopicSpec) (map[string]error, error) {
	refused := map[string]error{}
	err := p.retry(ctx, OpCreate, fmt.Sprint("validate ", len(specs), " topics"), func() error {
		for _, spec := range specs {
			if err := p.c.wouldCreate(spec); err != nil {
				refused[spec.Name] = err
			}
		}
		return nil
	})
	return refused, err
}

// CreateTopics implements processors.Wire. A topic that exists already is an error only when it is another than wanted.
func (p *Process) CreateTopics(ctx context.Context, specs []kafka.TopicSpec) error {
	return p.retry(ctx, OpCreate, fmt.Sprint(len(specs), " topics"), func() error {
		for _, spec := range specs {
			err := p.c.createTopic(spec)
			if errors.Is(err, errTopicExists) && p.c.topics[spec.Name].is(spec) {
				continue
			}
			if err != nil {
				return fmt.Errorf("%w: %w", errTopicDiffers, err)
			}
		}
		return nil
	})
}
