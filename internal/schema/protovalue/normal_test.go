package protovalue

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Two files whose only differences are orders that mean nothing are one when they are normalized; those whose order means something are not: that of messages,
// by which values name them, of the entries and groups among them, and which value of an enum is the first.
//
// Mutations seen to fail it: body without each of its orders (fields, members of oneofs, reserved, names of reserved); enum without its; body that sorts
// fields whatever messages stand beside them, or where all messages are declared with fields; enum that sorts the first value too; parse without unquote; reserved names
// of an edition written in quotes.
func TestFilesAreNormalizedByNumbers(t *testing.T) {
	normal := func(text string) (string, protoreflect.FileDescriptor) {
		t.Helper()
		file, err := Compile(text, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return Print(protodesc.ToFileDescriptorProto(file), file, true), file
	}
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"fields", `message M { int32 a = 1; string b = 2; }`, `message M { string b = 2; int32 a = 1; }`, true},
		{"a oneof", `message M { oneof o { int32 a = 1; string b = 2; } int32 c = 3; }`, `message M { int32 c = 3; oneof o { string b = 2; int32 a = 1; } }`, true},
		{"optional fields", `message M { optional int32 a = 1; optional string b = 2; }`, `message M { optional string b = 2; optional int32 a = 1; }`, true},
		{"reserved", `message M { reserved 7, 9 to 11; int32 a = 1; }`, `message M { reserved 9 to 11; reserved 7; int32 a = 1; }`, true},
		{"names of reserved", `message M { reserved "x", "y"; }`, `message M { reserved "y"; reserved "x"; }`, true},
		{"an enum", `enum E { Z = 0; A = 1; B = -2; }`, `enum E { Z = 0; B = -2; A = 1; }`, true},
		{"an enum's reserved", `enum E { Z = 0; reserved 3, 5; reserved "x", "y"; }`, `enum E { Z = 0; reserved 5, 3; reserved "y", "x"; }`, true},
		{"maps", `message M { map<string, int32> a = 1; map<string, int32> b = 2; }`, `message M { map<string, int32> b = 2; map<string, int32> a = 1; }`, true},
		{"nested fields", `message M { message N { int32 a = 1; string b = 2; } N n = 1; }`, `message M { message N { string b = 2; int32 a = 1; } N n = 1; }`, true},
		{"maps beside messages", `message M { map<string, int32> a = 1; map<string, int32> b = 2; message N {} }`, `message M { map<string, int32> b = 2; map<string, int32> a = 1; message N {} }`, false},
		{"groups", `syntax = "proto2"; message M { optional group G = 2 {} optional group H = 1 {} }`, `syntax = "proto2"; message M { optional group H = 1 {} optional group G = 2 {} }`, false},
		{"a group", `syntax = "proto2"; message M { optional int32 a = 3; optional group G = 2 {} }`, `syntax = "proto2"; message M { optional group G = 2 {} optional int32 a = 3; }`, true},
		{"a group beside a map", `syntax = "proto2"; message M { optional group G = 26 {} map<int32, bytes> m = 2; }`, `syntax = "proto2"; message M { map<int32, bytes> m = 2; optional group G = 26 {} }`, false},
		{"a group in a oneof beside a map", `syntax = "proto2"; message M { oneof o { int32 a = 4; group G = 3 {} } map<int32, bytes> m = 2; }`, `syntax = "proto2"; message M { map<int32, bytes> m = 2; oneof o { int32 a = 4; group G = 3 {} } }`, false},
		{"groups of extensions", `syntax = "proto2"; message M { extensions 9; extend M { optional group G = 9 {} } message N {} }`, `syntax = "proto2"; message M { extensions 9; message N {} extend M { optional group G = 9 {} } }`, false},
		{"names of reserved in an edition", `edition = "2023"; message M { reserved x, y; }`, `edition = "2023"; message M { reserved y; reserved x; }`, true},
		{"quoted names of reserved in an edition", `edition = "2023"; message M { reserved x, y; } enum E { Z = 0; reserved a; }`, `edition = "2023"; message M { reserved "x"; reserved 'y'; } enum E { Z = 0; reserved "a"; }`, true},
		{"messages", `message M {} message N {}`, `message N {} message M {}`, false},
		{"an alias", `enum E { option allow_alias = true; Z = 0; A = 1; B = 1; }`, `enum E { option allow_alias = true; Z = 0; B = 1; A = 1; }`, false},
		{"another number", `message M { int32 a = 1; string b = 2; }`, `message M { int32 a = 2; string b = 1; }`, false},
	} {
		if !strings.Contains(c.a, " = \"") {
			c.a, c.b = "syntax = \"proto3\";\n"+c.a, "syntax = \"proto3\";\n"+c.b
		}
		a, file := normal(c.a)
		b, _ := normal(c.b)
		if (a == b) != c.same {
			t.Errorf("%s: %s\n%s", c.name, a, b)
		}
		if strings.HasPrefix(a, "edition") && quotedInEdition(a) {
			t.Errorf("%s: no compiler but this one takes %s", c.name, a)
		}
		again, normalized := normal(a)
		if again != a {
			t.Errorf("%s: normalized again it is %s", c.name, again)
		}
		same := file.Messages().Len() == normalized.Messages().Len()
		for i := 0; same && i < file.Messages().Len(); i++ {
			was, is := file.Messages().Get(i), normalized.Messages().Get(i)
			same = was.Name() == is.Name() && was.Messages().Len() == is.Messages().Len()
			for j := 0; same && j < was.Messages().Len(); j++ {
				if !was.Messages().Get(j).IsMapEntry() {
					same = was.Messages().Get(j).Name() == is.Messages().Get(j).Name()
				}
			}
		}
		if !same {
			t.Errorf("%s: its messages have another order: %s", c.name, a)
		}
	}
	first, _ := normal(`syntax = "proto2"; enum E { A = 2; B = 1; }`)
	other, _ := normal(`syntax = "proto2"; enum E { B = 1; A = 2; }`)
	if first == other {
		t.Errorf("an enum whose first value is another one is the same: %s", first)
	}
}
