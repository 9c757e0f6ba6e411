package protovalue_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weirstream/weir/internal/schema/protovalue"
)

// What readers in other languages refuse is not written: a required field that is missing, in proto2 and in editions, wherever it stands, and a number that a closed enum does not have, which
// they would lose. Each is told with its place, by the names that the event has.
//
// Mutations seen to fail it: incomplete that looks at RequiredNumbers; without messages within, lists or maps; closed enums left out; asks without imports of proto2; names of the document left out.
func TestWhatIsNotCompleteIsNotWritten(t *testing.T) {
	const edition = `edition = "2023"; package q;
		message R { int32 a = 1; int32 q_r = 5 [features.field_presence = LEGACY_REQUIRED]; }
		message M { R one_r = 1; repeated R many = 2; map<string, R> by = 3; Open open = 4; Closed closed = 5; repeated Closed all = 6; map<int32, Closed> each = 7; oneof o { R r = 8; } }
		enum Open { Z = 0; }
		enum Closed { option features.enum_type = CLOSED; Y = 1; }`
	const proto2 = `syntax = "proto2"; package q;
		message R { optional int32 a = 1; required int32 q_r = 5; }
		message M { optional R one_r = 1; repeated R many = 2; map<string, R> by = 3; optional Closed closed = 5; repeated Closed all = 6; map<int32, Closed> each = 7; oneof o { R r = 8; } }
		enum Closed { Y = 1; }`
	for name, text := range map[string]string{"edition 2023": edition, "proto2": proto2} {
		file, err := protovalue.Compile(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := protovalue.Of(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Named("M")
		if err != nil {
			t.Fatal(err)
		}
		for document, want := range map[string]string{
			`{"oneR":{"a":1}}`:                `$.oneR.qR: the required field is missing`,
			`{"one_r":{"a":1}}`:               `$.one_r.qR: the required field is missing`,
			`{"many":[{"q_r":1},{"a":1}]}`:    `$.many[1].qR: the required field is missing`,
			`{"by":{"k k":{}}}`:               `$.by["k k"].qR: the required field is missing`,
			`{"r":{}}`:                        `$.r.qR: the required field is missing`,
			`{"closed":9}`:                    `$.closed: the enum q.Closed has no value with the number 9, and takes no others`,
			`{"all":["Y",9]}`:                 `$.all[1]: the enum q.Closed has no value with the number 9, and takes no others`,
			`{"each":{"3":9}}`:                `$.each["3"]: the enum q.Closed has no value with the number 9, and takes no others`,
			`{"by":{"\ud800":{"q_r":1}}}`:     `$.by: the name of a member: a string has half of a surrogate pair`,
			`{"many":[{"q_r":0,"a":1}]}`:      ``,
			`{"closed":"Y","each":{"3":"Y"}}`: ``,
			`{}`:                              ``,
		} {
			got := ""
			if _, err := f.Append(nil, m, []byte(document)); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%s: %s: %q, want %q", name, document, got, want)
			}
		}
		if text == edition {
			if _, err := f.Append(nil, m, []byte(`{"open":9}`)); err != nil {
				t.Errorf("an open enum: %v", err)
			}
		}

		// What others have written is read by the same rule, but for numbers, which readers pass over.
		if _, err := f.AppendJSON(nil, m, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), nil)); err == nil || err.Error() != `$.oneR.qR: the required field is missing` {
			t.Errorf("%s: read: %v", name, err)
		}
		if _, err := f.AppendJSON(nil, m, protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.VarintType), 9)); err != nil {
			t.Errorf("%s: read a number: %v", name, err)
		}
		r, err := f.Named("R")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Check(dynamicpb.NewMessage(r)); err == nil {
			t.Errorf("%s: a message that lacks a field passes", name)
		}
	}

	// A file that itself asks for nothing, and has a message of a file that does.
	file, err := protovalue.Compile(`syntax = "proto3"; import "google/protobuf/descriptor.proto"; message M { google.protobuf.UninterpretedOption o = 1; }`, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := protovalue.Of(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Named("M")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Append(nil, m, []byte(`{"o":{"name":[{"isExtension":true}]}}`)); err == nil || err.Error() != `$.o.name[0].namePart: the required field is missing` {
		t.Errorf("of an import: %v", err)
	}
}
