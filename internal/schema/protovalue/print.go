package protovalue

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Text is the source of a file, in the order of its declarations.
func Text(file protoreflect.FileDescriptor) string {
	return Print(protodesc.ToFileDescriptorProto(file), file, false)
}

// Print writes a file as its source, without comments, everything in the order of its declaration. Where sorted is asked for, what has an order that
// means nothing is sorted, as Confluent's registry does it: imports, fields and oneofs, values of an enum, and what is reserved.
func Print(f *descriptorpb.FileDescriptorProto, file protoreflect.FileDescriptor, sorted bool) string {
	p := &protoPrinter{sorted: sorted, edition: f.GetSyntax() == "editions"}
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
	groups := groupsOf(f.Extension)
	extensions := p.extensions(f.Extension, file, f.GetSyntax())
	for i, m := range f.MessageType {
		d := file.Messages().Get(i)
		p.gap()
		if groups[string(d.FullName())] {
			extensions(d)
			continue
		}
		p.message(m, d, f.GetSyntax())
	}
	for _, e := range f.EnumType {
		p.gap()
		p.enum(e)
	}
	extensions(nil)
	for _, s := range f.Service {
		p.gap()
		p.service(s)
	}
	return p.b.String()
}

type protoPrinter struct {
	b       strings.Builder
	indent  int
	sorted  bool
	edition bool // not proto2 or proto3
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

// protoOptions are options as name = value, by name; the values of a repeated one stay in their order.
func protoOptions(m proto.Message, skip ...string) (list []string) {
	r := m.ProtoReflect()
	if !r.IsValid() {
		return nil
	}
	lines := map[string][]string{}
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
				lines[name] = append(lines[name], name+" = "+protoValue(f, v.List().Get(i)))
			}
		} else if !f.IsMap() {
			lines[name] = []string{name + " = " + protoValue(f, v)}
		}
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		list = append(list, lines[name]...)
	}
	return list
}

func protoValue(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.StringKind:
		return strconv.Quote(v.String())
	case protoreflect.BytesKind:
		return strconv.Quote(string(v.Bytes()))
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return strings.ToLower(strings.TrimPrefix(fmt.Sprint(v.Interface()), "+")) // inf, -inf and nan are written so
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return string(e.Name())
		}
		return fmt.Sprint(v.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return protoLiteral(v.Message())
	}
	return fmt.Sprint(v.Interface())
}

// protoLiteral is a message as the value of an option. prototext varies its spaces on purpose; the canonical form does not.
func protoLiteral(m protoreflect.Message) string {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	var parts []string
	for _, f := range fields {
		name := f.TextName()
		switch v := m.Get(f); {
		case f.IsMap():
			parts = append(parts, protoEntries(name, f, v.Map())...)
		case f.IsList():
			for i := range v.List().Len() {
				parts = append(parts, name+": "+protoValue(f, v.List().Get(i)))
			}
		default:
			parts = append(parts, name+": "+protoValue(f, v))
		}
	}
	return "{ " + strings.Join(append(parts, "}"), " ")
}

func protoEntries(name string, f protoreflect.FieldDescriptor, m protoreflect.Map) (list []string) {
	m.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		list = append(list, fmt.Sprintf("%s: { key: %s value: %s }", name, protoValue(f.MapKey(), k.Value()), protoValue(f.MapValue(), v)))
		return true
	})
	slices.Sort(list)
	return list
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
	p.block("message "+m.GetName(), func() { p.body(m, d, syntax) })
}

// body is what stands between the braces of a message or group. The order of nested messages stays, which message indexes count: one that
// is declared with a field, as the entry of a map or as a group, stands where the field does, and others are written before or after it. Entries of
// maps alone may change their order: no value is one.
func (p *protoPrinter) body(m *descriptorpb.DescriptorProto, d protoreflect.MessageDescriptor, syntax string) {
	p.options(m.Options, "map_entry")
	withField, withExtension, entries := groupsOf(m.Field), groupsOf(m.Extension), 0
	for _, n := range m.NestedType {
		if n.GetOptions().GetMapEntry() {
			withField[string(d.FullName())+"."+n.GetName()] = true
			entries++
		}
	}
	extensions := p.extensions(m.Extension, d, syntax)
	written := 0
	upTo := func(end int) {
		for ; written < end; written++ {
			switch nested := d.Messages().Get(written); {
			case withExtension[string(nested.FullName())]:
				extensions(nested)
			case !withField[string(nested.FullName())]:
				p.message(m.NestedType[written], nested, syntax)
			}
		}
	}
	declared := func(f protoreflect.FieldDescriptor) {
		if of := f.Message(); of != nil && withField[string(of.FullName())] && of.Parent() == d {
			upTo(of.Index())
		}
	}
	done := map[int32]bool{}
	sorted := p.sorted && (len(withField) == 0 || len(m.NestedType) == max(entries, 1)) // else their order is that of nested messages
	for _, field := range inOrder(d.Fields(), sorted) {
		f := m.Field[field.Index()]
		if f.OneofIndex == nil || f.GetProto3Optional() {
			declared(field)
			p.field(f, field, syntax, false)
			continue
		}
		n := f.GetOneofIndex()
		if done[n] {
			continue
		}
		done[n] = true
		members := inOrder(d.Oneofs().Get(int(n)).Fields(), sorted)
		for _, member := range members {
			declared(member)
		}
		p.block("oneof "+m.OneofDecl[n].GetName(), func() {
			p.options(m.OneofDecl[n].Options)
			for _, member := range members {
				p.field(m.Field[member.Index()], member, syntax, true)
			}
		})
	}
	if p.sorted {
		byStart(m.ReservedRange)
		byStart(m.ExtensionRange)
	}
	p.reserved(ranges(m.ReservedRange, 1<<29), m.ReservedName)
	if list := ranges(m.ExtensionRange, 1<<29); list != "" {
		p.line("extensions %s;", list)
	}
	upTo(len(m.NestedType))
	for _, e := range m.EnumType {
		p.enum(e)
	}
	extensions(nil)
}

// inOrder are fields in the order of their declaration, or of their numbers.
func inOrder(fields protoreflect.FieldDescriptors, sorted bool) []protoreflect.FieldDescriptor {
	list := make([]protoreflect.FieldDescriptor, fields.Len())
	for i := range list {
		list[i] = fields.Get(i)
	}
	if sorted {
		slices.SortFunc(list, func(a, b protoreflect.FieldDescriptor) int { return cmp.Compare(a.Number(), b.Number()) })
	}
	return list
}

func byStart[R interface{ GetStart() int32 }](list []R) {
	slices.SortFunc(list, func(a, b R) int { return cmp.Compare(a.GetStart(), b.GetStart()) })
}

// groupsOf are the messages that are declared with a field, by their full names.
func groupsOf(lists ...[]*descriptorpb.FieldDescriptorProto) map[string]bool {
	groups := map[string]bool{}
	for _, f := range slices.Concat(lists...) {
		if f.GetType() == descriptorpb.FieldDescriptorProto_TYPE_GROUP {
			groups[strings.TrimPrefix(f.GetTypeName(), ".")] = true
		}
	}
	return groups
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
		if p.sorted {
			slices.Sort(names)
		}
		written := slices.Clone(names)
		for i, n := range names {
			if !p.edition { // where they are identifiers
				written[i] = strconv.Quote(n)
			}
		}
		p.line("reserved %s;", strings.Join(written, ", "))
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
	options := protoOptions(f.Options)
	if f.DefaultValue != nil {
		value := f.GetDefaultValue()
		switch d.Kind() {
		case protoreflect.StringKind:
			value = strconv.Quote(value)
		case protoreflect.BytesKind: // which the descriptor has with escapes
			value = `"` + value + `"`
		case protoreflect.FloatKind, protoreflect.DoubleKind:
			if value == "-0" { // which is the integer 0
				value = "-0.0"
			}
		}
		options = append(options, "default = "+value)
	}
	if f.JsonName != nil && !d.IsExtension() && f.GetJsonName() != jsonName(f.GetName()) {
		options = append(options, "json_name = "+strconv.Quote(f.GetJsonName()))
	}
	if f.GetType() == descriptorpb.FieldDescriptorProto_TYPE_GROUP {
		p.block(fmt.Sprintf("%sgroup %s = %d%s", label, d.Message().Name(), f.GetNumber(), inBrackets(options)), func() {
			p.body(protodesc.ToDescriptorProto(d.Message()), d.Message(), syntax)
		})
		return
	}
	p.line("%s%s %s = %d%s;", label, typeText(d), f.GetName(), f.GetNumber(), inBrackets(options))
}

// typeText is the type of a field, from the outermost scope where a shorter name could mean another.
func typeText(d protoreflect.FieldDescriptor) string {
	name := TypeName(d)
	switch {
	case d.IsMap():
		if d.MapValue().Message() != nil || d.MapValue().Enum() != nil {
			name = fmt.Sprintf("map<%s, .%s>", TypeName(d.MapKey()), TypeName(d.MapValue()))
		}
	case d.Message() != nil || d.Enum() != nil:
		if strings.Contains(name, ".") || shadowed(d.Parent(), protoreflect.Name(name)) {
			name = "." + name
		}
	}
	return name
}

// shadowed says whether a name of the outermost scope is another thing's in a message around a field.
func shadowed(scope protoreflect.Descriptor, name protoreflect.Name) bool {
	for ; scope != nil; scope = scope.Parent() {
		m, ok := scope.(protoreflect.MessageDescriptor)
		if ok && (m.Messages().ByName(name) != nil || m.Enums().ByName(name) != nil || m.Fields().ByName(name) != nil || m.Oneofs().ByName(name) != nil) {
			return true
		}
	}
	return false
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
		if p.sorted && len(e.Value) > 0 { // the first one is what a field has that is not set
			slices.SortStableFunc(e.Value[1:], func(a, b *descriptorpb.EnumValueDescriptorProto) int {
				return cmp.Compare(a.GetNumber(), b.GetNumber())
			})
			byStart(e.ReservedRange)
		}
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

// extensions writes those of a file or message that it has not written yet, up to the one that a group is declared with, or all for nil: the group
// has its place among the messages.
func (p *protoPrinter) extensions(list []*descriptorpb.FieldDescriptorProto, scope interface {
	Extensions() protoreflect.ExtensionDescriptors
}, syntax string) func(upTo protoreflect.MessageDescriptor) {
	next := 0
	return func(upTo protoreflect.MessageDescriptor) {
		for done := false; !done && next < len(list); next++ {
			f, d := list[next], scope.Extensions().Get(next)
			p.block("extend "+f.GetExtendee(), func() { p.field(f, d, syntax, false) })
			done = upTo != nil && d.Message() == upTo
		}
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
