package protovalue

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "github.com/weirstream/weir/internal/schema/shop"
	"github.com/weirstream/weir/internal/schema/source"
)

// plain is what a file says, without what depends on how it was read.
func plain(t *testing.T, file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	t.Helper()
	d := protodesc.ToFileDescriptorProto(file)
	d.Name, d.SourceCodeInfo = nil, nil
	if d.GetSyntax() == "proto2" {
		d.Syntax = nil
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
	again := &descriptorpb.FileDescriptorProto{}
	if err == nil {
		err = proto.UnmarshalOptions{Resolver: dynamicpb.NewTypes(protoregistry.GlobalFiles)}.Unmarshal(raw, again)
	}
	if err != nil {
		t.Fatal(err)
	}
	var messages func([]*descriptorpb.DescriptorProto)
	fields := func(list []*descriptorpb.FieldDescriptorProto) {
		for _, f := range list {
			if f.GetJsonName() == jsonName(f.GetName()) || f.Extendee != nil {
				f.JsonName = nil
			}
		}
	}
	messages = func(list []*descriptorpb.DescriptorProto) {
		for _, m := range list {
			for _, r := range m.ExtensionRange { // whose options say nothing about messages
				r.Options = nil
			}
			fields(m.Field)
			fields(m.Extension)
			messages(m.NestedType)
		}
	}
	messages(again.MessageType)
	fields(again.Extension)
	return again
}

// samePrinted compiles what a file is printed as, and compares.
func samePrinted(t *testing.T, file protoreflect.FileDescriptor, imports []source.Import) {
	t.Helper()
	text := Text(file)
	again, err := Compile(text, imports)
	if err != nil {
		t.Errorf("%s: %v\n%s", file.Path(), err, text)
		return
	}
	if want, got := plain(t, file), plain(t, again); !proto.Equal(want, got) {
		at, a, b := 0, fmt.Sprint(want), fmt.Sprint(got)
		for at < min(len(a), len(b)) && a[at] == b[at] {
			at++
		}
		t.Errorf("%s: it is\n%.300s\nand was\n%.300s\n%.3000s", file.Path(), b[max(0, at-100):], a[max(0, at-100):], text)
	}
	if twice := Text(again); twice != text {
		t.Errorf("printed again it is another text:\n%s\nand was\n%s", twice, text)
	}
}

// What a registry stores of a file is the same schema: nothing that Protobuf has is lost or another thing when it is printed, also where it was sent
// as a descriptor.
//
// Mutations seen to fail it: groups as messages; default bytes quoted again; typeText without shadowed; body that writes nested messages last;
// unpacked without nameFields; Compile that compiles once; extensions after all messages, of a file or of a message;
// a default of -0.
func TestAFilePrintedIsTheSameFile(t *testing.T) {
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		var imports []source.Import
		for i := range file.Imports().Len() {
			if in := file.Imports().Get(i); !strings.HasPrefix(in.Path(), "google/protobuf/") {
				imports = append(imports, source.Import{Name: in.Path(), Text: Text(in)})
			}
		}
		samePrinted(t, file, imports)
		samePacked(t, file, imports)
		return true
	})
	for name, text := range map[string]string{
		"groups": `syntax = "proto2"; package p; message M { optional group G = 1 [deprecated = true] { optional int32 a = 1; repeated group H = 2 { required bytes b = 1; } message N {} }
			oneof o { group I = 3 { optional M.G.N n = 1; } string s = 4; } extensions 100 to max; } extend M { repeated group J = 100 { optional int32 a = 1; } }`,
		"defaults": `syntax = "proto2"; enum E { Z = 0; NEG = -5; } message M { optional bytes b = 1 [default = "\000\xff\"'\n"]; optional string s = 2 [default = "a \"b\"\té'"]; optional double d = 3 [default = inf];
			optional float f = 4 [default = -nan]; optional E e = 5 [default = NEG]; optional bool t = 6 [default = true]; optional int64 i = 7 [default = -9223372036854775808]; optional double g = 8 [default = 1e-300]; }`,
		"names that hide others": `syntax = "proto3"; message N { int32 a = 1; } message M { message N { string b = 1; } .N outer = 1; N inner = 2; map<string, .N> all = 3; enum E { Z = 0; } .E e = 4; int32 O = 5; message P { .O o = 1; } } enum E { Y = 0; } message O {}`,
		"options": `syntax = "proto2"; import "google/protobuf/descriptor.proto"; package p; message L { optional string text = 1; repeated double n = 2; map<string, L> m = 3; optional bytes raw = 4; extensions 10; }
			extend L { optional int32 more = 10; } extend google.protobuf.MessageOptions { optional L l = 50000; repeated string list = 50001; optional double d = 50002; }
			message M { option (l) = { text: "a  b\n\"" n: [1.5, inf, -inf, nan] m: { key: "k" value: { raw: "\000\377" } } m: { key: "a" } [p.more]: 5 }; option (list) = "x"; option (list) = "y  z"; option (d) = -inf; }`,
		"an edition": `edition = "2023"; package p; option features.field_presence = IMPLICIT; message M { int32 a = 1 [features.field_presence = LEGACY_REQUIRED]; M m = 2 [features.message_encoding = DELIMITED]; extensions 100 to 200; }
			extend M { int32 more = 100; repeated string list = 101; } enum E { option features.enum_type = CLOSED; Z = 1; }`,
		"the order of messages":  `syntax = "proto2"; message M { message A {} map<string, B> m = 1; message B {} optional group C = 2 {} message D {} oneof o { group F = 3 {} int32 g = 4; } message H {} map<int32, int32> i = 5; }`,
		"what is reserved":       `syntax = "proto3"; message M { reserved 1, 4 to 6, 1000 to max; reserved "a", "b"; int32 c = 2 [json_name = "d"]; optional int32 o = 3; } enum E { Z = 0; reserved -5 to -1, 7, 100 to max; reserved "X"; }`,
		"reserved in an edition": `edition = "2023"; message M { reserved 1, 4 to 6; reserved a, message, max, to, reserved, inf; int32 c = 2; } enum E { Z = 0; reserved -5 to -1; reserved X, option; }`,
		"groups of extensions": `syntax = "proto2"; message M { extensions 100 to max; } extend M { optional int32 i = 101; optional group G = 100 { optional string q = 1; } optional int32 j = 102; } message N { optional string s = 1; extend M { optional group H = 103 {} }
			message O { extensions 1; } optional group I = 2 { } extend O { optional group J = 1 {} } message P {} } enum E { Z = 0; } extend M { repeated group K = 104 {} } message Q {} extend M { optional E e = 105; }`,
		"numbers of nothing": `syntax = "proto2"; message M { optional double a = 1 [default = -0.0]; optional float b = 2 [default = -0]; optional float c = 3 [default = 0.0]; optional float d = 4 [default = 1e3]; optional double e = 5 [default = 100000000000000000000000]; }`,
		"services":           `syntax = "proto3"; package p; message M {} service S { option deprecated = true; rpc A (M) returns (stream M); rpc B (stream M) returns (M) { option idempotency_level = IDEMPOTENT; } }`,
	} {
		file, err := Compile(text, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		samePrinted(t, file, nil)
		samePacked(t, file, nil)
	}
}
