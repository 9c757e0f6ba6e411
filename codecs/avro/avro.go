// Package avro has codecs for values in Avro's binary encoding.
//
// [Of] reads and writes values alone. [Bound] is for values that a schema registry knows: each says which schema it was written with,
// in the form that all of Confluent's clients read, and one that was written with another version is read by the rules of Avro's
// schema resolution: fields that were added have their defaults, fields that are gone are left out, numbers widen. Only a value that
// this program's schema has no place for is an error, which names the place: of a branch of a union, or a symbol of an enum, that it lacks.
//
// The Go type is a struct, or a map[string]any for any record. Fields are called as their tag avro:"name" says; see
// github.com/twmb/avro for the types and options of tags. The schema is that of the Go type unless [Schema] gives one.
package avro

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/twmb/avro"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/schema/avrovalue"
	"github.com/weirstream/weir/internal/schema/bound"
	"github.com/weirstream/weir/registry"
)

// Option is something that a codec is made with: [Schema], [References].
type Option struct {
	text string
	uses []registry.Dependency
}

// Schema gives the schema, as JSON, in place of the Go type's own. It must fit the type.
func Schema(text string) Option { return Option{text: text} }

// References gives the types that the text of [Schema] names and does not define. Each is a schema of its own, in a subject of its own.
func References(uses ...registry.Dependency) Option { return Option{uses: uses} }

// Codec reads and writes values of type T.
type Codec[T any] struct {
	schema  *avro.Schema
	err     error // of the declaration, and of each use
	bound   *bound.Codec
	readers bound.Known[bound.Schema, *avrovalue.Reader]
}

// Of is a codec for values alone, with nothing before them. A schema that makes no sense, or does not fit T, is the error of every value.
func Of[T any](opts ...Option) *Codec[T] {
	c, _ := of[T](opts)
	return c
}

// of makes a codec for values alone, and what is registered of its schema.
func of[T any](opts []Option) (*Codec[T], Option) {
	c, given := &Codec[T]{}, Option{}
	for _, o := range opts {
		given.text = cmp.Or(o.text, given.text)
		given.uses = append(given.uses, o.uses...)
	}
	switch {
	case given.text != "":
		if given.uses, c.err = named(given.uses); c.err == nil {
			c.schema, c.err = avrovalue.Parse(given.text, bound.Imports(given.uses))
		}
	case given.uses != nil:
		c.err = errors.New("references are for a schema that is given with Schema: that of a Go type has all of it in itself")
	default:
		if c.schema, c.err = avro.SchemaFor[T](); c.err == nil {
			given.text = c.schema.String()
		}
	}
	return c, given
}

// named gives references without a name that of their type.
func named(uses []registry.Dependency) (list []registry.Dependency, err error) {
	for _, d := range uses {
		if d.Uses, err = named(d.Uses); err != nil {
			return nil, err
		}
		if d.Name == "" {
			s, err := avrovalue.Parse(d.Text, bound.Imports(d.Uses))
			if err != nil {
				return nil, fmt.Errorf("a schema that is referred to: %w", err)
			}
			d.Name = nameOf(s)
		}
		list = append(list, d)
	}
	return list, nil
}

// nameOf is the full name of a schema's type.
func nameOf(s *avro.Schema) string {
	root := s.Root()
	if root.Namespace == "" {
		return root.Name
	}
	return root.Namespace + "." + root.Name
}

// Bound is a codec for values that say which schema of a registry they were written with. The client is the caller's to close, after the
// topology.
//
// A value of a schema that is not known yet, while the registry is away or has no such id, is a value that waits: see
// [codecs.ErrUnavailable] and [registry.Binding].
func Bound[T any](client *registry.Client, with registry.Binding, opts ...Option) *Codec[T] {
	c, given := of[T](opts)
	if c.err == nil {
		c.bound = bound.New(client, with, registry.Avro, nameOf(c.schema), given.text, given.uses)
	}
	return c
}

// Alone implements codecs.InRecord.
func (c *Codec[T]) Alone() codecs.Codec[T] { return &Codec[T]{schema: c.schema, err: c.err} }

// Name implements codecs.Named.
func (c *Codec[T]) Name() string { return "avro" }

// Append implements codecs.Codec.
func (c *Codec[T]) Append(dst []byte, v T) ([]byte, error) {
	out, _, err := c.AppendIn(&codecs.Record{}, dst, v)
	return out, err
}

// AppendIn implements codecs.InRecord.
func (c *Codec[T]) AppendIn(r *codecs.Record, dst []byte, v T) (out []byte, headers []codecs.Header, err error) {
	defer bound.Recovered(&err, "encode Avro")
	out, err = dst, c.err
	if err == nil && c.bound != nil {
		out, headers, err = c.bound.Begin(r, dst, nil)
	}
	if err == nil {
		out, err = c.schema.AppendEncode(out, &v)
	}
	if err != nil {
		return dst, nil, fmt.Errorf("encode Avro: %w", err)
	}
	return out, headers, nil
}

// Parse implements codecs.Codec.
func (c *Codec[T]) Parse(data []byte) (T, error) { return c.ParseIn(&codecs.Record{}, data) }

// ParseIn implements codecs.InRecord.
func (c *Codec[T]) ParseIn(r *codecs.Record, data []byte) (v T, err error) {
	defer bound.Recovered(&err, "decode Avro")
	var rest []byte
	err = c.err
	switch {
	case err != nil:
	case c.bound != nil:
		rest, err = c.resolved(r, data, &v)
	default:
		rest, err = c.schema.Decode(data, &v)
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow the value", len(rest))
	}
	if err != nil {
		return *new(T), fmt.Errorf("decode Avro: %w", err)
	}
	return v, nil
}

// resolved reads a value that says which schema it was written with as this program's type, and says what follows it.
func (c *Codec[T]) resolved(r *codecs.Record, data []byte, v *T) ([]byte, error) {
	frame, rest, inHeader, err := c.bound.Read(r, data)
	if err != nil {
		return nil, err
	}
	reader, err := c.readers.Get(c.bound.Of(r, frame), func() (*avrovalue.Reader, error) {
		written, err := c.bound.Find(r, frame)
		if err != nil {
			return nil, err
		}
		writer, err := avrovalue.ParseStored(written.Text, written.Imports)
		if err != nil {
			return nil, bound.Unreadable(frame, err)
		}
		return avrovalue.Resolve(writer, c.schema)
	})
	if err != nil {
		return nil, err
	}
	if inHeader {
		rest = data
	}
	if rest, err = reader.Decode(rest, v); err != nil {
		return nil, fmt.Errorf("written with schema %s: %w", frame, err)
	}
	return rest, nil
}

// Prepare implements codecs.Prepared.
func (c *Codec[T]) Prepare(p codecs.Preparation) error {
	if c.err != nil || c.bound == nil {
		return c.err
	}
	return c.bound.Prepare(p)
}
