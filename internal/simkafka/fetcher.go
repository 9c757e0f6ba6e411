package simkafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Fetcher is kafka.Fetcher on the model.
type Fetcher struct {
	p     *Process
	tasks sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	dirty   bool // see ReadUncommitted
	cursors map[kafka.TopicPartition]*cursor
}

// cursor is a partition from a Start to the next Start or Stop.
type cursor struct {
	kafka.TopicPartition
	f       *Fetcher
	deliver func(kafka.Batch)
	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{}

	gate  sync.Mutex // held while deliver runs
	ended bool

	mu         sync.Mutex
	unreleased int
}

// NewFetcher implements processors.Wire.
func (p *Process) NewFetcher() (*Fetcher, error) {
	return &Fetcher{p: p, cursors: map[kafka.TopicPartition]*cursor{}}, nil
}

// ReadUncommitted has the fetcher deliver what is not committed as well, which no fetcher of package kafka can do: for tests of what
// follows from that.
func (f *Fetcher) ReadUncommitted() { f.dirty = true }

// Start implements processors.Fetcher.
func (f *Fetcher) Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch)) {
	f.Stop(tp)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	c := &cursor{TopicPartition: tp, f: f, deliver: deliver, wake: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	f.cursors[tp] = c
	f.tasks.Go(func() { c.run(from) })
}

// Stop implements processors.Fetcher.
func (f *Fetcher) Stop(tp kafka.TopicPartition) {
	f.mu.Lock()
	c := f.cursors[tp]
	delete(f.cursors, tp)
	f.mu.Unlock()
	if c != nil {
		c.end()
	}
}

func (c *cursor) end() {
	c.cancel()
	c.gate.Lock()
	c.ended = true
	c.gate.Unlock()
}

// Release implements processors.Fetcher.
func (f *Fetcher) Release(tp kafka.TopicPartition, bytes int) {
	f.mu.Lock()
	c := f.cursors[tp]
	f.mu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	c.unreleased = max(0, c.unreleased-bytes)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Unreleased is how many bytes of every started partition were delivered and not released.
func (f *Fetcher) Unreleased() map[kafka.TopicPartition]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[kafka.TopicPartition]int{}
	for tp, c := range f.cursors {
		c.mu.Lock()
		all[tp] = c.unreleased
		c.mu.Unlock()
	}
	return all
}

// Close implements processors.Fetcher.
func (f *Fetcher) Close() error {
	f.mu.Lock()
	f.closed = true
	for tp, c := range f.cursors {
		delete(f.cursors, tp)
		defer c.end()
		c.cancel()
	}
	f.mu.Unlock()
	f.tasks.Wait()
	return nil
}

func (c *cursor) readable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unreleased < c.f.p.c.cfg.ReadAhead
}

// run reads and delivers until the cursor ends. The first answer is always delivered, later ones when they carry
// records or an offset in them has changed.
func (c *cursor) run(position kafka.Position) {
	var told kafka.Batch
	for fresh := true; c.ctx.Err() == nil; {
		if !c.readable() {
			if !c.await(nil) {
				return
			}
			continue
		}
		b, changed, err := c.fetch(position)
		if err != nil {
			if c.f.p.crashed() || c.f.p.sleep(c.ctx, 20*time.Millisecond) != nil {
				return
			}
			continue
		}
		if len(b.Records) == 0 && b.Err == nil && !fresh && b.Position == position.Offset &&
			b.HighWatermark == told.HighWatermark && b.LastStableOffset == told.LastStableOffset {
			if !c.await(changed) {
				return
			}
			continue
		}
		fresh, told = false, b
		position = kafka.Position{Offset: b.Position, LeaderEpoch: b.LeaderEpoch, TopicID: b.TopicID}
		told.Records = nil
		c.mu.Lock()
		c.unreleased += b.Bytes
		c.mu.Unlock()
		c.gate.Lock()
		if !c.ended {
			c.ended = b.Err != nil
			c.deliver(b)
		}
		ended := c.ended
		c.gate.Unlock()
		if ended {
			return
		}
	}
}

// await waits for a change of the cursor or of the log.
func (c *cursor) await(changed <-chan struct{}) bool {
	select {
	case <-c.wake:
	case <-changed:
	case <-c.ctx.Done():
		return false
	case <-c.f.p.dead:
		return false
	}
	return true
}

// fetch asks for what follows a position. changed is closed when the log has changed since.
func (c *cursor) fetch(from kafka.Position) (b kafka.Batch, changed <-chan struct{}, err error) {
	p, position := c.f.p, from.Offset
	n := 1 + p.c.seeded(p.name, c.String(), "size", position).IntN(p.c.cfg.FetchRecords)
	_, err = p.request(c.ctx, "fetch "+c.String(), OpFetch, fmt.Sprint("from ", position), func() error {
		b = kafka.Batch{TopicPartition: c.TopicPartition, Position: position, LeaderEpoch: from.LeaderEpoch, TopicID: from.TopicID}
		log := p.c.partition(c.TopicPartition)
		if log == nil {
			return errUnknownTopic
		}
		changed = log.changed
		if denied := p.c.denial(OpFetch, c.TopicPartition); denied != nil {
			b.Err = denied
			return nil
		}
		if id := p.c.topics[c.Topic].info.ID; from.TopicID != "" && from.TopicID != id {
			b.Err = &kafka.TopicRecreatedError{TopicPartition: c.TopicPartition, Offset: position, Was: from.TopicID, Is: id}
			return nil
		}
		b.TopicID = p.c.topics[c.Topic].info.ID
		if from.LeaderEpoch >= 0 {
			if end := log.epochEnd(from.LeaderEpoch); end.LeaderEpoch < 0 || end.Offset < position {
				b.Err = &kafka.TruncatedError{TopicPartition: c.TopicPartition, Offset: position, LeaderEpoch: from.LeaderEpoch, End: end.Offset, EndEpoch: end.LeaderEpoch}
				return nil
			}
		}
		if position < log.start || position > log.next {
			return errOffsetOutOfRange
		}
		b.HighWatermark, b.LastStableOffset = log.next, log.stable()
		b.Records, b.Position, b.LeaderEpoch = log.read(position, n, from.LeaderEpoch, c.f.dirty)
		for i := range b.Records {
			b.Bytes += len(b.Records[i].Key) + len(b.Records[i].Value) + 64
		}
		return nil
	})
	if errors.Is(err, errOffsetOutOfRange) {
		p.c.mu.Lock()
		log := p.c.partition(c.TopicPartition)
		b.Err = &kafka.OffsetOutOfRangeError{TopicPartition: c.TopicPartition, Offset: position, Start: log.start, End: log.next}
		p.c.mu.Unlock()
		err = nil
	}
	return b, changed, err
}
