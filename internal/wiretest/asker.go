package wiretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// patience is how long something that must happen may take, on brokers that share two busy cores.
const patience = 30 * time.Second

// asker puts one question. Topics, groups and transactional ids are its own.
type asker struct {
	t        *testing.T
	c        Cluster
	settings Settings
	prefix   string
	topics   int
	wire     processors.Wire
	said     []string
}

func (a *asker) say(format string, args ...any) {
	a.said = append(a.said, fmt.Sprintf(format, args...))
}

// result reports the result of a call, by what it means to the caller.
func (a *asker) result(call string, err error) { a.say("%s: %s", call, verdict(err)) }

func verdict(err error) string {
	var refused *kafka.RefusedError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, kafka.ErrStaleGeneration):
		return "stale generation"
	case errors.As(err, &refused):
		if len(refused.Limits) > 0 {
			return fmt.Sprintf("refused for %s, record %d", strings.Join(refused.Limits, " and "), refused.Origin)
		}
		return fmt.Sprint("refused, record ", refused.Origin)
	}
	return kafka.ClassOf(err).String()
}

// ok ends the question when something fails that is not in question.
func (a *asker) ok(errs ...error) {
	a.t.Helper()
	if err := errors.Join(errs...); err != nil {
		a.t.Fatalf("after %q: %v", a.said, err)
	}
}

// until waits for something that must come true.
func (a *asker) until(what string, is func() bool) {
	a.t.Helper()
	for since := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(since) > patience {
			a.t.Fatalf("waited in vain: %s; said so far:\n%s", what, strings.Join(a.said, "\n"))
		}
	}
}

func (a *asker) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	a.t.Cleanup(cancel)
	return ctx
}

// topic makes a topic. Settings are pairs of name and value.
func (a *asker) topic(partitions int32, settings ...string) string {
	a.t.Helper()
	a.topics++
	spec := kafka.TopicSpec{Name: fmt.Sprintf("%s-%d", a.prefix, a.topics), Partitions: partitions, ReplicationFactor: 1, Config: map[string]string{}}
	for pair := range slices.Chunk(settings, 2) {
		spec.Config[pair[0]] = pair[1]
	}
	a.ok(a.wire.CreateTopics(a.context(), []kafka.TopicSpec{spec}))
	a.until("the topic is there", func() bool {
		infos, err := a.wire.Topics(a.context(), []string{spec.Name})
		return err == nil && len(infos) == 1
	})
	return spec.Name
}

func (a *asker) group() string            { return a.prefix }
func (a *asker) id(name string) string    { return a.prefix + "-" + name }
func (a *asker) stranger() kafka.Member   { return kafka.Member{Group: a.group(), Generation: -1} }
func (a *asker) process() processors.Wire { w, _ := a.c.Wire(a.t); return w }

// sink makes a sink, which ends with the question.
func (a *asker) sink(w processors.Wire, name string) processors.Sink {
	a.t.Helper()
	s, err := w.NewSink(a.context(), name)
	a.ok(err)
	a.t.Cleanup(func() { _ = s.Close() })
	return s
}

// write appends records with their numbers from 1 on as origins.
func write(s processors.Sink, tp kafka.TopicPartition, values ...string) error {
	for i, v := range values {
		r := &kafka.Outgoing{TopicPartition: tp, Timestamp: 1_700_000_000_000, Key: []byte("key"), Value: []byte(v), Origin: int64(i + 1)}
		if err := s.Append(r); err != nil {
			return err
		}
	}
	return nil
}

func at(topic string, partition int32) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: topic, Partition: partition}
}

// read says what a reader gets from an offset on until it has to wait, and where it then is.
func (a *asker) read(what string, tp kafka.TopicPartition, from int64) {
	a.t.Helper()
	a.say("%s: %s", what, a.reading(tp, from, func(b kafka.Batch) bool { return b.Position >= b.LastStableOffset }))
}

// settled is read when every transaction has ended.
func (a *asker) settled(what string, tp kafka.TopicPartition, from int64) {
	a.t.Helper()
	a.say("%s: %s", what, a.reading(tp, from, func(b kafka.Batch) bool { return b.Position >= b.HighWatermark }))
}

func (a *asker) reading(tp kafka.TopicPartition, from int64, enough func(kafka.Batch) bool) string {
	a.t.Helper()
	f, err := a.wire.NewFetcher()
	a.ok(err)
	defer func() { _ = f.Close() }()
	batches := make(chan kafka.Batch, 4096)
	f.Start(tp, kafka.At(from), func(b kafka.Batch) { batches <- b })
	var values []string
	for {
		select {
		case b := <-batches:
			var gone *kafka.OffsetOutOfRangeError
			if errors.As(b.Err, &gone) {
				return fmt.Sprintf("out of range of %d to %d", gone.Start, gone.End)
			}
			a.ok(b.Err)
			for _, r := range b.Records {
				values = append(values, fmt.Sprintf("%d=%s", r.Offset, r.Value))
			}
			if enough(b) {
				return fmt.Sprintf("%s; position %d, stable %d, end %d", strings.Join(values, " "), b.Position, b.LastStableOffset, b.HighWatermark)
			}
		case <-time.After(patience):
			a.t.Fatalf("no end of %s; so far %q; said:\n%s", tp, values, strings.Join(a.said, "\n"))
		}
	}
}

// committed says the group's offset of a partition.
func (a *asker) committed(tp kafka.TopicPartition) {
	a.t.Helper()
	offsets, err := a.wire.Committed(a.context(), a.group(), []kafka.TopicPartition{tp})
	a.ok(err)
	a.say("committed offset: %d", offsets[tp].Offset)
}

func offset(tp kafka.TopicPartition, n int64) map[kafka.TopicPartition]kafka.CommittedOffset {
	return map[kafka.TopicPartition]kafka.CommittedOffset{tp: {Offset: n, LeaderEpoch: -1}}
}
