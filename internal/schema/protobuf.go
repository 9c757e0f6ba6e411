package schema

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/internal/schema/protovalue"
)

type protoFile struct{ file protoreflect.FileDescriptor }

func parseProtobuf(s Source) (*Schema, error) {
	file, err := protovalue.Compile(s.Text, s.Imports)
	if err != nil {
		return nil, err
	}
	text := protovalue.Print(protodesc.ToFileDescriptorProto(file), file, false)
	return &Schema{Type: Protobuf, Text: text, Normal: protovalue.Print(protodesc.ToFileDescriptorProto(file), file, true), proto: &protoFile{file}}, nil
}

// Descriptor is the file of a Protobuf schema, nil for other types.
func (s *Schema) Descriptor() protoreflect.FileDescriptor {
	if s.proto == nil {
		return nil
	}
	return s.proto.file
}

// Packed is a Protobuf schema as its descriptor in base64, as clients in Python want it.
func (s *Schema) Packed() (string, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(protodesc.ToFileDescriptorProto(s.proto.file))
	return base64.StdEncoding.EncodeToString(raw), err
}

// readProtobuf compares messages and enums of one name, and their fields by number, by the rules of Confluent's registry: what is
// not listed in docs/schemas.md is compatible.
func readProtobuf(reader, writer *protoFile) []Difference {
	c := &protoReading{}
	if r, w := reader.file.Package(), writer.file.Package(); r != w {
		c.add("PACKAGE_CHANGED", "/", "the package is %q, and was %q: messages have other names", r, w)
	}
	c.messages(reader.file.Messages(), writer.file.Messages(), "")
	return c.found
}

type protoReading struct{ found []Difference }

func (c *protoReading) add(rule, path, format string, args ...any) {
	c.found = append(c.found, Difference{rule, path, fmt.Sprintf(format, args...)})
}

func (c *protoReading) messages(r, w protoreflect.MessageDescriptors, path string) {
	for i := range w.Len() {
		was := w.Get(i)
		at := path + "/" + string(was.Name())
		switch is := r.ByName(was.Name()); {
		case was.IsMapEntry():
		case is == nil:
			c.add("MESSAGE_REMOVED", at, "message %s is gone", was.Name())
		default:
			c.message(is, was, at)
		}
	}
}

func (c *protoReading) message(r, w protoreflect.MessageDescriptor, path string) {
	c.messages(r.Messages(), w.Messages(), path)
	for i := range w.Fields().Len() {
		was := w.Fields().Get(i)
		is := r.Fields().ByNumber(was.Number())
		at := fmt.Sprintf("%s/%d", path, was.Number())
		if is == nil {
			if was.Cardinality() == protoreflect.Required {
				c.add("REQUIRED_FIELD_REMOVED", at, "the required field %s = %d is gone", was.Name(), was.Number())
			}
			continue
		}
		c.field(is, was, at)
	}
	for i := range r.Fields().Len() {
		if is := r.Fields().Get(i); w.Fields().ByNumber(is.Number()) == nil && is.Cardinality() == protoreflect.Required {
			c.add("REQUIRED_FIELD_ADDED", fmt.Sprintf("%s/%d", path, is.Number()), "the field %s = %d is new and required: make it optional", is.Name(), is.Number())
		}
	}
	c.oneofs(r, w, path)
}

func (c *protoReading) oneofs(r, w protoreflect.MessageDescriptor, path string) {
	for i := range w.Oneofs().Len() {
		was := w.Oneofs().Get(i)
		is := r.Oneofs().ByName(was.Name())
		if was.IsSynthetic() || is == nil || is.IsSynthetic() {
			continue
		}
		for j := range was.Fields().Len() {
			if f := was.Fields().Get(j); is.Fields().ByNumber(f.Number()) == nil {
				c.add("ONEOF_FIELD_REMOVED", fmt.Sprintf("%s/%s/%d", path, was.Name(), f.Number()), "the field %s = %d is no longer in oneof %s", f.Name(), f.Number(), was.Name())
			}
		}
	}
	for i := range r.Oneofs().Len() {
		is := r.Oneofs().Get(i)
		if is.IsSynthetic() {
			continue
		}
		var moved []string
		for j := range is.Fields().Len() {
			f := is.Fields().Get(j)
			if before := w.Fields().ByNumber(f.Number()); before != nil && (before.ContainingOneof() == nil || before.ContainingOneof().IsSynthetic()) {
				moved = append(moved, string(f.Name()))
			}
		}
		at := path + "/" + string(is.Name())
		was := w.Oneofs().ByName(is.Name())
		switch {
		case len(moved) > 0 && was != nil && !was.IsSynthetic():
			c.add("FIELD_MOVED_TO_EXISTING_ONEOF", at, "fields moved into oneof %s, which was there: %s", is.Name(), strings.Join(moved, ", "))
		case len(moved) > 1:
			c.add("MULTIPLE_FIELDS_MOVED_TO_ONEOF", at, "several fields moved into oneof %s, of which only one can be read now: %s", is.Name(), strings.Join(moved, ", "))
		}
	}
}

func (c *protoReading) field(r, w protoreflect.FieldDescriptor, path string) {
	if r.IsMap() != w.IsMap() {
		c.add("FIELD_KIND_CHANGED", path, "the field %s is %s, and was %s", r.Name(), protovalue.TypeName(r), protovalue.TypeName(w))
		return
	}
	if r.IsMap() {
		c.field(r.MapKey(), w.MapKey(), path+"/key")
		c.field(r.MapValue(), w.MapValue(), path+"/value")
		return
	}
	if (r.Cardinality() == protoreflect.Repeated) != (w.Cardinality() == protoreflect.Repeated) && numeric(w.Kind()) {
		c.add("FIELD_NUMERIC_LABEL_CHANGED", path, "the numeric field %s is %s, and was %s: repeated numbers are packed", r.Name(), r.Cardinality(), w.Cardinality())
	}
	switch rm, wm := r.Message(), w.Message(); {
	case (rm == nil) != (wm == nil):
		c.add("FIELD_KIND_CHANGED", path, "the field %s is %s, and was %s", r.Name(), protovalue.TypeName(r), protovalue.TypeName(w))
	case rm != nil:
		if rm.FullName() != wm.FullName() {
			c.add("FIELD_NAMED_TYPE_CHANGED", path, "the field %s is %s, and was %s", r.Name(), protovalue.TypeName(r), protovalue.TypeName(w))
		}
	case protoGroup(r.Kind()) != protoGroup(w.Kind()):
		c.add("FIELD_SCALAR_KIND_CHANGED", path, "the field %s is %s, and was %s", r.Name(), protovalue.TypeName(r), protovalue.TypeName(w))
	case r.Enum() != nil && w.Enum() != nil && r.Enum().FullName() != w.Enum().FullName():
		c.add("FIELD_NAMED_TYPE_CHANGED", path, "the field %s is %s, and was %s", r.Name(), protovalue.TypeName(r), protovalue.TypeName(w))
	}
}

// protoGroups are scalar types that are written alike, so that one is read as the other.
var protoGroups = [][]protoreflect.Kind{
	{protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.BoolKind, protoreflect.EnumKind},
	{protoreflect.Sint32Kind, protoreflect.Sint64Kind},
	{protoreflect.StringKind, protoreflect.BytesKind},
	{protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind},
	{protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind},
}

func protoGroup(k protoreflect.Kind) int {
	if n := slices.IndexFunc(protoGroups, func(g []protoreflect.Kind) bool { return slices.Contains(g, k) }); n >= 0 {
		return n
	}
	return len(protoGroups) + int(k) // float, double: like themselves only
}

func numeric(k protoreflect.Kind) bool {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind, protoreflect.GroupKind:
		return false
	}
	return true
}
