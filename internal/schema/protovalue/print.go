package protovalue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Print writes a file as its source, without comments, everything in the order of its declaration; imports and options
// sorted where asked for.
func Print(f *descriptorpb.FileDescriptorProto, file protoreflect.FileDescriptor, sorted bool) string {
	p := &protoPrinter{sorted: sorted}
	switch {
	case f.GetSyntax() == "editions":
		p.line("edition = %q;", strings.TrimPrefix(f.GetEdition().String(), "EDITION_"))
	case f.GetSyntax() == "proto3":
		p.line(`syntax = "proto3";`)
	default:
		p.line(`syntax = "proto2";`)
	}
	if f.Package != nil {
		p.line("package %s;", f.GetPackage())
	}
	var imports []string
	for i, path := range f.Dependency {
		word := ""
		if slices.Contains(f.PublicDependency, int32(i)) {
			word = "public "
		} else if slices.Contains(f.WeakDependency, int32(i)) {
			word = "weak "
		}
		imports = append(imports, fmt.Sprintf("import %s%s;", word, strconv.Quote(path)))
	}
	if sorted {
		slices.Sort(imports)
	}
	p.gap()
	for _, line := range imports {
		p.line("%s", line)
	}
	p.options(f.Options)
	for i, m := range f.MessageType {
		p.gap()
		p.message(m, file.Messages().Get(i), f.GetSyntax())
	}
	for _, e := range f.EnumType {
		p.gap()
		p.enum(e)
	}
	p.extensions(f.Extension, f.GetSyntax())
	for _, s := range f.Service {
		p.gap()
		p.service(s)
	}
	return p.b.String()
}

type protoPrinter struct {
	b      strings.Builder
	indent int
	sorted bool
}

func (p *protoPrinter) line(format string, args ...any) {
	p.b.WriteString(strings.Repeat("  ", p.indent))
	fmt.Fprintf(&p.b, format, args...)
	p.b.WriteByte('\n')
}

func (p *protoPrinter) gap() {
	if s := p.b.String(); !strings.HasSuffix(s, "\n\n") {
		p.b.WriteByte('\n')
	}
}

func (p *protoPrinter) block(head string, body func()) {
	p.line("%s {", head)
	p.indent++
	body()
	p.indent--
	p.line("}")
}

// option is one option as name = value.
func protoOptions(m proto.Message, skip ...string) (list []string) {
	r := m.ProtoReflect()
	if !r.IsValid() {
		return nil
	}
	r.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		if f.IsExtension() {
			name = "(" + string(f.FullName()) + ")"
		}
		if slices.Contains(skip, name) {
			return true
		}
		if f.IsList() {
			for i := range v.List().Len() {
				list = append(list, name+" = "+protoValue(f, v.List().Get(i)))
			}
		} else if !f.IsMap() {
			list = append(list, name+" = "+protoValue(f, v))
		}
		return true
	})
	slices.Sort(list)
	return list
}

func protoValue(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.StringKind:
		return strconv.Quote(v.String())
	case protoreflect.BytesKind:
		return strconv.Quote(string(v.Bytes()))
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return string(e.Name())
		}
		return fmt.Sprint(v.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		// prototext varies its spaces on purpose; the canonical form does not.
		return "{ " + strings.Join(strings.Fields(prototext.MarshalOptions{}.Format(v.Message().Interface())), " ") + " }"
	}
	return fmt.Sprint(v.Interface())
}

func (p *protoPrinter) options(m proto.Message, skip ...string) {
	for _, o := range protoOptions(m, skip...) {
		p.line("option %s;", o)
	}
}

func inBrackets(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return " [" + strings.Join(list, ", ") + "]"
}

func (p *protoPrinter) message(m *descriptorpb.DescriptorProto, d protoreflect.MessageDescriptor, syntax string) {
	p.block("message "+m.GetName(), func() {
		p.options(m.Options, "map_entry")
		done := map[int32]bool{}
		for i, f := range m.Field {
			if f.OneofIndex == nil || f.GetProto3Optional() {
				p.field(f, d.Fields().Get(i), syntax, false)
				continue
			}
			n := f.GetOneofIndex()
			if done[n] {
				continue
			}
			done[n] = true
			p.block("oneof "+m.OneofDecl[n].GetName(), func() {
				p.options(m.OneofDecl[n].Options)
				for j, g := range m.Field {
					if g.OneofIndex != nil && g.GetOneofIndex() == n {
						p.field(g, d.Fields().Get(j), syntax, true)
					}
				}
			})
		}
		p.reserved(ranges(m.ReservedRange, 1<<29), m.ReservedName)
		if list := ranges(m.ExtensionRange, 1<<29); list != "" {
			p.line("extensions %s;", list)
		}
		for i, n := range m.NestedType {
			if !n.GetOptions().GetMapEntry() {
				p.message(n, d.Messages().Get(i), syntax)
			}
		}
		for _, e := range m.EnumType {
			p.enum(e)
		}
		p.extensions(m.Extension, syntax)
	})
}

// ranges prints ranges whose end is exclusive.
func ranges[R interface {
	GetStart() int32
	GetEnd() int32
}](list []R, top int32) string {
	var parts []string
	for _, r := range list {
		switch start, end := r.GetStart(), r.GetEnd(); {
		case end == start+1:
			parts = append(parts, fmt.Sprint(start))
		case end >= top:
			parts = append(parts, fmt.Sprintf("%d to max", start))
		default:
			parts = append(parts, fmt.Sprintf("%d to %d", start, end-1))
		}
	}
	return strings.Join(parts, ", ")
}

func (p *protoPrinter) reserved(numbers string, names []string) {
	if numbers != "" {
		p.line("reserved %s;", numbers)
	}
	if len(names) > 0 {
		quoted := make([]string, len(names))
		for i, n := range names {
			quoted[i] = strconv.Quote(n)
		}
		p.line("reserved %s;", strings.Join(quoted, ", "))
	}
}

func (p *protoPrinter) field(f *descriptorpb.FieldDescriptorProto, d protoreflect.FieldDescriptor, syntax string, inOneof bool) {
	label := ""
	switch {
	case d.IsMap() || inOneof:
	case f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED:
		label = "repeated "
	case f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REQUIRED:
		label = "required "
	case f.GetProto3Optional() || syntax == "" || syntax == "proto2":
		label = "optional "
	}
	name := TypeName(d)
	if strings.Contains(name, ".") && !d.IsMap() {
		name = "." + name
	}
	if d.IsMap() && (d.MapValue().Message() != nil || d.MapValue().Enum() != nil) {
		name = fmt.Sprintf("map<%s, .%s>", TypeName(d.MapKey()), TypeName(d.MapValue()))
	}
	options := protoOptions(f.Options)
	if f.DefaultValue != nil {
		value := f.GetDefaultValue()
		if k := d.Kind(); k == protoreflect.StringKind || k == protoreflect.BytesKind {
			value = strconv.Quote(value)
		}
		options = append(options, "default = "+value)
	}
	if f.JsonName != nil && f.GetJsonName() != jsonName(f.GetName()) {
		options = append(options, "json_name = "+strconv.Quote(f.GetJsonName()))
	}
	p.line("%s%s %s = %d%s;", label, name, f.GetName(), f.GetNumber(), inBrackets(options))
}

// jsonName is the name that a field has in JSON where it is given none.
func jsonName(name string) string {
	var b strings.Builder
	up := false
	for _, c := range name {
		switch {
		case c == '_':
			up = true
			continue
		case up:
			b.WriteString(strings.ToUpper(string(c)))
		default:
			b.WriteRune(c)
		}
		up = false
	}
	return b.String()
}

func (p *protoPrinter) enum(e *descriptorpb.EnumDescriptorProto) {
	p.block("enum "+e.GetName(), func() {
		p.options(e.Options)
		for _, v := range e.Value {
			p.line("%s = %d%s;", v.GetName(), v.GetNumber(), inBrackets(protoOptions(v.Options)))
		}
		var numbers []string
		for _, r := range e.ReservedRange { // of an enum the end is inclusive
			if r.GetStart() == r.GetEnd() {
				numbers = append(numbers, fmt.Sprint(r.GetStart()))
			} else {
				numbers = append(numbers, fmt.Sprintf("%d to %d", r.GetStart(), r.GetEnd()))
			}
		}
		p.reserved(strings.Join(numbers, ", "), e.ReservedName)
	})
}

func (p *protoPrinter) extensions(list []*descriptorpb.FieldDescriptorProto, syntax string) {
	for _, f := range list {
		p.block("extend "+f.GetExtendee(), func() {
			label := map[descriptorpb.FieldDescriptorProto_Label]string{
				descriptorpb.FieldDescriptorProto_LABEL_REPEATED: "repeated ", descriptorpb.FieldDescriptorProto_LABEL_REQUIRED: "required ",
			}[f.GetLabel()]
			if label == "" && (syntax != "proto3" || f.GetProto3Optional()) {
				label = "optional "
			}
			name := f.GetTypeName()
			if name == "" {
				name = strings.ToLower(strings.TrimPrefix(f.GetType().String(), "TYPE_"))
			}
			p.line("%s%s %s = %d%s;", label, name, f.GetName(), f.GetNumber(), inBrackets(protoOptions(f.Options)))
		})
	}
}

func (p *protoPrinter) service(s *descriptorpb.ServiceDescriptorProto) {
	stream := map[bool]string{true: "stream "}
	p.block("service "+s.GetName(), func() {
		p.options(s.Options)
		for _, m := range s.Method {
			head := fmt.Sprintf("rpc %s (%s%s) returns (%s%s)", m.GetName(), stream[m.GetClientStreaming()], m.GetInputType(), stream[m.GetServerStreaming()], m.GetOutputType())
			if len(protoOptions(m.Options)) == 0 {
				p.line("%s;", head)
			} else {
				p.block(head, func() { p.options(m.Options) })
			}
		}
	})
}

// TypeName is the type of a field as it stands in a file.
func TypeName(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map<%s, %s>", TypeName(f.MapKey()), TypeName(f.MapValue()))
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}
