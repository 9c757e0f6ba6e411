//go:build weirfault

package processors

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/weirstream/weir/internal/kafka"
)

// appendingSink appends altered records.
type appendingSink struct {
	Sink
	alter func(*kafka.Outgoing)
}

// appending is a wire whose sinks do that.
func appending(alter func(*kafka.Outgoing)) saboteur {
	return saboteur{sink: func(_ context.Context, s Sink) Sink { return appendingSink{s, alter} }}
}

func (s appendingSink) Append(r *kafka.Outgoing) error {
	s.alter(r)
	return s.Sink.Append(r)
}

// losingSink loses one record of the process, the third of its kind.
type losingSink struct {
	Sink
	is func(*kafka.Outgoing) bool
}

var lost atomic.Int64

func losing(is func(*kafka.Outgoing) bool) saboteur {
	return saboteur{sink: func(_ context.Context, s Sink) Sink { return losingSink{s, is} }}
}

func (s losingSink) Append(r *kafka.Outgoing) error {
	if s.is(r) && lost.Add(1) == 3 {
		return nil
	}
	return s.Sink.Append(r)
}

// droppingSink loses all records of a kind.
type droppingSink struct {
	Sink
	is func(*kafka.Outgoing) bool
}

func (s droppingSink) Append(r *kafka.Outgoing) error {
	if s.is(r) {
		return nil
	}
	return s.Sink.Append(r)
}

// outsideSink writes some of a transaction outside of it, at once.
type outsideSink struct {
	Sink
	appends func(*kafka.Outgoing) bool // of what is appended
	offsets bool

	wire Wire
	ctx  context.Context
	out  Sink // without a transactional id; nil at first and after an error
}

// outside is a wire whose sinks write as the one given.
func outside(w Wire, like *outsideSink) saboteur {
	return saboteur{sink: func(ctx context.Context, s Sink) Sink {
		return &outsideSink{Sink: s, appends: like.appends, offsets: like.offsets, wire: w, ctx: ctx}
	}}
}

func (s *outsideSink) Append(r *kafka.Outgoing) error {
	if s.appends == nil || !s.appends(r) {
		return s.Sink.Append(r)
	}
	return s.do(func(out Sink) error {
		if err := out.Append(r); err != nil {
			return err
		}
		return out.Flush(s.ctx)
	})
}

func (s *outsideSink) Offsets(ctx context.Context, m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	if !s.offsets {
		return s.Sink.Offsets(ctx, m, offsets)
	}
	return s.do(func(out Sink) error { return out.Offsets(ctx, m, offsets) })
}

func (s *outsideSink) do(f func(Sink) error) error {
	if s.out == nil {
		out, err := s.wire.NewSink(s.ctx, "")
		if err != nil {
			return err
		}
		s.out = out
		context.AfterFunc(s.ctx, func() { _ = out.Close() })
	}
	err := f(s.out)
	if err != nil && !errors.Is(err, kafka.ErrStaleGeneration) {
		_ = s.out.Close()
		s.out = nil
	}
	return err
}

// farSink says that changelogs end further on than they do, so that checkpoints are.
type farSink struct{ Sink }

func (s farSink) End(tp kafka.TopicPartition) int64 {
	end := s.Sink.End(tp)
	if end >= 0 {
		end += 1000
	}
	return end
}

// blamingSink takes what the cluster refuses for a record's fault.
type blamingSink struct{ Sink }

func (s blamingSink) Append(r *kafka.Outgoing) error   { return blame(s.Sink.Append(r)) }
func (s blamingSink) Flush(ctx context.Context) error  { return blame(s.Sink.Flush(ctx)) }
func (s blamingSink) Commit(ctx context.Context) error { return blame(s.Sink.Commit(ctx)) }

func blame(err error) error {
	if b, ok := errors.AsType[*kafka.BlockedError](err); ok && b.Origin >= 0 && b.Origin&originDLQ == 0 {
		return &kafka.RefusedError{TopicPartition: b.TopicPartition, Origin: b.Origin, Err: errors.New(b.Error())}
	}
	return err
}

// hastySink says that a transaction is committed when it begins to be, so that its state is written before it is known. The
// next call waits for the end, and has its error.
type hastySink struct {
	Sink
	offsets func() error // of the transaction that is open, not sent yet
	ending  chan error   // has the outcome of the last transaction, nil once that was received
	ends    map[kafka.TopicPartition]logEnd
}

type logEnd struct {
	offset int64
	epoch  int32
}

func (s *hastySink) Offsets(ctx context.Context, m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	s.offsets = func() error {
		err := s.Sink.Offsets(ctx, m, offsets)
		if errors.Is(err, kafka.ErrStaleGeneration) {
			return &kafka.Error{Class: kafka.Abortable, Op: "commit offsets in haste", Err: err}
		}
		return err
	}
	return nil
}

func (s *hastySink) Commit(ctx context.Context) error {
	for tp := range s.ends {
		s.ends[tp] = logEnd{s.Sink.End(tp), s.Sink.LeaderEpoch(tp)}
	}
	offsets, ending := s.offsets, make(chan error, 1)
	s.offsets, s.ending = nil, ending
	go func() {
		if offsets != nil {
			if err := offsets(); err != nil {
				ending <- err
				return
			}
		}
		ending <- s.Sink.Commit(ctx)
	}()
	return nil
}

func (s *hastySink) wait() error {
	if s.ending == nil {
		return nil
	}
	err := <-s.ending
	s.ending = nil
	return err
}

func (s *hastySink) Append(r *kafka.Outgoing) error {
	if err := s.wait(); err != nil {
		return err
	}
	s.ends[r.TopicPartition] = logEnd{-1, -1}
	return s.Sink.Append(r)
}

func (s *hastySink) Flush(ctx context.Context) error {
	if err := s.wait(); err != nil {
		return err
	}
	return s.Sink.Flush(ctx)
}

func (s *hastySink) Abort(ctx context.Context) error {
	_ = s.wait()
	s.offsets = nil
	return s.Sink.Abort(ctx)
}

func (s *hastySink) Expect(topic, id string) {
	if err := s.wait(); err != nil { // for the next call that can say so
		s.ending = make(chan error, 1)
		s.ending <- err
		return
	}
	s.Sink.Expect(topic, id)
}

func (s *hastySink) End(tp kafka.TopicPartition) int64 {
	if end, ok := s.ends[tp]; ok && s.ending != nil {
		return end.offset
	}
	return s.Sink.End(tp)
}

func (s *hastySink) LeaderEpoch(tp kafka.TopicPartition) int32 {
	if end, ok := s.ends[tp]; ok && s.ending != nil {
		return end.epoch
	}
	return s.Sink.LeaderEpoch(tp)
}
