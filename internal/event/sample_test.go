package event

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// The value of the line to try is one that the schema takes, also within bounds, formats, alternatives and rules; where none is found it says why.
//
// Mutations, each seen to fail it: within without its bounds; whole without parts; withLength without a length; a fixed that is null; fieldRules of
// nothing; a second try with all properties.
func TestASampleIsTaken(t *testing.T) {
	const proto = "syntax = \"proto3\";\npackage shop;\nimport \"buf/validate/validate.proto\";\nimport \"google/protobuf/timestamp.proto\";\n"
	for name, c := range map[string]struct {
		kind registry.Type
		text string
		why  string
	}{
		"avro": {registry.Avro, `{"type":"record","name":"R","fields":[{"name":"id","type":{"type":"string","logicalType":"uuid"}},{"name":"sum","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":4}},
			{"name":"hash","type":{"type":"fixed","name":"H","size":16}},{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
			{"name":"of","type":{"type":"int","logicalType":"time-millis"}},{"name":"kind","type":{"type":"enum","name":"K","symbols":["A"]}},{"name":"next","type":["null","R"]}]}`, ""},
		"bounds": {registry.JSON, `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["a","b","c","d","e","f"],"properties":{"a":{"type":"integer","minimum":100},"b":{"type":"number","exclusiveMinimum":3,"multipleOf":0.5},
			"c":{"type":"integer","maximum":-2},"d":{"type":"string","minLength":9},"e":{"type":"array","minItems":2,"items":{"type":"string","maxLength":0}},"f":{"type":"array","prefixItems":[{"const":7}],"minItems":2,"items":{"type":"boolean"}}}}`, ""},
		"formats": {registry.JSON, `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"type":"string","format":"uuid"},"b":{"type":"string","format":"email"},"c":{"type":"string","format":"date-time"},
			"d":{"type":"string","format":"date"},"e":{"type":"string","format":"uri"},"f":{"type":"string","format":"ipv6"},"g":{"type":"string","format":"hostname"},"h":{"type":"string","format":"time"}}}`, ""},
		"parts":                          {registry.JSON, `{"allOf":[{"$ref":"#/$defs/base"},{"properties":{"b":{"oneOf":[{"type":"integer"},{"type":"string"}]}},"required":["b"]}],"$defs":{"base":{"type":"object","required":["a"],"properties":{"a":{"anyOf":[{"type":"string"}]}}}}}`, ""},
		"itself":                         {registry.JSON, `{"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"next":{"$ref":"#"}}}`, ""},
		"what cannot be met is left out": {registry.JSON, `{"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"code":{"type":"string","pattern":"^[A-Z]{3}$"}}}`, ""},
		"a pattern":                      {registry.JSON, `{"type":"object","required":["code"],"properties":{"code":{"type":"string","pattern":"^[A-Z]{3}$"}}}`, "pattern"},
		"rules": {registry.Protobuf, proto + `message M { int64 a = 1 [(buf.validate.field).int64.gt = 100]; string b = 2 [(buf.validate.field).string.uuid = true]; string c = 3 [(buf.validate.field).string.min_len = 5];
			repeated string d = 4 [(buf.validate.field).repeated = {min_items: 2, items: {string: {min_len: 3}}}]; google.protobuf.Timestamp e = 5 [(buf.validate.field).required = true]; string f = 6 [(buf.validate.field).string.email = true];
			enum K { NONE = 0; ONE = 1; } K g = 7 [(buf.validate.field).required = true]; int32 h = 8 [(buf.validate.field).int32 = {in: [7, 8]}]; oneof o { option (buf.validate.oneof).required = true; string i = 9; int32 j = 10; }
			map<string, int32> k = 11 [(buf.validate.field).map.min_pairs = 1]; double l = 12 [(buf.validate.field).double = {gte: 0, lte: 0.5}]; bytes m = 13 [(buf.validate.field).bytes.min_len = 4]; }`, ""},
		"a rule of its own": {registry.Protobuf, proto + `message M { string a = 1 [(buf.validate.field).cel = {id: "x", message: "no", expression: "this == 'xyz'"}]; }`, "no"},
	} {
		compiled, err := values.Compile(&registry.Registered{Schema: registry.Schema{Type: c.kind, Text: c.text}, ID: 1})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, why := sample(compiled)
		if (got != nil) != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: %s, %s", name, got, why)
		}
	}
}
