//go:build integration && unix

package protovalue_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/protovalue"
)

var (
	files = flag.Int("files", 150, "how many schemas Google's Protobuf for Python is asked about")
	seed  = flag.Uint64("seed", 1, "what the schemas and messages are made from; 0: the time")
)

//go:embed testdata/peer.py
var peer string

// question and answer are those of testdata/peer.py.
type question struct {
	File      []byte   `json:"file"`
	Message   string   `json:"message"`
	Documents [][]byte `json:"documents"`
	Values    [][]byte `json:"values"`

	text string
	file *protovalue.File
	of   protoreflect.MessageDescriptor
}

type answer struct {
	Parsed  []verdict `json:"parsed"`
	Written []verdict `json:"written"`
}

// Google's Protobuf for Python makes the same messages of documents and the same documents of messages as this package, and refuses what it
// refuses: over schemas that are made up, messages of them, and both with something changed.
//
// Mutation seen to fail it: Print without json_name.
func TestPythonReadsTheSame(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	g := generator{rand.New(rand.NewPCG(*seed, 0))}
	var all []*question
	for n := range *files {
		all = append(all, g.question(t, n))
	}
	answers := json.NewDecoder(registrytest.Ask(t, registrytest.Confluent(t, peer), all))
	count, differ := map[string]int{}, 0
	for _, q := range all {
		var a answer
		if err := answers.Decode(&a); err != nil {
			t.Fatal(err)
		}
		for i, asked := range append(q.Documents, q.Values...) {
			kind, why := "", ""
			if i < len(q.Documents) {
				kind, why = "document "+a.Parsed[i].kind(), q.compared(asked, a.Parsed[i], q.file.Append, q.same)
			} else {
				v := a.Written[i-len(q.Documents)]
				kind, why = "value "+v.kind(), q.compared(asked, v, q.file.AppendJSON, q.sameJSON)
			}
			count[kind]++
			if why != "" {
				if differ++; differ <= 10 {
					t.Errorf("%q\nas %s of\n%s\n%s", asked, q.of.Name(), q.text, why)
				}
			}
		}
	}
	t.Logf("seed %d: %v, %d differ", *seed, count, differ)
	for _, what := range []string{"document taken", "document refused", "value taken", "value refused"} {
		if count[what] < *files {
			t.Errorf("%v: too few of %s", count, what)
		}
	}
}

// verdict is what Python makes of a document or a message.
type verdict struct {
	Got   []byte `json:"got"`
	Error string `json:"error"`
}

func (v verdict) kind() string {
	if v.Error == "" {
		return "taken"
	}
	return "refused"
}

// explained are differences that are known. Python's implementation is that of other languages but for its reading of JSON, which is lax.
// Besides, Python reads the number -0 as 0, so there is none among the values.
var explained = []struct{ differs, why string }{
	{`refused: .*invalid value for \w+ field .*: "(01|\+1| 1)"`, "Python reads a number in a text as int() and float() do"},
	{`refused: .*invalid value for (double|float) field .*: (true|false)`, "Python takes true and false for 1 and 0"},
	{`refused: .*invalid value for enum field .*: (true|false|"?[-0-9.]+"?)`, "Python takes what int() takes for the number of a symbol, and cuts off fractions"},
	{`refused: .*invalid value for bytes field`, "Python passes over characters that are not base64's"},
	{`refused: .*contains invalid path`, "Python does not look at the paths of a FieldMask"},
	{`refused: .*unexpected token (\[|"")`, "Python takes an empty list or text for a message without fields"},
	{`refused: .*duplicate field`, "Python takes both names of a field where one of them has null"},
	{`refused: .*invalid google.protobuf.Duration value`, "Python passes over decimals after the ninth"},
	{`refused: .*invalid google.protobuf.Value: 1e400`, "Python reads a number that is too large as infinity"},
	{`refused: .*google.protobuf.Value: none of the oneof fields is set`, "Python writes such a Value as null"},
	{`Python refuses it: .*[vV]alue too large`, "Python compares the largest float, 3.4028235e+38, as a double before it is rounded"},
	{`Python refuses it: .*enum value .* for enum type`, "Go has no closed enums: a field of proto2 takes numbers without a symbol"},
}

// compared says how the package differs from Python, "" where it does not, or where it is explained.
func (q *question) compared(asked []byte, theirs verdict, convert func(dst []byte, m protoreflect.MessageDescriptor, from []byte) ([]byte, error), same func(a, b []byte) bool) string {
	ours, err := convert(nil, q.of, asked)
	why := ""
	switch {
	case err == nil && theirs.Error != "":
		why = fmt.Sprintf("it is %q, and Python refuses it: %s", ours, theirs.Error)
	case err != nil && theirs.Error == "":
		why = fmt.Sprintf("it is refused: %v; and taken in Python", err)
	case err == nil && !same(ours, theirs.Got):
		why = fmt.Sprintf("it is %q, and in Python %q", ours, theirs.Got)
	}
	for _, e := range explained {
		if regexp.MustCompile(e.differs).MatchString(why) {
			return ""
		}
	}
	return why
}

// same compares messages, whose fields may come in any order.
func (q *question) same(a, b []byte) bool {
	x, y := dynamicpb.NewMessage(q.of), dynamicpb.NewMessage(q.of)
	return proto.Unmarshal(a, x) == nil && proto.Unmarshal(b, y) == nil && proto.Equal(x, y)
}

// sameJSON compares documents, in which a number may be written in several ways.
func (q *question) sameJSON(a, b []byte) bool {
	x, err1 := q.file.Append(nil, q.of, a)
	y, err2 := q.file.Append(nil, q.of, b)
	return err1 == nil && err2 == nil && q.same(x, y)
}

type generator struct{ *rand.Rand }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

// question makes up a schema, messages of one of its types, and what they are when something of them is changed.
func (g generator) question(t *testing.T, n int) *question {
	t.Helper()
	q := &question{text: g.schema(n)}
	file, err := protovalue.Compile(q.text, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, q.text)
	}
	described := protodesc.ToFileDescriptorProto(file)
	described.Name = proto.String(fmt.Sprintf("peer%d.proto", n))
	if q.File, err = proto.Marshal(described); err != nil {
		t.Fatal(err)
	}
	q.text = protovalue.Print(described, file, false) // as a registry has what a program has generated
	if file, err = protovalue.Compile(q.text, nil); err != nil {
		t.Fatalf("%v\n%s", err, q.text)
	}
	if q.file, err = protovalue.Of(file); err != nil {
		t.Fatal(err)
	}
	q.of = file.Messages().Get(g.IntN(file.Messages().Len()))
	q.Message = string(q.of.FullName())
	for range 6 {
		m := dynamicpb.NewMessage(q.of)
		g.fill(m, 3)
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		document, err := q.file.AppendJSON(nil, q.of, value)
		if err != nil {
			t.Fatalf("%x of\n%s\n%v", value, q.text, err)
		}
		if encoded, err := q.file.Append(nil, q.of, document); err != nil || !q.same(encoded, value) {
			t.Errorf("%s of\n%s\nis read as %x, %v, and was %x", document, q.text, encoded, err, value)
		}
		q.Documents = append(q.Documents, document)
		q.Values = append(q.Values, value)
		for range 3 {
			q.Documents = append(q.Documents, g.changedDocument(document))
			q.Values = append(q.Values, g.changedValue(value))
		}
	}
	return q
}

var scalars = []string{"double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64", "bool", "string", "bytes"}

// wellKnown are Google's types that have a form of their own in JSON.
var wellKnown = []string{"Timestamp", "Duration", "Struct", "Value", "ListValue", "StringValue", "Int64Value", "BytesValue", "BoolValue", "DoubleValue", "FieldMask", "Empty"}

func (g generator) schema(n int) string {
	two := g.IntN(3) == 0
	var b strings.Builder
	fmt.Fprintf(&b, "syntax = %q;\npackage peer%d;\n", map[bool]string{true: "proto2", false: "proto3"}[two], n)
	for _, file := range []string{"timestamp", "duration", "struct", "wrappers", "field_mask", "empty"} {
		fmt.Fprintf(&b, "import \"google/protobuf/%s.proto\";\n", file)
	}
	b.WriteString("enum Kind { NONE = 0; SOME = 1; LESS = -2; OTHER = 5; }\n")
	for m := range 3 {
		fmt.Fprintf(&b, "message M%d {\n  message Inner { %s string text = 1; }\n", m, map[bool]string{true: "optional"}[two])
		number := 0
		next := func() int {
			if number += 1 + g.IntN(3); g.IntN(12) == 0 {
				number += 2000
			}
			return number
		}
		for f := range g.IntN(7) {
			g.field(&b, fmt.Sprintf("%s%d", g.one("f", "long_name_", "camelCase", "_x", "a__b"), f), next, two)
		}
		if g.IntN(2) == 0 {
			fmt.Fprintf(&b, "  oneof choice { %s o1 = %d; %s o_two = %d; }\n", g.kind(), next(), g.kind(), next())
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func (g generator) kind() string {
	switch g.IntN(8) {
	case 0:
		return "Kind"
	case 1:
		return g.one("M0", "M1", "M2", "M0.Inner", "Inner")
	case 2:
		return "google.protobuf." + g.one(wellKnown...)
	}
	return g.one(scalars...)
}

func (g generator) field(b *strings.Builder, name string, next func() int, two bool) {
	if g.IntN(5) == 0 {
		fmt.Fprintf(b, "  map<%s, %s> %s = %d;\n", g.one("int32", "int64", "uint32", "uint64", "sint64", "fixed32", "sfixed64", "bool", "string", "string"), g.kind(), name, next())
		return
	}
	kind, label, option := g.kind(), g.one("", "optional ", "repeated "), ""
	if two && label == "" {
		label = g.one("optional ", "optional ", "required ")
	}
	if strings.HasPrefix(label, "required") { // which types in themselves can never be
		kind = g.one(scalars...)
	}
	if g.IntN(8) == 0 {
		option = fmt.Sprintf(" [json_name = %q]", g.one("other-", "Other", "json")+name)
	}
	fmt.Fprintf(b, "  %s%s %s = %d%s;\n", label, kind, name, next(), option)
}

// fill gives a message values. Below depth it has required fields only.
func (g generator) fill(m protoreflect.Message, depth int) {
	if g.fillWellKnown(m, depth) {
		return
	}
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if f.Cardinality() != protoreflect.Required && (g.IntN(3) == 0 || f.Message() != nil && depth == 0) {
			continue
		}
		switch {
		case f.IsMap():
			of := m.Mutable(f).Map()
			for range g.IntN(3) {
				if f.MapValue().Message() != nil {
					g.fill(of.Mutable(g.value(f.MapKey()).MapKey()).Message(), depth-1)
				} else {
					of.Set(g.value(f.MapKey()).MapKey(), g.value(f.MapValue()))
				}
			}
		case f.IsList():
			list := m.Mutable(f).List()
			for range g.IntN(4) {
				if f.Message() != nil {
					g.fill(list.AppendMutable().Message(), depth-1)
				} else {
					list.Append(g.value(f))
				}
			}
		case f.Message() != nil:
			g.fill(m.Mutable(f).Message(), depth-1)
		default:
			m.Set(f, g.value(f))
		}
	}
}

// fillWellKnown fills the types that do not take every value of their fields.
func (g generator) fillWellKnown(m protoreflect.Message, depth int) bool {
	set := func(name protoreflect.Name, v any) {
		m.Set(m.Descriptor().Fields().ByName(name), protoreflect.ValueOf(v))
	}
	switch m.Descriptor().FullName() {
	case "google.protobuf.Timestamp":
		set("seconds", []int64{0, -1, 1700000000, -62135596800, 253402300799}[g.IntN(5)])
		set("nanos", []int32{0, 1, 500000000, 123456000, 999999999}[g.IntN(5)])
	case "google.protobuf.Duration":
		sign := int64(1 - 2*g.IntN(2))
		set("seconds", sign*[]int64{0, 1, 315576000000 - 1}[g.IntN(3)])
		set("nanos", int32(sign)*[]int32{0, 1, 500000000, 999999999}[g.IntN(4)])
	case "google.protobuf.FieldMask":
		list := m.Mutable(m.Descriptor().Fields().ByName("paths")).List()
		for range g.IntN(3) {
			list.Append(protoreflect.ValueOf(g.one("a", "some_name", "a.b_c")))
		}
	case "google.protobuf.Value":
		fields := m.Descriptor().Fields()
		switch g.IntN(6) {
		case 0:
			m.Set(fields.ByName("number_value"), protoreflect.ValueOf(float64(g.IntN(100))/4))
		case 1:
			m.Set(fields.ByName("string_value"), protoreflect.ValueOf(g.text()))
		case 2:
			m.Set(fields.ByName("bool_value"), protoreflect.ValueOf(g.IntN(2) == 0))
		case 3:
			if depth > 0 {
				g.fill(m.Mutable(fields.ByName("struct_value")).Message(), depth-1)
				break
			}
			fallthrough
		case 4:
			if depth > 0 {
				g.fill(m.Mutable(fields.ByName("list_value")).Message(), depth-1)
				break
			}
			fallthrough
		default:
			m.Set(fields.ByName("null_value"), protoreflect.ValueOf(protoreflect.EnumNumber(0)))
		}
	default:
		return false
	}
	return true
}

func (g generator) text() string {
	return g.one("", "a", "naïve \U0001F980", "\u2028<&>\"\\\x00", "long")
}

// number is one at the edges of what its type holds, or a small one.
func (g generator) number(bits int, signed bool) (int64, uint64) {
	if signed {
		edge := int64(1)<<(bits-1) - 1
		n := []int64{0, 1, -1, 77, edge, -edge - 1, 1 << min(bits-2, 53)}[g.IntN(7)]
		return n, uint64(n)
	}
	n := []uint64{0, 1, 77, 1<<(bits-1)<<1 - 1, 1 << (bits - 1)}[g.IntN(5)]
	return int64(n), n
}

func (g generator) value(f protoreflect.FieldDescriptor) protoreflect.Value {
	signed32, _ := g.number(32, true)
	signed64, _ := g.number(64, true)
	_, unsigned32 := g.number(32, false)
	_, unsigned64 := g.number(64, false)
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOf(g.IntN(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOf([]protoreflect.EnumNumber{0, 1, -2, 5}[g.IntN(4)])
	case protoreflect.StringKind:
		return protoreflect.ValueOf(g.text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOf([]byte(g.one("", "\xff", "\xfb\xef\xbe\xff", "text")))
	case protoreflect.FloatKind:
		return protoreflect.ValueOf([]float32{0, 1.5, -0.1, math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.Inf(1)), float32(math.NaN())}[g.IntN(7)])
	case protoreflect.DoubleKind:
		return protoreflect.ValueOf([]float64{0, 1.5, -0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(-1), math.NaN(), 1e21}[g.IntN(8)])
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOf(int32(signed32))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOf(signed64)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOf(uint32(unsigned32))
	default:
		return protoreflect.ValueOf(unsigned64)
	}
}

// changedDocument puts another value somewhere into a document, or another name.
func (g generator) changedDocument(document []byte) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return document
	}
	out, err := json.Marshal(g.changed(v, 0))
	if err != nil {
		panic(err)
	}
	return out
}

func (g generator) changed(v any, depth int) any {
	if depth > 0 && g.IntN(3) == 0 {
		return g.leaf()
	}
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 || g.IntN(10) == 0 {
			v[g.one("unknown", "o1", "oTwo", "o_two", "1", "true", "text")] = g.leaf()
			return v
		}
		at, n := g.IntN(len(v)), 0
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if n == at {
				v[name] = g.changed(v[name], depth+1)
			}
			n++
		}
		return v
	case []any:
		if len(v) > 0 {
			at := g.IntN(len(v))
			v[at] = g.changed(v[at], depth+1)
		}
		return v
	}
	return g.leaf()
}

func (g generator) leaf() any {
	leaves := []any{nil, true, false, 0, 1, -1, 77, 1.5, json.Number("1e2"), json.Number("1.0"), json.Number("2147483648"), json.Number("4294967296"), json.Number("9223372036854775808"),
		json.Number("18446744073709551616"), json.Number("1e400"), json.Number("3.5e38"), "", "x", "1", "-1", "1.0", "1.5", "1e2", " 1", "+1", "01", "0x1", "true", "NaN", "Infinity", "-Infinity", "nan", "NONE", "SOME", "LOST", "some",
		"AA==", "AA", "-_8=", "+/8", "A", "_w", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00.123456789+01:00", "2020-01-01 00:00:00Z", "2020-02-30T00:00:00Z", "1s", "1.5s", "-0.5s", "1.0000000001s", "aB.c", "a_b", "a,b",
		[]any{}, []any{1, "a"}, []any{nil}, map[string]any{}, map[string]any{"text": "t"}, map[string]any{"1": 1}}
	return leaves[g.IntN(len(leaves))]
}

// changedValue cuts an encoded message off, or has it twice.
func (g generator) changedValue(value []byte) []byte {
	if g.IntN(2) == 0 {
		return value[:g.IntN(len(value)+1)]
	}
	return slices.Repeat(value, 2)
}
