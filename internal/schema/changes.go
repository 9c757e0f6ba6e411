package schema

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/internal/schema/jsonvalue"
	"github.com/weirstream/weir/internal/schema/protovalue"
)

// Change is a part of a schema that two of them do not have in common. What means nothing to a reader, such as documentation and
// the order of members, is no part.
type Change struct {
	Kind string `json:"kind"`          // added, removed or changed
	Path string `json:"path"`          // /fields/amount/type
	Old  string `json:"old,omitempty"` // what the part was
	New  string `json:"new,omitempty"` // what it is
}

func (c Change) String() string {
	switch c.Kind {
	case "added":
		return fmt.Sprintf("+ %s %s", c.Path, c.New)
	case "removed":
		return fmt.Sprintf("- %s %s", c.Path, c.Old)
	}
	return fmt.Sprintf("~ %s %s -> %s", c.Path, c.Old, c.New)
}

// Changes lists what a schema has that the one before it has not, and the other way round, in the order of the schemas.
func Changes(old, next *Schema) []Change {
	list := []Change{}
	before, after := outline(old), outline(next)
	for _, p := range before.parts {
		switch text, still := after.texts[p]; {
		case !still:
			list = append(list, Change{"removed", p, before.texts[p], ""})
		case text != before.texts[p]:
			list = append(list, Change{"changed", p, before.texts[p], text})
		}
	}
	for _, p := range after.parts {
		if _, was := before.texts[p]; !was {
			list = append(list, Change{"added", p, "", after.texts[p]})
		}
	}
	return list
}

// outlined is a schema as its parts, each with a path and what is there.
type outlined struct {
	parts []string
	texts map[string]string
}

func (o *outlined) add(path, text string) {
	if _, twice := o.texts[path]; !twice {
		o.parts = append(o.parts, path)
	}
	o.texts[path] = text
}

func outline(s *Schema) *outlined {
	o := &outlined{texts: map[string]string{}}
	if s.Type == Protobuf {
		o.file(s.proto.file)
		return o
	}
	doc, err := decodeOrdered(s.Text)
	if err != nil { // it was parsed before
		o.add("/", s.Text)
		return o
	}
	below := jsonvalue.Part.Below
	if s.Type == Avro {
		below = belowAvro
	}
	o.json("", doc, jsonvalue.InSchema, below)
	return o
}

// belowAvro is the part of an Avro schema that stands under a name. Attributes that Avro does not know may hold anything, and so may defaults.
func belowAvro(_ jsonvalue.Part, name string) jsonvalue.Part {
	if name == "default" || !slices.Contains(avroAttributes, name) {
		return jsonvalue.InValue
	}
	return jsonvalue.InSchema
}

// silent are members that say nothing to a reader.
var silent = []string{"doc", "description", "title", "$comment", "examples"}

// sets are arrays whose order means nothing, or whose elements are told by themselves.
var sets = []string{"required", "enum", "symbols", "aliases"}

func (o *outlined) json(path string, v any, part jsonvalue.Part, below func(jsonvalue.Part, string) jsonvalue.Part) {
	switch v := v.(type) {
	case object:
		if part == jsonvalue.InValue || len(v) == 0 {
			o.add(or(path, "/"), encodeOrdered(v, true))
			return
		}
		for _, m := range v {
			if part == jsonvalue.InSchema && (isSilent(m) || m.key == "name" && strings.HasSuffix(path, "]")) { // whose name is in the path
				continue
			}
			o.json(path+"/"+escapedName(m.key), m.value, below(part, m.key), below)
		}
	case []any:
		if at := strings.LastIndexByte(path, '/'); slices.Contains(sets, path[at+1:]) {
			for _, e := range v {
				o.add(path+"["+encodeOrdered(e, false)+"]", "")
			}
			return
		}
		if part != jsonvalue.InValue && slices.ContainsFunc(v, func(e any) bool { _, isObject := e.(object); return isObject }) {
			for i, e := range v {
				key := fmt.Sprint(i)
				if eo, ok := e.(object); ok && eo.text("name") != "" {
					key = eo.text("name")
				}
				o.json(path+"["+key+"]", e, part, below)
			}
			return
		}
		o.add(or(path, "/"), encodeOrdered(v, true))
	default:
		o.add(or(path, "/"), encodeOrdered(v, false))
	}
}

// isSilent says whether a keyword or attribute says nothing to a reader.
func isSilent(m member) bool {
	_, isText := m.value.(string)
	return slices.Contains(silent, m.key) && (isText || m.key == "examples")
}

func or(path, otherwise string) string {
	if path == "" {
		return otherwise
	}
	return path
}

func escapedName(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

func (o *outlined) file(f protoreflect.FileDescriptor) {
	o.add("/package", string(f.Package()))
	o.messages("", f.Messages())
	o.enums("", f.Enums())
	for s := range all(f.Services()) {
		for m := range all(s.Methods()) {
			o.add("/"+string(s.Name())+"/"+string(m.Name()), fmt.Sprintf("rpc(%s) returns (%s)", m.Input().FullName(), m.Output().FullName()))
		}
	}
}

func (o *outlined) messages(path string, list protoreflect.MessageDescriptors) {
	for m := range all(list) {
		if m.IsMapEntry() {
			continue
		}
		at := path + "/" + string(m.Name())
		o.add(at, "message")
		o.rules(at, m.Options())
		for f := range all(m.Fields()) {
			field := fmt.Sprintf("%s/%d", at, f.Number())
			o.add(field, fieldText(f))
			o.rules(field, f.Options())
		}
		for one := range all(m.Oneofs()) {
			o.rules(at+"/"+string(one.Name()), one.Options())
		}
		o.messages(at, m.Messages())
		o.enums(at, m.Enums())
	}
}

// rules are those of protovalidate, which say what values are taken.
func (o *outlined) rules(path string, options protoreflect.ProtoMessage) {
	if rules := protovalue.RulesIn(options); len(rules) > 0 {
		o.add(path+"/rules", strings.Join(rules, ", "))
	}
}

// fieldText is a field as it is declared, without its number.
func fieldText(f protoreflect.FieldDescriptor) string {
	if f.IsMap() {
		return fmt.Sprintf("map<%s, %s> %s", f.MapKey().Kind(), typeText(f.MapValue()), f.Name())
	}
	text := typeText(f) + " " + string(f.Name())
	switch {
	case f.IsList():
		text = "repeated " + text
	case f.Cardinality() == protoreflect.Required:
		text = "required " + text
	case f.HasOptionalKeyword():
		text = "optional " + text
	}
	if one := f.ContainingOneof(); one != nil && !one.IsSynthetic() {
		text += " in oneof " + string(one.Name())
	}
	return text
}

func typeText(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}

func (o *outlined) enums(path string, list protoreflect.EnumDescriptors) {
	for e := range all(list) {
		at := path + "/" + string(e.Name())
		o.add(at, "enum")
		for v := range all(e.Values()) {
			o.add(fmt.Sprintf("%s/%d", at, v.Number()), string(v.Name()))
		}
	}
}

// all ranges over one of protoreflect's lists.
func all[T any](list interface {
	Len() int
	Get(int) T
}) func(func(T) bool) {
	return func(yield func(T) bool) {
		for i := range list.Len() {
			if !yield(list.Get(i)) {
				return
			}
		}
	}
}
