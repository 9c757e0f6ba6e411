package processors

import (
	"context"
	"errors"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafka"
)

// sinkUnder is the worker's sink, unless the rule that binds what is to be written to the transaction is broken on
// purpose: then it is a sink outside of it. Without the build tag weirfault it is the worker's sink, always.
func (w *worker) sinkUnder(rule fault.Rule) Sink {
	if !fault.Enabled || !fault.Broken(rule) {
		return w.sink
	}
	if w.outside == nil {
		w.outside = &outsideSink{inst: w.inst}
	}
	return w.outside
}

// outsideSink writes at once, and begins anew after an error.
type outsideSink struct {
	Sink
	inst *Instance
}

func (s *outsideSink) Append(r *kafka.Outgoing) error {
	return s.do(func(sink Sink) error {
		if err := sink.Append(r); err != nil {
			return err
		}
		return sink.Flush(s.inst.ctx)
	})
}

func (s *outsideSink) Offsets(ctx context.Context, m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	return s.do(func(sink Sink) error { return sink.Offsets(ctx, m, offsets) })
}

func (s *outsideSink) do(f func(Sink) error) error {
	if s.Sink == nil {
		sink, err := s.inst.opts.Wire.NewSink(s.inst.ctx, "")
		if err != nil {
			return err
		}
		s.Sink = sink
	}
	err := f(s.Sink)
	if err != nil && !errors.Is(err, kafka.ErrStaleGeneration) {
		_ = s.Close()
	}
	return err
}

func (s *outsideSink) Close() error {
	if s.Sink == nil {
		return nil
	}
	err := s.Sink.Close()
	s.Sink = nil
	return err
}
