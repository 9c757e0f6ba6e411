package schema

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/internal/schema/protovalue"
)

// readProtobuf compares messages of one name, and their fields by number, by the rules of Confluent's registry: what is not listed in
// docs/schemas.md is compatible.
func readProtobuf(reader, writer *protoFile) []Difference {
	c := &protoReading{imported: map[string]bool{}}
	if r, w := reader.file.Package(), writer.file.Package(); r != w {
		c.add("PACKAGE_CHANGED", "/", "the package is %q, and was %q: messages have other names", r, w)
	}
	c.messages(reader.file.Messages(), writer.file.Messages(), "")
	return c.found
}

type protoReading struct {
	found    []Difference
	imported map[string]bool // messages of imported files, by both names, and whether one cannot be read; false while they are compared
}

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
			c.add("REQUIRED_FIELD_ADDED", fmt.Sprintf("%s/%d", path, is.Number()), "the field %s = %d is new and required", is.Name(), is.Number())
		}
	}
	c.oneofFieldsRemoved(r, w, path)
	c.oneofsJoined(r, w, path)
}

// oneofOf is the name of the oneof that a field is in, "" where it is in none but that of the keyword optional.
func oneofOf(f protoreflect.FieldDescriptor) protoreflect.Name {
	if of := f.ContainingOneof(); of != nil && !of.IsSynthetic() {
		return of.Name()
	}
	return ""
}

// oneofFieldsRemoved finds fields of a oneof that are gone: a reader takes the oneof for unset. A oneof that is gone as a whole is
// allowed, as fields are.
func (c *protoReading) oneofFieldsRemoved(r, w protoreflect.MessageDescriptor, path string) {
	for i := range w.Oneofs().Len() {
		was := w.Oneofs().Get(i)
		if was.IsSynthetic() {
			continue
		}
		is := r.Oneofs().ByName(was.Name())
		var gone []protoreflect.FieldDescriptor
		for j := range was.Fields().Len() {
			if f := was.Fields().Get(j); r.Fields().ByNumber(f.Number()) == nil {
				gone = append(gone, f)
			}
		}
		if is == nil && len(gone) == was.Fields().Len() {
			continue
		}
		for _, f := range gone {
			c.add("ONEOF_FIELD_REMOVED", fmt.Sprintf("%s/%s/%d", path, was.Name(), f.Number()), "the field %s = %d of oneof %s is gone", f.Name(), f.Number(), was.Name())
		}
	}
}

// oneofsJoined finds fields that could be set together, and are in one oneof now: a reader keeps the last of them only.
func (c *protoReading) oneofsJoined(r, w protoreflect.MessageDescriptor, path string) {
	for i := range r.Oneofs().Len() {
		is := r.Oneofs().Get(i)
		if is.IsSynthetic() {
			continue
		}
		var names []string
		alone := 0                   // of the fields, those that were in no oneof
		origins := map[string]bool{} // of which at most one was set
		for j := range is.Fields().Len() {
			f := is.Fields().Get(j)
			was := w.Fields().ByNumber(f.Number())
			if was == nil {
				continue
			}
			names = append(names, string(f.Name()))
			if of := oneofOf(was); of != "" {
				origins["oneof "+string(of)] = true
				continue
			}
			origins[fmt.Sprint(f.Number())] = true
			alone++
		}
		if len(origins) < 2 {
			continue
		}
		rule := "FIELD_MOVED_TO_EXISTING_ONEOF"
		if alone > 1 {
			rule = "MULTIPLE_FIELDS_MOVED_TO_ONEOF"
		}
		c.add(rule, path+"/"+string(is.Name()), "fields that could be set together are in oneof %s, of which one can be read now: %s", is.Name(), strings.Join(names, ", "))
	}
}

func (c *protoReading) field(r, w protoreflect.FieldDescriptor, path string) {
	if r.Cardinality() == protoreflect.Required && w.Cardinality() != protoreflect.Required {
		c.add("REQUIRED_FIELD_ADDED", path, "the field %s is required, and was %s", r.Name(), w.Cardinality())
	}
	if r.IsMap() != w.IsMap() || (r.Message() == nil) != (w.Message() == nil) {
		c.kindChanged("FIELD_KIND_CHANGED", r, w, path)
		return
	}
	switch {
	case r.IsMap():
		c.field(r.MapKey(), w.MapKey(), path+"/key")
		c.field(r.MapValue(), w.MapValue(), path+"/value")
	case r.Message() != nil:
		c.messageField(r, w, path)
	case protoGroup(r.Kind()) != protoGroup(w.Kind()):
		c.kindChanged("FIELD_SCALAR_KIND_CHANGED", r, w, path)
	case r.IsList() != w.IsList() && numeric(w.Kind()):
		c.add("FIELD_NUMERIC_LABEL_CHANGED", path, "the numeric field %s is %s, and was %s: repeated numbers are packed", r.Name(), r.Cardinality(), w.Cardinality())
	}
}

func (c *protoReading) kindChanged(rule string, r, w protoreflect.FieldDescriptor, path string) {
	c.add(rule, path, "the field %s is %s, and was %s", r.Name(), protovalue.TypeName(r), protovalue.TypeName(w))
}

// messageField compares fields whose types are messages: by their names in their packages, and those of imported files by what is in
// them too, since an import may be of another version.
func (c *protoReading) messageField(r, w protoreflect.FieldDescriptor, path string) {
	is, was := r.Message(), w.Message()
	switch {
	case localName(is) != localName(was):
		c.kindChanged("FIELD_NAMED_TYPE_CHANGED", r, w, path)
	case r.Kind() != w.Kind(): // a group is written in another way than a message
		c.add("FIELD_KIND_CHANGED", path, "the field %s is a %s, and was a %s", r.Name(), r.Kind(), w.Kind())
	case is.ParentFile().Path() == r.ParentFile().Path() && was.ParentFile().Path() == w.ParentFile().Path():
	case c.importedChanged(is, was):
		c.add("FIELD_NAMED_TYPE_CHANGED", path, "the field %s is of the imported message %s, which has changed", r.Name(), is.FullName())
	}
}

func (c *protoReading) importedChanged(r, w protoreflect.MessageDescriptor) bool {
	names := string(r.FullName() + " " + w.FullName())
	if changed, known := c.imported[names]; known {
		return changed
	}
	c.imported[names] = false
	before := len(c.found)
	c.message(r, w, "/"+localName(r))
	c.imported[names] = len(c.found) > before
	return c.imported[names]
}

// localName is a message's name without its package, in the form of a path.
func localName(m protoreflect.MessageDescriptor) string {
	return strings.ReplaceAll(strings.TrimPrefix(string(m.FullName()), string(m.ParentFile().Package())+"."), ".", "/")
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
	return k != protoreflect.StringKind && k != protoreflect.BytesKind
}
