package jsonvalue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/schema/jsonvalue"
)

// A mistake is told at the place where it is to be mended, with numbers as they are written, in an order that is the same each time; the first place is that of
// a part of the value, unless the value as a whole fits no alternative.
//
// Mutations seen to fail it: numbers as floats; the bound of an exclusive one as that of an inclusive one; mistakes in the order of maps; the place of a name's mistake as the library has
// it; those of alternatives listed as others; null for what is no value.
func TestWhatIsSaidOfAMistake(t *testing.T) {
	for _, c := range []struct{ schema, document, want, pointer string }{
		{`{"required":["a","b"]}`, `{}`, `$.a: the property is missing; $.b: the property is missing`, "/a"},
		{`{"properties":{"x":{"required":["a"]}}}`, `{"x":{}}`, `$.x.a: the property is missing`, "/x/a"},
		{`{"additionalProperties":false}`, `{"z":1,"y":2}`, `$.y: the schema has no such property, and allows no additional ones; $.z: the schema has no such property, and allows no additional ones`, "/y"},
		{`{"items":{"additionalProperties":false}}`, `[{},{"a/b":1}]`, `$[1]["a/b"]: the schema has no such property, and allows no additional ones`, "/1/a~1b"},
		{`{"$schema":"https://json-schema.org/draft/2020-12/schema","unevaluatedProperties":false}`, `{"z":1}`, `$.z: the schema allows no value here`, "/z"},
		{`{"dependencies":{"a":["b"]}}`, `{"a":1}`, `$.b: the property is missing, which "a" asks for`, "/b"},
		{`{"$schema":"https://json-schema.org/draft/2020-12/schema","dependentRequired":{"a":["b"]}}`, `{"a":1}`, `$.b: the property is missing, which "a" asks for`, "/b"},
		{`{"properties":{"x":{"propertyNames":{"maxLength":2}}}}`, `{"x":{"abc":1}}`, `$.x.abc: maxLength: got 3, want 2 or less`, "/x/abc"},
		{`{"minProperties":3,"properties":{"a":{"type":"string"}}}`, `{"a":1}`, `$.a: got number, want string; $: minProperties: got 1, want 3 or more`, "/a"},
		{`{"items":{"type":"string"}}`, `["","",1,"","","","","","","",2]`, `$[2]: got number, want string; $[10]: got number, want string`, "/2"},
		{`{"properties":{"x":{"oneOf":[{"type":"null"},{"required":["a"],"type":"object"}]}}}`, `{"x":{}}`, `$.x: the value fits none of the alternatives of oneOf; $.x: got object, want null; $.x.a: the property is missing`, "/x"},
		{`{"anyOf":[{"required":["a"]},{"required":["b"]}]}`, `{"c":1}`, `$: the value fits none of the alternatives of anyOf; $.a: the property is missing; $.b: the property is missing`, ""},
		{`{"type":"object"}`, `5`, `$: got number, want object`, ""},

		{`{"maximum":9223372036854775806}`, `9223372036854775807`, `$: maximum: got 9223372036854775807, want 9223372036854775806 or less`, ""},
		{`{"minimum":1.5}`, `-0.0`, `$: minimum: got -0.0, want 1.5 or more`, ""},
		{`{"exclusiveMinimum":0}`, `0`, `$: exclusiveMinimum: got 0, want more than 0`, ""},
		{`{"exclusiveMaximum":1e3}`, `1e3`, `$: exclusiveMaximum: got 1e3, want less than 1000`, ""},
		{`{"maximum":1e300}`, `1e301`, `$: maximum: got 1e301, want 1e+300 or less`, ""},
		{`{"multipleOf":0.01}`, `0.005`, `$: multipleOf: got 0.005, want a multiple of 0.01`, ""},
		{`{"minLength":2000}`, `"a"`, `$: minLength: got 1, want 2000 or more`, ""},
		{`{"minItems":1}`, `[]`, `$: minItems: got 0, want 1 or more`, ""},

		{`{}`, `V`, `$: a value is wanted, and there is 'V'`, ""},
		{`{}`, `{"a":}`, `$.a: a value is wanted, and there is '}'`, "/a"},
		{`{}`, `nul`, `$: null is misspelled`, ""},
		{`{}`, ``, `$: a value is wanted, and the document ends`, ""},
		{`{}`, "\uFEFF{}", `$: a value is wanted, and there is a byte order mark, which JSON does not have: send the document without it`, ""},
	} {
		schema, err := jsonvalue.Compile(c.schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			err := schema.Check([]byte(c.document))
			var first *jsonscan.Error
			if !errors.As(err, &first) || err.Error() != c.want || first.Pointer() != c.pointer {
				t.Errorf("%s, %s:\n%v\nwant\n%s", c.schema, c.document, err, c.want)
				break
			}
		}
	}
}

// What is repeated of a value, and of the schema, has a bound, and ten mistakes are told.
//
// Mutations seen to fail it: texts without a bound; all mistakes.
func TestWhatIsSaidHasABound(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprintf(`"%s%d":1`, long[:1000], i)
	}
	for schema, document := range map[string]string{
		`{"pattern":"^a$"}`:                          `"` + long + `"`,
		`{"format":"date"}`:                          `"` + long + `"`,
		`{"maximum":1}`:                              strings.Repeat("9", 1000),
		`{"additionalProperties":false}`:             `{` + strings.Join(many, ",") + `}`,
		`{"propertyNames":{"maxLength":3}}`:          `{"` + long + `":1}`,
		`{"enum":["` + long + `","b"]}`:              `"c"`,
		`{"additionalProperties":{"type":"string"}}`: `{"` + long + `":1}`,
		`{"dependencies":{"a":["` + long + `"]}}`:    `{"a":1}`,
	} {
		s, err := jsonvalue.Compile(schema, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check([]byte(document)); err == nil || len(err.Error()) > 5000 || strings.Count(err.Error(), "; $") > 9 {
			t.Errorf("%.40s: %d bytes: %.300v", schema, len(fmt.Sprint(err)), err)
		}
	}
}
