package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
)

// connectSink takes the worker's transactional id over.
func (w *worker) connectSink(ctx context.Context, now time.Time) {
	if now.Before(w.connect) {
		w.sleep(ctx, w.connect.Sub(now))
		return
	}
	sink, err := w.engine.opts.Wire.NewSink(ctx, w.engine.transactionalID(w.id))
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		w.note(err)
		if kafka.ClassOf(err) == kafka.Fatal {
			w.engine.fail(fmt.Errorf("worker %d: %w", w.id, err))
			w.connect = now.Add(w.backoff())
			return
		}
		w.connect = now.Add(w.backoff())
		if refusal, ok := errors.AsType[*kafka.BlockedError](err); ok {
			if w.cut.IsZero() {
				w.cut = now
			}
			w.disconnected(refusal, w.cut, w.connect)
		}
		w.log.Warn("no transactional id yet, trying again", zap.Error(err), zap.Duration("in", time.Until(w.connect)))
		return
	}
	w.tx.sink, w.cut, w.tx.throttled = sink, time.Time{}, 0
	w.tasks.letGo()
	// An Append that waits for room in the sink's buffer has no context: closing the sink is what ends it.
	w.unhook = context.AfterFunc(ctx, func() { _ = sink.Close() })
	w.to(workerIdle)
	for _, t := range w.tasks.list {
		w.tasks.open(t)
	}
}

// disconnected notes why a worker cannot get a sink, for all its inputs.
func (w *worker) disconnected(err *kafka.BlockedError, since, until time.Time) {
	for in := range w.tasks.all() {
		in.waiting.Store(&waiting{attempt: w.failures, offset: in.next.Load(), until: until, err: err, blocked: true, remedy: err.Remedy, since: since})
	}
}
