package evolution

import (
	"encoding/hex"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/registry"
)

// ruled is a message whose field is more than a number.
func ruled(than int) string {
	return fmt.Sprintf(`syntax="proto3"; import "buf/validate/validate.proto"; message M { int32 a = 1 [(buf.validate.field).int32.gt = %d]; }`, than)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What was written with one schema is read with another as a consumer would read it: by Avro's resolution, by the names of messages and the
// encoding of fields and rules of protovalidate, by the rules of a JSON schema.
//
// Mutation seen to fail it: protobufDecoder without Check.
func TestReadersReadWhatTheyCan(t *testing.T) {
	const a, b = `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`, `{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"string","default":"x"}]}`
	for name, c := range map[string]struct {
		kind           registry.Type
		writer, reader string
		value          string // hexadecimal, after the id
		want           bool
	}{
		"a field is new and has a default":   {registry.Avro, a, b, "02", true},
		"a field is gone":                    {registry.Avro, b, `{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}`, "020278", true},
		"a long is no int":                   {registry.Avro, b, a, "020278", false},
		"the branch that is read":            {registry.Avro, `["null","string"]`, `"string"`, "020278", true},
		"null, as what has no null":          {registry.Avro, `["null","string"]`, `"string"`, "00", false},
		"bytes follow":                       {registry.Avro, a, b, "0202", false},
		"a message":                          {registry.Protobuf, `syntax="proto3"; message M { int32 a = 1; }`, `syntax="proto3"; message M { int64 a = 1; string b = 2; }`, "000801", true},
		"a field is not known":               {registry.Protobuf, `syntax="proto3"; message M { int32 a = 1; int32 b = 2; }`, `syntax="proto3"; message M { int32 a = 1; }`, "0008011002", true},
		"a field of another encoding":        {registry.Protobuf, `syntax="proto3"; message M { int32 a = 1; }`, `syntax="proto3"; message M { string a = 1; }`, "000801", false},
		"the same, in a message below":       {registry.Protobuf, `syntax="proto3"; message M { N n = 1; message N { int32 a = 1; } }`, `syntax="proto3"; message M { N n = 1; message N { string a = 1; } }`, "000a020801", false},
		"the second message, first there":    {registry.Protobuf, `syntax="proto3"; message L {} message M { int32 a = 1; }`, `syntax="proto3"; message M { int32 a = 1; }`, "02020801", true},
		"a message that is gone":             {registry.Protobuf, `syntax="proto3"; message M { int32 a = 1; }`, `syntax="proto3"; message N { int32 a = 1; }`, "000801", false},
		"a required field that is not there": {registry.Protobuf, `syntax="proto2"; message M { optional int32 a = 1; }`, `syntax="proto2"; message M { required int32 a = 1; }`, "00", false},
		"a rule that is kept":                {registry.Protobuf, ruled(1), ruled(2), "000803", true},
		"a rule that is broken":              {registry.Protobuf, ruled(1), ruled(2), "000802", false},
		"a document that the schema allows":  {registry.JSON, `{"type":"object"}`, `{"type":"object","required":["a"]}`, hex.EncodeToString([]byte(`{"a":1}`)), true},
		"a document that it does not allow":  {registry.JSON, `{"type":"object"}`, `{"type":"object","required":["a"]}`, hex.EncodeToString([]byte(`{}`)), false},
		"a document that is not one":         {registry.JSON, `{"type":"object"}`, `{"type":"object"}`, hex.EncodeToString([]byte(`{`)), false},
	} {
		value, err := hex.DecodeString(c.value)
		if err != nil {
			t.Fatal(err)
		}
		read, err := decoderOf(&registry.Registered{Schema: registry.Schema{Type: c.kind, Text: c.writer}}, &registry.Registered{Schema: registry.Schema{Type: c.kind, Text: c.reader}})
		if err == nil {
			err = read(append([]byte{0, 0, 0, 0, 1}, value...), value, false)
		}
		if (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
