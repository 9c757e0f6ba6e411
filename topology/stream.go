package topology

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
)

// StreamOf is a handle on a topic of events with values of type T. [Stream] makes it.
type StreamOf[T any] struct {
	decl  plan.Stream
	codec codecs.Codec[T]
	in    codecs.InRecord[T] // codec, where it looks at records
}

// defaultSubject is what the name of a topic's subject has after that of the topic.
const defaultSubject = "-value"

// Stream declares a topic of events and the codec of its values. The name is entity.event_type.vN, and the topic is
// partitioned by the entity's key. Options say more of the topic. A handle is declared once and may be used in several topologies.
func Stream[T any](name string, codec codecs.Codec[T], opts ...StreamOption) *StreamOf[T] {
	s := &StreamOf[T]{decl: declare(name, codec, opts), codec: codec}
	if s.decl.NoCodec {
		s.codec = noCodec[T]{}
	}
	s.in, _ = s.codec.(codecs.InRecord[T])
	s.decl.Decode = func(r *plan.Record, value []byte) (any, error) { return s.parse(r, value) }
	prepareWith(&s.decl, codec, codecs.Record{})
	return s
}

// declare is what a stream says of its topic.
func declare[T any](name string, codec codecs.Codec[T], opts []StreamOption) plan.Stream {
	d := plan.Stream{
		Name: name, Type: reflect.TypeFor[T]().String(), Codec: codecs.Name(codec), KeyCodec: codecs.String().Name(),
		Subject: name + defaultSubject, NoCodec: isNil(codec),
	}
	for _, opt := range opts {
		if opt.apply != nil {
			opt.apply(&d)
		}
	}
	return d
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
	key, as, err = s.wireKey(run, key, as)
	if err != nil {
		run.Fail(err)
		return
	}
	encoded, as, err := s.encode(run, v, as)
	if err != nil {
		run.Fail(fmt.Errorf("emit to stream %s: %w", s.decl.Name, err))
		return
	}
	run.Emit(&s.decl, key, encoded, false, as)
}

// encode appends a value to the buffer of a call, and its codec's headers to what the record is emitted with.
func (s *StreamOf[T]) encode(run plan.Runtime, v T, as *plan.Emission) ([]byte, *plan.Emission, error) {
	if s.in == nil {
		encoded, err := s.codec.Append(run.Buffer(), v)
		return encoded, as, err
	}
	encoded, headers, err := s.in.AppendIn(&codecs.Record{Topic: run.Topic(&s.decl), Subject: statedSubject(&s.decl)}, run.Buffer(), v)
	return encoded, withHeaders(as, headers), err
}

// decode parses a value of the record in work.
func (s *StreamOf[T]) decode(call plan.Call, value []byte) (T, error) {
	if s.in == nil {
		return s.codec.Parse(value)
	}
	return s.parse(call.Runtime().Record(), value)
}

// parse parses a value of a record.
func (s *StreamOf[T]) parse(r *plan.Record, value []byte) (T, error) {
	if s.in == nil {
		return s.codec.Parse(value)
	}
	return s.in.ParseIn(&codecs.Record{Topic: r.Topic, Subject: statedSubject(&s.decl), Time: r.Timestamp, Headers: r.Headers}, value)
}

// wireKey is a key as it stands on the wire, and what the record is emitted with for it.
func (s *StreamOf[T]) wireKey(run plan.Runtime, key string, as *plan.Emission) (string, *plan.Emission, error) {
	if s.decl.WriteKey == nil {
		return key, as, nil
	}
	key, headers, err := s.decl.WriteKey(run.Topic(&s.decl), key)
	return key, withHeaders(as, headers), err
}

func withHeaders(as *plan.Emission, headers []Header) *plan.Emission {
	if len(headers) == 0 {
		return as
	}
	if as == nil {
		as = &plan.Emission{Partition: -1}
	}
	as.Headers = append(as.Headers, headers...)
	return as
}

// Tombstone writes a record without a value, which deletes the key in a compacted topic. It fails as Emit does.
func (s *StreamOf[T]) Tombstone(ctx Context, key string, opts ...EmitOption) {
	run := ctx.runtime()
	as, err := s.admit(run, key, opts)
	if err != nil {
		run.Fail(err)
		return
	}
	if key, as, err = s.wireKey(run, key, as); err != nil {
		run.Fail(err)
		return
	}
	run.Emit(&s.decl, key, nil, true, as)
}

// admit says with what a record of the key may be emitted in this call.
func (s *StreamOf[T]) admit(run plan.Runtime, key string, opts []EmitOption) (*plan.Emission, error) {
	if s == nil {
		return nil, errNilStream
	}
	if err := run.Output(&s.decl); err != nil {
		return nil, err
	}
	if s.decl.CheckKey != nil {
		if err := s.decl.CheckKey(key); err != nil {
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

func (s *StreamOf[T]) readBy(n *node, fn func(Context, string, T) error, opts onOptions) {
	if s == nil {
		n.mistake(readsNil, "declare the stream or edge before the node")
		return
	}
	n.read(plan.Handler{Stream: &s.decl, Record: func(call plan.Call, key string, value []byte) error {
		ctx := Context{call}
		if s.decl.CheckKey != nil {
			if err := s.decl.CheckKey(key); err != nil {
				return &DecodeError{Stream: s.decl.Name, Key: true, Err: err}
			}
		}
		if value == nil {
			if opts.tombstone == nil {
				return &DecodeError{Stream: s.decl.Name, Err: ErrTombstone}
			}
			return opts.tombstone(ctx, key)
		}
		v, err := s.decode(call, value)
		if errors.Is(err, codecs.ErrUnavailable) {
			return fmt.Errorf("decode value of %s: %w", s.decl.Name, err)
		}
		if err != nil {
			if errors.Is(err, codecs.ErrNull) {
				if opts.tombstone != nil {
					return opts.tombstone(ctx, key)
				}
				err = fmt.Errorf("%w: %w", err, ErrTombstone)
			}
			return &DecodeError{Stream: s.decl.Name, Err: err}
		}
		return invoke(n, ctx, key, v, fn)
	}}, fn == nil)
}

func (s *StreamOf[T]) writtenBy(n *node) {
	if s == nil {
		n.mistake(emitsNil, "declare the stream or edge before the node")
		return
	}
	n.outputs = append(n.outputs, &s.decl)
}
