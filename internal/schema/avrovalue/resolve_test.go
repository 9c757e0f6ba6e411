package avrovalue_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/internal/schema/avrovalue"
)

const (
	oneOf  = `["null","string"]`
	person = `{"type":"record","name":"Person","fields":[{"name":"name","type":"string"}]}`
	firm   = `{"type":"record","name":"Firm","fields":[{"name":"no","type":"int"}]}`
)

func in(of string) string {
	return `{"type":"record","name":"R","fields":[{"name":"f","type":` + of + `},{"name":"end","type":"int"}]}`
}

// A value is read where the reader has a place for what was written, whatever else the writer's schema admits; the error of another has
// its place.
//
// Mutations seen to fail it: the library's resolution alone; the first branch that matches, whether it fits or not; fields without
// aliases; no default between fields; decimals of another scale; no path below a map's key.
func TestOnlyTheValueThatDoesNotFitIsRefused(t *testing.T) {
	enum := func(symbols string) string { return `{"type":"enum","name":"S","symbols":[` + symbols + `]}` }
	for name, c := range map[string]struct {
		writer, reader string
		fits, read     string // a value as it is written, and as it is read
		not, why       string
	}{
		"at the top":           {oneOf, `"string"`, `{"string":"x"}`, `"x"`, `null`, `$: null was written, and it is read as string`},
		"a field":              {in(oneOf), in(`"string"`), `{"f":"x","end":1}`, `{"f":"x","end":1}`, `{"f":null,"end":1}`, `$.f: null was written, and it is read as string`},
		"an item":              {`{"type":"array","items":` + oneOf + `}`, `{"type":"array","items":"string"}`, `["x","y"]`, `["x","y"]`, `["x",null]`, `$[1]: null was written, and it is read as string`},
		"a map's value":        {`{"type":"map","values":` + oneOf + `}`, `{"type":"map","values":"string"}`, `{"k":"x"}`, `{"k":"x"}`, `{"k":null}`, `$.k: null was written, and it is read as string`},
		"a branch":             {`["null","string","int"]`, oneOf, `{"string":"x"}`, `"x"`, `{"int":1}`, `$: int was written, and it is read as one of null, string`},
		"a branch that widens": {`["null","string","int"]`, `["null","double"]`, `{"int":16777217}`, `16777217`, `{"string":"x"}`, `$: string was written, and it is read as one of null, double`},
		"a union in a union's record": {`["null",` + in(`["null","string","long"]`) + `]`, in(`["long","null"]`), `{"R":{"f":{"long":1},"end":2}}`, `{"f":1,"end":2}`,
			`{"R":{"f":{"string":"x"},"end":2}}`, `$.f: string was written, and it is read as one of long, null`},
		"a record of a union": {`[` + person + `,` + firm + `]`, person, `{"Person":{"name":"p"}}`, `{"name":"p"}`, `{"Firm":{"no":1}}`, `$: record Firm was written, and it is read as record Person`},
		"a field without a default, in a branch": {`["null",` + firm + `]`, `["null",{"type":"record","name":"Firm","fields":[{"name":"name","type":"string"}]}]`,
			`null`, `null`, `{"Firm":{"no":1}}`, `$: the field name is read, was not written, and has no default`},
		"a symbol":                    {in(enum(`"A","B"`)), in(enum(`"B"`)), `{"f":"B","end":1}`, `{"f":"B","end":1}`, `{"f":"A","end":1}`, `$.f: the symbol A was written, and the enum S that it is read with has only B, and no default`},
		"a symbol that has a default": {`["null",` + enum(`"A","B"`) + `]`, strings.Replace(enum(`"B","C"`), `]`, `],"default":"C"`, 1), `{"S":"A"}`, `"C"`, `null`, `$: null was written, and it is read as enum S`},
		"a decimal": {`["null",{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}]`, `["null",{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}]`,
			`null`, `null`, `{"bytes":1.5}`, `$: a decimal of 4 digits, 1 of them decimals, was written, and it is read as one of 4 and 2`},
		"a type that has itself": {`{"type":"record","name":"L","fields":[{"name":"v","type":` + oneOf + `},{"name":"next","type":["null","L"]}]}`,
			`{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]},{"name":"v","type":"string"}]}`,
			`{"v":"a","next":{"v":"b","next":null}}`, `{"next":{"next":null,"v":"b"},"v":"a"}`, `{"v":"a","next":{"v":null,"next":null}}`, `$.next.v: null was written, and it is read as string`},
		"fields that nobody reads": {`{"type":"record","name":"R","fields":[{"name":"gone","type":{"type":"array","items":["null",` + person + `]}},{"name":"f","type":` + oneOf + `},{"name":"too","type":{"type":"map","values":"double"}}]}`,
			`{"type":"record","name":"R","fields":[{"name":"new","type":"int","default":7},{"name":"g","aliases":["f"],"type":"string"},{"name":"newer","type":["null","int"],"default":null}]}`,
			`{"gone":[null,{"Person":{"name":"p"}}],"f":"x","too":{"k":1.5}}`, `{"new":7,"g":"x","newer":null}`, `{"gone":[],"f":null,"too":{}}`, `$.g: null was written, and it is read as string`},
		"the same type before a wider one": {`["null","int"]`, `["double","int"]`, `{"int":1}`, `{"int":1}`, `null`, `$: null was written, and it is read as one of double, int`},
		"a full name before its last part": {`["null",{"type":"record","name":"a.P","fields":[]}]`, `[{"type":"record","name":"b.P","fields":[{"name":"x","type":"int","default":1}]},{"type":"record","name":"a.P","fields":[{"name":"x","type":"int","default":2}]}]`,
			`{"a.P":{}}`, `{"a.P":{"x":2}}`, `null`, `$: null was written, and it is read as one of b.P, a.P`},
		"names of another namespace": {`["null",{"type":"record","name":"a.P","fields":[{"name":"n","type":"int"}]}]`, `[{"type":"record","name":"b.P","fields":[{"name":"must","type":"int"}]},{"type":"record","name":"c.P","fields":[{"name":"n","type":"int"}]}]`,
			`{"a.P":{"n":1}}`, `{"c.P":{"n":1}}`, `null`, `$: null was written, and it is read as one of b.P, c.P`},
	} {
		t.Run(name, func(t *testing.T) {
			writer, written := compile(t, c.writer)
			reader, read := compile(t, c.reader)
			r, err := avrovalue.Resolve(writer, reader)
			if err != nil {
				t.Fatal(err)
			}
			encode := func(s *avrovalue.Schema, document string) []byte {
				t.Helper()
				data, err := s.Append(nil, []byte(document))
				if err != nil {
					t.Fatal(err)
				}
				return data
			}
			var got, want any
			if rest, err := r.Decode(append(encode(written, c.fits), "rest"...), &got); err != nil || string(rest) != "rest" {
				t.Fatalf("%s: %q is left, %v", c.fits, rest, err)
			}
			if _, err := reader.Decode(encode(read, c.read), &want); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s is read as %v, and not as %v: %v", c.fits, got, want, err)
			}
			if _, err := r.Decode(encode(written, c.not), &got); err == nil || err.Error() != c.why {
				t.Errorf("%s: %v\nwant %s", c.not, err, c.why)
			}
		})
	}
}

// Damaged bytes are an error of a pair that is rewritten too, and cost what they hold.
//
// Mutation seen to fail it: elements without bytes not counted.
func TestDamagedValuesOfAPairThatIsRewritten(t *testing.T) {
	list := `{"type":"array","items":{"type":"record","name":"E","fields":[]}}`
	writer, _ := compile(t, `{"type":"record","name":"R","fields":[{"name":"a","type":`+oneOf+`},{"name":"skipped","type":`+list+`},{"name":"list","type":{"type":"array","items":"E"}}]}`)
	reader, _ := compile(t, `{"type":"record","name":"R","fields":[{"name":"a","type":"string"},{"name":"list","type":`+strings.Replace(list, `[]`, `[{"name":"x","type":"int","default":1}]`, 1)+`}]}`)
	r, err := avrovalue.Resolve(writer, reader)
	if err != nil {
		t.Fatal(err)
	}
	const many = "\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
	for data, want := range map[string]string{
		"":                         "$.a: the value ends too early",
		"\x06":                     "$.a: the union has no branch 3: it has null, string",
		"\x02\x10a":                "$.a: a length is 8, and 1 bytes are left",
		"\x02\x02a" + many:         "$.skipped: more than 4096 elements have no bytes",
		"\x02\x02a\x00" + many:     "$.list: more than 4096 elements have no bytes",
		"\x02\x02a\x01\x04":        "$.skipped: a block has 2 bytes, and 0 are left",
		"\x02\x02a\x00\x02":        "$.list: the value ends too early",
		"\x02\x02a\x00\x02\x00xyz": "",
	} {
		var v any
		rest, err := r.Decode([]byte(data), &v)
		if want == "" && (err != nil || string(rest) != "xyz") || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: %v, %q is left, %v\nwant %s", data, v, rest, err, want)
		}
	}
}

// other is a schema as another version of it may be.
func other(t *rapid.T, d *drawn, of any, inUnion bool) any {
	kind := kindOf(of)
	switch kind {
	case "union":
		branches := slices.Clone(of.([]any))
		for i := range branches {
			branches[i] = other(t, d, branches[i], true)
		}
		seen := map[string]bool{}
		branches = slices.DeleteFunc(branches, func(b any) bool { // one of a kind that is another now
			was := seen[nameOf(b)]
			seen[nameOf(b)] = true
			return was
		})
		switch rapid.IntRange(0, 3).Draw(t, "union") {
		case 0:
			return branches[rapid.IntRange(0, len(branches)-1).Draw(t, "which")]
		case 1:
			if len(branches) > 1 {
				branches = branches[1:]
			}
		}
		return branches
	case "array", "map":
		key := map[string]string{"array": "items", "map": "values"}[kind]
		of = map[string]any{"type": kind, key: other(t, d, of.(map[string]any)[key], false)}
	case "record":
		var fields []any
		for _, f := range of.(map[string]any)["fields"].([]any) {
			f := maps.Clone(f.(map[string]any))
			f["type"] = other(t, d, f["type"], false)
			switch rapid.IntRange(0, 5).Draw(t, "field") {
			case 0:
				continue
			case 1:
				f["name"], f["aliases"] = d.name("g"), []any{f["name"]}
			}
			fields = append(fields, f)
		}
		switch rapid.IntRange(0, 3).Draw(t, "fields") {
		case 0:
			slices.Reverse(fields)
		case 1:
			fields = append(fields, map[string]any{"name": d.name("h"), "type": []any{"null", "int"}, "default": nil})
		case 2:
			if rapid.Bool().Draw(t, "no default") {
				fields = append([]any{map[string]any{"name": d.name("h"), "type": "int"}}, fields...)
			} else {
				fields = append([]any{map[string]any{"name": d.name("h"), "type": "string", "default": "é"}}, fields...)
			}
		}
		if fields == nil {
			fields = []any{}
		}
		of = map[string]any{"type": "record", "name": of.(map[string]any)["name"], "fields": fields}
	case "enum":
		e := maps.Clone(of.(map[string]any))
		e["symbols"] = rapid.SampledFrom([][]string{{"A", "B", "C"}, {"C", "B", "A"}, {"A", "C"}}).Draw(t, "symbols")
		if rapid.Bool().Draw(t, "default") {
			e["default"] = "A"
		}
		of = e
	case "int", "long", "float", "string":
		if to := map[string][]string{"int": {"long", "float", "double"}, "long": {"float", "double", "int"}, "float": {"double"}, "string": {"bytes"}}[kind]; rapid.IntRange(0, 3).Draw(t, "widen") == 0 {
			of = rapid.SampledFrom(to).Draw(t, "to")
		}
	}
	if !inUnion && rapid.IntRange(0, 4).Draw(t, "wrap") == 0 && kind != "null" {
		return []any{"null", of}
	}
	return of
}

// meant gives some types a logical type, and some that have one another, or none. big-decimal and time-micros are left out: not all values
// of their types are some.
func meant(t *rapid.T, of any) any {
	switch of := of.(type) {
	case string:
		return meant(t, map[string]any{"type": of})
	case []any:
		list := make([]any, len(of))
		for i := range of {
			list[i] = meant(t, of[i])
		}
		return list
	}
	m := maps.Clone(of.(map[string]any))
	for _, key := range []string{"items", "values"} {
		if m[key] != nil {
			m[key] = meant(t, m[key])
		}
	}
	if fields, ok := m["fields"].([]any); ok {
		list := make([]any, len(fields))
		for i := range fields {
			f := maps.Clone(fields[i].(map[string]any))
			f["type"] = meant(t, f["type"])
			list[i] = f
		}
		m["fields"] = list
	}
	if rapid.IntRange(0, 2).Draw(t, "meant") > 0 {
		return m
	}
	delete(m, "logicalType")
	switch kind := m["type"].(string); kind {
	case "bytes", "fixed":
		if rapid.Bool().Draw(t, "decimal") {
			m["logicalType"], m["precision"], m["scale"] = "decimal", rapid.IntRange(8, 9).Draw(t, "precision"), rapid.IntRange(1, 2).Draw(t, "scale")
		}
	default:
		all := map[string][]string{"int": {"", "date", "time-millis", "timestamp-millis"}, "string": {"", "uuid"}, "long": {"", "timestamp-millis", "timestamp-micros", "local-timestamp-millis", "date"}}[kind]
		if all != nil {
			m["logicalType"] = rapid.SampledFrom(all).Draw(t, "logical type")
		}
	}
	return m
}

// logical is what a logical type is compared by. An int has no timestamp, and a long no date.
func logical(of any) string {
	m, _ := of.(map[string]any)
	switch name, _ := m["logicalType"].(string); {
	case name == "decimal":
		return fmt.Sprint(name, m["precision"], m["scale"])
	case m["type"] == "int" && name == "timestamp-millis", m["type"] == "long" && name == "date":
		return ""
	default:
		return name
	}
}

// bare is a schema without logical types, which has the same encoding.
func bare(of any) any {
	switch of := of.(type) {
	case []any:
		list := make([]any, len(of))
		for i := range of {
			list[i] = bare(of[i])
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for key, v := range of {
			switch key {
			case "logicalType":
			case "default":
				m[key] = v
			default:
				m[key] = bare(v)
			}
		}
		return m
	}
	return of
}

func kindOf(of any) string {
	switch of := of.(type) {
	case string:
		return of
	case []any:
		return "union"
	case map[string]any:
		return of["type"].(string)
	}
	panic(fmt.Sprint(of))
}

func nameOf(of any) string {
	if o, ok := of.(map[string]any); ok && o["name"] != nil {
		return o["name"].(string)
	}
	return kindOf(of)
}

// bytesAsText: JSON has no form for bytes that are read as a string.
var errBytesAsText = fmt.Errorf("bytes are read as text")

// resolved is a value in Avro's JSON encoding as another schema has it, by the specification's words and with none of the code under test.
func resolved(reader, writer, value any) (any, error) {
	kind, written := kindOf(reader), kindOf(writer)
	promotions := map[string][]string{"int": {"long", "float", "double"}, "long": {"float", "double"}, "float": {"double"}, "string": {"bytes"}, "bytes": {"string"}}
	switch {
	case written == "union":
		name := "null"
		for n, v := range object(value) {
			name, value = n, v
		}
		for _, b := range writer.([]any) {
			if nameOf(b) == name {
				return resolved(reader, b, value)
			}
		}
		panic(name)
	case kind == "union":
		for _, exact := range []bool{true, false} {
			for _, b := range reader.([]any) {
				if exact && nameOf(b) == nameOf(writer) || !exact && slices.Contains(promotions[written], kindOf(b)) {
					v, err := resolved(b, writer, value)
					if err == nil && nameOf(b) != "null" {
						v = map[string]any{nameOf(b): v}
					}
					return v, err
				}
			}
		}
		return nil, fmt.Errorf("no branch")
	case kind != written:
		if !slices.Contains(promotions[written], kind) {
			return nil, fmt.Errorf("%s is no %s", written, kind)
		}
		if was, is := logical(writer), logical(reader); was != "" && is != "" { // none is of two of these types
			return nil, fmt.Errorf("%s is no %s", was, is)
		}
		switch v := value.(type) {
		case int32:
			if kind == "float" {
				return float32(v), nil
			}
		case int64:
			if kind == "float" {
				return float32(v), nil
			}
			return float64(v), nil
		case float32:
			return float64(v), nil
		case string:
			if kind == "string" {
				return nil, errBytesAsText
			}
			var b strings.Builder
			for _, c := range []byte(v) {
				b.WriteRune(rune(c))
			}
			return b.String(), nil
		}
		return value, nil
	case nameOf(reader) != nameOf(writer):
		return nil, fmt.Errorf("another name")
	}
	if was, is := logical(writer), logical(reader); was != is && was != "" && is != "" {
		return nil, fmt.Errorf("%s is no %s", was, is)
	}
	switch kind {
	case "array":
		list := []any{}
		for _, v := range value.([]any) {
			e, err := resolved(reader.(map[string]any)["items"], writer.(map[string]any)["items"], v)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		return list, nil
	case "map":
		m := map[string]any{}
		for k, v := range object(value) {
			e, err := resolved(reader.(map[string]any)["values"], writer.(map[string]any)["values"], v)
			if err != nil {
				return nil, err
			}
			m[k] = e
		}
		return m, nil
	case "enum":
		r := reader.(map[string]any)
		if !slices.Contains(r["symbols"].([]string), value.(string)) {
			if r["default"] == nil {
				return nil, fmt.Errorf("no symbol")
			}
			return r["default"], nil
		}
	case "record":
		m := map[string]any{}
		for _, f := range reader.(map[string]any)["fields"].([]any) {
			f := f.(map[string]any)
			names := []any{f["name"]}
			if aliases, ok := f["aliases"].([]any); ok {
				names = append(names, aliases...)
			}
			from := slices.IndexFunc(writer.(map[string]any)["fields"].([]any), func(w any) bool { return slices.Contains(names, w.(map[string]any)["name"]) })
			if from < 0 {
				if _, ok := f["default"]; !ok {
					return nil, fmt.Errorf("no default")
				}
				continue // which the encoder gives it
			}
			w := writer.(map[string]any)["fields"].([]any)[from].(map[string]any)
			v, err := resolved(f["type"], w["type"], object(value)[w["name"].(string)])
			if err != nil {
				return nil, err
			}
			m[f["name"].(string)] = v
		}
		return m, nil
	}
	return value, nil
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// Of random pairs of schemas, whatever the checker of compatibility allows is read, each value; of the others each value for which the
// specification has a reading; and where the library resolves a pair, it reads the same. A value that another logical type would make another
// value, as micros in place of millis, is not read.
//
// Mutations seen to fail it: fields without aliases; a checker without its look at logical types; a resolver without its own.
func TestReadsWhatTheCheckerAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &drawn{}
		of, value := d.draw(t, 3, false)
		of = meant(t, of)
		writerText, _ := json.Marshal(of)
		to := meant(t, other(t, d, of, false))
		readerText, _ := json.Marshal(to)
		v := value()
		document, _ := json.Marshal(v)
		what := fmt.Sprintf("%s\nwritten with %s\nread with %s", document, writerText, readerText)
		parse := func(text []byte) (*avro.Schema, *avrovalue.Schema, *schema.Schema) {
			parsed, err1 := avro.Parse(string(text))
			if err1 != nil {
				t.Fatalf("%s: %v", text, err1)
			}
			s, err2 := avrovalue.Compile(parsed)
			judged, err3 := schema.Parse(schema.Source{Type: schema.Avro, Text: string(text)})
			if err2 != nil || err3 != nil {
				t.Fatalf("%s: %v, %v", text, err2, err3)
			}
			return parsed, s, judged
		}
		encoder := func(of any) *avrovalue.Schema { // JSON has numbers for decimals, and not for all bytes that are drawn
			text, _ := json.Marshal(bare(of))
			_, s, _ := parse(text)
			return s
		}
		writer, _, writerJudged := parse(writerText)
		reader, _, readerJudged := parse(readerText)
		written, read := encoder(of), encoder(to)
		data, err := written.Append(nil, document)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		r, err := avrovalue.Resolve(writer, reader)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got any
		rest, failed := r.Decode(data, &got)
		if len(rest) > 0 {
			t.Fatalf("%s: %d bytes are left", what, len(rest))
		}
		if reasons := schema.Read(readerJudged, writerJudged); len(reasons) == 0 && failed != nil {
			t.Fatalf("%s\nis allowed, and not read: %v", what, failed)
		}
		rewritten, err := avrovalue.Rewritten(writer, reader, data)
		if (err == nil) != (failed == nil) {
			t.Fatalf("%s\nis rewritten: %v; and read: %v", what, err, failed)
		}
		wanted, unreadable := resolved(to, of, v)
		if unreadable == errBytesAsText {
			return
		}
		if (unreadable == nil) != (failed == nil) {
			t.Fatalf("%s\nis read: %v; by the specification: %v", what, failed, unreadable)
		}
		if failed != nil {
			return
		}
		wantedText, _ := json.Marshal(wanted)
		want, err := read.Append(nil, wantedText)
		if err != nil || string(want) != string(rewritten) {
			t.Fatalf("%s\nis rewritten as %x; it is %s, which is %x, %v", what, rewritten, wantedText, want, err)
		}
		var same any
		if _, err := reader.Decode(rewritten, &same); err != nil || !reflect.DeepEqual(got, same) {
			t.Fatalf("%s\nis read as %v, and rewritten as %v, %v", what, got, same, err)
		}
	})
}
