package schema

import (
	"encoding/base64"

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
