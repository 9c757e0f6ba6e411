//go:build weirfault

package processors

import (
	"context"
	"maps"
	"sync"

	"github.com/weirstream/weir/internal/kafka"
)

// alteringFetcher delivers altered batches.
type alteringFetcher struct {
	Fetcher
	alter func(*kafka.Batch)
}

// altering is a wire whose fetchers do that. A batch that is left without a position keeps the one before.
func altering(alter func(*kafka.Batch)) saboteur {
	return saboteur{fetcher: func(f Fetcher) Fetcher { return alteringFetcher{f, alter} }}
}

func (f alteringFetcher) Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch)) {
	position := from.Offset
	f.Fetcher.Start(tp, from, func(b kafka.Batch) {
		if f.alter(&b); b.Position < 0 {
			b.Position = position
		}
		position = b.Position
		deliver(b)
	})
}

// startingFetcher reads inputs from positions that lack something.
type startingFetcher struct {
	Fetcher
	alter func(*kafka.Position)
}

func starting(alter func(*kafka.Position)) saboteur {
	return saboteur{fetcher: func(f Fetcher) Fetcher { return startingFetcher{f, alter} }}
}

func (f startingFetcher) Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch)) {
	if !isChangelog(tp.Topic) {
		f.alter(&from)
	}
	f.Fetcher.Start(tp, from, deliver)
}

// deliveredUpTo is how far inputs were delivered, processed or not.
type deliveredUpTo struct {
	mu   sync.Mutex
	upTo map[kafka.TopicPartition]int64
}

func (r *deliveredUpTo) set(tp kafka.TopicPartition, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.upTo[tp] = offset
}

// eagerFetcher notes it.
type eagerFetcher struct {
	Fetcher
	read *deliveredUpTo
}

func (f eagerFetcher) Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch)) {
	f.read.set(tp, from.Offset)
	f.Fetcher.Start(tp, from, func(b kafka.Batch) {
		if b.Err == nil {
			f.read.set(tp, b.Position)
		}
		deliver(b)
	})
}

// eagerSink commits everything that was delivered.
type eagerSink struct {
	Sink
	read *deliveredUpTo
}

func (s eagerSink) Offsets(ctx context.Context, m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	further := maps.Clone(offsets)
	s.read.mu.Lock()
	for tp, at := range further {
		if upTo := s.read.upTo[tp]; upTo > at.Offset {
			at.Offset, at.LeaderEpoch = upTo, -1
			further[tp] = at
		}
	}
	s.read.mu.Unlock()
	return s.Sink.Offsets(ctx, m, further)
}

// copiesFetcher is which of the fetchers of an instance without globals is that of its copies.
const copiesFetcher = 3

// lastReader is which fetcher has read a changelog last.
type lastReader struct {
	mu sync.Mutex
	of map[kafka.TopicPartition]Fetcher
}

// trustingFetcher takes a store that another fetcher has brought up to date, a copy's that of a task or the other way round, for
// complete: nothing comes of what was written since.
type trustingFetcher struct {
	Fetcher
	last *lastReader
}

func (f trustingFetcher) Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch)) {
	f.last.mu.Lock()
	was := f.last.of[tp]
	f.last.of[tp] = f.Fetcher
	f.last.mu.Unlock()
	trusted := isChangelog(tp.Topic) && was != nil && was != f.Fetcher && from.Offset > 0
	until := int64(-1)
	f.Fetcher.Start(tp, from, func(b kafka.Batch) {
		if until < 0 {
			until = b.HighWatermark
		}
		if trusted && b.Position <= until {
			b.Records = nil
		}
		deliver(b)
	})
}
