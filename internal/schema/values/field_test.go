package values

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/registry"
)

// A schema says of a path whether its values may have a text or a number there, and names what it has instead.
//
// Mutations seen to fail it: a union has what its first branch has; no look at the kind of what the path ends at; references of JSON Schema not
// followed; alternatives of JSON Schema taken for a list of properties; the first message of Protobuf only.
func TestASchemaSaysWhereATextMayBe(t *testing.T) {
	const record = `{"type":"record","name":"a.Order","fields":[
		{"name":"id","type":["null","string"]}, {"name":"n","type":{"type":"long","logicalType":"timestamp-millis"}}, {"name":"ok","type":"boolean"},
		{"name":"lines","type":{"type":"array","items":"string"}}, {"name":"tags","type":{"type":"map","values":"string"}},
		{"name":"next","type":["null","Order"]}, {"name":"either","type":["boolean",{"type":"record","name":"E","fields":[{"name":"e","type":"int"}]}]}]}`
	const message = `syntax = "proto3"; import "google/protobuf/wrappers.proto"; message Order { string order_id = 1; bool ok = 2; repeated string lines = 3; Inner in = 4;
		google.protobuf.StringValue maybe = 5; message Inner { int32 n = 1; } } message Other { string other = 1; }`
	const object = `{"$defs":{"in":{"type":"object","properties":{"n":{"type":["integer","null"]}}}},"type":"object",
		"properties":{"id":{"type":"string"},"ok":{"type":"boolean"},"any":{},"in":{"$ref":"#/$defs/in"},"one":{"properties":{"z":{}},"oneOf":[{"properties":{"a":{}}}]},"open":{"type":"object"},"shut":{"additionalProperties":false}}}`
	for _, c := range []struct {
		kind       registry.Type
		text, path string
		want       string // in the error, "" for none
	}{
		{registry.Avro, record, "id", ""}, {registry.Avro, record, "n", ""}, {registry.Avro, record, "tags.x", ""}, {registry.Avro, record, "next.next.id", ""}, {registry.Avro, record, "either.e", ""},
		{registry.Avro, record, "Id", "the record a.Order has no field Id, but id, n, ok"}, {registry.Avro, record, "ok", "neither a text nor a number"},
		{registry.Avro, record, "lines", "neither a text"}, {registry.Avro, record, "next", "neither a text"}, {registry.Avro, record, "id.x", "string has no fields"}, {registry.Avro, record, "next.x", "no field x"},
		{registry.Avro, `"string"`, "id", "string has no fields"},
		{registry.Protobuf, message, "order_id", ""}, {registry.Protobuf, message, "orderId", ""}, {registry.Protobuf, message, "in.n", ""}, {registry.Protobuf, message, "maybe", ""},
		{registry.Protobuf, message, "other", ""}, {registry.Protobuf, message, "gone", "the message Order has no field gone, but order_id, ok"}, {registry.Protobuf, message, "ok", "neither"}, {registry.Protobuf, message, "lines", "several values"},
		{registry.Protobuf, message, "in", "neither"}, {registry.Protobuf, message, "order_id.x", "no fields"},
		{registry.JSON, object, "id", ""}, {registry.JSON, object, "any", ""}, {registry.JSON, object, "in.n", ""}, {registry.JSON, object, "one.b", ""}, {registry.JSON, object, "open.x", ""}, {registry.JSON, `{}`, "id", ""},
		{registry.JSON, object, "Id", "the object has no property Id, but any, id"}, {registry.JSON, object, "ok", "neither"}, {registry.JSON, object, "in.m", "no property m, but n"},
		{registry.JSON, object, "id.x", "no properties"}, {registry.JSON, object, "shut.x", "none at all"}, {registry.JSON, `false`, "id", "no value"},
	} {
		s, err := Compile(&registry.Registered{Schema: registry.Schema{Type: c.kind, Text: c.text}, ID: 1})
		if err != nil {
			t.Fatal(err)
		}
		err = s.HasText(c.path)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s, %s: %v, want %q", c.kind, c.path, err, c.want)
		}
	}
}
