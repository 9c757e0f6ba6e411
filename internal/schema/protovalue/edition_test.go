package protovalue_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weirstream/weir/internal/schema/protovalue"
)

// An edition that the compiler does not know is refused with what to do, as text and as the descriptor that clients in Python send.
//
// Mutation seen to fail it: the error as it comes.
func TestAnEditionThatIsNotKnown(t *testing.T) {
	packed, err := proto.Marshal(&descriptorpb.FileDescriptorProto{Name: proto.String("m.proto"), Syntax: proto.String("editions"), Edition: descriptorpb.Edition_EDITION_2024.Enum(),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M")}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"text": `edition = "2024"; message M { int32 a = 1; }`, "descriptor": base64.StdEncoding.EncodeToString(packed)} {
		if _, err := protovalue.Compile(text, nil); err == nil || !strings.Contains(err.Error(), "write the file in proto3 or in edition 2023") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
