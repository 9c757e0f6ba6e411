package topology

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/codecs"
)

// StreamOf is a handle on a topic of events with values of type T. [Stream] makes it.
type StreamOf[T any] struct {
	decl  StreamDecl
	codec codecs.Codec[T]
}

// Stream declares a topic of events and the codec of its values. The name is entity.event_type.vN, and the topic is
// partitioned by the entity's key. A handle is declared once and may be used in several topologies.
func Stream[T any](name string, codec codecs.Codec[T], opts ...StreamOption) *StreamOf[T] {
	s := &StreamOf[T]{
		decl:  StreamDecl{Name: name, Type: reflect.TypeFor[T]().String(), noCodec: isNil(codec)},
		codec: codec,
	}
	if s.decl.noCodec {
		s.codec = noCodec[T]{}
	}
	for _, opt := range opts {
		if opt.apply != nil {
			opt.apply(&s.decl)
		}
	}
	return s
}

// StreamOption changes what [Stream] declares.
type StreamOption struct{ apply func(*StreamDecl) }

// Foreign admits a name outside entity.event_type.vN: a topic that others have named.
func Foreign() StreamOption { return StreamOption{func(d *StreamDecl) { d.Foreign = true }} }

// Retention is how long the topic keeps its records, for when Weir creates it: at least a millisecond, or less than 0
// for ever. Default: what the broker says.
func Retention(keep time.Duration) StreamOption {
	return StreamOption{func(d *StreamDecl) { d.Retention = max(keep, -1) }}
}

// Emit writes a record to the stream, with the timestamp of the input record, on the partition to which the key belongs, and with the
// input's headers that the node passes on (PassHeaders); options change that. A value that cannot be encoded, and a stream that the
// node does not list in Emits, fail the record.
func (s *StreamOf[T]) Emit(ctx Context, key string, v T, opts ...EmitOption) {
	run := ctx.runtime()
	if s == nil {
		run.Fail(errNilStream)
		return
	}
	if err := run.Output(&s.decl); err != nil {
		run.Fail(err)
		return
	}
	as, err := emission(opts)
	if err != nil {
		run.Fail(err)
		return
	}
	encoded, err := s.codec.Append(run.Buffer(), v)
	if err != nil {
		run.Fail(fmt.Errorf("emit to stream %s: %w", s.decl.Name, err))
		return
	}
	run.Emit(&s.decl, key, encoded, false, as)
}

// Tombstone writes a record without a value, which deletes the key in a compacted topic. It fails as Emit does.
func (s *StreamOf[T]) Tombstone(ctx Context, key string, opts ...EmitOption) {
	run := ctx.runtime()
	if s == nil {
		run.Fail(errNilStream)
		return
	}
	if err := run.Output(&s.decl); err != nil {
		run.Fail(err)
		return
	}
	as, err := emission(opts)
	if err != nil {
		run.Fail(err)
		return
	}
	run.Emit(&s.decl, key, nil, true, as)
}

// Name is the topic.
func (s *StreamOf[T]) Name() string {
	if s == nil {
		return ""
	}
	return s.decl.Name
}

func (s *StreamOf[T]) handler(fn func(Context, string, T) error, tombstone func(Context, string) error) Handler {
	if s == nil {
		return Handler{}
	}
	return Handler{Stream: &s.decl, Record: func(ctx Context, key string, value []byte) error {
		if value == nil {
			if tombstone == nil {
				return &DecodeError{Stream: s.decl.Name, Err: ErrTombstone}
			}
			return tombstone(ctx, key)
		}
		v, err := s.codec.Parse(value)
		if err != nil {
			if errors.Is(err, codecs.ErrNull) {
				if tombstone != nil {
					return tombstone(ctx, key)
				}
				err = fmt.Errorf("%w: %w", err, ErrTombstone)
			}
			return &DecodeError{Stream: s.decl.Name, Err: err}
		}
		return fn(ctx, key, v)
	}}
}

func (s *StreamOf[T]) target() Output {
	if s == nil {
		return nil
	}
	return &s.decl
}
