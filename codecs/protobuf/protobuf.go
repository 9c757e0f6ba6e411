// Package protobuf has codecs for Protobuf messages of generated Go types.
//
// [Of] reads and writes messages alone. [Bound] is for messages that a schema registry knows: each says which schema, and which message of
// it, it was written with, in the form that all of Confluent's clients read. Fields that this program's type does not know are kept,
// and written again. Rules of protovalidate in the type's file are enforced: a message that breaks one is neither written nor read.
package protobuf

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/schema/bound"
	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/registry"
)

// Codec reads and writes messages of type T, a pointer to a generated struct.
type Codec[T proto.Message] struct {
	of      protoreflect.MessageType
	rules   *protovalue.Rules
	indexes []int
	bound   *bound.Codec
	writers bound.Known[message, protoreflect.FullName]
}

// message names a message of a registered file.
type message struct {
	of      bound.Schema
	indexes string
}

// Of is a codec for messages alone.
func Of[T proto.Message]() *Codec[T] {
	of := (*new(T)).ProtoReflect().Type()
	d := of.Descriptor()
	return &Codec[T]{of: of, rules: protovalue.RulesOf(d.ParentFile()), indexes: protovalue.Indexes(d)}
}

// Bound is a codec for messages that say which schema of a registry they were written with. The client is the caller's to close, after the
// topology. The files that the type's file imports are registered in subjects of their paths, but for those that every registry has: Google's in
// google/protobuf and google/type, and Confluent's.
//
// A value of a schema that is not known yet, while the registry is away or has no such id, is a value that waits: see
// [codecs.ErrUnavailable] and [registry.Binding].
func Bound[T proto.Message](client *registry.Client, with registry.Binding) *Codec[T] {
	c := Of[T]()
	d := c.of.Descriptor()
	c.bound = bound.New(client, with, registry.Protobuf, string(d.FullName()), protovalue.Text(d.ParentFile()), usesOf(d.ParentFile()))
	return c
}

func usesOf(file protoreflect.FileDescriptor) (list []registry.Dependency) {
	for i := range file.Imports().Len() {
		in := file.Imports().Get(i)
		if !protovalue.BuiltIn(in.Path()) {
			list = append(list, registry.Dependency{Name: in.Path(), Text: protovalue.Text(in), Uses: usesOf(in)})
		}
	}
	return list
}

// Alone implements codecs.InRecord.
func (c *Codec[T]) Alone() codecs.Codec[T] {
	return &Codec[T]{of: c.of, rules: c.rules, indexes: c.indexes}
}

// Name implements codecs.Named.
func (c *Codec[T]) Name() string { return "protobuf" }

// Append implements codecs.Codec.
func (c *Codec[T]) Append(dst []byte, v T) ([]byte, error) {
	out, _, err := c.AppendIn(&codecs.Record{}, dst, v)
	return out, err
}

// AppendIn implements codecs.InRecord. A nil message is an error.
func (c *Codec[T]) AppendIn(r *codecs.Record, dst []byte, v T) (out []byte, headers []codecs.Header, err error) {
	defer bound.Recovered(&err, "encode Protobuf")
	out = dst
	if !v.ProtoReflect().IsValid() {
		err = fmt.Errorf("there is no message: nil is none")
	}
	if err == nil {
		err = c.rules.Check(v)
	}
	if err == nil && c.bound != nil {
		out, headers, err = c.bound.Begin(r, dst, c.indexes)
	}
	if err == nil {
		out, err = proto.MarshalOptions{Deterministic: true}.MarshalAppend(out, v)
	}
	if err != nil {
		return dst, nil, fmt.Errorf("encode Protobuf: %w", err)
	}
	return out, headers, nil
}

// Parse implements codecs.Codec.
func (c *Codec[T]) Parse(data []byte) (T, error) { return c.ParseIn(&codecs.Record{}, data) }

// ParseIn implements codecs.InRecord.
func (c *Codec[T]) ParseIn(r *codecs.Record, data []byte) (v T, err error) {
	defer bound.Recovered(&err, "decode Protobuf")
	if c.bound != nil {
		data, err = c.message(r, data)
	}
	m := c.of.New().Interface()
	if err == nil {
		err = proto.UnmarshalOptions{RecursionLimit: jsonscan.MaxDepth}.Unmarshal(data, m)
	}
	if err == nil {
		err = c.rules.Check(m)
	}
	if err != nil {
		return v, fmt.Errorf("decode Protobuf: %w", err)
	}
	return m.(T), nil
}

// message is the value without what stands before it, if that says that it is a message of this type.
func (c *Codec[T]) message(r *codecs.Record, data []byte) ([]byte, error) {
	frame, rest, inHeader, err := c.bound.Read(r, data)
	if err != nil {
		return nil, err
	}
	indexes, after, err := framing.Indexes(rest)
	if err != nil {
		// What has no indexes may be of another type of schema, which says more.
		if _, other := c.bound.Find(r, frame); other != nil && !errors.Is(other, codecs.ErrUnavailable) {
			err = other
		}
		return nil, err
	}
	name, err := c.writers.Get(message{c.bound.Of(r, frame), fmt.Sprint(indexes)}, func() (protoreflect.FullName, error) {
		written, err := c.bound.Find(r, frame)
		if err != nil {
			return "", err
		}
		file, err := protovalue.Compile(written.Text, written.Imports)
		if err != nil { // messages are read by their names and numbers, so what else the file says need not be understood
			name, none := protovalue.NameOf(written.Text, indexes)
			if none != nil {
				return "", bound.Unreadable(frame, err)
			}
			return name, nil
		}
		m, err := protovalue.MessageOf(file, indexes)
		if err != nil {
			return "", fmt.Errorf("schema %s: %w", frame, err)
		}
		return m.FullName(), nil
	})
	if err == nil && name != c.of.Descriptor().FullName() {
		err = fmt.Errorf("the value is a message %s, and %s is read here", name, c.of.Descriptor().FullName())
	}
	if inHeader {
		return data, err
	}
	return after, err
}

// Prepare implements codecs.Prepared.
func (c *Codec[T]) Prepare(p codecs.Preparation) error {
	if c.bound == nil {
		return nil
	}
	return c.bound.Prepare(p)
}
