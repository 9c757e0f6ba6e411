package avrovalue_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/schema/avrovalue"
	"github.com/weirstream/weir/internal/schema/source"
)

func compile(t testing.TB, text string, imports ...source.Import) (*avro.Schema, *avrovalue.Schema) {
	t.Helper()
	parsed, err := avrovalue.Parse(text, imports)
	if err != nil {
		t.Fatal(err)
	}
	s, err := avrovalue.Compile(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return parsed, s
}

const order = `{"type":"record","name":"Order","namespace":"shop","fields":[
 {"name":"id","type":"string"},
 {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
   {"name":"sku","type":"string"},{"name":"amount","type":"int"},{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2},"default":"\u0000"}]}}},
 {"name":"note","type":["null","string"]},
 {"name":"state","type":{"type":"enum","name":"State","symbols":["OPEN","DONE"]},"default":"OPEN"},
 {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"},"default":0},
 {"name":"who","type":["null","string",{"type":"record","name":"Person","fields":[{"name":"name","type":"string"}]},{"type":"map","values":"long"}],"default":null},
 {"name":"tags","type":{"type":"map","values":"string"},"default":{}},
 {"name":"n","type":["double","long","int"],"default":0},
 {"name":"parent","type":["null","Order"],"default":null}]}`

// What people write is read: in any order of fields, with what is left out, unions with and without their branch, times and decimals
// as texts and numbers. It is written as one form, which is read again.
//
// Mutations seen to fail it: no reordering; a missing field without its default; whole numbers as the first branch; no FirstName.
func TestReadsWhatPeopleWrite(t *testing.T) {
	_, s := compile(t, order)
	rest := `"state":"OPEN","at":0,"who":null,"tags":{},"n":{"double":0},"parent":null}`
	for document, want := range map[string]string{
		`{"lines":[],"id":"a"}`: `{"id":"a","lines":[],"note":null,` + rest,
		`{"note":"x","id":"a","lines":[{"amount":2,"sku":"s","price":12.5},{"price":-0.01,"sku":"s","amount":-1}]}`: `{"id":"a","lines":[{"sku":"s","amount":2,"price":12.50},{"sku":"s","amount":-1,"price":-0.01}],"note":"x",` + rest,
		`{"id":"a","lines":[],"note":{"string":"x"}}`:                                                               `{"id":"a","lines":[],"note":"x",` + rest,
		`{"id":"a","lines":[],"at":"1970-01-01T00:00:01.5Z"}`:                                                       strings.Replace(`{"id":"a","lines":[],"note":null,`+rest, `"at":0`, `"at":1500`, 1),
		`{"id":"a","lines":[],"who":{"shop.Person":{"name":"p"}}}`:                                                  strings.Replace(`{"id":"a","lines":[],"note":null,`+rest, `"who":null`, `"who":{"shop.Person":{"name":"p"}}`, 1),
		`{"id":"a","lines":[],"who":{"name":"p"}}`:                                                                  strings.Replace(`{"id":"a","lines":[],"note":null,`+rest, `"who":null`, `"who":{"shop.Person":{"name":"p"}}`, 1),
		`{"id":"a","lines":[],"who":{"x":1}}`:                                                                       strings.Replace(`{"id":"a","lines":[],"note":null,`+rest, `"who":null`, `"who":{"map":{"x":1}}`, 1),
		`{"id":"a","lines":[],"n":9007199254740993}`:                                                                strings.Replace(`{"id":"a","lines":[],"note":null,`+rest, `{"double":0}`, `{"long":9007199254740993}`, 1),
		`{"id":"a","lines":[],"parent":{"id":"b","lines":[]}}`:                                                      strings.Replace(`{"id":"a","lines":[],"note":null,`+rest, `"parent":null`, `"parent":{"id":"b","lines":[],"note":null,`+rest, 1),
	} {
		encoded, err := s.Append(nil, []byte(document))
		if err != nil {
			t.Errorf("%s: %v", document, err)
			continue
		}
		text, err := s.AppendJSON(nil, encoded)
		if err != nil || string(text) != want {
			t.Errorf("%s:\n%s, %v\nwant\n%s", document, text, err, want)
		}
		again, err := s.Append(nil, text)
		if err != nil || string(again) != string(encoded) {
			t.Errorf("%s is read as something else: %v", text, err)
		}
	}
}

// Each mistake is told with its place.
//
// Mutations seen to fail it: unknown fields passed over; the range of an int; two branches that fit; a decimal's text that is not looked at; a
// logical type that its type cannot have.
func TestTellsWhereAMistakeIs(t *testing.T) {
	_, s := compile(t, order)
	for document, want := range map[string]string{
		`{"id":"a","lines":[{"sku":"s","amount":1},{"sku":"s","amount":"2"}]}`: `$.lines[1].amount: a number is wanted, and there is a string`,
		`{"id":"a","lines":[{"sku":"s","amount":2147483648}]}`:                 `$.lines[0].amount: 2147483648 is beyond what an Avro int holds`,
		`{"id":"a","lines":[{"sku":"s","amount":1.5}]}`:                        `$.lines[0].amount: 1.5 is no whole number, which an Avro int is`,
		`{"id":"a","lines":[{"sku":"s"}]}`:                                     `$.lines[0].amount: the field is missing, and has no default`,
		`{"id":"a","lines":[],"colour":1}`:                                     `$.colour: the record shop.Order has no such field`,
		`{"id":"a","lines":[],"state":"LOST"}`:                                 `$.state: "LOST" is no symbol of the enum shop.State: it has OPEN, DONE`,
		`{"id":"a","lines":[],"who":true}`:                                     `$.who: a boolean is none of null, string, shop.Person, map`,
		`{"id":"a","lines":[],"who":{"shop.Person":{"name":1}}}`:               `$.who["shop.Person"].name: a string is wanted, and there is a number`,
		`{"id":"a","lines":[],"at":"yesterday"}`:                               `$.at: "yesterday" is no timestamp-millis, as 2006-01-02T15:04:05Z`,
		`{"id":"a","lines":[{"sku":"s","amount":1,"price":1.005}]}`:            `$.lines[0].price: 1.005 has more than the 2 decimals of the schema`,
		`{"id":"a","lines":[{"sku":"s","amount":1,"price":12345.6}]}`:          `$.lines[0].price: 12345.6 has more than the 6 digits of the schema`,
		`{"id":"a","lines":[{"sku":"s","amount":1,"price":1e9999}]}`:           `$.lines[0].price: 1e9999 is no decimal that is taken`,
		`{"id":"a","lines":[],"tags":{"x":"1","x":"2"}}`:                       `$.tags.x: the name comes twice`,
		`[]`: `$: an object is wanted, and there is an array`,
		strings.Repeat(`{"id":"a","lines":[],"parent":`, 201) + strings.Repeat("}", 201): "deeper than 200",
	} {
		_, err := s.Append(nil, []byte(document))
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%.60s: %v\nwant %s", document, err, want)
		}
	}
	_, odd := compile(t, `{"type":"record","name":"R","fields":[{"name":"d","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}],"default":null},
		{"name":"f","type":["null",{"type":"fixed","name":"F","size":4,"logicalType":"decimal","precision":9,"scale":2}],"default":null},
		{"name":"t","type":["null",{"type":"int","logicalType":"timestamp-millis"}],"default":null}]}`)
	for document, want := range map[string]string{
		`{"d":"12.34"}`:                `$.d: "12.34" is a text, which stands for the bytes of a decimal: write the number without quotes`,
		`{"d":{"bytes":"1.5"}}`:        `$.d.bytes: "1.5" is a text, which stands for the bytes of a decimal: write the number without quotes`,
		`{"d":"-12"}`:                  `$.d: "-12" is a text, which stands for the bytes of a decimal: write the number without quotes`,
		`{"f":"1234"}`:                 `$.f: "1234" is a text, which stands for the bytes of a decimal: write the number without quotes`,
		`{"d":"abcdef"}`:               `$.d: "abcdef" is a text, which stands for the bytes of a decimal, and as that it has more than the 9 digits of the schema: write a number without quotes`,
		`{"d":"\u0004\u00d2"}`:         "",
		`{"d":"12"}`:                   "",
		`{"d":12.34}`:                  "",
		`{"t":"2026-01-01T00:00:00Z"}`: `$.t: a string is none of null, int`,
	} {
		if _, err := odd.Append(nil, []byte(document)); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%s: %v\nwant %s", document, err, want)
		}
	}
	_, ambiguous := compile(t, `["string",{"type":"enum","name":"E","symbols":["A"]}]`)
	if _, err := ambiguous.Append(nil, []byte(`"A"`)); err == nil || !strings.Contains(err.Error(), `it may be string or E: say which, as {"string": ...}`) {
		t.Errorf("%v", err)
	}
	if out, err := ambiguous.Append(nil, []byte(`"B"`)); err != nil || string(out) != "\x00\x02B" {
		t.Errorf("%q, %v", out, err)
	}
}

// A damaged value is an error with its place, and takes no more memory than is allowed.
//
// Mutation seen to fail it: symbols beyond the enum's.
func TestTellsWhereAValueIsDamaged(t *testing.T) {
	_, s := compile(t, order)
	for encoded, want := range map[string]string{
		"\x02a\x02\x02s":    "$.lines[0].amount: the value ends too early",
		"\x02a\x00\x06":     "$.note: the union has no branch 3: it has null, string",
		"\x02a\x00\x00\x04": "$.state: the enum shop.State has no symbol 2",
		"\x10a":             "$.id: a length is 8, and 1 bytes are left",
		"\x02a\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00": "bytes follow the value",
	} {
		if _, err := s.AppendJSON(nil, []byte(encoded)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", encoded, err, want)
		}
	}
	_, nulls := compile(t, `{"type":"array","items":"null"}`)
	if _, err := nulls.AppendJSON(nil, []byte("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00")); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("an array of nulls: %v", err)
	}
}

// Imported types are found, also those that imports import.
func TestImportedTypes(t *testing.T) {
	_, s := compile(t, `{"type":"record","name":"Outer","fields":[{"name":"mid","type":"x.Mid"},{"name":"again","type":["null","x.Mid"]}]}`,
		source.Import{Name: "x.Inner", Text: `{"type":"enum","name":"Inner","namespace":"x","symbols":["A"]}`},
		source.Import{Name: "x.Mid", Text: `{"type":"record","name":"Mid","namespace":"x","fields":[{"name":"inner","type":"Inner"}]}`})
	encoded, err := s.Append(nil, []byte(`{"mid":{"inner":"A"},"again":{"inner":"A"}}`))
	if err != nil || string(encoded) != "\x00\x02\x00" {
		t.Fatalf("%q, %v", encoded, err)
	}
}

// drawn is a random schema, with a value of it in Avro's JSON encoding.
type drawn struct{ names int }

func (d *drawn) name(prefix string) string {
	d.names++
	return fmt.Sprintf("%s%d", prefix, d.names)
}

func (d *drawn) draw(t *rapid.T, depth int, inUnion bool) (schema any, value func() any) {
	kinds := []string{"null", "boolean", "int", "long", "float", "double", "string", "bytes", "fixed", "enum"}
	if depth > 0 {
		kinds = append(kinds, "record", "array", "map", "record")
		if !inUnion {
			kinds = append(kinds, "union", "union")
		}
	}
	text := rapid.StringMatching(`[ -~éß€]{0,8}`)
	raw := rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		for _, c := range rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes") {
			b.WriteRune(rune(c))
		}
		return b.String()
	})
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "null":
		return kind, func() any { return nil }
	case "boolean":
		return kind, func() any { return rapid.Bool().Draw(t, "v") }
	case "int":
		return kind, func() any { return rapid.Int32().Draw(t, "v") }
	case "long":
		return kind, func() any { return rapid.Int64().Draw(t, "v") }
	case "float":
		return kind, func() any { return rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32).Draw(t, "v") }
	case "double":
		return kind, func() any { return rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "v") }
	case "string":
		return kind, func() any { return text.Draw(t, "v") }
	case "bytes":
		return kind, func() any { return raw.Draw(t, "v") }
	case "fixed":
		return map[string]any{"type": kind, "name": d.name("F"), "size": 4}, func() any { return raw.Draw(t, "v") }
	case "enum":
		return map[string]any{"type": kind, "name": d.name("E"), "symbols": []string{"A", "B", "C"}}, func() any { return rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "v") }
	case "array":
		of, v := d.draw(t, depth-1, false)
		return map[string]any{"type": kind, "items": of}, func() any {
			list := make([]any, rapid.IntRange(0, 3).Draw(t, "n"))
			for i := range list {
				list[i] = v()
			}
			return list
		}
	case "map":
		of, v := d.draw(t, depth-1, false)
		return map[string]any{"type": kind, "values": of}, func() any {
			m := map[string]any{}
			for range rapid.IntRange(0, 3).Draw(t, "n") {
				m[text.Draw(t, "key")] = v()
			}
			return m
		}
	case "record":
		var fields []any
		values := map[string]func() any{}
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			of, v := d.draw(t, depth-1, false)
			name := d.name("f")
			fields = append(fields, map[string]any{"name": name, "type": of})
			values[name] = v
		}
		if fields == nil {
			fields = []any{}
		}
		return map[string]any{"type": kind, "name": d.name("R"), "fields": fields}, func() any {
			m := map[string]any{}
			for name, v := range values {
				m[name] = v()
			}
			return m
		}
	default:
		seen, branches, values := map[string]bool{}, []any{}, []func() any{}
		for range rapid.IntRange(1, 4).Draw(t, "branches") {
			of, v := d.draw(t, depth-1, true)
			name, _ := of.(string)
			if o, ok := of.(map[string]any); ok {
				if name, _ = o["name"].(string); name == "" {
					name = o["type"].(string)
				}
			}
			if seen[name] {
				continue
			}
			seen[name] = true
			branches = append(branches, of)
			values = append(values, func() any {
				if name == "null" {
					return nil
				}
				return map[string]any{name: v()}
			})
		}
		return branches, func() any { return values[rapid.IntRange(0, len(values)-1).Draw(t, "branch")]() }
	}
}

// The peer library reads what is encoded as it reads what it encodes itself, and what is written as JSON is encoded to the same bytes again.
func TestAgreesWithThePeerLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawn{}
		of, value := d.draw(t, 3, false)
		schema, _ := json.Marshal(of)
		parsed, err := avro.Parse(string(schema))
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		s, err := avrovalue.Compile(parsed)
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		document, _ := json.Marshal(value())
		ours, err := s.Append(nil, document)
		if err != nil {
			t.Fatalf("%s of %s: %v", document, schema, err)
		}
		var theirs, read any
		if err := parsed.DecodeJSON(document, &theirs, avro.TaggedUnions()); err != nil {
			t.Fatalf("the peer: %v", err)
		}
		encoded, err := parsed.Encode(theirs)
		if err != nil {
			t.Fatalf("the peer: %v", err)
		}
		var want any
		if _, err := parsed.Decode(encoded, &want, avro.TaggedUnions()); err != nil {
			t.Fatalf("the peer: %v", err)
		}
		if rest, err := parsed.Decode(ours, &read, avro.TaggedUnions()); err != nil || len(rest) > 0 || !reflect.DeepEqual(read, want) {
			t.Fatalf("%s of %s\nis encoded as %x, read by the peer as %v, %v;\nits own %x as %v", document, schema, ours, read, err, encoded, want)
		}
		text, err := s.AppendJSON(nil, ours)
		if err != nil {
			t.Fatalf("%s of %s: %v", document, schema, err)
		}
		if again, err := s.Append(nil, text); err != nil || string(again) != string(ours) {
			t.Fatalf("%s of %s is written as %s, and read as %x, %v; want %x", document, schema, text, again, err, ours)
		}
	})
}

// No bytes and no document make a panic, and what is decoded is JSON.
func FuzzAvro(f *testing.F) {
	_, s := compile(f, order)
	for _, seed := range []string{"\x02a\x00\x00\x00\x00\x00\x00", `{"id":"a","lines":[{"sku":"s","amount":1,"price":1.5}],"who":{"x":1}}`, "\x02a\x01\x02"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if text, err := s.AppendJSON(nil, data); err == nil && !json.Valid(text) {
			t.Fatalf("%x is written as %s", data, text)
		}
		if encoded, err := s.Append(nil, data); err == nil {
			if _, err := s.AppendJSON(nil, encoded); err != nil {
				t.Fatalf("%s is encoded as %x, which is damaged: %v", data, encoded, err)
			}
		}
	})
}

// A whole number is one however it is written, as for JSON Schema and Protobuf. In a union with floating point, a fraction or an exponent says that it is of that.
//
// Mutations seen to fail it: digits alone; a fraction cut off; no order by how a number is written; no bound of an exponent.
func TestAWholeNumberIsOneHoweverItIsWritten(t *testing.T) {
	const beyond, fraction = "is beyond what an Avro", "is no whole number"
	for document, want := range map[string]string{
		"1": "1", "1.0": "1", "1.000": "1", "1e0": "1", "10e-1": "1", "0.01e2": "1", "100e-2": "1", "-1.0": "-1", "1e3": "1000", "1.5E3": "1500", "-0.0": "0", "0e99": "0", "0e-99999999999999999999": "0",
		"9223372036854775807.0": "9223372036854775807", "-9223372036854775808.0": "-9223372036854775808", "922337203685477580.7e1": "9223372036854775807",
		"9223372036854775808.0": beyond, "1e19": beyond, "1e99999999999999999999": beyond, "-1e30": beyond,
		"10e99999999999999999999": beyond, "1.5e-99999999999999999999": fraction,
		"1.5": fraction, "1e-1": fraction, "15e-1": fraction, "9007199254740993.5": fraction, "1e-99999999999999999999": fraction, "0.1": fraction,
	} {
		for schema, form := range map[string]string{`"long"`: "%s", `["null","long"]`: "%s", `{"type":"long","logicalType":"timestamp-millis"}`: ""} {
			_, s := compile(t, schema)
			out, err := s.Append(nil, []byte(document))
			switch text := ""; {
			case want == beyond || want == fraction:
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %s: %q %v, want %s", schema, document, out, err, want)
				}
				continue
			case err != nil:
				t.Errorf("%s: %s: %v", schema, document, err)
			case form == "": // printed as a time
			default:
				read, err := s.AppendJSON(nil, out)
				if text = string(read); err != nil || text != want {
					t.Errorf("%s: %s is %s, %v", schema, document, text, err)
				}
			}
		}
	}
	_, either := compile(t, `["int","float","long","double"]`)
	for document, branch := range map[string]byte{"1": 0, "1.0": 1, "1e3": 1, "1.5": 1, "2147483648": 2, "2147483648.0": 1, "1e300": 3} {
		if out, err := either.Append(nil, []byte(document)); err != nil || out[0] != 2*branch {
			t.Errorf("%s: %x %v, want branch %d", document, out, err, branch)
		}
	}
}
