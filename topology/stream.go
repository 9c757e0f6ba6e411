package topology

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/weirstream/weir/codecs"
)

// StreamOf is a handle on a topic of events with values of type T. [Stream] makes it.
type StreamOf[T any] struct {
	decl  StreamDecl
	codec codecs.Codec[T]
}

// defaultSubject is what the name of a topic's subject has after that of the topic.
const defaultSubject = "-value"

// Stream declares a topic of events and the codec of its values. The name is entity.event_type.vN, and the topic is
// partitioned by the entity's key. Options say more of the topic. A handle is declared once and may be used in several topologies.
func Stream[T any](name string, codec codecs.Codec[T], opts ...StreamOption) *StreamOf[T] {
	s := &StreamOf[T]{
		decl: StreamDecl{
			Name: name, Type: reflect.TypeFor[T]().String(), Codec: codecs.Name(codec), KeyCodec: codecs.String().Name(),
			Subject: name + defaultSubject, noCodec: isNil(codec),
		},
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

// Emit writes a record to the stream, with the timestamp of the input record, on the partition to which the key belongs, and with the
// input's headers that the node passes on (PassHeaders); options change that. A value that cannot be encoded, a key that is not one of the
// stream's KeyCodec, and a stream that the node does not list in Emits fail the record.
func (s *StreamOf[T]) Emit(ctx Context, key string, v T, opts ...EmitOption) {
	run := ctx.runtime()
	as, err := s.admit(run, key, opts)
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
	as, err := s.admit(run, key, opts)
	if err != nil {
		run.Fail(err)
		return
	}
	run.Emit(&s.decl, key, nil, true, as)
}

// admit says with what a record of the key may be emitted in this call.
func (s *StreamOf[T]) admit(run Runtime, key string, opts []EmitOption) (*Emission, error) {
	if s == nil {
		return nil, errNilStream
	}
	if err := run.Output(&s.decl); err != nil {
		return nil, err
	}
	if s.decl.checkKey != nil {
		if err := s.decl.checkKey(key); err != nil {
			return nil, fmt.Errorf("emit to stream %s with key %q: %w", s.decl.Name, key, err)
		}
	}
	return emission(opts)
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
		if s.decl.checkKey != nil {
			if err := s.decl.checkKey(key); err != nil {
				return &DecodeError{Stream: s.decl.Name, Key: true, Err: err}
			}
		}
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
