package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema/avrovalue"
)

// avroType is an Avro type with its references resolved: a named type that is used twice is one avroType.
type avroType struct {
	kind      string // record, enum, array, map, union, fixed, or a primitive type
	name      string // full name, of a named type
	aliases   []string
	fields    []avroField
	items     *avroType // of an array, or the values of a map
	branches  []*avroType
	symbols   []string
	symbolOf  string // the default symbol of an enum
	defaulted bool   // there is one
	size      string // of fixed
	logical   avrovalue.Logical
}

type avroField struct {
	name      string
	aliases   []string
	typ       *avroType
	defaulted bool
}

// parseAvro has twmb/avro judge the schema, and reads the tree itself: the library keeps its nodes to itself.
func parseAvro(s Source) (*Schema, error) {
	r := &avroReader{names: map[string]*avroType{}, undefaulted: avrovalue.NoDefaults(s.Text, s.Imports)}
	parse := avrovalue.ParseWritten
	if s.Stored {
		parse = avrovalue.ParseStored
	}
	for _, in := range s.Imports {
		doc, err := decodeOrdered(in.Text)
		if err != nil {
			return nil, fmt.Errorf("reference %s: %w", in.Name, err)
		}
		if _, err := r.typeOf(doc, "", 0); err != nil {
			return nil, fmt.Errorf("reference %s: %w", in.Name, err)
		}
	}
	text := s.Text
	doc, err := decodeOrdered(text)
	if err != nil {
		// A bare name of a type is a schema too, and clients send it without quotes.
		if word := strings.TrimSpace(text); slices.Contains(avroPrimitives, word) {
			text, doc, err = `"`+word+`"`, word, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if _, err := parse(text, s.Imports); err != nil {
		return nil, err
	}
	root, err := r.typeOf(doc, "", 0)
	if err != nil {
		doc = definedFirst(doc)
		root, err = r.typeOf(doc, "", 0)
	}
	if err != nil {
		return nil, err
	}
	canonical := canonicalAvro(doc, "")
	return &Schema{Type: Avro, Text: encodeOrdered(canonical, false), Normal: encodeOrdered(sortedProperties(canonical), false), avro: root}, nil
}

var avroPrimitives = []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}

// avroReader makes avroTypes of JSON that the library has taken.
type avroReader struct {
	names       map[string]*avroType
	undefaulted map[avrovalue.Field]bool // whose default is none
}

func (r *avroReader) typeOf(v any, space string, depth int) (*avroType, error) {
	if depth > deepest {
		return nil, fmt.Errorf("it is nested deeper than %d", deepest)
	}
	switch v := v.(type) {
	case string:
		if slices.Contains(avroPrimitives, v) {
			return &avroType{kind: v}, nil
		}
		for _, name := range []string{fullName(v, space), v} {
			if t := r.names[name]; t != nil {
				return t, nil
			}
		}
		return nil, fmt.Errorf("type %q is not defined", v)
	case []any:
		t := &avroType{kind: "union"}
		for _, b := range v {
			branch, err := r.typeOf(b, space, depth+1)
			if err != nil {
				return nil, err
			}
			t.branches = append(t.branches, branch)
		}
		return t, nil
	case object:
		return r.complex(v, space, depth)
	}
	return nil, fmt.Errorf("%v is no type", v)
}

func (r *avroReader) complex(o object, space string, depth int) (t *avroType, err error) {
	inner, _ := o.get("type")
	kind, ok := inner.(string)
	if !ok {
		return r.typeOf(inner, space, depth+1)
	}
	t = &avroType{kind: kind, logical: avrovalue.LogicalOf(kind, o.number("size"), avrovalue.Logical{Name: o.text("logicalType"), Digits: o.number("precision"), Scale: o.number("scale")})}
	switch kind {
	case "record", "error", "enum", "fixed":
		t.name, space = nameOf(o, space)
		for _, a := range textsOf(o, "aliases") {
			t.aliases = append(t.aliases, fullName(a, space))
		}
		r.names[t.name] = t
	}
	switch kind {
	case "record", "error":
		t.kind = "record"
		fields, _ := o.get("fields")
		list, _ := fields.([]any)
		for _, f := range list {
			fo, _ := f.(object)
			field := avroField{name: fo.text("name"), aliases: textsOf(fo, "aliases")}
			_, field.defaulted = fo.get("default")
			field.defaulted = field.defaulted && !r.undefaulted[avrovalue.Field{Record: t.name, Name: field.name}]
			if field.typ, err = r.typeOf(lifted(fo), space, depth+1); err != nil {
				return nil, err
			}
			t.fields = append(t.fields, field)
		}
	case "enum":
		t.symbols = textsOf(o, "symbols")
		t.symbolOf = o.text("default")
		_, t.defaulted = o.get("default")
	case "fixed":
		size, _ := o.get("size")
		t.size = fmt.Sprint(size)
	case "array", "map":
		of, _ := o.get(map[string]string{"array": "items", "map": "values"}[kind])
		t.items, err = r.typeOf(of, space, depth+1)
	default:
		if !slices.Contains(avroPrimitives, kind) {
			return r.typeOf(kind, space, depth)
		}
	}
	return t, err
}

// lifted is the type of a field whose logical type stands beside its type and not in it. The specification has it in the type; the library
// reads both.
func lifted(field object) any {
	of, _ := field.get("type")
	var said object
	for _, m := range field {
		if slices.Contains([]string{"logicalType", "precision", "scale"}, m.key) {
			said = append(said, m)
		}
	}
	if field.text("logicalType") == "" {
		return of
	}
	switch of := of.(type) {
	case string:
		return append(object{{"type", of}}, said...)
	case object:
		return append(slices.Clone(of), slices.DeleteFunc(said, func(m member) bool { _, has := of.get(m.key); return has })...)
	case []any:
		branches := slices.Clone(of)
		for i, b := range branches {
			if b != "null" {
				branches[i] = lifted(append(object{{"type", b}}, said...))
				break
			}
		}
		return branches
	}
	return of
}

func textsOf(o object, key string) (list []string) {
	v, _ := o.get(key)
	all, _ := v.([]any)
	for _, e := range all {
		if s, ok := e.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// nameOf is the full name of a named type, and the namespace that its parts are in.
func nameOf(o object, space string) (full, inner string) {
	name := o.text("name")
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		return name, name[:at]
	}
	if own, _ := o.get("namespace"); own != nil { // null says nothing
		space, _ = own.(string)
	}
	return fullName(name, space), space
}

func fullName(name, space string) string {
	if space == "" || strings.Contains(name, ".") {
		return name
	}
	return space + "." + name
}

// canonicalAvro is a schema in the form in which Avro's Java library writes it, which is what registries store: a type without
// attributes as its name, attributes in one order, namespaces only where they change.
func canonicalAvro(v any, space string) any {
	switch v := v.(type) {
	case string:
		if at := strings.LastIndexByte(v, '.'); at >= 0 && v[:at] == space {
			return v[at+1:]
		}
		return v
	case []any:
		list := make([]any, len(v))
		for i, b := range v {
			list[i] = canonicalAvro(b, space)
		}
		return list
	case object:
		return canonicalComplex(v, space)
	}
	return v
}

func canonicalComplex(o object, space string) any {
	inner, _ := o.get("type")
	kind, ok := inner.(string)
	if !ok {
		return canonicalAvro(inner, space)
	}
	out := object{{"type", kind}}
	known := []string{"type"}
	put := func(keys ...string) {
		for _, key := range keys {
			known = append(known, key)
			if v, ok := o.get(key); ok {
				out = append(out, member{key, v})
			}
		}
	}
	switch kind {
	case "record", "error", "enum", "fixed":
		known = append(known, "name", "namespace")
		full, own := nameOf(o, space)
		out = append(out, member{"name", full[strings.LastIndexByte(full, '.')+1:]})
		if own != space {
			out = append(out, member{"namespace", own})
		}
		space = own
	}
	switch kind {
	case "record", "error":
		put("doc")
		known = append(known, "fields")
		fields, _ := o.get("fields")
		list, _ := fields.([]any)
		canonical := make([]any, len(list))
		for i, f := range list {
			fo, _ := f.(object)
			canonical[i] = canonicalField(fo, space)
		}
		out = append(out, member{"fields", canonical})
	case "enum":
		put("doc", "symbols", "default")
	case "fixed":
		put("doc", "size")
	case "array", "map":
		key := map[string]string{"array": "items", "map": "values"}[kind]
		known = append(known, key)
		of, _ := o.get(key)
		out = append(out, member{key, canonicalAvro(of, space)})
	default:
		if len(o) == 1 {
			return canonicalAvro(kind, space)
		}
	}
	known = append(known, "aliases")
	for _, m := range o {
		if !slices.Contains(known, m.key) {
			out = append(out, m)
		}
	}
	put("aliases")
	return out
}

func canonicalField(o object, space string) any {
	t, _ := o.get("type")
	out := object{{"name", o.text("name")}, {"type", canonicalAvro(t, space)}}
	for _, key := range []string{"doc", "default", "order", "aliases"} {
		v, ok := o.get(key)
		if order, text := v.(string); key == "order" && text {
			v, ok = strings.ToLower(order), !strings.EqualFold(order, "ascending")
		}
		if ok {
			out = append(out, member{key, v})
		}
	}
	for _, m := range o {
		if !slices.Contains([]string{"name", "type", "doc", "default", "order", "aliases"}, m.key) {
			out = append(out, m)
		}
	}
	return out
}

// sortedProperties puts the attributes that Avro does not know in order, at the end of their object.
func sortedProperties(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = sortedProperties(e)
		}
		return list
	case object:
		var known, rest object
		for _, m := range v {
			if slices.Contains(avroAttributes, m.key) {
				known = append(known, member{m.key, sortedProperties(m.value)})
			} else {
				rest = append(rest, m)
			}
		}
		slices.SortFunc(rest, func(a, b member) int { return strings.Compare(a.key, b.key) })
		return append(known, rest...)
	}
	return v
}

var avroAttributes = []string{"type", "name", "namespace", "doc", "fields", "symbols", "default", "size", "items", "values", "order", "aliases"}
