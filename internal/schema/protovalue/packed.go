package protovalue

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weirstream/weir/internal/schema/source"
)

// extensions finds the extensions that a message may have.
type extensions interface {
	protoregistry.MessageTypeResolver
	protoregistry.ExtensionTypeResolver
}

// unpacked is a file by its descriptor, as clients have it in the classes that protoc generates. Those for Python, C# and JavaScript have the names
// of fields in JSON only where the file gives them: protoc fills in the others when it reads a descriptor, and the compiler here takes it as it is.
func (c *compilation) unpacked(raw []byte) (*descriptorpb.FileDescriptorProto, error) {
	file := &descriptorpb.FileDescriptorProto{}
	if err := (proto.UnmarshalOptions{Resolver: c.extensions}).Unmarshal(raw, file); err != nil {
		return nil, fmt.Errorf("it is base64, and no file descriptor: %w", err)
	}
	if s := file.GetSyntax(); s != "" && s != "proto2" && s != "proto3" && s != "editions" {
		return nil, fmt.Errorf("the descriptor has the syntax %q, which is not known", s)
	}
	c.unread = c.unread || hasUnknown(file.ProtoReflect())
	file.Name = proto.String(mainProto)
	for _, m := range file.MessageType {
		nameFields(m)
	}
	return file, checkEntries(file)
}

// inSource is a file that a descriptor has, by its source, which is what a registry stores. A descriptor can say what no source can, as a name with
// a space or an edition that is not known here.
func inSource(file protoreflect.FileDescriptor, imports []source.Import) (protoreflect.FileDescriptor, error) {
	text := Text(file)
	c := compilation{extensions: &protoregistry.Types{}}
	again, err := c.compile(text, imports)
	if err != nil {
		return nil, fmt.Errorf("the source of the descriptor: %w", err)
	}
	if Text(again) != text {
		return nil, fmt.Errorf("the descriptor says what the source of a file cannot say: names are letters, digits and underscores")
	}
	return again, nil
}

// hasUnknown says whether a message has fields that it does not know, or one within it does.
func hasUnknown(m protoreflect.Message) (unknown bool) {
	if len(m.GetUnknown()) > 0 {
		return true
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				unknown = unknown || hasUnknown(v.List().Get(i).Message())
			}
		default:
			unknown = hasUnknown(v.Message())
		}
		return !unknown
	})
	return unknown
}

func nameFields(m *descriptorpb.DescriptorProto) {
	for _, f := range m.Field {
		if f.GetJsonName() == "" {
			f.JsonName = proto.String(jsonName(f.GetName()))
		}
	}
	for _, nested := range m.NestedType {
		nameFields(nested)
	}
}
