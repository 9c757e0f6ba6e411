package avrovalue_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/avrovalue"
)

// A decimal that cannot be one is its bytes, as the specification has it: the schema is taken as it is, and values are read and written so. One
// that can be is a decimal.
//
// Mutations seen to fail it: canBe without the scale, without the size; withoutDecimals that looks at defaults, and not into unions.
func TestADecimalThatCannotBeIsItsBytes(t *testing.T) {
	for of, decimal := range map[string]bool{
		`"bytes","logicalType":"decimal","precision":4,"scale":2`:                      true,
		`"bytes","logicalType":"decimal","precision":4`:                                true,
		`"fixed","name":"F","size":2,"logicalType":"decimal","precision":4,"scale":2`:  true,
		`"fixed","name":"F","size":2,"logicalType":"decimal","precision":5,"scale":2`:  false,
		`"fixed","name":"F","size":2,"logicalType":"decimal","precision":30,"scale":2`: false,
		`"bytes","logicalType":"decimal","precision":2,"scale":4`:                      false,
		`"bytes","logicalType":"decimal","precision":4,"scale":-2`:                     false,
		`"bytes","logicalType":"decimal","precision":0`:                                false,
		`"bytes","logicalType":"decimal"`:                                              false,
		`"bytes","logicalType":"decimal","precision":"4"`:                              false,
		`"bytes","logicalType":"decimal","precision":2.5`:                              false,
	} {
		text := fmt.Sprintf(`{"type":"record","name":"R","fields":[{"name":"d","type":["null",{"type":%s}]},
			{"name":"m","type":{"type":"map","values":"string"},"default":{"type":"bytes","logicalType":"decimal"}}]}`, of)
		s, err := schema.Parse(schema.Source{Type: schema.Avro, Text: text})
		if err != nil {
			t.Errorf("%s: %v", of, err)
			continue
		}
		if !strings.Contains(s.Text, `"logicalType":"decimal"`) || strings.Count(s.Text, "decimal") != 2 {
			t.Errorf("%s is stored as %s", of, s.Text)
		}
		parsed, err := avrovalue.Parse(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := avrovalue.Compile(parsed)
		if err != nil {
			t.Fatal(err)
		}
		const asNumber, asBytes = `{"d":1}`, `{"d":"\u0001\u0001"}`
		if _, err := c.Append(nil, []byte(asNumber)); (err == nil) != decimal {
			t.Errorf("%s: a number: %v", of, err)
		}
		encoded, err := c.Append(nil, []byte(asBytes))
		if err != nil {
			t.Errorf("%s: %v", of, err)
			continue
		}
		got, err := c.AppendJSON(nil, encoded)
		if want := `"logicalType":"decimal"`; err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: the default is lost: %s, %v", of, got, err)
		}
		if isBytes := strings.Contains(string(got), `"d":"\u0001\u0001"`); isBytes == decimal {
			t.Errorf("%s: %s", of, got)
		}
	}
}
