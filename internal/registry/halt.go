package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// haltedError says that reading stands at an offset: a batch is damaged there, or the brokers refuse the topic. What was read before it
// is true still, and what comes after it is not known: ids may be given there, and versions.
type haltedError struct {
	topic  kafka.TopicPartition
	offset int64
	loaded bool // the topic had been read to its end before
	err    error
}

func (e *haltedError) Error() string { return e.cause() + ". " + e.remedy() }
func (e *haltedError) Unwrap() error { return e.err }

func (e *haltedError) cause() string {
	return fmt.Sprintf("topic %s, partition %d, cannot be read on from offset %d: %v", e.topic.Topic, e.topic.Partition, e.offset, e.err)
}

func (e *haltedError) remedy() string {
	effect := "Nothing is answered, because what was read is not all"
	if e.loaded {
		effect = "What was read before is still answered, and nothing is changed"
	}
	var blocked *kafka.BlockedError
	var damaged *kafka.CorruptBatchError
	switch {
	case errors.As(e.err, &blocked) && blocked.Remedy != "":
		return effect + ". Reading is retried all the time: " + blocked.Remedy
	case !errors.As(e.err, &damaged):
		return effect + ". Reading is retried all the time: see why the brokers refuse it"
	case e.loaded:
		return effect + ". Restore the partition's log on its brokers; reading then continues by itself. Until then do not restart this server, " +
			"which has the schemas in memory, and save them with weir schema export"
	}
	return effect + ". Restore the partition's log on its brokers; reading then continues by itself. If that is not possible, export the schemas from another server " +
		"of this registry that still answers, or take an export from before, recreate the topic and import them"
}

// fail looks at what ended reading. Where the log is another one than what was read, because it was truncated or recreated, it is read
// again from its start. Everything else leaves true what was read. l.mu is held.
func (l *Log) fail(err error) {
	var gone *kafka.OffsetOutOfRangeError
	var recreated *kafka.TopicRecreatedError
	var truncated *kafka.TruncatedError
	var blocked *kafka.BlockedError
	if errors.As(err, &gone) || errors.As(err, &recreated) || errors.As(err, &truncated) || errors.As(err, &blocked) && blocked.Missing() {
		l.reload(err)
		return
	}
	l.halt(err)
}

// halt keeps the state, and has reading tried again from where it stands. l.mu is held.
func (l *Log) halt(err error) {
	halted := &haltedError{l.topic, l.state.next, l.loaded, err}
	if l.failure == nil || l.failure.Error() != halted.Error() {
		l.log.Error("the topic cannot be read on", zap.String("topic", l.topic.Topic), zap.Int32("partition", l.topic.Partition), zap.Int64("offset", halted.offset),
			zap.Error(err), zap.String("remedy", halted.remedy()))
	}
	l.failure = halted
	l.announce()
	l.later(func(ctx context.Context) {
		ends, err := l.client.Ends(ctx, []kafka.TopicPartition{l.topic})
		l.mu.Lock()
		if err == nil {
			l.end = max(l.end, ends[l.topic])
		}
		from := l.from
		l.mu.Unlock()
		l.fetcher.Start(l.topic, from, l.deliver)
	})
}

// resume looks whether a batch has passed the place where reading stood. Each offset that had a record there and has none now may
// have given an id. l.mu is held, and the records of the batch are not applied yet.
func (l *Log) resume(b *kafka.Batch) {
	var halted *haltedError
	if !errors.As(l.failure, &halted) || b.Position <= halted.offset && b.HighWatermark > halted.offset {
		return
	}
	if !l.loaded && b.HighWatermark < l.until {
		l.reload(fmt.Errorf("it ended at offset %d when reading began, and ends at %d", l.until, b.HighWatermark))
		return
	}
	passed := b.Position
	if len(b.Records) > 0 {
		passed = b.Records[0].Offset
	}
	l.state.skipIDs(passed - halted.offset + max(0, l.end-b.HighWatermark))
	l.end, l.failure = b.HighWatermark, nil
	l.log.Info("the topic can be read on", zap.String("topic", l.topic.Topic), zap.Int64("offset", halted.offset))
}

// reload has the topic read again from its start. Until that is done nothing is answered, since nobody knows what of the state is
// still true. l.mu is held.
func (l *Log) reload(err error) {
	l.log.Error("the topic was truncated or recreated, or cannot be found; it is read again from its start", zap.String("topic", l.topic.Topic), zap.Error(err))
	l.loaded, l.failure = false, err
	l.seen.reloads++
	l.announce()
	l.later(func(ctx context.Context) {
		if err := l.load(ctx); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			if !l.closed {
				l.reload(err)
			}
		}
	})
}

// later has reading begun again after a second. l.mu is held.
func (l *Log) later(begin func(context.Context)) {
	l.again = time.AfterFunc(time.Second, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		l.mu.Lock()
		closed := l.closed
		l.mu.Unlock()
		if closed {
			return
		}
		// A claim from before may be of another log. And a new one is not decided on before all up to it is read.
		l.writing <- struct{}{}
		l.claim = nil
		<-l.writing
		begin(ctx)
	})
}
