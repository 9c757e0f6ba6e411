package protovalue_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weirstream/weir/internal/schema/protovalue"
)

const (
	asMap   = `syntax = "proto3"; package shop; message A { map<string, B> some_counts = 1; message Line { string id = 1; } map<string, int32> more = 2; message Last {} } message B {}`
	asEntry = `syntax = "proto3"; package shop;
		message A {
			repeated SomeCountsEntry some_counts = 1;
			repeated .shop.A.MoreEntry more = 2;
			message SomeCountsEntry { option map_entry = true; string key = 1; .shop.B value = 2; }
			message Line { string id = 1; }
			message MoreEntry { option map_entry = true; string key = 1; int32 value = 2; }
			message Last {}
		}
		message B {}`
)

// A file with the messages of its maps written out, as Java's client sends generated classes, is the file with maps.
//
// Mutation seen to fail it: parse without explicitEntries.
func TestMapsThatAreWrittenOutAreMaps(t *testing.T) {
	print := func(text string) string {
		t.Helper()
		file, err := protovalue.Compile(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return protovalue.Text(file)
	}
	if got, want := print(asEntry), print(asMap); got != want || !strings.Contains(got, "map<string, .shop.B> some_counts = 1;") {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// A message that only says that it is a map's is refused, as text and as a descriptor: the library would take its missing fields for there.
//
// Mutations seen to fail it: checkEntries that refuses nothing; markEntries that looks at the outermost messages only.
func TestWhatIsNoMapIsNotTakenForOne(t *testing.T) {
	for name, body := range map[string]string{
		"no fields":       `message A { repeated MEntry m = 1; message MEntry { option map_entry = true; } }`,
		"other fields":    `message A { repeated MEntry m = 1; message MEntry { option map_entry = true; string key = 1; string other = 2; } }`,
		"another number":  `message A { repeated MEntry m = 1; message MEntry { option map_entry = true; string key = 1; string value = 3; } }`,
		"a list of them":  `message A { repeated MEntry m = 1; message MEntry { option map_entry = true; string key = 1; repeated string value = 2; } }`,
		"not repeated":    `message A { MEntry m = 1; message MEntry { option map_entry = true; string key = 1; string value = 2; } }`,
		"another name":    `message A { repeated Other m = 1; message Other { option map_entry = true; string key = 1; string value = 2; } }`,
		"nobody's":        `message A { message MEntry { option map_entry = true; string key = 1; string value = 2; } }`,
		"in no message":   `message MEntry { option map_entry = true; string key = 1; string value = 2; } message A { repeated MEntry m = 1; }`,
		"within a nested": `message A { message I { repeated MEntry m = 1; message MEntry { option map_entry = true; } } }`,
	} {
		if _, err := protovalue.Compile(`syntax = "proto3"; `+body, nil); err == nil || !strings.Contains(err.Error(), "map_entry") {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := &descriptorpb.FileDescriptorProto{Syntax: proto.String("proto3"), MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("A"),
		Field: []*descriptorpb.FieldDescriptorProto{{Name: proto.String("m"), Number: proto.Int32(1), TypeName: proto.String(".A.MEntry"),
			Label: descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()}},
		NestedType: []*descriptorpb.DescriptorProto{{Name: proto.String("MEntry"), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}}}}}}
	raw, err := proto.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := protovalue.Compile(base64.StdEncoding.EncodeToString(raw), nil); err == nil || !strings.Contains(err.Error(), "map_entry") {
		t.Errorf("a descriptor: %v", err)
	}
}

// Indexes count the messages of map fields, as all clients do by default. One that leads to such a message, which is no value, was counted
// without them, as Java's client does where it normalizes schemas.
//
// Mutation seen to fail it: MessageOf without written.
func TestIndexesWithAndWithoutTheMessagesOfMaps(t *testing.T) {
	file, err := protovalue.Compile(asMap, nil)
	if err != nil {
		t.Fatal(err)
	}
	for indexes, want := range map[[2]int]string{
		{0, 1}: "shop.A.Line", {0, 3}: "shop.A.Last", // as they are written
		{0, 0}: "shop.A.Line", // of Java that normalizes
		{0, 2}: "",            // there are two without maps
		{0, 4}: "",
	} {
		m, err := protovalue.MessageOf(file, indexes[:])
		if (err != nil) != (want == "") || err == nil && string(m.FullName()) != want {
			t.Errorf("%v: %v, %v, want %q", indexes, m, err, want)
		}
		if m != nil && indexes != [2]int{0, 0} {
			if got := fmt.Sprint(protovalue.Indexes(m)); got != fmt.Sprint(indexes[:]) {
				t.Errorf("%s is written with %s, want %v", want, got, indexes)
			}
		}
	}
}
