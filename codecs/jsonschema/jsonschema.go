// Package jsonschema has codecs for JSON values that a JSON schema describes: nothing is written, and nothing is read, that its schema
// does not allow.
//
// Values become JSON as codecs.JSON does it; a whole number is read into an integer however it is written, 1.0 and 1e2 too, as JSON Schema
// takes them. [Of] is for JSON alone. [Bound] is for values that a schema registry knows: each says
// which schema it was written with, in the form that all of Confluent's clients read, and is checked against that one when it is read. One
// that another registry took and this program does not understand, as with a back-reference in a pattern, checks nothing: T alone counts.
package jsonschema

import (
	"fmt"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/schema/bound"
	"github.com/weirstream/weir/internal/schema/jsonvalue"
	"github.com/weirstream/weir/registry"
)

// Codec reads and writes values of type T.
type Codec[T any] struct {
	json    *codecs.JSONCodec[T]
	schema  *jsonvalue.Schema
	err     error // of the declaration, and of each use
	bound   *bound.Codec
	writers bound.Known[bound.Schema, *jsonvalue.Schema]
}

// Option is something that a codec is made with: [References].
type Option struct{ uses []registry.Dependency }

// References gives the schemas that a $ref of the schema names. Each is in a subject of its own, and its Name is the $ref without what
// follows a #.
func References(uses ...registry.Dependency) Option { return Option{uses} }

// Of is a codec for JSON alone. A schema that makes no sense is the error of every value; one that names no draft is of draft 7.
func Of[T any](schema string, opts ...Option) *Codec[T] {
	c := &Codec[T]{json: codecs.JSON[T]()}
	c.schema, c.err = jsonvalue.Compile(schema, bound.Imports(usesOf(opts)))
	return c
}

func usesOf(opts []Option) (list []registry.Dependency) {
	for _, o := range opts {
		list = append(list, o.uses...)
	}
	return list
}

// Bound is a codec for values that say which schema of a registry they were written with. The client is the caller's to close, after the
// topology. The schema's name, for the naming of subjects, is its title.
//
// A value of a schema that is not known yet, while the registry is away or has no such id, is a value that waits: see
// [codecs.ErrUnavailable] and [registry.Binding].
func Bound[T any](client *registry.Client, with registry.Binding, schema string, opts ...Option) *Codec[T] {
	c := Of[T](schema, opts...)
	if c.err == nil {
		c.bound = bound.New(client, with, registry.JSON, c.schema.Title(), schema, usesOf(opts))
	}
	return c
}

// Alone implements codecs.InRecord.
func (c *Codec[T]) Alone() codecs.Codec[T] {
	return &Codec[T]{json: c.json, schema: c.schema, err: c.err}
}

// Name implements codecs.Named.
func (c *Codec[T]) Name() string { return "jsonschema" }

// Append implements codecs.Codec.
func (c *Codec[T]) Append(dst []byte, v T) ([]byte, error) {
	out, _, err := c.AppendIn(&codecs.Record{}, dst, v)
	return out, err
}

// AppendIn implements codecs.InRecord.
func (c *Codec[T]) AppendIn(r *codecs.Record, dst []byte, v T) (out []byte, headers []codecs.Header, err error) {
	defer bound.Recovered(&err, "encode JSON")
	out, err = dst, c.err
	if err == nil && c.bound != nil {
		out, headers, err = c.bound.Begin(r, dst, nil)
	}
	from := len(out)
	if err == nil {
		out, err = c.json.Append(out, v)
	}
	if err == nil {
		err = c.schema.Check(out[from:])
	}
	if err != nil {
		return dst, nil, fmt.Errorf("encode JSON by its schema: %w", err)
	}
	return out, headers, nil
}

// Parse implements codecs.Codec.
func (c *Codec[T]) Parse(data []byte) (T, error) { return c.ParseIn(&codecs.Record{}, data) }

// ParseIn implements codecs.InRecord.
func (c *Codec[T]) ParseIn(r *codecs.Record, data []byte) (v T, err error) {
	defer bound.Recovered(&err, "decode JSON")
	schema, err := c.schema, c.err
	if err == nil && c.bound != nil {
		schema, data, err = c.writer(r, data)
	}
	if err == nil {
		err = schema.Check(data)
	}
	if err == nil {
		v, err = c.parse(data)
	}
	if err != nil {
		return *new(T), fmt.Errorf("decode JSON by its schema: %w", err)
	}
	return v, nil
}

// parse reads a document that its schema allows.
func (c *Codec[T]) parse(data []byte) (T, error) {
	v, err := c.json.Parse(data)
	if err != nil {
		if again := wholeNumbers(data); len(again) != len(data) || &again[0] != &data[0] {
			return c.json.Parse(again)
		}
	}
	return v, err
}

// writer is the schema that a value was written with, or for one that this program does not understand one that takes all JSON, and the value alone.
func (c *Codec[T]) writer(r *codecs.Record, data []byte) (*jsonvalue.Schema, []byte, error) {
	frame, rest, inHeader, err := c.bound.Read(r, data)
	if err != nil {
		return nil, nil, err
	}
	schema, err := c.writers.Get(c.bound.Of(r, frame), func() (*jsonvalue.Schema, error) {
		written, err := c.bound.Find(r, frame)
		if err != nil {
			return nil, err
		}
		schema, err := jsonvalue.Compile(written.Text, written.Imports)
		if err != nil { // the value is JSON all the same, and Confluent's clients read it unchecked unless they are told to
			return jsonvalue.Compile("{}", nil)
		}
		return schema, nil
	})
	if inHeader {
		rest = data
	}
	return schema, rest, err
}

// Prepare implements codecs.Prepared.
func (c *Codec[T]) Prepare(p codecs.Preparation) error {
	if c.err != nil || c.bound == nil {
		return c.err
	}
	return c.bound.Prepare(p)
}
