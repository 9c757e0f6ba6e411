package protovalue_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/internal/schema/source"
)

const slug = `syntax = "proto2"; import "buf/validate/validate.proto";
	extend buf.validate.StringRules { optional bool slug = 80048952 [(buf.validate.predefined).cel = {id: "string.slug", message: "only small letters", expression: "rule ? this.matches('^[a-z]+$') : true"}]; }`

// Rules that a schema defines itself are enforced, from its own file and from one that it imports.
//
// Mutation seen to fail it: a validator that knows no extensions of the schema.
func TestRulesThatASchemaDefines(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		imports []source.Import
	}{
		"imported": {`syntax = "proto3"; import "buf/validate/validate.proto"; import "slug.proto"; message M { string name = 1 [(buf.validate.field).string.(slug) = true]; }`,
			[]source.Import{{Name: "slug.proto", Text: slug}}},
		"its own": {text: slug + ` message M { optional string name = 1 [(buf.validate.field).string.(slug) = true]; }`},
	} {
		file, err := protovalue.Compile(c.text, c.imports)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f, err := protovalue.Of(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, err := f.Named("M")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Append(nil, m, []byte(`{"name":"abc"}`)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.Append(nil, m, []byte(`{"name":"A B"}`)); err == nil || err.Error() != "$.name: only small letters" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rules that make no sense are a mistake of the schema, which is found before there is a value.
//
// Mutation seen to fail it: nested messages that are not looked at.
func TestRulesThatMakeNoSense(t *testing.T) {
	for name, message := range map[string]string{
		"an expression":          `message M { string a = 1 [(buf.validate.field).cel = {id: "x", expression: "this +"}]; }`,
		"another type":           `message M { string a = 1 [(buf.validate.field).int32.gt = 0]; }`,
		"a message in a message": `message M { message N { string a = 1 [(buf.validate.field).int32.gt = 0]; } }`,
	} {
		file, err := protovalue.Compile(`syntax = "proto3"; import "buf/validate/validate.proto"; `+message, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := protovalue.Of(file); err == nil || !strings.Contains(err.Error(), "the rules of protovalidate in message M") || !strings.Contains(err.Error(), "mend and register the schema") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The place of a broken rule has the names that the document has.
//
// Mutations seen to fail it: the names that are usual in JSON; a list's elements, or a map's, that are not looked into.
func TestAPlaceHasTheNamesOfTheDocument(t *testing.T) {
	file, err := protovalue.Compile(`syntax = "proto3"; import "buf/validate/validate.proto"; message M { repeated N all_of = 1; map<string, N> by_name = 2; map<int32, N> by_no = 3; }
		message N { int64 amount_cents = 1 [(buf.validate.field).int64.gt = 0]; }`, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := protovalue.Of(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Message(nil)
	if err != nil {
		t.Fatal(err)
	}
	for document, want := range map[string]string{
		`{"all_of":[{"amount_cents":1},{"amount_cents":-1}]}`: "$.all_of[1].amount_cents: ",
		`{"allOf":[{"amount_cents":1},{"amountCents":-1}]}`:   "$.allOf[1].amountCents: ",
		`{"by_name":{"x":{"amount_cents":-1}}}`:               "$.by_name.x.amount_cents: ",
		`{"byNo":{"7":{"amount_cents":-1}}}`:                  `$.byNo["7"].amount_cents: `,
		`{"all_of":[{}]}`:                                     "$.all_of[0].amountCents: ",
	} {
		if _, err := f.Append(nil, m, []byte(document)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", document, err, want)
		}
	}
}
