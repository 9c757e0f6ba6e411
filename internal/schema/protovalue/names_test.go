package protovalue_test

import (
	"testing"

	"github.com/weirstream/weir/internal/schema/protovalue"
)

// The name of a message is that of the compiled file, whatever else in it does not compile.
//
// Mutations seen to fail it: the package left out; entries of maps not passed over; outline that stops at the first thing that is wrong.
func TestTheNameOfAMessageNeedsNoCompiler(t *testing.T) {
	const right = `syntax = "proto3"; package a.b; import "google/protobuf/timestamp.proto";
		message M { map<string, int32> counts = 1; message In { string s = 1; } google.protobuf.Timestamp at = 2; message Last {} }
		message N { reserved 5 to 7; }`
	file, err := protovalue.Compile(right, nil)
	if err != nil {
		t.Fatal(err)
	}
	wrong := map[string]string{
		"as it is":               right,
		"overlapping reserved":   right + ` message X { reserved 5 to 7, 6; string f = 1; }`,
		"an unknown option":      right + ` message X { string f = 1 [(my.opt) = "x"]; }`,
		"an import twice":        right + ` import "google/protobuf/timestamp.proto";`,
		"an import that is gone": right + ` import "gone.proto";`,
		"a type that is gone":    right + ` message X { Gone g = 1; }`,
		"an enum not from 0":     right + ` enum E { A = 1; }`,
		"required in proto3":     right + ` message X { required string f = 1; }`,
		"a default in proto3":    right + ` message X { string f = 1 [default = "x"]; }`,
		"names that collide":     right + ` message X { string fooBar = 1; string foo_bar = 3; }`,
		"a number twice":         right + ` message X { string a = 1; string b = 1; }`,
		"a message twice":        right + ` message N {}`,
	}
	for what, text := range wrong {
		if _, err := protovalue.Compile(text, nil); err == nil && what != "as it is" {
			t.Errorf("%s compiles", what)
		}
		for _, indexes := range [][]int{nil, {0}, {0, 0}, {0, 1}, {0, 2}, {1}} {
			m, err := protovalue.MessageOf(file, indexes)
			if err != nil {
				t.Fatal(err)
			}
			if name, err := protovalue.NameOf(text, indexes); err != nil || name != m.FullName() {
				t.Errorf("%s: %v is %s (%v), want %s", what, indexes, name, err, m.FullName())
			}
		}
		for _, indexes := range [][]int{{-1}, {9}, {0, 9}} {
			if name, err := protovalue.NameOf(text, indexes); err == nil {
				t.Errorf("%s: %v is %s", what, indexes, name)
			}
		}
	}
	if name, err := protovalue.NameOf(`syntax = "proto3"; message A {} massage B {} message C {}`, []int{1}); err == nil {
		t.Errorf("of a text that cannot be read: %s", name)
	}
	for _, text := range []string{`edition = "2023"; message M { string a = 1; reserved "foo", "bar"; }`, `edition = "2099"; message M {}`} {
		if name, err := protovalue.NameOf(text, nil); err != nil || name != "M" {
			t.Errorf("%s: %s, %v", text, name, err)
		}
	}
	const group = `syntax = "proto2"; message M { extensions 100 to max; } extend M { optional group Gx = 100 { reserved 1 to 3, 2; } } message N {}`
	if name, err := protovalue.NameOf(group, []int{2}); err != nil || name != "N" {
		t.Errorf("after a group: %s, %v", name, err)
	}
}
