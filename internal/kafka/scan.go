package kafka

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Reader reads partitions, as a Fetcher does.
type Reader interface {
	Start(tp TopicPartition, from Position, deliver func(Batch))
	Stop(tp TopicPartition)
	Release(tp TopicPartition, bytes int)
}

// Scan calls each with the committed records of a partition from an offset up to the position end, in order, and stops at its first
// error. Records from end on may come too, of the batch that end is in. The partition must be read by nobody else through this
// reader. Memory is bounded by the reader's. While an open transaction keeps a Fetcher from reading on, its client says so: see Client.OnWait.
func Scan(ctx context.Context, reader Reader, tp TopicPartition, from, end int64, each func(*Record) error) error {
	var mu sync.Mutex
	var waiting []Batch
	wake := make(chan struct{}, 1)
	defer reader.Stop(tp)
	reader.Start(tp, At(from), func(b Batch) {
		mu.Lock()
		waiting = append(waiting, b)
		mu.Unlock()
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	still := time.NewTimer(StillFirst)
	defer still.Stop()
	for position := from; position < end; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-still.C:
			if r, ok := reader.(stillReader); ok {
				r.standsStill(ctx, tp, position, end)
			}
			still.Reset(StillAgain)
			continue
		case <-wake:
		}
		mu.Lock()
		batches := waiting
		waiting = nil
		mu.Unlock()
		before := position
		for _, b := range batches {
			if b.Err != nil {
				return b.Err
			}
			for i := range b.Records {
				if err := each(&b.Records[i]); err != nil {
					return err
				}
			}
			position = b.Position
			reader.Release(tp, b.Bytes)
		}
		if position > before {
			still.Reset(StillFirst) // what each took is no standstill
		}
	}
	return nil
}

// Holds says whether there is a committed record between two offsets of a partition.
func Holds(ctx context.Context, reader Reader, tp TopicPartition, from, to int64) (bool, error) {
	found := errors.New("found")
	err := Scan(ctx, reader, tp, from, to, func(r *Record) error {
		if r.Offset >= from && r.Offset < to {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return true, nil
	}
	return false, err
}
