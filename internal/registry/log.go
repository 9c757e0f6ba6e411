package registry

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// Log is the topic: what it says, and the right to write to it.
type Log struct {
	client  *kafka.Client
	topic   kafka.TopicPartition
	url     string // where this server is reached by others
	key     hpke.PrivateKey
	log     *zap.Logger
	fetcher *kafka.Fetcher

	mu      sync.Mutex
	state   *state
	loaded  bool           // state has reached the end that the topic had when reading began
	until   int64          // that end
	failure error          // why the topic cannot be read on, until it can; a *haltedError leaves the state true
	from    kafka.Position // of the next record
	end     int64          // the highest one that the topic is known to have had
	again   *time.Timer
	changed chan struct{} // closed when something above changes
	closed  bool
	as      kafka.Producer // of claim
	seen    sightings

	watched func() // ends looking at the topic

	writing chan struct{} // holds one token: whoever has it may use claim
	claim   *kafka.Claim
}

// claimName is the transactional id by which servers take the topic from each other.
func claimName(topic string) string { return "weir-registry-" + topic }

// OpenLog makes the topic where there is none, refuses one that is not as it must be, and begins to read.
func OpenLog(ctx context.Context, client *kafka.Client, topic string, replication int16, url string, log *zap.Logger) (*Log, error) {
	err := client.CreateTopics(ctx, []kafka.TopicSpec{{Name: topic, Partitions: 1, ReplicationFactor: replication, Config: map[string]string{"cleanup.policy": "compact"}}})
	if err != nil {
		return nil, err
	}
	l := newLog(client, topic, url, log)
	if l.key, err = newSealKey(); err != nil {
		l.fetcher.Close()
		return nil, err
	}
	if err := l.load(ctx); err != nil {
		l.fetcher.Close()
		return nil, err
	}
	l.watch(lookEvery)
	return l, nil
}

func newLog(client *kafka.Client, topic, url string, log *zap.Logger) *Log {
	return &Log{client: client, topic: kafka.TopicPartition{Topic: topic}, url: url, log: log, fetcher: client.NewFetcher(8 << 20),
		state: newState(), changed: make(chan struct{}), writing: make(chan struct{}, 1)}
}

// Close ends reading. Nothing is left to be written.
func (l *Log) Close() {
	l.mu.Lock()
	l.closed = true
	if l.again != nil {
		l.again.Stop()
	}
	l.announce()
	l.mu.Unlock()
	if l.watched != nil {
		l.watched()
	}
	l.fetcher.Close()
}

// load begins to read from the start of the topic.
func (l *Log) load(ctx context.Context) error {
	tps := []kafka.TopicPartition{l.topic}
	starts, err := l.client.Starts(ctx, tps)
	if err != nil {
		return err
	}
	ends, err := l.client.Ends(ctx, tps)
	if err != nil {
		return err
	}
	l.mu.Lock()
	before := l.state
	l.state, l.loaded, l.until = newState(), false, ends[l.topic]
	l.state.next = starts[l.topic]
	l.state.keepIDs(before, starts[l.topic])
	l.state.skipIDs(l.end - before.next) // records that it had and nobody here has read
	l.from, l.end = kafka.At(starts[l.topic]), ends[l.topic]
	l.seen.started(before, starts[l.topic])
	l.endReached()
	l.announce()
	l.mu.Unlock()
	l.fetcher.Start(l.topic, kafka.At(starts[l.topic]), l.deliver)
	return nil
}

// deliver applies what was read.
func (l *Log) deliver(b kafka.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.Err != nil {
		l.fail(b.Err)
		return
	}
	l.resume(&b)
	for i := range b.Records {
		r := &b.Records[i]
		if err := l.state.apply(r); err != nil {
			l.seen.odd(r.Offset, err)
			l.log.Error("a record of the topic is not as it should be", zap.String("topic", l.topic.Topic), zap.Int64("offset", r.Offset), zap.Error(err))
		}
	}
	l.state.next = max(l.state.next, b.Position)
	l.from = kafka.Position{Offset: l.state.next, LeaderEpoch: b.LeaderEpoch, TopicID: b.TopicID}
	l.end = max(l.end, b.HighWatermark)
	l.endReached()
	l.announce()
	l.fetcher.Release(b.TopicPartition, b.Bytes)
}

// endReached notes when all is read that the topic held when reading began. l.mu is held.
func (l *Log) endReached() {
	if l.loaded || l.state.next < l.until {
		return
	}
	l.loaded, l.failure = true, nil
	l.seen.read(l.state)
	l.log.Info("the topic is read", zap.String("topic", l.topic.Topic), zap.Int64("end", l.state.next), zap.Int("subjects", len(l.state.subjects)))
}

func (l *Log) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

var errClosed = errors.New("the server is stopping")

// await returns when all records before an offset are applied.
func (l *Log) await(ctx context.Context, offset int64) error {
	for {
		l.mu.Lock()
		done := l.loaded && l.state.next >= offset
		changed, failure, closed := l.changed, l.failure, l.closed
		l.mu.Unlock()
		switch {
		case done:
			return nil
		case closed:
			return errClosed
		case failure != nil:
			return failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the topic is not read up to offset %d: %w", offset, context.Cause(ctx))
		}
	}
}

// catchUp returns when what the topic held at the call is applied.
func (l *Log) catchUp(ctx context.Context) error {
	ends, err := l.client.Ends(ctx, []kafka.TopicPartition{l.topic})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.end = max(l.end, ends[l.topic])
	l.mu.Unlock()
	return l.await(ctx, ends[l.topic])
}

// read calls look with the state.
func (l *Log) read(look func(*state) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.loaded {
		if l.failure != nil {
			return storeError(l.failure)
		}
		return passing(50001, "Error in the backend data store: the topic is still being read")
	}
	return look(l.state)
}
