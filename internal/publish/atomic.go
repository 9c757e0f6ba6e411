package publish

import (
	"context"
	"errors"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// transactions is one transactional id, and its sink once it was needed.
type transactions struct {
	client  *kafka.Client
	id      string
	sink    *kafka.Sink
	offsets []int64 // of the transaction that is open
}

// UndecidedError says that a transaction may have been committed: the answer to its commit was lost.
type UndecidedError struct{ Err error }

func (e *UndecidedError) Error() string { return e.Err.Error() }
func (e *UndecidedError) Unwrap() error { return e.Err }

// Atomic writes records in one transaction, and returns when it is committed. They may be of several topics. After an error nothing of
// them will be visible to who reads committed records, unless it is an UndecidedError.
func (p *Publisher) Atomic(ctx context.Context, records []kafka.Outgoing) ([]Result, error) {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	var bytes int64
	for i := range records {
		bytes += cost(&records[i])
	}
	if !p.room(bytes) {
		return nil, ErrFull
	}
	defer p.waiting.Add(-bytes)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	select {
	case t := <-p.pool:
		defer func() { p.pool <- t }()
		offsets, err := t.write(ctx, p.ctx, records)
		if err != nil {
			return nil, err
		}
		results := make([]Result, len(records))
		for i := range results {
			results[i] = Result{Partition: records[i].Partition, Offset: offsets[i]}
		}
		return results, nil
	case <-ctx.Done():
		if p.ctx.Err() != nil {
			return nil, ErrClosed
		}
		return nil, ErrFull
	}
}

// write ends with ctx, and also its undoing with the publisher's.
func (t *transactions) write(ctx, publisher context.Context, records []kafka.Outgoing) (_ []int64, err error) {
	if t.sink == nil {
		sink, err := t.client.NewSink(ctx, t.id)
		if err != nil {
			return nil, err
		}
		sink.OnAcknowledged(t.acknowledged)
		t.sink = sink
	}
	sink := t.sink
	defer context.AfterFunc(publisher, func() { _ = sink.Close() })() // Append has no context
	t.offsets = make([]int64, len(records))
	for i := range records {
		records[i].Origin = int64(i)
		if err = t.sink.Append(&records[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = t.sink.Commit(ctx)
	}
	if err == nil {
		return t.offsets, nil
	}
	undo, cancel := context.WithTimeout(publisher, 10*time.Second)
	defer cancel()
	if t.sink.Abort(undo) != nil {
		t.close() // the next sink ends what this one has open
	}
	if kafka.ClassOf(err) == kafka.Indefinite {
		return nil, &UndecidedError{err}
	}
	return nil, err
}

func (t *transactions) acknowledged(_ kafka.TopicPartition, base int64, origins []int64) {
	for i, origin := range origins {
		if t.offsets[origin] = -1; base >= 0 {
			t.offsets[origin] = base + int64(i)
		}
	}
}

func (t *transactions) close() {
	if t.sink != nil {
		_ = t.sink.Close()
		t.sink = nil
	}
}

// Refused says whether an error is the fault of one record, of which no other try will be taken.
func Refused(err error) bool {
	var refused *kafka.RefusedError
	return errors.As(err, &refused)
}
