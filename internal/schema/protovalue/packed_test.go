package protovalue

import (
	"encoding/base64"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weirstream/weir/internal/schema/source"
)

// generated is a file as the classes have it that protoc generates for Python, C# and JavaScript, and as clients send it: names in JSON stand only
// where the file gives them, and proto2 is said by saying nothing.
func generated(file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	d := protodesc.ToFileDescriptorProto(file)
	d.SourceCodeInfo = nil
	if d.GetSyntax() == "proto2" {
		d.Syntax = nil
	}
	fields := func(list []*descriptorpb.FieldDescriptorProto) {
		for _, f := range list {
			if f.GetJsonName() == jsonName(f.GetName()) || f.Extendee != nil {
				f.JsonName = nil
			}
		}
	}
	var messages func([]*descriptorpb.DescriptorProto)
	messages = func(list []*descriptorpb.DescriptorProto) {
		for _, m := range list {
			fields(m.Field)
			fields(m.Extension)
			messages(m.NestedType)
		}
	}
	messages(d.MessageType)
	fields(d.Extension)
	return d
}

// packed is a file as clients send it.
func packed(t *testing.T, file *descriptorpb.FileDescriptorProto) string {
	t.Helper()
	raw, err := proto.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// samePacked compiles what a generated class has of a file, and compares.
func samePacked(t *testing.T, file protoreflect.FileDescriptor, imports []source.Import) {
	t.Helper()
	again, err := Compile(packed(t, generated(file)), imports)
	if err != nil {
		t.Errorf("%s: %v", file.Path(), err)
		return
	}
	want, got := Text(file), Text(again)
	if want != got {
		t.Errorf("packed %s is\n%.3000s\nand was\n%.3000s", file.Path(), got, want)
	}
	if want, got := plain(t, file), plain(t, again); !proto.Equal(want, got) {
		t.Errorf("packed %s is\n%.3000v\nand was\n%.3000v", file.Path(), got, want)
	}
}

// A descriptor may say less than protoc writes, and means what the text means that says as much.
//
// Mutations seen to fail it: unpacked without nameFields; nameFields without nested messages.
func TestADescriptorMayLeaveOutWhatGoesWithoutSaying(t *testing.T) {
	text := func(name, of string, number int32) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number}
		if of != "" {
			f.TypeName = &of
		} else {
			f.Type = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
		}
		return f
	}
	file, err := Compile(packed(t, &descriptorpb.FileDescriptorProto{Package: proto.String("p"),
		Dependency: []string{"one.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M"),
			Field:      []*descriptorpb.FieldDescriptorProto{text("first_text", "", 1), text("secondText", "", 2), text("inner", "Inner", 3), text("far", "q.One", 4)},
			NestedType: []*descriptorpb.DescriptorProto{{Name: proto.String("Inner"), Field: []*descriptorpb.FieldDescriptorProto{text("a", "", 1), text("b", "", 2)}}},
		}}}), []source.Import{{Name: "one.proto", Text: packed(t, &descriptorpb.FileDescriptorProto{Name: proto.String("elsewhere/one.proto"), Package: proto.String("q"),
		Syntax: proto.String("proto3"), MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("One"), Field: []*descriptorpb.FieldDescriptorProto{text("a", "", 1), text("b_c", "", 2)}}}})}})
	if err != nil {
		t.Fatal(err)
	}
	want := `syntax = "proto2";
package p;

import "one.proto";

message M {
  optional string first_text = 1;
  optional string secondText = 2;
  optional .p.M.Inner inner = 3;
  optional .q.One far = 4;
  message Inner {
    optional string a = 1;
    optional string b = 2;
  }
}
`
	if got := Text(file); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
	of, err := Of(file)
	if err != nil {
		t.Fatal(err)
	}
	const document = `{"firstText":"x","secondText":"y","inner":{"a":"z"},"far":{"bC":"w"}}`
	encoded, err := of.Append(nil, file.Messages().Get(0), []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := of.AppendJSON(nil, file.Messages().Get(0), encoded); err != nil || string(got) != document {
		t.Errorf("%s is %s, %v", document, got, err)
	}
}

// Rules of protovalidate hold in a descriptor too, beside options of the file's own.
//
// Mutation seen to fail it: Compile that compiles once.
func TestRulesOfADescriptorHold(t *testing.T) {
	const text = `syntax = "proto3"; import "buf/validate/validate.proto"; import "google/protobuf/descriptor.proto";
		extend google.protobuf.FieldOptions { string owner = 50000; }
		message M { int32 a = 1 [(owner) = "us", (buf.validate.field).int32.gt = 0]; string b = 2; }`
	whole, err := Compile(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := Compile(packed(t, generated(whole)), nil)
	if err != nil {
		t.Fatal(err)
	}
	of, err := Of(file)
	if err != nil {
		t.Fatal(err)
	}
	for document, valid := range map[string]bool{`{"a":1}`: true, `{"a":-1}`: false} {
		if _, err := of.Append(nil, file.Messages().Get(0), []byte(document)); (err == nil) != valid {
			t.Errorf("%s: %v", document, err)
		}
	}
}

// A descriptor that no source says is refused: a registry stores the source, and would have another schema, or one that cannot be read.
//
// Mutations seen to fail it: inSource that compares nothing; Compile without inSource.
func TestADescriptorThatNoSourceSaysIsRefused(t *testing.T) {
	field := func(name string) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: proto.String(name), Number: proto.Int32(1), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()}
	}
	message := func(name string, f *descriptorpb.FieldDescriptorProto) *descriptorpb.FileDescriptorProto {
		return &descriptorpb.FileDescriptorProto{MessageType: []*descriptorpb.DescriptorProto{{Name: &name, Field: []*descriptorpb.FieldDescriptorProto{f}}}}
	}
	later := message("M", field("a"))
	later.Syntax, later.Edition = proto.String("editions"), descriptorpb.Edition_EDITION_2024.Enum()
	unknown := message("M", field("a"))
	unknown.Syntax = proto.String("proto4")
	foreign := message("M", field("a"))
	foreign.Package = proto.String("p; message N {}")
	for name, file := range map[string]*descriptorpb.FileDescriptorProto{
		"a later edition":      later,
		"another syntax":       unknown,
		"a package with more":  foreign,
		"a message with more":  message("M {} message N", field("a")),
		"a field with more":    message("M", field("a = 2; string b")),
		"a field with comment": message("M", field("a /* b */")),
		"a name with a space":  message("M N", field("a")),
		"no name":              message("", field("a")),
	} {
		if _, err := Compile(packed(t, file), nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
