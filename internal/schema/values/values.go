// Package values turns JSON documents into what producers write and back, by registered schemas of all three types.
//
// It is for programs that know no Go type of a value: the gateway, the commands that show records. A mistake is an error with its place
// in the value: `$.lines[2].amount: ...`.
package values

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/internal/schema/avrovalue"
	"github.com/weirstream/weir/internal/schema/bound"
	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/internal/schema/jsonvalue"
	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/registry"
)

// Schema converts values of a registered schema. It may be used from several goroutines.
type Schema struct {
	registered *registry.Registered
	avro       *avrovalue.Schema
	proto      *protovalue.File
	json       *jsonvalue.Schema
}

// Compile prepares a schema. Its error says what is wrong with the schema.
func Compile(r *registry.Registered) (*Schema, error) {
	s, err := &Schema{registered: r}, error(nil)
	switch r.Type {
	case registry.Avro, "":
		parsed, err := avrovalue.ParseStored(r.Text, r.Imports)
		if err != nil {
			return nil, err
		}
		s.avro, err = avrovalue.Compile(parsed)
		return s, err
	case registry.Protobuf:
		var file protoreflect.FileDescriptor
		if file, err = protovalue.Compile(r.Text, r.Imports); err == nil {
			s.proto, err = protovalue.Of(file)
		}
	case registry.JSON:
		s.json, err = jsonvalue.Compile(r.Text, r.Imports)
	default:
		err = fmt.Errorf("%q is no type of schemas", r.Type)
	}
	return s, err
}

// Registered is what the schema was made of.
func (s *Schema) Registered() *registry.Registered { return s.registered }

// Form is where a record says which schema its value was written with.
type Form int

// The forms: see package framing.
const (
	InValue  Form = iota // magic byte 0 and the id before the value
	InHeader             // the GUID in a header
)

// Message finds the message of a Protobuf schema that a document is to be: "" is the first one. Of other types there is none to find: nil.
func (s *Schema) Message(name string) (protoreflect.MessageDescriptor, error) {
	switch {
	case s.proto == nil && name == "":
		return nil, nil
	case s.proto == nil:
		return nil, fmt.Errorf("the schema is %s, and has no message %q", s.registered.Type, name)
	case name == "":
		return s.proto.Message(nil)
	}
	return s.proto.Named(name)
}

// Append encodes a JSON document after dst, with all that stands before the value; header is the value of the record's header in the form
// InHeader, nil otherwise. message is which message of a Protobuf schema it is: see Message.
func (s *Schema) Append(dst []byte, form Form, message protoreflect.MessageDescriptor, document []byte) (out, header []byte, err error) {
	if form == InHeader {
		if header, err = framing.Header(s.registered.GUID); err != nil {
			return dst, nil, fmt.Errorf("the schema %d has no GUID that a header could have: %w", s.registered.ID, err)
		}
		out = dst
	} else {
		out = framing.AppendID(dst, s.registered.ID)
	}
	if s.proto != nil {
		if message == nil {
			if message, err = s.proto.Message(nil); err != nil {
				return dst, nil, err
			}
		}
		if form == InHeader {
			header = framing.AppendIndexes(header, protovalue.Indexes(message))
		} else {
			out = framing.AppendIndexes(out, protovalue.Indexes(message))
		}
	}
	if out, err = s.AppendBare(out, message, document); err != nil {
		return dst, nil, err
	}
	return out, header, nil
}

// AppendBare encodes a JSON document after dst, with nothing before it.
func (s *Schema) AppendBare(dst []byte, message protoreflect.MessageDescriptor, document []byte) ([]byte, error) {
	switch {
	case s.avro != nil:
		return s.avro.Append(dst, document)
	case s.proto != nil:
		return s.proto.Append(dst, message, document)
	}
	if err := s.json.Check(document); err != nil {
		return dst, err
	}
	return append(dst, document...), nil
}

// JSON turns an encoded value into a JSON document. rest is what follows the id or GUID: see framing.Read.
func (s *Schema) JSON(value, rest []byte, inHeader bool) ([]byte, error) {
	encoded := rest
	if inHeader {
		encoded = value
	}
	switch {
	case s.avro != nil:
		return s.avro.AppendJSON(nil, encoded)
	case s.proto != nil:
		indexes, after, err := framing.Indexes(rest)
		if err != nil {
			return nil, err
		}
		if !inHeader {
			encoded = after
		}
		m, err := s.proto.Message(indexes)
		if err != nil {
			return nil, err
		}
		return s.proto.AppendJSON(nil, m, encoded)
	}
	if err := s.json.Check(encoded); err != nil {
		return nil, err
	}
	return encoded, nil
}

// Text is the text of a field in a Protobuf value that begins with what says its schema: see protovalue.File.
func (s *Schema) Text(value []byte, path string) (string, error) {
	if s.proto == nil {
		return "", fmt.Errorf("the schema is %s, and has no message", s.registered.Type)
	}
	_, rest, _, err := framing.Read(value, nil)
	if err != nil {
		return "", err
	}
	indexes, encoded, err := framing.Indexes(rest)
	if err != nil {
		return "", err
	}
	m, err := s.proto.Message(indexes)
	if err != nil {
		return "", err
	}
	return s.proto.Text(m, encoded, path)
}

// ManyForms says whether JSON has several texts of a field, other than numbers that are written in several ways.
func (s *Schema) ManyForms(path string) bool { return s.avro != nil && s.avro.ManyForms(path) }

// HasText says whether a value of the schema may have a text or a number at a path, which is the names of the fields that lead to it, with dots
// between them; of a Protobuf file it is a value of any of its outermost messages. nil also means that the schema does not say.
func (s *Schema) HasText(path string) error {
	switch {
	case s.avro != nil:
		return s.avro.HasText(path)
	case s.proto != nil:
		first, err := s.proto.Message(nil)
		if err != nil {
			return err
		}
		err = protovalue.HasText(first, path)
		all := first.ParentFile().Messages()
		for i := 0; i < all.Len() && err != nil; i++ {
			if protovalue.HasText(all.Get(i), path) == nil {
				return nil
			}
		}
		return err
	}
	return s.json.HasText(path)
}

// Values converts values by the schemas of a source. Schemas that were compiled are kept, the last thousand or so.
type Values struct {
	source registry.Source
	known  bound.Known[string, *Schema]
}

// New makes Values over a source.
func New(source registry.Source) *Values { return &Values{source: source} }

// Schema compiles a schema of the source, once for each id. What it says of itself is what was asked for: a schema may be in several subjects, under one id.
func (v *Values) Schema(r *registry.Registered) (*Schema, error) {
	frame := framing.Frame{ID: r.ID, GUID: r.GUID}
	s, err := v.known.Get(contextOf(r.Subject)+frame.String(), func() (*Schema, error) {
		s, err := Compile(r)
		if err != nil {
			err = fmt.Errorf("schema %s: %w", frame, err)
		}
		return s, err
	})
	if known := s; err == nil && (known.registered.ID != r.ID || known.registered.Subject != r.Subject || known.registered.Version != r.Version) {
		s = &Schema{}
		*s = *known
		s.registered = r
	}
	return s, err
}

// contextOf is the context in a subject's name, in which alone an id is one schema.
func contextOf(subject string) string {
	if at := strings.IndexByte(strings.TrimPrefix(subject, ":"), ':'); at > 0 && strings.HasPrefix(subject, ":.") {
		return subject[:at+2]
	}
	return ""
}

// JSON turns a record's key or value into a JSON document, by the schema that it names. header is the value of the record's header
// framing.HeaderOf, nil where it has none. framing.ErrNone: it names none; registry.ErrAway and ErrNotFound: the schema is not found.
func (v *Values) JSON(ctx context.Context, value, header []byte) ([]byte, *registry.Registered, error) {
	frame, rest, inHeader, err := framing.Read(value, header)
	if err != nil {
		return nil, nil, err
	}
	var r *registry.Registered
	if frame.GUID != "" {
		r, err = v.source.ByGUID(ctx, frame.GUID)
	} else {
		r, err = v.source.ByID(ctx, frame.ID)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := v.Schema(r)
	if err != nil {
		return nil, r, err
	}
	document, err := s.JSON(value, rest, inHeader)
	return document, r, err
}
