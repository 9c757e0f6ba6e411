package avrovalue_test

import (
	"testing"

	"github.com/weirstream/weir/internal/schema/avrovalue"
)

// A value that a logical type has no meaning for is refused, with its place: readers in Java, Python and Go fail at it.
//
// Mutations seen to fail it: uuidBytes for a fixed alone, without its length; a time of day without a bound, below or above; bigDecimal that takes all bytes.
func TestAValueHasAMeaningByItsLogicalType(t *testing.T) {
	const uuid = `{"type":"string","logicalType":"uuid"}`
	for _, c := range []struct{ schema, document, want string }{
		{uuid, `"6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10"`, ``},
		{uuid, `"6F1C2A7E-0D4B-4C1A-9A3E-5B8D7C6E4F10"`, ``},
		{uuid, `"x"`, `$: "x" is no UUID, as 6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10`},
		{uuid, `""`, `$: "" is no UUID, as 6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10`},
		{uuid, `"6f1c2a7e0d4b4c1a9a3e5b8d7c6e4f10"`, `$: "6f1c2a7e0d4b4c1a9a3e5b8d7c6e4f10" is no UUID, as 6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10`},
		{uuid, `"6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f1-"`, `$: "6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f1-" is no UUID, as 6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10`},
		{uuid, `"6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f1g"`, `$: "6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f1g" is no UUID, as 6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10`},
		{uuid, `"6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f1-0"`, `$: "6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f1-0" is no UUID, as 6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10`},
		{`{"type":"record","name":"R","fields":[{"name":"id","type":["null",` + uuid + `]}]}`, `{"id":"x"}`, `$.id: "x" is no UUID, as 6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10`},
		{`{"type":"fixed","name":"F","size":16,"logicalType":"uuid"}`, `"6f1c2a7e-0d4b-4c1a-9a3e-5b8d7c6e4f10"`, ``},
		{`{"type":"fixed","name":"F","size":16,"logicalType":"uuid"}`, `"aaaaaaaaaaaaaaaa"`, ``},
		{`{"type":"int","logicalType":"time-millis"}`, `0`, ``},
		{`{"type":"int","logicalType":"time-millis"}`, `86399999`, ``},
		{`{"type":"int","logicalType":"time-millis"}`, `86400000`, `$: 86400000 is no time of day: time-millis is from 0 to 86399999`},
		{`{"type":"int","logicalType":"time-millis"}`, `-1`, `$: -1 is no time of day: time-millis is from 0 to 86399999`},
		{`{"type":"long","logicalType":"time-micros"}`, `86399999999`, ``},
		{`{"type":"long","logicalType":"time-micros"}`, `86400000000`, `$: 86400000000 is no time of day: time-micros is from 0 to 86399999999`},
		{`{"type":"int","logicalType":"date"}`, `-1`, ``},
		{`{"type":"int","logicalType":"time-micros"}`, `-1`, ``}, // an int cannot be that, so that it says nothing
		{`{"type":"bytes","logicalType":"big-decimal"}`, `"\u0002\u0001\u0004"`, ``},
		{`{"type":"bytes","logicalType":"big-decimal"}`, `"12.34"`, `$: the characters stand for the bytes of a big-decimal, which are the number as Avro's bytes and its scale as Avro's int: these are not`},
		{`{"type":"bytes","logicalType":"big-decimal"}`, `"\u0002\u0001\u0004\u0000"`, `$: the characters stand for the bytes of a big-decimal, which are the number as Avro's bytes and its scale as Avro's int: these are not`},
	} {
		parsed, err := avrovalue.Parse(c.schema, nil)
		if err != nil {
			t.Fatalf("%s: %v", c.schema, err)
		}
		s, err := avrovalue.Compile(parsed)
		if err != nil {
			t.Fatalf("%s: %v", c.schema, err)
		}
		got := ""
		if _, err := s.Append(nil, []byte(c.document)); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s by %s: %q, want %q", c.document, c.schema, got, c.want)
		}
	}
}
