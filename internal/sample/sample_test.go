package sample_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/gateway"
	"github.com/weirstream/weir/internal/sample"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

func compile(t *testing.T, kind registry.Type, text string, imports ...registry.Import) *values.Schema {
	t.Helper()
	compiled, err := values.Compile(&registry.Registered{Schema: registry.Schema{Type: kind, Text: text}, Imports: imports, ID: 1})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return compiled
}

// made is a value of a schema that a gateway takes which reads the key from a field, "" for none.
func made(s *values.Schema, key string) (string, error) {
	d := &declared.Event{Version: 1, Topic: "a.b.v1", Key: key, Keyless: key == "", Schema: true}
	var fields []sample.Field
	if key != "" {
		fields = append(fields, sample.Field{Path: key})
	}
	tried := 0
	document, err := sample.Of(s, fields, func(document []byte) error {
		tried++
		return (&gateway.Trial{Declared: d, Values: s, Document: document}).Try()
	})
	if err == nil && tried > 60 {
		err = fmt.Errorf("found only with the attempt %d", tried)
	}
	return string(document), err
}

// A JSON schema has a value, whatever its keywords: each line is a property's schema.
//
// Mutations, each seen to fail it: one that always takes the first way; within without its lower bound, without the middle, and with
// one number for all n; pattern that tries one text, or does not grow; items that are all the same; array without contains; object without minProperties;
// propertyOf without additionalProperties; whole without join, or without a condition.
func TestASampleOfAJSONSchema(t *testing.T) {
	const head = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["f"],"properties":{"f":%s},"$defs":{"base":{"type":"object","required":["a"],"properties":{"a":{"anyOf":[{"type":"string"}]}}},"odd":{"$anchor":"odd","enum":["b","c"]}}}`
	for _, f := range []string{
		`{"type":"integer","minimum":100}`, `{"type":"number","exclusiveMinimum":3,"multipleOf":0.5}`, `{"type":"integer","maximum":-2}`, `{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}`,
		`{"type":"number","minimum":0.1,"maximum":0.2}`, `{"type":"number","multipleOf":0.01,"exclusiveMinimum":1.005}`, `{"type":"integer","multipleOf":2.5,"minimum":3}`, `{"type":"integer","minimum":9007199254740993,"maximum":9007199254740993}`,
		`{"type":"integer","not":{"const":1}}`, `{"const":9007199254740993}`, `{"const":null}`, `{"enum":[null,"a"]}`, `{"type":"number","minimum":1e3,"maximum":1e3}`, `{"type":"integer","minimum":2.5,"maximum":3.5}`,
		`{"type":"string","minLength":9}`, `{"type":"string","maxLength":0}`, `{"type":"string","format":"email","minLength":40}`, `{"type":"string","not":{"const":"a"}}`, `{"type":"string","default":1}`, `{"type":"string","examples":[""],"minLength":1}`,
		`{"type":"string","pattern":"^(EUR|USD)$"}`, `{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4}$"}`, `{"type":"string","pattern":"^[0-9a-f]{24}$"}`, `{"type":"string","pattern":"^\\+[1-9]\\d{1,14}$"}`,
		`{"type":"string","pattern":"^\\S+@\\S+\\.\\S+$"}`, `{"type":"string","pattern":"[0-9]","minLength":8}`, `{"type":"string","pattern":"^[a-z]+(-[a-z]+)*$","minLength":12,"maxLength":20}`, `{"type":"string","pattern":"^(ab)+$","minLength":6}`,
		`{"type":"string","pattern":"^(?i)abc\\b.\\bx?$"}`, `{"type":"string","pattern":"^\\p{Lu}\\w*$"}`, `{"type":"string","pattern":"^[^a-z]*$","minLength":3}`, `{"type":"string","pattern":"^[\\x{4e00}-\\x{9fff}]{2}$"}`,
		`{"type":"string","pattern":"^$"}`, `{"type":"string","format":"date","pattern":"^20"}`, `{"type":"string","pattern":"^(?=.*[A-Z])(?=.*\\d).{4,}$"}`, `{"type":"string","pattern":"^(?!aaa)[a-z]{3}$"}`,
		`{"type":"string","format":"uuid"}`, `{"type":"string","format":"email"}`, `{"type":"string","format":"date-time"}`, `{"type":"string","format":"date"}`, `{"type":"string","format":"uri"}`, `{"type":"string","format":"ipv6"}`,
		`{"type":"string","format":"hostname"}`, `{"type":"string","format":"time"}`, `{"type":"string","format":"duration"}`, `{"type":"string","format":"uri-reference"}`, `{"type":"string","format":"json-pointer"}`, `{"type":"string","format":"relative-json-pointer"}`,
		`{"type":"string","format":"regex"}`, `{"type":"string","format":"uri-template"}`, `{"type":"string","format":"idn-email"}`, `{"type":"string","format":"iri"}`, `{"type":"string","format":"ipv4"}`, `{"type":"string","format":"semver"}`, `{"type":"string","format":"period"}`,
		`{"type":"array","minItems":2,"items":{"type":"string","maxLength":0}}`, `{"type":"array","prefixItems":[{"const":7}],"minItems":2,"items":{"type":"boolean"}}`, `{"type":"array","uniqueItems":true,"minItems":3,"items":{"type":"string"}}`,
		`{"type":"array","uniqueItems":true,"minItems":30,"items":{"type":"string","pattern":"^[a-c]{4}$"}}`, `{"type":"array","uniqueItems":true,"minItems":3,"items":{"enum":[1,2,3]}}`, `{"type":"array","uniqueItems":true,"minItems":2,"items":{"type":"boolean"}}`,
		`{"type":"array","uniqueItems":true,"minItems":4,"items":{"type":"integer","minimum":7,"maximum":10}}`, `{"type":"array","uniqueItems":true,"minItems":4,"items":{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1}}`,
		`{"type":"array","uniqueItems":true,"minItems":2,"items":{"type":"object","required":["a"],"properties":{"a":{"type":"string","format":"uuid"}}}}`, `{"type":"array","contains":{"const":5},"minContains":2}`, `{"type":"array","items":{"type":"integer"},"contains":{"minimum":50}}`,
		`{"type":"object","minProperties":2,"additionalProperties":{"type":"integer"}}`, `{"type":"object","minProperties":2,"propertyNames":{"pattern":"^[a-z]{3}$"}}`, `{"type":"object","minProperties":3,"patternProperties":{"^x-\\d+$":{"type":"string"}},"additionalProperties":false}`,
		`{"type":"object","required":["x-1"],"patternProperties":{"^x-":{"type":"integer"}},"additionalProperties":false}`, `{"type":"object","required":["a"],"additionalProperties":{"type":"integer","minimum":4}}`, `{"type":"object","maxProperties":1,"required":["a"],"properties":{"a":{"const":1},"b":{"const":2}}}`,
		`{"type":"object","properties":{"a":{"const":1},"b":false}}`, `{"type":"object","properties":{"card":{"type":"string"}},"dependentRequired":{"card":["holder"],"holder":["bank"]},"minProperties":2}`, `{"type":"object","properties":{"card":{"type":"string"}},"dependentSchemas":{"card":{"required":["x"],"properties":{"x":{"type":"integer"}}}}}`,
		`{"type":"object","properties":{"a":{"not":{}},"b":{"type":"string","minLength":2,"maxLength":1}}}`, `{"$ref":"#/$defs/base"}`, `{"$ref":"#odd"}`, `{"allOf":[{"$ref":"#/$defs/base"},{"properties":{"b":{"oneOf":[{"type":"integer"},{"type":"string"}]}},"required":["b"]}],"unevaluatedProperties":false}`, `{"allOf":[{"type":"integer","minimum":5},{"maximum":9,"minimum":8}]}`,
		`{"allOf":[{"properties":{"a":{"minLength":4}}},{"properties":{"a":{"type":"string","pattern":"^b*$"}},"required":["a"]}]}`, `{"oneOf":[{"type":"integer"},{"type":"integer","minimum":1}]}`, `{"oneOf":[false,{"type":"string"}]}`, `{"anyOf":[{"type":"object","required":["never"],"properties":{"never":false}},{"type":"string"}]}`,
		`{"type":["null","string"]}`, `{"if":{"properties":{"t":{"const":1}}},"then":{"required":["id"],"properties":{"id":{"type":"string"}}},"type":"object"}`, `{"type":"object","required":["t"],"properties":{"t":{"enum":["a","b"]}},"if":{"properties":{"t":{"const":"a"}}},"then":false,"else":{"required":["b"]}}`,
		`{}`, `true`, `{"minimum":5}`, `{"pattern":"^[0-9]+$"}`, `{"const":"it's \u0060x\u0060"}`,
	} {
		if _, err := made(compile(t, registry.JSON, fmt.Sprintf(head, f)), ""); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// The key's field is made up where the schema leaves it open, may be null or has it in an alternative.
//
// Mutations, each seen to fail it: fits that is always true; known of nothing.
func TestASampleHasItsKey(t *testing.T) {
	record := func(field string) string {
		return fmt.Sprintf(`{"type":"record","name":"A","namespace":"n","fields":[{"name":"id","type":%s}]}`, field)
	}
	message := func(body string) string {
		return "syntax = \"proto3\"; package p; import \"google/protobuf/wrappers.proto\"; import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/duration.proto\"; import \"google/protobuf/struct.proto\"; import \"buf/validate/validate.proto\"; message M { " + body + " }"
	}
	property := func(schema string) string {
		return fmt.Sprintf(`{"type":"object","required":["id"],"properties":{"id":%s}}`, schema)
	}
	for _, c := range []struct {
		kind      registry.Type
		text, key string
	}{
		{registry.JSON, `true`, "id"}, {registry.JSON, `{}`, "id"}, {registry.JSON, `{"type":"object"}`, "id"}, {registry.JSON, `{"type":"object"}`, "a.b.id"}, {registry.JSON, property(`{}`), "id"}, {registry.JSON, property(`true`), "id"},
		{registry.JSON, property(`{"type":["null","string"]}`), "id"}, {registry.JSON, property(`{"type":"string"}`), "id"}, {registry.JSON, property(`{"type":"string","default":""}`), "id"}, {registry.JSON, property(`{"enum":[null,"","b"]}`), "id"},
		{registry.JSON, property(`{"enum":[` + strings.Repeat("{},[],", 40) + `"b"]}`), "id"}, {registry.JSON, property(`{"anyOf":[{"type":"null"},{"type":"string","format":"uuid"}]}`), "id"}, {registry.JSON, property(`{"oneOf":[{"type":"object"},{"type":"integer"}]}`), "id"}, {registry.JSON, property(`{"type":"string","pattern":"^x*$"}`), "id"},
		{registry.JSON, `{"type":"object","properties":{"id":{"type":"string"}}}`, "id"}, {registry.JSON, `{"type":"object","properties":{"a":{"type":"object","properties":{"id":{"type":"integer"}},"default":{}}},"examples":[{}]}`, "a.id"},
		{registry.JSON, `{"type":"object","patternProperties":{"^i":{"type":"string"}},"required":["id"],"additionalProperties":false}`, "id"}, {registry.JSON, `{"type":"object","additionalProperties":{"type":"string","minLength":3},"required":["id"]}`, "id"},
		{registry.JSON, `{"type":"object","if":{"properties":{"t":{"const":1}}},"then":{"required":["id"],"properties":{"id":{"type":"string"}}}}`, "id"}, {registry.JSON, `{"oneOf":[{"type":"object","required":["no"],"properties":{"no":{}},"additionalProperties":false},{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}]}`, "id"},
		{registry.JSON, `{"type":"object","properties":{"id":{"$ref":"#/definitions/i"}},"definitions":{"i":{"type":"string","minLength":2}}}`, "id"}, {registry.JSON, `{"type":"object","properties":{"id":{"type":"integer"},"next":{"$ref":"#"}}}`, "next.id"},
		{registry.Avro, record(`["null","string"]`), "id"}, {registry.Avro, record(`["string","null"]`), "id"}, {registry.Avro, record(`{"type":"string","logicalType":"uuid"}`), "id"}, {registry.Avro, record(`{"type":"enum","name":"E","symbols":["P","Q"]}`), "id"},
		{registry.Avro, record(`{"type":"long","logicalType":"timestamp-micros"}`), "id"}, {registry.Avro, record(`{"type":"bytes","logicalType":"decimal","precision":6,"scale":2}`), "id"}, {registry.Avro, record(`["null","int","string"]`), "id"}, {registry.Avro, record(`"bytes"`), "id"}, {registry.Avro, record(`"double"`), "id"},
		{registry.Avro, record(`{"type":"fixed","name":"F","size":3}`), "id"}, {registry.Avro, record(`{"type":"fixed","name":"F","size":16,"logicalType":"uuid"}`), "id"}, {registry.Avro, record(`["null",{"type":"record","name":"N","fields":[{"name":"id","type":["null","string"]}]}]`), "id.id"},
		{registry.Avro, record(`{"type":"map","values":["null","string"]}`), "id.x"}, {registry.Avro, record(`{"type":"int","logicalType":"date"}`), "id"}, {registry.Avro, record(`["null","boolean","string"]`), "id"},
		{registry.Avro, `{"type":"record","name":"A","fields":[{"name":"id","type":["null","string"],"default":null},{"name":"next","type":["null","A"],"default":null}]}`, "next.next.id"},
		{registry.Protobuf, message(`optional string id = 1;`), "id"}, {registry.Protobuf, message(`google.protobuf.StringValue id = 1;`), "id"}, {registry.Protobuf, message(`google.protobuf.Int64Value id = 1;`), "id"}, {registry.Protobuf, message(`E id = 1; enum E { U=0; A=1; }`), "id"},
		{registry.Protobuf, message(`oneof o { int32 x = 2; string id = 1; }`), "id"}, {registry.Protobuf, message(`bytes id = 1;`), "id"}, {registry.Protobuf, message(`google.protobuf.Timestamp id = 1;`), "id"}, {registry.Protobuf, message(`google.protobuf.Duration id = 1;`), "id"}, {registry.Protobuf, message(`google.protobuf.Value id = 1;`), "id"},
		{registry.Protobuf, message(`fixed64 id = 1;`), "id"}, {registry.Protobuf, message(`string id = 1 [json_name="ID"];`), "id"}, {registry.Protobuf, message(`string id = 1 [json_name="ID"];`), "ID"}, {registry.Protobuf, message(`string order_id = 1;`), "orderId"},
		{registry.Protobuf, message(`M next = 2; string id = 1;`), "next.id"}, {registry.Protobuf, message(`N n = 1; message N { oneof o { N more = 1; string id = 2; } }`), "n.more.id"},
		{registry.Protobuf, message(`option (buf.validate.message).oneof = {fields: ["a", "id"], required: true}; string a = 1; string id = 2;`), "id"}, {registry.Protobuf, message(`string id = 1; google.protobuf.Int64Value a = 2; google.protobuf.ListValue l = 3;`), "id"},
	} {
		if _, err := made(compile(t, c.kind, c.text), c.key); err != nil {
			t.Errorf("%s, %s: %v", c.text, c.key, err)
		}
	}
}

// A message has a value, whatever the types and rules of its fields.
//
// Mutations, each seen to fail it: leftOut without a required alternative; known of nothing; a message within itself; items that are all the same; moment without
// gt_now; bounds without seconds.
func TestASampleOfAMessage(t *testing.T) {
	const head = "syntax = \"proto3\"; package p; import \"buf/validate/validate.proto\"; import \"google/protobuf/any.proto\"; import \"google/protobuf/wrappers.proto\"; import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/duration.proto\"; " +
		"import \"google/protobuf/struct.proto\"; import \"google/protobuf/field_mask.proto\"; import \"google/protobuf/empty.proto\"; enum K { NONE = 0; ONE = 1; TWO = 2; } message M { string k = 100 [(buf.validate.field).required = true]; %s }"
	ruled := func(kind, rules string) string { return kind + " f = 1 [(buf.validate.field)." + rules + "];" }
	fields := []string{
		`google.protobuf.Any f = 1;`, `google.protobuf.FieldMask f = 1;`, `google.protobuf.ListValue f = 1;`, `google.protobuf.Struct f = 1;`, `google.protobuf.Value f = 1;`, `google.protobuf.Empty f = 1;`, `google.protobuf.Int64Value f = 1;`,
		`google.protobuf.BoolValue f = 1; google.protobuf.BytesValue g = 2; google.protobuf.FloatValue h = 3; google.protobuf.UInt32Value i = 4; google.protobuf.StringValue j = 5;`, `M f = 1;`, `repeated M f = 1; map<string, M> g = 2;`, `google.protobuf.NullValue f = 1;`,
		ruled("google.protobuf.Any", "required = true"), ruled("google.protobuf.FieldMask", "required = true"), ruled("google.protobuf.StringValue", "string.min_len = 4"), ruled("google.protobuf.ListValue", "required = true"), ruled("google.protobuf.FieldMask", `field_mask.in = "x"`),
		ruled("string", `string.pattern = "^[A-Z]{3}-[0-9]{2}$"`), ruled("string", `string = {prefix: "ord_", min_len: 10}`), ruled("string", `string = {suffix: ".eu", max_len: 5}`), ruled("string", `string = {prefix: "a", contains: "-x-", suffix: "z"}`), ruled("string", `string.tuuid = true`), ruled("string", `string.ulid = true`),
		ruled("string", `string.uuid = true`), ruled("string", `string.email = true`), ruled("string", `string.hostname = true`), ruled("string", `string.ip = true`), ruled("string", `string.ipv6 = true`), ruled("string", `string.uri = true`), ruled("string", `string.uri_ref = true`), ruled("string", `string.address = true`),
		ruled("string", `string.host_and_port = true`), ruled("string", `string.ip_with_prefixlen = true`), ruled("string", `string.ipv6_with_prefixlen = true`), ruled("string", `string.ip_prefix = true`), ruled("string", `string.ipv4_prefix = true`), ruled("string", `string.ipv6_prefix = true`), ruled("string", `string.well_known_regex = KNOWN_REGEX_HTTP_HEADER_NAME`),
		ruled("string", `string = {not_in: ["a", "b"]}`), ruled("string", `string.len_bytes = 7`), ruled("string", `string = {min_len: 3, not_contains: "q"}`), ruled("string", `cel = {id: "x", message: "no", expression: "this != 'a'"}`), ruled("string", `string.protobuf_fqn = true`),
		ruled("int64", `int64.gt = 100`), ruled("uint64", `uint64.gte = 18446744073709551615`), ruled("int64", `int64 = {gte: 9007199254740993, lt: 9007199254740994}`), ruled("double", `double = {gt: 0, lt: 1}`), ruled("float", `float = {gt: 0, lt: 0.5}`), ruled("double", `double = {gte: 0, lte: 0.5}`), ruled("int32", `int32 = {gt: 10, lt: 5}`),
		ruled("int32", `int32 = {in: [7, 8], not_in: [7]}`), ruled("int32", `int32.const = -3`), ruled("int32", `int32.lt = 0`), ruled("sint64", `sint64.not_in = 1`), ruled("bool", `bool.const = true`), ruled("bool", `required = true`),
		ruled("K", `enum.const = 2`), ruled("K", `enum = {defined_only: true, not_in: [0, 1]}`), ruled("K", `enum.in = 2`), ruled("K", `required = true`),
		ruled("bytes", `bytes.min_len = 4`), ruled("bytes", `bytes.ip = true`), ruled("bytes", `bytes.ipv6 = true`), ruled("bytes", `bytes = {prefix: "ab", len: 6}`), ruled("bytes", `bytes.pattern = "^[0-9]{3}$"`), ruled("bytes", `bytes.const = "xy"`), ruled("bytes", `bytes.uuid = true`),
		ruled("google.protobuf.Duration", `duration.gt = {seconds: 5}`), ruled("google.protobuf.Duration", `duration = {gt: {nanos: 1000}, lt: {nanos: 2000}}`), ruled("google.protobuf.Duration", `duration.const = {seconds: 3, nanos: 5000000}`), ruled("google.protobuf.Duration", `duration.lt = {seconds: -5}`),
		ruled("google.protobuf.Timestamp", `required = true`), ruled("google.protobuf.Timestamp", `timestamp.gt_now = true`), ruled("google.protobuf.Timestamp", `timestamp.lt_now = true`), ruled("google.protobuf.Timestamp", `timestamp.within = {seconds: 600}`), ruled("google.protobuf.Timestamp", `timestamp.lt = {seconds: 10}`), ruled("google.protobuf.Timestamp", `timestamp.gte = {seconds: 4000000000}`),
		ruled("repeated string", `repeated = {min_items: 2, items: {string: {min_len: 3}}}`), ruled("repeated string", `repeated = {min_items: 30, unique: true}`), ruled("repeated K", `repeated = {min_items: 3, unique: true}`), ruled("repeated int32", `repeated = {min_items: 3, unique: true, items: {int32: {in: [4, 5, 6]}}}`), ruled("repeated N", `repeated.min_items = 2`) + " message N { string a = 1; }", ruled("repeated string", `required = true`),
		ruled("repeated double", `repeated = {min_items: 3, unique: true, items: {double: {gt: 0, lt: 1}}}`), ruled("map<string, int32>", `map = {min_pairs: 2, keys: {string: {uuid: true}}, values: {int32: {gt: 4}}}`), ruled("map<int32, string>", `map = {min_pairs: 2, keys: {int32: {gte: 5}}}`), ruled("map<bool, string>", `map.min_pairs = 2`),
		`oneof o { option (buf.validate.oneof).required = true; string f = 1; int32 g = 2; }`, `oneof o { string f = 1; int32 g = 2; }`, `option (buf.validate.message).oneof = {fields: ["f", "g"], required: true}; string f = 1; string g = 2;`, `option (buf.validate.message).oneof = {fields: ["f", "g"]}; string f = 1; string g = 2;`,
		`option (buf.validate.message).cel = {id: "x", message: "no", expression: "this.f > this.g"}; int32 f = 1; int32 g = 2;`, `option (buf.validate.message).cel = {id: "x", message: "no", expression: "this.f % 2 == 0"}; int32 f = 1 [(buf.validate.field).int32.gt = 0];`,
	}
	for _, f := range fields {
		if _, err := made(compile(t, registry.Protobuf, fmt.Sprintf(head, f)), ""); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	if got, err := made(compile(t, registry.Protobuf, fmt.Sprintf(head, `M f = 1; N g = 2; message N { M h = 1; N i = 2; }`)), ""); err != nil || got != `{"g":{},"k":"a"}` {
		t.Errorf("a message within itself: %s, %v", got, err)
	}
	if got, err := made(compile(t, registry.Protobuf, `syntax = "proto2"; message M { required string a = 1; optional group G = 2 { required int32 b = 3; } optional M c = 4; }`), ""); err != nil || !strings.Contains(got, `"b":1`) {
		t.Errorf("of proto2: %s, %v", got, err)
	}
}

// An Avro record has a value, also with types of other schemas and unions whose branches look the same.
func TestASampleOfARecord(t *testing.T) {
	for _, c := range []struct {
		fields  string
		imports []registry.Import
	}{
		{`{"name":"id","type":{"type":"string","logicalType":"uuid"}},{"name":"sum","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":4}},{"name":"hash","type":{"type":"fixed","name":"H","size":16}},{"name":"day","type":{"type":"int","logicalType":"date"}},
			{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"of","type":{"type":"int","logicalType":"time-millis"}},{"name":"kind","type":{"type":"enum","name":"K","symbols":["A"]}},{"name":"next","type":["null","R"]}`, nil},
		{`{"name":"a","type":{"type":"bytes","logicalType":"big-decimal"}},{"name":"b","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},{"name":"c","type":{"type":"array","items":"R"}},{"name":"d","type":{"type":"map","values":"R"}}`, nil},
		{`{"name":"a","type":["int","string"]},{"name":"b","type":["boolean","null"]},{"name":"c","type":"null"},{"name":"d","type":["bytes","string"]}`, nil},
		{`{"name":"a","type":[{"type":"record","name":"x.P","fields":[{"name":"q","type":"string"}]},{"type":"record","name":"y.P","fields":[{"name":"q","type":"string"}]}]},{"name":"b","type":"x.P"},{"name":"c","type":"y.P"}`, nil},
		{`{"name":"a","type":"shop.Money"},{"name":"b","type":"shop.Unit"}`, []registry.Import{{Name: "shop.Money", Text: `{"type":"record","name":"Money","namespace":"shop","fields":[{"name":"unit","type":{"type":"enum","name":"Unit","symbols":["EUR"]}},{"name":"more","type":["null","Money"]}]}`}}},
	} {
		text := `{"type":"record","name":"R","namespace":"n","fields":[` + c.fields + `]}`
		if _, err := made(compile(t, registry.Avro, text, c.imports...), ""); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What a JSON schema refers to is found as the gateway finds it.
//
// Mutation seen to fail it: local that leaves references as they are.
func TestASampleOfWhatIsReferredTo(t *testing.T) {
	money := registry.Import{Name: "money.json", Text: `{"type":"object","required":["sum"],"properties":{"sum":{"$ref":"#/definitions/sum"}},"definitions":{"sum":{"type":"integer","minimum":10},"unit":{"enum":["EUR"]}}}`}
	for _, text := range []string{
		`{"type":"object","required":["a","b"],"properties":{"a":{"$ref":"money.json"},"b":{"$ref":"money.json#/definitions/unit"}}}`,
		`{"$id":"https://example.com/s/order.json","type":"object","required":["a"],"properties":{"a":{"$ref":"money.json"}}}`,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["a"],"properties":{"a":{"$ref":"https://example.com/x.json"}},"$defs":{"x":{"$id":"https://example.com/x.json","type":"integer","minimum":3}}}`,
	} {
		if _, err := made(compile(t, registry.JSON, text, money), ""); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Where no value is found it says why the first one is refused.
func TestNoSample(t *testing.T) {
	for text, why := range map[string]string{
		`{"type":"object","required":["a"],"properties":{"a":{"type":"array","minItems":2,"items":{"$ref":"#"}}}}`: `of {"a":[`,
		`{"type":"object","required":["a"],"properties":{"a":{"type":"string","minLength":5,"maxLength":3}}}`:      "$.a: ",
		`{"type":"object","required":["a"],"properties":{"a":false}}`:                                              `of {"a":`,
	} {
		if got, err := made(compile(t, registry.JSON, text), ""); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}
