package publish

import (
	"context"
	"errors"
	"fmt"
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	select {
	case t := <-p.pool:
		done := func() { p.waiting.Add(-bytes); p.pool <- t }
		offsets, err := t.write(ctx, records)
		if err != nil {
			go func() { t.undo(p.ctx); done() }() // with brokers that do not answer it takes long, and changes nothing of what is known
			return nil, err
		}
		results := make([]Result, len(records))
		for i := range results {
			results[i] = Result{Partition: records[i].Partition, Offset: offsets[i]}
		}
		done()
		return results, nil
	case <-ctx.Done():
		p.waiting.Add(-bytes)
		if p.ctx.Err() != nil {
			return nil, ErrClosed
		}
		return nil, ErrFull
	}
}

// write ends with ctx.
func (t *transactions) write(ctx context.Context, records []kafka.Outgoing) (_ []int64, err error) {
	if t.sink == nil {
		sink, err := t.client.NewSink(ctx, t.id)
		if err != nil {
			return nil, err
		}
		sink.OnAcknowledged(t.acknowledged)
		t.sink = sink
	}
	t.offsets = make([]int64, len(records))
	if err = t.append(ctx, records); err == nil {
		err = t.sink.Commit(ctx)
	}
	switch {
	case err == nil:
		return t.offsets, nil
	case kafka.ClassOf(err) == kafka.Indefinite:
		return nil, &UndecidedError{err}
	}
	return nil, err
}

// append hands the records to the sink, which is closed when ctx ends, since Append has no context.
func (t *transactions) append(ctx context.Context, records []kafka.Outgoing) error {
	sink := t.sink
	defer context.AfterFunc(ctx, func() { _ = sink.Close() })()
	for i := range records {
		records[i].Origin = int64(i)
		if err := sink.Append(&records[i]); err != nil && ctx.Err() != nil {
			return fmt.Errorf("hand over the records: %w", context.Cause(ctx))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// undo makes an end of a transaction that failed. It ends with the publisher.
func (t *transactions) undo(publisher context.Context) {
	if t.sink == nil {
		return
	}
	ctx, cancel := context.WithTimeout(publisher, 10*time.Second)
	defer cancel()
	if t.sink.Abort(ctx) != nil {
		t.close() // the next sink ends what this one has open
	}
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
